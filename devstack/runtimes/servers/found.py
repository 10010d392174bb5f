"""Servers that are on the machine already, and the versions they say they have.

A version is asked once for each state of a binary (path, time and size) and remembered in the cache.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from devstack.errors import DevstackError
from devstack.files import storage_errors
from devstack.runtimes.servers.machine import which
from devstack.services import Installed
from devstack.system import System

_TIMEOUT = 20.0


class Versions:
    """Remembered answers, each valid for one stamp. Losing the file costs a second, so damage is ignored."""

    def __init__(self, system: System, file: Path) -> None:
        self._system = system
        self._file = file
        self._known: dict[str, list[str]] | None = None

    def get(self, key: str, stamp: str, ask: Callable[[], str]) -> str:
        """The version under `key` if it was learnt at this stamp, else what `ask` answers now ("": unknown, and asked
        again next time)."""
        if self._known is None:
            self._known = self._load()
        known = self._known.get(key)
        if known and known[0] == stamp:
            return known[1]
        version = ask()
        if version:
            # another devstack may have added to the file since
            self._known = {**self._load(), **self._known, key: [stamp, version]}
            self._system.private_folder(self._file.parent)
            self._system.write(self._file, json.dumps(self._known, indent=1, sort_keys=True) + "\n")
        return version

    def _load(self) -> dict[str, list[str]]:
        try:
            raw = json.loads(self._system.read(self._file) or "{}")
            return {key: [str(value[0]), str(value[1])] for key, value in raw.items()}
        except (ValueError, AttributeError, LookupError, TypeError):
            return {}


def programs(system: System, installed: Installed) -> Iterator[Path]:
    """Real paths of the program: on PATH first, then in its usual places, newest first; each with its siblings."""
    seen = set()
    on_path = which(system, installed.program)
    places = [folder for pattern in installed.places for folder in _newest_first(pattern)]
    for path in ([Path(on_path)] if on_path else []) + [place / installed.program for place in places]:
        real = real_program(path)
        if real in seen or not os.access(real, os.X_OK) or real.is_dir():
            continue
        seen.add(real)
        if all(os.access(real.with_name(sibling), os.X_OK) for sibling in installed.siblings):
            yield real


def real_program(path: Path) -> Path:
    """Where a program really is. A link to a file of another name keeps its own: such a program (Debian's
    `redis-server`) goes by the name it was called."""
    real = path.resolve()
    return real if real.name == path.name else path.parent.resolve() / path.name


def home(program: Path) -> Path:
    """The folder that holds the program's `bin`, or the program's own."""
    return program.parent.parent if program.parent.name in ("bin", "sbin") else program.parent


def stamp(path: Path) -> str:
    """Changes whenever the file does."""
    with storage_errors(path):
        info = path.stat()
    return f"{info.st_mtime_ns}:{info.st_size}"


def ask_version(system: System, argv: tuple[str, ...]) -> str:
    """The version that a program says it has; "" where it doesn't run or names none."""
    try:
        done = system.capture(argv, timeout=_TIMEOUT, env={**system.environ, "LC_ALL": "C"})
    except DevstackError:
        return ""
    return version_in(f"{done.stdout}\n{done.output}") if done.returncode == 0 else ""


def version_in(text: str) -> str:
    """The first thing in the text that looks like a version: dotted numbers, else a number."""
    found = re.search(r"\d+(?:\.\d+)+", text) or re.search(r"\d+", text)
    return found[0] if found else ""


def _newest_first(pattern: str) -> list[Path]:
    path = Path(pattern).expanduser()
    if not path.is_absolute():
        return []
    matches = path.parent.glob(path.name) if "*" not in str(path.parent) else Path("/").glob(str(path.relative_to("/")))
    return sorted(matches, key=lambda match: [int(n) for n in re.findall(r"\d+", str(match))], reverse=True)
