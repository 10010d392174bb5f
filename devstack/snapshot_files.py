"""A snapshot as one file that another machine can read: a zip archive whose members aren't compressed.

`manifest.json` comes first and says what each member holds, with its SHA-256; `manifest.sha256` seals the manifest. The
reader takes a file from anybody: it knows regular members with names of its own making only, writes nothing but those,
and no more than the file itself is long. Nothing counts before all of it was found as the manifest says.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from devstack.errors import DataError, InterruptedRunError, StorageError, UsageError
from devstack.files import storage_error, storage_errors
from devstack.profile.model import NAME
from devstack.system import System

FORMAT = 1
MANIFEST, SEAL = "manifest.json", "manifest.sha256"
_MEMBER = re.compile(rf"({NAME.pattern})/([A-Za-z0-9][A-Za-z0-9._-]{{0,99}})")
_MOST_MEMBERS = 10_000
_MOST_MANIFEST = 4_000_000
_CHUNK = 1 << 20
#: bytes that stay free besides what is unpacked
_MARGIN = 20_000_000


@dataclass(frozen=True)
class Sealed:
    """One member. size: bytes."""

    sha256: str
    size: int


@dataclass(frozen=True)
class PackedPart:
    """What is in it of one service. files: by name."""

    kind: str
    version: str
    files: Mapping[str, Sealed] = field(default_factory=dict)


@dataclass(frozen=True)
class Packed:
    """What such a file says of itself. stack: the profile's name. made: seconds since the epoch. tasks: what was done
    with the data, as in the record of the stack that it comes from."""

    name: str
    stack: str
    made: float
    revision: str = ""
    services: Mapping[str, PackedPart] = field(default_factory=dict)
    tasks: Mapping[str, str] = field(default_factory=dict)


class _Refused(Exception):  # noqa: N818 - never leaves this module
    pass


def pack(system: System, target: Path, packed: Packed, folder: Path) -> int:
    """Write the file as one act, for this person alone. folder: has the files of each service, `SERVICE/FILE`; `files`
    of `packed` are filled in. Answers its size. Raises StorageError, InterruptedRunError."""
    services = {}
    for name, part in packed.services.items():
        files = {path.name: _seal(system, path) for path in sorted((folder / name).iterdir())}
        services[name] = PackedPart(part.kind, part.version, files)
    manifest = json.dumps({"format": FORMAT, **asdict(packed), "services": {
        name: asdict(part) for name, part in services.items()
    }}, indent=1).encode()  # fmt: skip
    with storage_errors(target):
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                names = [f"{name}/{one}" for name, part in services.items() for one in part.files]
                _write(system, file, manifest, {name: folder / name for name in names})
                file.flush()
                os.fsync(descriptor)
                size = os.fstat(descriptor).st_size
            Path(temporary).rename(target)
        except BaseException:
            with suppress(OSError):
                Path(temporary).unlink()
            raise
        system.sync_folder(target.parent)
    return size


def unpack(system: System, source: Path, folder: Path) -> Packed:
    """Verify a file and unpack it into an empty folder, `SERVICE/FILE`.

    Raises DataError for what is damaged or doesn't belong into one, StorageError, UsageError where there is no such
    file.
    """
    try:
        with _opened(source) as (file, size):
            return _unpacked(system, file, size, folder)
    except OSError as error:
        # a place in the file that can't be one
        if error.errno != errno.EINVAL:
            raise storage_error(source, error, "read") from None
        raise _damaged(source, str(error)) from None
    except _Refused as error:
        raise DataError(
            "snapshot-file-refused", f"{source} was not imported", why=str(error), fix="get the file once more",
        ) from None
    except (
        zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, RecursionError,
        ValueError, KeyError, TypeError, AttributeError,
    ) as error:
        raise _damaged(source, " ".join(str(error).split()) or type(error).__name__) from None


def _damaged(source: Path, why: str) -> DataError:
    return DataError(
        "snapshot-file-damaged", f"{source} is damaged, or no snapshot's file", why=why, fix="get the file once more"
    )


@contextmanager
def _opened(source: Path) -> Iterator[tuple[IO[bytes], int]]:
    try:
        # a pipe or a device would be waited for
        descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError("no-file", f"there is no file {source}", fix=f"ls -l {source.parent}") from None
    with os.fdopen(descriptor, "rb") as file:
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode):
            raise UsageError("not-a-file", f"{source} is no regular file", fix=f"ls -ld {source}")
        yield file, info.st_size


def _unpacked(system: System, file: IO[bytes], size: int, folder: Path) -> Packed:
    with zipfile.ZipFile(file) as archive:
        members = _members(archive, size)
        packed = _manifest(archive, members)
        parts = packed.services.items()
        wanted = {f"{name}/{one}": sealed for name, part in parts for one, sealed in part.files.items()}
        if wanted.keys() != members.keys() - {MANIFEST, SEAL}:
            raise _Refused("it holds other files than its manifest says")
        _ensure_room(system, folder, sum(sealed.size for sealed in wanted.values()))
        for name in packed.services:
            system.private_folder(folder / name)
        for name, sealed in wanted.items():
            with archive.open(members[name]) as content:
                _take(system, content, folder / name, sealed, name)
        system.write(folder / MANIFEST, archive.read(members[MANIFEST]))
    return packed


def unpacked(system: System, folder: Path) -> Packed:
    """What `unpack` has put into a folder. Raises DataError where it isn't there any more."""
    try:
        return _read(system.read(folder / MANIFEST) or "")
    except ValueError:
        raise DataError(
            "snapshot-file-lost", f"what was unpacked in {folder} is gone", why="something has removed it",
            fix="import the file once more",
        ) from None


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """By name. Members that aren't compressed and don't overlap can't be more than the file is."""
    found: dict[str, zipfile.ZipInfo] = {}
    entries = archive.infolist()
    if len(entries) > _MOST_MEMBERS:
        raise _Refused("it has more files than a snapshot has")
    for entry in entries:
        name = entry.filename
        if name not in (MANIFEST, SEAL) and not _MEMBER.fullmatch(name):
            raise _Refused(f"it holds the name {name!r}, which no file of a snapshot has")
        if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
            raise _Refused(f"{name} is no regular file")
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size or entry.flag_bits & 1:
            raise _Refused(f"{name} is compressed or encrypted")
        if name.lower() in {one.lower() for one in found}:
            raise _Refused(f"it holds {name} twice")
        found[name] = entry
    if sum(entry.file_size for entry in entries) > size:
        raise _Refused("its files are larger than it is itself")
    return found


