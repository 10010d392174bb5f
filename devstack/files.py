"""Files and folders, for `system.py`: durable writes, private modes, locks, and errors that name the path."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import stat
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from devstack import evidence
from devstack.errors import InterruptedRunError, StorageError
from devstack.globs import matching

#: a file before it gets its name: whose, written by whom
_BESIDE = re.compile(r"\.(?P<name>.+)\.(?P<pid>[0-9]+)\.[a-z0-9_]{8}")


class Files:
    """What `System` can do with files."""

    #: set when the run is to end; waits for a lock end with it
    cancelled: threading.Event
    _distrusted: Path | None = None
    #: entries of a PATH that count, by the whole PATH
    _trusted: dict[str, str]

    @contextlib.contextmanager
    def open_private(self, path: Path, flags: int = 0) -> Iterator[int]:
        """A descriptor to write `path` with mode 0600 whatever the umask; a symlink planted there isn't followed."""
        with storage_errors(path):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | flags, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
            yield descriptor
        finally:
            os.close(descriptor)

    def write(self, path: Path, content: str | bytes, mode: int = 0o600) -> None:
        """Replace a file as one act: written beside, synced, renamed. Raises StorageError.

        What a killed process left of its own try at this file goes.
        """
        data = content.encode() if isinstance(content, str) else content
        with storage_errors(path):
            descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.{os.getpid()}.")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fchmod(descriptor, mode)
                    os.fsync(descriptor)
                Path(temporary).rename(path)
            except BaseException:
                with contextlib.suppress(OSError):
                    Path(temporary).unlink()
                raise
            self.sync_folder(path.parent)
        self.sweep_folder(path.parent, path.name)

    def sweep_folder(self, folder: Path, name: str = "", depth: int = 0) -> None:
        """Remove what writers that live no more have left beside their files, or beside the one of this name.

        depth: so far into the folders of the folder.
        """
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if depth and entry.is_dir(follow_symlinks=False):
                    self.sweep_folder(Path(entry.path), name, depth - 1)
                found = _BESIDE.fullmatch(entry.name)
                if found and found["name"] in (name or found["name"],) and not _lives(int(found["pid"])):
                    Path(entry.path).unlink()

    def append(self, path: Path, text: str) -> None:
        """Add to a private file, best effort: what only informs must not stop what works."""
        with contextlib.suppress(StorageError, OSError), self.open_private(path, os.O_APPEND) as descriptor:
            os.write(descriptor, text.encode(errors="surrogateescape"))

    def stamp(self, path: Path, at: float) -> None:
        """Give a private file this time; make it, empty, where it isn't there. at: seconds since the epoch."""
        with self.open_private(path):
            pass
        with storage_errors(path):
            # a hair before, so that no rounding makes it later
            os.utime(path, ns=(int(at * 1e9) - 1000,) * 2)

    def sync_folder(self, folder: Path) -> None:
        """Make a rename inside this folder durable."""
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise
        finally:
            os.close(descriptor)

    def read(self, path: Path) -> str | None:
        """A file's text (undecodable bytes replaced), or None where there is no such file. Raises StorageError."""
        content = self.read_bytes(path)
        return None if content is None else content.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n")

    def private_folder(self, path: Path) -> Path:
        """Make the folder (and its parents) with mode 0700. Raises StorageError where it isn't this user's own."""
        with storage_errors(path):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            info = os.lstat(path)
            if stat.S_ISLNK(info.st_mode) or info.st_uid != os.geteuid():
                # root's is this user's own of a run with sudo: what is in it is to be kept
                is_roots = info.st_uid == 0 and not stat.S_ISLNK(info.st_mode)
                raise StorageError(
                    "folder-not-yours", f"{path} isn't a folder of this user", why=f"it belongs to uid {info.st_uid}",
                    fix=f"sudo chown -R {os.geteuid()} -- {path}" if is_roots else f"rm -rf -- {path}",
                )
            if stat.S_IMODE(info.st_mode) != 0o700:
                path.chmod(0o700)
        return path

    @contextlib.contextmanager
    def lock(self, path: Path, timeout: float) -> Iterator[bool]:
        """Hold a lock that vanishes with this process; False where another one held it for all of `timeout` seconds.

        Raises StorageError, and InterruptedRunError where the run is cancelled while it waits.
        """
        import filelock

        lock = filelock.FileLock(path, mode=0o600)
        try:
            lock.acquire(timeout=timeout, poll_interval=0.05, cancel_check=self.cancelled.is_set)
        except filelock.Timeout:  # an OSError too, hence first
            if self.cancelled.is_set():
                raise InterruptedRunError("interrupted", "stopped on request", fix="devstack up") from None
            yield False
            return
        except OSError as error:
            raise storage_error(path, error) from None
        try:
            yield True
        finally:
            lock.release()

    @contextlib.contextmanager
    def heritable_lock(self, path: Path) -> Iterator[int | None]:
        """A lock's descriptor, for a process that is started meanwhile to inherit and hold; None where it is held."""
        import fcntl

        with self.open_private(path) as descriptor:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
            else:
                yield descriptor

    def link(self, path: Path, target: str) -> None:
        """Point the symlink `path` at `target` as one act."""
        with storage_errors(path):
            temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
            temporary.symlink_to(target)
            try:
                temporary.rename(path)
            except OSError:
                temporary.unlink()
                raise

    def read_bytes(self, path: Path) -> bytes | None:
        """A file's content, or None where there is no such file. Raises StorageError."""
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise storage_error(path, error, "read") from None

    def read_from(self, path: Path, offset: int, count: int) -> bytes:
        """At most `count` bytes from `offset` on; nothing where the file is gone."""
        try:
            with path.open("rb") as file:
                file.seek(offset)
                return file.read(count)
        except OSError:
            return b""

    def read_end(self, path: Path, count: int) -> bytes | None:
        """The last `count` bytes of a file, or None where there is no such file."""
        _, size = self.extent(path)
        return self.read_from(path, max(0, size - count), count) if path.exists() else None

    def extent(self, path: Path) -> tuple[int, int]:
        """Inode and size of a file; (0, 0) where there is none."""
        try:
            info = path.stat()
        except OSError:
            return 0, 0
        return info.st_ino, info.st_size

    def mode(self, path: Path) -> int:
        """Permission bits of a file that exists."""
        return stat.S_IMODE(path.stat().st_mode)

    def which(self, program: str, path: str) -> str | None:
        """Absolute path of a program on a PATH. Entries that are relative, or inside the project at hand, don't count:
        a repository must not choose what devstack runs."""
        if path not in self._trusted:
            entries = [Path(entry) for entry in path.split(os.pathsep)]
            trusted = [entry for entry in entries if entry.is_absolute() and not self._is_distrusted(entry)]
            # every look for a server asks again: dozens of times a command
            self._trusted[path] = os.pathsep.join(map(str, trusted))
        return shutil.which(program, path=self._trusted[path]) if self._trusted[path] else None

    def distrust(self, folder: Path) -> None:
        """Run no program of this folder where one is looked for by its name."""
        self._distrusted = folder.resolve()
        self._trusted.clear()

    def _is_distrusted(self, folder: Path) -> bool:
        try:
            return self._distrusted is not None and folder.resolve().is_relative_to(self._distrusted)
        except OSError:
            return True

    def free_disk(self, path: Path) -> int:
        """Bytes that this user may still write where `path` is."""
        info = os.statvfs(path)
        return info.f_bavail * info.f_frsize

    def is_noexec(self, path: Path) -> bool:
        """Is the file system that holds this mounted so that none of its programs may run?"""
        return bool(os.statvfs(path).f_flag & getattr(os, "ST_NOEXEC", 0))

    def folder(self, path: Path, mode: int) -> None:
        """Make a folder and its parents. Raises StorageError."""
        with storage_errors(path):
            path.mkdir(mode=mode, parents=True, exist_ok=True)

    def remove_tree(self, path: Path) -> None:
        """Remove a folder of ours with all that is in it, as far as possible; nothing where there is none."""
        if not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)

    def tree_size(self, path: Path) -> int:
        """Bytes of all files below a folder; 0 where there is none. Raises OSError."""
        size, folders = 0, [str(path)] if path.is_dir() else []
        while folders:
            with os.scandir(folders.pop()) as found:
                for one in found:
                    if one.is_dir(follow_symlinks=False):
                        folders.append(one.path)
                    else:
                        size += one.stat(follow_symlinks=False).st_size
        return size

    def tree_digests(self, path: Path) -> dict[str, str]:
        """SHA-256 of each file below a folder, by its path in it. Raises StorageError."""
        with storage_errors(path):
            files = sorted(one for one in path.rglob("*") if one.is_file() and not one.is_symlink())
            return {one.relative_to(path).as_posix(): hashlib.sha256(one.read_bytes()).hexdigest() for one in files}

    def move(self, path: Path, target: Path) -> None:
        """Rename, durably. Raises StorageError."""
        with storage_errors(path):
            path.rename(target)
            self.sync_folder(target.parent)

    def matching(self, root: Path, globs: Sequence[str]) -> tuple[Path, ...]:
        """Files below root that a glob matches, sorted; generated and foreign folders are never entered."""
        with evidence.walking(str(root), globs) as answer:
            found = matching(str(root), globs)
            answer(found)
        return tuple(root / path for path in found)

    def missing(self, root: Path, globs: Sequence[str]) -> tuple[str, ...]:
        """Those of these paths and globs below root that nothing is there for; folders count, generated ones too."""
        return tuple(glob for glob in globs if next(root.glob(glob), None) is None)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _first(error: OSError) -> OSError:
    """The first of the errors that the copying of a tree collects in one: they are kept as text there."""
    if isinstance(error, shutil.Error) and error.args and isinstance(error.args[0], list):
        _, target, why = error.args[0][0]
        if found := re.match(r"\[Errno (\d+)\]", str(why)):
            return OSError(int(found[1]), os.strerror(int(found[1])), str(target))
    return error


