"""Data as tasks have left it, kept for other stacks of this user: a folder each, `…/devstack/data-seeds/KEY`.

Whoever holds the key has what the data depends on, and may begin with it instead of running the tasks. A seed is made
beside and renamed; its manifest names every file with size and digest. It is used only where all of it is this user's
own, closed to others, regular files, and as the manifest says: anything else is damaged, and goes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from devstack.errors import DevstackError
from devstack.files import storage_errors
from devstack.system import System

_MANIFEST = "manifest.json"
_TEMPORARY = ".tmp-"
#: bytes: one that is bigger isn't kept, and all of them together are kept below the second
BIGGEST, MOST = 1_000_000_000, 3_000_000_000
_CHUNK = 1 << 20


@dataclass(frozen=True)
class DataSeed:
    """What is kept under a key. name: of the snapshot that the task asks for. root: of the stack that made it. made:
    seconds since the epoch. tasks: what was done with the data. files: size and SHA-256 by `SERVICE/FILE`."""

    key: str
    name: str
    root: str
    made: float
    tasks: tuple[str, ...]
    files: Mapping[str, tuple[int, str]]

    @property
    def size(self) -> int:
        return sum(size for size, _ in self.files.values())


class DamagedError(Exception):
    """A seed can't be used: why."""


class DataSeeds:
    """The seeds of one user. folder: `…/devstack/data-seeds` in the cache."""

    def __init__(self, system: System, folder: Path) -> None:
        self._system = system
        self._folder = folder

    def find(self, key: str) -> DataSeed | None:
        """The seed of a key, as its manifest says; whether that holds is looked at when it is used."""
        try:
            return self._read(self._folder / key)
        except DamagedError:
            return DataSeed(key, "", "", 0.0, (), {}) if (self._folder / key).is_dir() else None

    def all(self) -> tuple[DataSeed, ...]:
        """Every seed, damaged ones without files, the one that was used last first."""
        if not self._is_ours(self._folder, stat.S_ISDIR):
            return ()
        used = {path.name: path.stat().st_mtime for path in self._folder.iterdir() if path.name[0] != "."}
        found = [seed for key in used if (seed := self.find(key))]
        return tuple(sorted(found, key=lambda seed: -used[seed.key]))

    def files(self, key: str) -> Path:
        """Its folder: in it a folder for each service."""
        return self._folder / key

    def size(self, key: str) -> int:
        """Bytes on the disk, whatever its manifest says."""
        return self._system.tree_size(self._folder / key)

    def checked(self, key: str) -> DataSeed:
        """A seed that is whole. Raises DamagedError, having removed what is damaged."""
        try:
            seed = self._checked(key)
        except (DamagedError, OSError) as error:
            self.remove(key)
            raise DamagedError(str(error)) from None
        with contextlib.suppress(OSError):
            os.utime(self._folder / key)
        return seed

    def keep(self, seed: DataSeed, fill: Callable[[Path], None]) -> DataSeed | None:
        """Keep what `fill` puts into a folder: whole or not at all. None where it is too big. Raises what `fill`
        raises, StorageError."""
        self._system.private_folder(self._folder)
        with storage_errors(self._folder):
            beside = Path(tempfile.mkdtemp(dir=self._folder, prefix=_TEMPORARY))
        try:
            fill(beside)
            for path in beside.rglob("*"):
                # whatever wrote it, with whatever umask
                path.chmod(0o700 if path.is_dir() else 0o600)
            files = {str(path.relative_to(beside)): _signed(path) for path in _files(beside)}
            whole = DataSeed(seed.key, seed.name, seed.root, seed.made, seed.tasks, files)
            if whole.size > BIGGEST:
                return None
            self._system.write(beside / _MANIFEST, json.dumps(asdict(whole), indent=1) + "\n")
            # another stack may have made the same meanwhile
            with contextlib.suppress(OSError):
                beside.rename(self._folder / seed.key)
                self._system.sync_folder(self._folder)
            self._shrink(but=seed.key)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        return whole

    def remove(self, key: str) -> None:
        place = self._folder / key
        if place.is_symlink():
            place.unlink()
            return
        # from now on it doesn't count, however far the removal gets
        gone = self._folder / f"{_TEMPORARY}{key}-{self._system.process_id()}"
        with contextlib.suppress(OSError):
            place.rename(gone)
        self._system.remove_tree(gone)

    def _shrink(self, but: str) -> None:
        """Those that weren't used for the longest time go, and what was cut short a day ago."""
        left = MOST
        for seed in self.all():
            left -= self.size(seed.key)
            if left < 0 and seed.key != but:
                self.remove(seed.key)
        for path in self._folder.glob(f"{_TEMPORARY}*"):
            if self._system.now() - path.lstat().st_mtime > 86_400:
                self._system.remove_tree(path)

    def _checked(self, key: str) -> DataSeed:
        seed = self._read(self._folder / key)
        there = {str(path.relative_to(self._folder / key)) for path in _files(self._folder / key)} - {_MANIFEST}
        if there != seed.files.keys():
            raise DamagedError("its files aren't those of its manifest")
        for name, (size, digest) in seed.files.items():
            path = self._folder / key / name
            if not self._is_ours(path, stat.S_ISREG) or not self._is_ours(path.parent, stat.S_ISDIR):
                raise DamagedError(f"{name} isn't a private file of this user")
            if _signed(path) != (size, digest):
                raise DamagedError(f"{name} isn't as it was written")
        return seed

    def _read(self, place: Path) -> DataSeed:
        if not (self._is_ours(self._folder, stat.S_ISDIR) and self._is_ours(place, stat.S_ISDIR)):
            raise DamagedError("it isn't this user's own")
        if not self._is_ours(place / _MANIFEST, stat.S_ISREG):
            raise DamagedError("it has no manifest")
        try:
            raw = json.loads(self._system.read(place / _MANIFEST) or "")
            files = {str(name): (int(size), str(digest)) for name, (size, digest) in raw.pop("files").items()}
            seed = DataSeed(**{**raw, "tasks": tuple(raw["tasks"])}, files=files)
        except (ValueError, TypeError, KeyError, AttributeError, DevstackError):
            raise DamagedError("its manifest can't be read") from None
        if seed.key != place.name or any(".." in name.split("/") or name[:1] == "/" for name in files):
            raise DamagedError("its manifest is another one's")
        return seed

    def _is_ours(self, path: Path, is_kind: Callable[[int], bool]) -> bool:
        """Is it of this kind itself, no link, this user's own, and closed to all others?"""
        try:
            info = path.lstat()
        except OSError:
            return False
        return is_kind(info.st_mode) and info.st_uid == self._system.user_id() and not info.st_mode & 0o077


def _files(folder: Path) -> Iterator[Path]:
    """Everything that is no folder."""
    return (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())


def _signed(path: Path) -> tuple[int, str]:
    """Size and digest of a regular file; nothing else is opened."""
    found, size = hashlib.sha256(), 0
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise DamagedError(f"{path.name}: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise DamagedError(f"{path.name} is no regular file")
        while part := file.read(_CHUNK):
            found.update(part)
            size += len(part)
    return size, found.hexdigest()