def _manifest(archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo]) -> Packed:
    if MANIFEST not in members or SEAL not in members or members[MANIFEST].file_size > _MOST_MANIFEST:
        raise _Refused("it has no manifest")
    text = archive.read(members[MANIFEST])
    if archive.read(members[SEAL]).decode().strip() != hashlib.sha256(text).hexdigest():
        raise _Refused("its manifest was changed")
    return _read(text.decode())


def _read(text: str) -> Packed:
    raw = json.loads(text)
    if raw["format"] != FORMAT:
        raise _Refused(f"it has the format {raw['format']}, and this devstack knows {FORMAT}")
    services = {_checked(name): _part(part) for name, part in raw["services"].items()}
    tasks = {str(name): str(key) for name, key in raw["tasks"].items()}
    return Packed(
        _checked(raw["name"]), str(raw["stack"]), float(raw["made"]), str(raw["revision"]), services, tasks
    )


def _part(raw: Mapping[str, Any]) -> PackedPart:
    files = {str(name): Sealed(str(one["sha256"]), int(one["size"])) for name, one in raw["files"].items()}
    return PackedPart(_checked(raw["kind"]), str(raw["version"])[:40], files)


def _checked(name: Any) -> str:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise _Refused(f"it says a name that can't be one: {name!r}")
    return name


def _ensure_room(system: System, folder: Path, need: int) -> None:
    free = system.free_disk(folder)
    if free < need + _MARGIN:
        raise StorageError(
            "disk-low", f"there is too little room for the snapshot in {folder}",
            why=f"{need // 1_000_000} MB are needed, {free // 1_000_000} MB are free", fix=f"df -h {folder}",
        )


def _take(system: System, content: IO[bytes], target: Path, sealed: Sealed, name: str) -> None:
    """Write one member, no more than is said, and compare."""
    digest, written = hashlib.sha256(), 0
    with storage_errors(target), system.open_private(target, os.O_EXCL) as descriptor:
        while chunk := content.read(_CHUNK):
            _ensure_wanted(system)
            written += len(chunk)
            if written > sealed.size:
                break
            digest.update(chunk)
            os.write(descriptor, chunk)
    if written != sealed.size or digest.hexdigest() != sealed.sha256:
        raise _Refused(f"{name} isn't what the manifest says")


def _write(system: System, file: IO[bytes], manifest: bytes, members: Mapping[str, Path]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(MANIFEST, manifest)
        archive.writestr(SEAL, hashlib.sha256(manifest).hexdigest() + "\n")
        for name, path in members.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (stat.S_IFREG | 0o600) << 16
            with path.open("rb") as content, archive.open(entry, "w", force_zip64=True) as member:
                while chunk := content.read(_CHUNK):
                    _ensure_wanted(system)
                    member.write(chunk)


def _seal(system: System, path: Path) -> Sealed:
    digest, size = hashlib.sha256(), 0
    with storage_errors(path), path.open("rb") as content:
        while chunk := content.read(_CHUNK):
            _ensure_wanted(system)
            digest.update(chunk)
            size += len(chunk)
    return Sealed(digest.hexdigest(), size)


def _ensure_wanted(system: System) -> None:
    if system.cancelled.is_set():
        raise InterruptedRunError("interrupted", "stopped on request", fix="devstack snapshot list")
