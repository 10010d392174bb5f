"""Can it be run here? What is asked right before a task, a process or a server begins."""

from __future__ import annotations

import shutil
from pathlib import Path

from devstack.errors import ConflictError, UsageError
from devstack.programs import Resolved


def ensure_executable(who: str, resolved: Resolved, key: str = "run") -> None:
    """Raises UsageError where the folder or the program of a command isn't there. key: where the profile says it."""
    if not Path(resolved.cwd).is_dir():
        raise UsageError(
            "folder-missing", f"{who} can't run", why=f"its folder {resolved.cwd} is not there",
            fix="correct its `cwd` in devstack.toml",
        )
    word = resolved.argv[0]
    path = str(Path(resolved.cwd) / word) if "/" in word else word
    if shutil.which(path, path=resolved.revealed()["PATH"]) is None:
        raise UsageError(
            "command-missing", f"{who} can't run: {word} is not there",
            why="neither the environment nor PATH has it",
            fix=f'packages = ["{word}"] below [python], or correct `{key}`',
        )


def port_taken(name: str, port: int, holder: str, *, fixed: bool) -> ConflictError:
    """The port of a program is another's. fixed: the profile demands this very port."""
    return ConflictError(
        "port-taken", f"port {port} of {name} is taken", why=f"by {holder}; nothing of it was touched",
        fix=f"end that process, or change `port` of {name} in the profile" if fixed else "devstack up --new-ports",
    )
