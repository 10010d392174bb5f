"""Where every command begins: the short ways first, which need next to nothing, then all of devstack."""

from __future__ import annotations

import os
import sys

# typing and signal take as long to import as `--help` takes besides
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

#: verbs that `quick` may know the answer to
_LOOKS = ("up", "status", "ps", "urls")


def main() -> NoReturn:
    """Run the command line; never returns."""
    try:
        code = _short_way(sys.argv[1:])
    except KeyboardInterrupt:
        # nothing was under way that would have to be ended with care
        sys.exit(130)
    if code is None:
        from devstack.cli.main import main as whole

        whole()
    sys.exit(code)


def _short_way(words: list[str]) -> int | None:
    """The exit code of what could be answered at once; None where all of devstack is needed."""
    is_look = bool(words) and words[0] in _LOOKS and sys.platform.startswith("linux")
    is_plain = bool(words) and words[0].startswith("-")
    if not (is_look or is_plain) or None in (sys.stdin, sys.stdout, sys.stderr) or os.environ.get("SUDO_UID"):
        return None
    if is_look:
        from devstack.cli import quick

        code = quick.run(words)
    else:
        from devstack.cli import help as helping

        code = helping.run(words)
    if code is not None:
        from devstack.cli.streams import settle

        settle()
    return code
