"""Files of a project that a profile names: where each may lie, and its content, read once.

What was read to be trusted is what is used: a file that is exchanged meanwhile changes nothing before the next command.
"""

from __future__ import annotations

import os
import stat
import threading
from dataclasses import dataclass, field
from pathlib import Path

from devstack.errors import UsageError
from devstack.profile.source import MAX_BYTES
from devstack.system import storage_error


@dataclass(frozen=True)
class Inputs:
    """root: of the project. own: folder of a profile that the person gave from outside of it, whose templates may lie
    beside it; None where the profile is the project's."""

    root: Path
    own: Path | None = None
    _read: dict[Path, bytes | None] = field(default_factory=dict, compare=False, repr=False)
    _guard: threading.Lock = field(default_factory=threading.Lock, compare=False, repr=False)

    def inside(self, name: str) -> Path:
        """Real path of a file of the project. Raises UsageError where a link leads out of it."""
        return _below(self.root, name)

    def target(self, name: str) -> Path:
        """Where a file of the project is made: its folder is a real one; a link in its own place is replaced."""
        place = Path(name)
        return _below(self.root, str(place.parent)) / place.name

    def template(self, name: str) -> Path:
        """Real path of a template: beside the given profile if it is there, else in the project. Raises UsageError."""
        if self.own is not None and (self.own / name).exists():
            return _below(self.own, name)
        return self.inside(name)

    def content(self, path: Path, *, fresh: bool = False) -> bytes | None:
        """What is in a file, None where there is none. fresh: as it is now, not as it was first read.

        Raises UsageError for what is no file or too big, StorageError where reading is refused.
        """
        with self._guard:
            if fresh or path not in self._read:
                self._read[path] = _content(path)
            return self._read[path]


def _below(folder: Path, name: str) -> Path:
    """The path with every link followed; it must still be in the folder."""
    real = Path(os.path.realpath(folder))
    path = Path(os.path.realpath(real / name))
    if not path.is_relative_to(real):
        raise UsageError(
            "path-outside", f"{name} leads out of {folder}", why=f"a symbolic link on its way ends at {path}",
            fix=f"ls -ld {folder / name}",
        )
    return path


def _content(path: Path) -> bytes | None:
    try:
        # a pipe or a device would be waited for
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise storage_error(path, error, "read") from None
    try:
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode):
            raise UsageError("not-a-file", f"{path} can't be read", why="it is no regular file", fix=f"ls -ld {path}")
        if info.st_size > MAX_BYTES:
            raise UsageError(
                "file-too-big", f"{path} can't be read", why=f"it has {info.st_size / 1e6:.1f} MB, of 1 MB allowed",
                fix=f"ls -lh {path}",
            )
        with os.fdopen(os.dup(descriptor), "rb") as file:
            return file.read(MAX_BYTES)
    except OSError as error:
        raise storage_error(path, error, "read") from None
    finally:
        os.close(descriptor)
