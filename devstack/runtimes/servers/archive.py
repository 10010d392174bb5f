"""Unpacking of a zip archive that nobody vouches for but its hash: safe names, plain files and inner links only.

The caller unpacks into a folder of its own and throws that away when this raises.
"""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

from devstack.errors import NetworkError
from devstack.files import storage_errors

_MOST_BYTES = 1 << 30
_MOST_MEMBERS = 50_000
_LONGEST_LINK = 4096
_CHUNK = 1 << 20


class _Refused(Exception):  # noqa: N818 - never leaves this module
    pass


def unpack(archive: Path, folder: Path) -> int:
    """Unpack a zip into an empty folder, modes kept (never setuid); returns the number of files.

    Raises NetworkError where the archive is damaged or holds something that doesn't belong into one, StorageError where
    the disk refuses.
    """
    root = Path(os.path.realpath(folder))
    try:
        with storage_errors(folder), zipfile.ZipFile(archive) as source:
            return _members(source, root)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise _damaged(archive, str(error) or type(error).__name__) from None
    except _Refused as error:
        raise NetworkError(
            "archive-refused", f"{archive.name} was not unpacked", why=str(error),
            fix="report it to the project that made the archive",
        ) from None


def _members(source: zipfile.ZipFile, root: Path) -> int:
    members = source.infolist()
    if len(members) > _MOST_MEMBERS or sum(member.file_size for member in members) > _MOST_BYTES:
        raise _Refused("it is far larger than such an archive is")
    links: list[tuple[Path, str]] = []
    files = 0
    for member in members:
        path = root / _safe(member.filename)
        mode = member.external_attr >> 16
        if member.is_dir():
            path.mkdir(0o755, parents=True, exist_ok=True)
        elif stat.S_ISLNK(mode):
            if member.file_size > _LONGEST_LINK:
                raise _Refused(f"{member.filename!r} is an overlong link")
            links.append((path, source.read(member).decode(errors="replace")))
        elif stat.S_IFMT(mode) in (0, stat.S_IFREG):
            with source.open(member) as content:
                _write(path, content, member, (mode & 0o777) | 0o600)
            files += 1
        else:
            raise _Refused(f"{member.filename!r} is neither a file nor a folder")
    _link(root, links)
    return files + len(links)


def _safe(name: str) -> str:
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name or ":" in parts[0]:
        raise _Refused(f"it holds the name {name!r}, which leads out of it")
    return name


def _write(path: Path, content: IO[bytes], member: zipfile.ZipInfo, mode: int) -> None:
    path.parent.mkdir(0o755, parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    except FileExistsError:
        raise _Refused(f"it holds {member.filename!r} twice") from None
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode & ~0o022)
        written = 0
        while chunk := content.read(_CHUNK):
            written += len(chunk)
            if written > member.file_size:
                raise _Refused(f"{member.filename!r} is larger than it says")
            file.write(chunk)


def _link(root: Path, links: list[tuple[Path, str]]) -> None:
    # made after every file, so that no file was written through one; then each is followed to its end
    for path, target in links:
        if not target or target.startswith("/") or "\0" in target:
            raise _Refused(f"its link {path.name!r} leads to {target!r}, out of it")
        path.parent.mkdir(0o755, parents=True, exist_ok=True)
        if os.path.lexists(path):
            raise _Refused(f"it holds {path.name!r} twice")
        path.symlink_to(target)
    for path, target in links:
        end = Path(os.path.realpath(path))
        if end == path or not end.is_relative_to(root):
            raise _Refused(f"its link {path.name!r} leads to {target!r}, out of it")


def _damaged(archive: Path, why: str) -> NetworkError:
    return NetworkError(
        "archive-damaged", f"{archive.name} is damaged", why=why, fix="devstack up",
    )
