"""Can it be run here? What is asked right before a task, a process or a server begins."""

from __future__ import annotations

import shutil
from pathlib import Path

from devstack import system_packages
from devstack.detect.system_needs import is_known_command, package_of
from devstack.errors import ConflictError, UsageError
from devstack.programs import Resolved
from devstack.system import System

#: Python packages that bring a command of their name
_PACKAGES = frozenset({
    "alembic", "celery", "daphne", "django-rq", "flask", "flower", "granian", "gunicorn", "honcho", "huey", "hypercorn",
    "pytest", "rq", "ruff", "tox", "uvicorn", "uwsgi", "waitress", "watchdog",
})


def ensure_executable(system: System, who: str, resolved: Resolved, key: str = "run") -> None:
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
            fix=_way_to_get(system, word, key),
        )


def _way_to_get(system: System, word: str, key: str) -> str:
    machine = system_packages.machine(system)
    if is_known_command(word) and (command := machine.command((package_of(word, machine.family),))):
        return command
    # a name that may be misspelled isn't one to install from an index
    brings = f'packages = ["{word}"]' if word in _PACKAGES else f"add what brings {word} to packages"
    return f"correct `{key}`" if "/" in word else f"{brings} below [python], or correct `{key}`"


def port_taken(name: str, port: int, holder: str, *, fixed: bool) -> ConflictError:
    """The port of a program is another's. fixed: the profile demands this very port."""
    return ConflictError(
        "port-taken", f"port {port} of {name} is taken", why=f"by {holder}; nothing of it was touched",
        fix=f"end that process, or change `port` of {name} in the profile" if fixed else "devstack up --new-ports",
    )