def _has_no_inode(folder: Path) -> bool:
    try:
        info = os.statvfs(folder)
    except OSError:
        return False
    return info.f_files > 0 and info.f_favail == 0


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what a disk or a permission refuses into a StorageError that names the path."""
    try:
        yield
    except OSError as error:
        raise storage_error(path, error) from None


def storage_error(path: Path, error: OSError, done: str = "written") -> StorageError:
    """The error for a refused file operation, with the command that helps for its cause."""
    error = _first(error)
    # a rename and a link name two paths, the one to be made second
    named = error.filename2 or error.filename
    place = Path(named) if isinstance(named, str) else path
    if place.parent == path.parent:
        # what is made beside the file and renamed means nothing to anybody
        place = path
    why = error.strerror or str(error)
    refused = f"{place} can't be {done}"
    match error.errno:
        case errno.ENOSPC if _has_no_inode(place.parent):
            why = "the disk has no inode left for another file, however much room there is"
            return StorageError("disk-full", refused, why=why, fix=f"df -i {place.parent}")
        case errno.ENOSPC | errno.EDQUOT:
            return StorageError("disk-full", refused, why=why, fix=f"df -h {place.parent}; df -i {place.parent}")
        case errno.EROFS:
            return StorageError(
                "read-only", refused, why="the file system is read-only", fix=f"findmnt -T {place.parent}"
            )
        case errno.EACCES | errno.EPERM:
            return StorageError("no-permission", refused, why=why, fix=f"ls -ld {place.parent} {place}")
        case errno.ELOOP:
            return StorageError("symlink-refused", refused, why="it is a symbolic link", fix=f"rm -- {place}")
        case _:
            return StorageError("storage-failed", refused, why=why, fix=f"ls -ld {place.parent} {place}")
