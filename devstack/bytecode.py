"""What Python compiled of installed packages, kept for the next environment that gets the same packages.

An installer makes no bytecode (docs/decisions/0003-which-python.md), so the first import in every new environment
compiles all that it reads. Here the result is kept by a package's content and a Python's minor version, and linked
into the next environment. Python itself compares time and size of the source and compiles again where they differ, so
that an entry can be useless, never wrong. docs/decisions/0045-bytecode.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

from devstack import site_packages
from devstack.errors import DevstackError
from devstack.system import System

#: seconds after which an entry that no environment got goes
_UNUSED = 30 * 86400.0
_FRESH = ".fresh-"


class Bytecode:
    """Entries in one folder: a folder each, with a link per compiled module, `NUMBER-CHECKSUM`: its place among the
    package's sources, and the checksum of its content, since a damaged one would break every import."""

    def __init__(self, system: System, folder: Path) -> None:
        self._system = system
        self._folder = folder

    def give(self, environment: Path) -> int:
        """Link what there is for the packages of an environment into it; how many files that were. What can't be
        linked is compiled, as ever."""
        given = 0
        for entry, compiled in self._packages(environment):
            kept = _kept(entry)
            if kept:
                with contextlib.suppress(OSError):
                    os.utime(entry)
            for number, name in kept.items():
                with contextlib.suppress(OSError, IndexError):
                    folder, module = compiled[number]
                    given += _give(entry / name, Path(folder), module)
        return given

    def keep(self, environment: Path) -> int:
        """Keep what has been compiled in an environment by now; how many files weren't kept before. Nothing where the
        folder can't be written: it is only a memory."""
        kept = 0
        with contextlib.suppress(DevstackError, OSError):
            self._system.private_folder(self._folder)
            there: dict[str, set[str]] = {}
            for entry, compiled in self._packages(environment):
                known = _kept(entry)
                for number, (folder, name) in enumerate(compiled):
                    if folder not in there:
                        there[folder] = _names(folder)
                    if name in there[folder]:
                        kept += self._keep(entry, number, known.get(number), Path(folder, name))
            self._sweep()
        return kept

    def _keep(self, entry: Path, number: int, known: str | None, source: Path) -> bool:
        """Link one file into its entry, where it isn't there yet."""
        with contextlib.suppress(FileNotFoundError):
            if known and (entry / known).samefile(source):
                return False
        entry.mkdir(mode=0o700, exist_ok=True)
        fresh = entry / f"{_FRESH}{self._system.process_id()}"
        fresh.unlink(missing_ok=True)
        os.link(source, fresh)
        if known:
            (entry / known).unlink(missing_ok=True)
        fresh.replace(entry / f"{number}-{_checksum(source)}")
        return True

    def _sweep(self) -> None:
        oldest = self._system.now() - _UNUSED
        for entry in self._folder.iterdir():
            if entry.is_dir() and entry.stat().st_mtime < oldest:
                self._system.remove_tree(entry)

    def _packages(self, environment: Path) -> Iterator[tuple[Path, list[tuple[str, str]]]]:
        """For each package with a RECORD of its content: its entry, and folder and name of its modules' bytecode."""
        site = site_packages.folder_of(environment)
        if site is None:
            return
        # `cpython-311` of lib/python3.11
        tag = f"cpython-{site.parent.name.removeprefix('python').replace('.', '')}"
        for lines in site_packages.sources(site):
            key = hashlib.sha256("\n".join((tag, *lines)).encode()).hexdigest()[:32]
            yield self._folder / key, [_compiled(f"{site}/{line.partition(',')[0]}", tag) for line in lines]


def _give(kept: Path, folder: Path, module: str) -> bool:
    """Link one file; a damaged one goes."""
    if _checksum(kept) != kept.name.partition("-")[2]:
        kept.unlink()
        return False
    folder.mkdir(exist_ok=True)
    os.link(kept, folder / module)
    return True


def _compiled(source: str, tag: str) -> tuple[str, str]:
    """Folder and name of a module's bytecode (PEP 3147)."""
    folder, _, name = source.rpartition("/")
    return f"{folder}/__pycache__", f"{name.removesuffix('.py')}.{tag}.pyc"


def _checksum(file: Path) -> str:
    return f"{zlib.crc32(file.read_bytes()):08x}"


def _kept(entry: Path) -> dict[int, str]:
    """The names of an entry's files by the number of their source."""
    return {int(name.partition("-")[0]): name for name in _names(entry) if name[0] != "."}


def _names(folder: str | Path) -> set[str]:
    try:
        return set(os.listdir(folder))  # noqa: PTH208 - names alone, of hundreds of folders
    except OSError:
        return set()
