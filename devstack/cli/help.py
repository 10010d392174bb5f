"""`devstack --help` and `--version` without click, word for word as click writes them on an ordinary terminal."""

from __future__ import annotations

import os

from devstack import __version__
from devstack.cli.streams import say
from devstack.cli.verbs import ABOUT, VERBS

_HELP = (["-h"], ["--help"])
_OPTIONS = {"--version": "Show the version and exit.", "-h, --help": "Show this message and exit."}
#: columns that click uses where it has them
_WIDTH = 78


def run(words: list[str]) -> int | None:
    """Show it; returns the exit code, None where click has to: on a narrow terminal, or where a line gets long."""
    if words not in (*_HELP, ["--version"]):
        return None
    text = page() if words in _HELP else f"devstack, version {__version__}\n"
    if not text.isascii() or _columns() < _WIDTH + 2 or max(map(len, text.splitlines())) > _WIDTH:
        return None
    say(text)
    return 0


def page() -> str:
    """The help page, for `_WIDTH` columns."""
    lines = ["Usage: devstack VERB [ARG]...", ""]
    for paragraph in ABOUT.split("\n\n"):
        line = " "
        for word in paragraph.split():
            if len(line) + 1 + len(word) > _WIDTH:
                lines.append(line)
                line = " "
            line = f"{line} {word}"
        lines += [line, ""]
    verbs = {name: text for name, text in VERBS.items() if name != "ps"}
    return "\n".join([*lines, "Options:", *_table(_OPTIONS), "", "Verbs:", *_table(verbs), ""])


def _table(rows: dict[str, str]) -> list[str]:
    width = max(map(len, rows))
    return [f"  {name:<{width}}  {text}" for name, text in rows.items()]


def _columns() -> int:
    """As shutil.get_terminal_size, which takes longer to import than all of this."""
    try:
        columns = int(os.environ["COLUMNS"])
    except (KeyError, ValueError):
        columns = 0
    if columns > 0:
        return columns
    try:
        return os.get_terminal_size(1).columns or 80
    except OSError:
        return 80
