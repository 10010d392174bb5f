"""One service as a process of this machine: its data folder before the start, and what an earlier end left behind.

The data folder holds `devstack.json`, written last; without it a folder was never handed to a server. Nothing that
could be somebody's data is deleted here.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import stat
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from devstack.errors import DataError, ProcessError, StorageError
from devstack.files import storage_errors
from devstack.processes import Identity
from devstack.runtimes.seeds import Seeds
from devstack.runtimes.servers.choice import components
from devstack.runtimes.servers.trees import remove
from devstack.runtimes.unprivileged import Unprivileged, own
from devstack.services import Instance, NativeService, Prepare, Server
from devstack.system import System

MARKER = "devstack.json"
_GRACE = 5.0
_AFTER_KILL = 5.0


@dataclass(frozen=True)
class DataState:
    """complete: a server can be started on it. generation: changes whenever the data starts anew, "" before it has.
    version: of the server that last used it. problem: why what is there can't be used, "" for nothing."""

    complete: bool
    generation: str = ""
    version: str = ""
    problem: str = ""


@dataclass(frozen=True)
class _Marker:
    """made: when, in ISO 8601; "" while the folder is being filled, which no server was started on yet."""

    generation: str
    kind: str
    version: str
    made: str


class Native:
    """seeds: `…/devstack/seeds` in the cache."""

    def __init__(self, system: System, seeds: Path) -> None:
        self._system = system
        self._unprivileged = Unprivileged(system)
        self._seeds = Seeds(system, seeds, self._unprivileged)

    # --- rights -------------------------------------------------------------------------------------------------------

    def wrapper(self) -> tuple[str, ...]:
        """Words put before a server's command so that it doesn't run as root. Raises PrerequisiteError."""
        return self._unprivileged.way().words

    def wrap(self, argv: tuple[str, ...], user: str | None = None) -> tuple[str, ...]:
        """A server's command with `wrapper` before it; with a user, a command of that account of the machine."""
        return (*self.wrapper(), *argv) if user is None else self._system.as_user(user, argv)

    # --- data ---------------------------------------------------------------------------------------------------------

    def data_state(self, instance: Instance, server: Server, spec: NativeService) -> DataState:
        """What the instance's data folder is; changes nothing."""
        data = Path(instance.data)
        marker = _read_marker(data)
        if marker is None or not marker.made:
            return DataState(False)
        error = _unusable(instance, server, spec, marker)
        if error is not None:
            return DataState(False, marker.generation, marker.version, str(error))
        if spec.prepare is not None and not (data / spec.prepare.folder).is_dir():
            return DataState(False, marker.generation, marker.version, f"{data / spec.prepare.folder} is gone")
        return DataState(True, marker.generation, marker.version)

    def ensure_usable(self, instance: Instance, server: Server, spec: NativeService) -> None:
        """Raises DataError where what is there needs a person's decision; changes nothing."""
        marker = _read_marker(Path(instance.data))
        if marker is not None and (error := _unusable(instance, server, spec, marker)):
            raise error
        if marker is None and spec.prepare is not None:
            _ensure_unused(instance, spec.prepare)

    def prepare(self, instance: Instance, server: Server, spec: NativeService, generation: str = "") -> str:
        """Make the data folder complete, if it isn't; returns the data's generation: the given one, else a new one.

        Raises DataError where what is there needs a person's decision; nothing is changed then. Killed at any moment,
        the next call does the rest.
        """
        data = Path(instance.data)
        self._folder(data)
        own(data, self._unprivileged.way())
        marker = _read_marker(data)
        error = _unusable(instance, server, spec, marker) if marker else None
        if error is not None:
            raise error
        if spec.prepare is not None:
            _sweep(data, spec.prepare)
            if marker is None:
                _discard_unused(instance, spec.prepare)
            filled = data / spec.prepare.folder
            if not filled.exists():
                # told before, so that a filled folder without a record can only be somebody's
                marker = self._mark(data, _Marker(generation or uuid.uuid4().hex, server.kind, server.version, ""))
                self._fill(spec.prepare, filled)
        if marker is None or not marker.made:
            generation = marker.generation if marker else generation or uuid.uuid4().hex
            made = datetime.fromtimestamp(self._system.now(), UTC).isoformat(timespec="seconds")
            marker = self._mark(data, _Marker(generation, server.kind, server.version, made))
        self._lay_out(instance, spec)
        return marker.generation

    def before_start(self, instance: Instance, server: Server, spec: NativeService) -> tuple[str, ...]:
        """Write the server's files and clear what an earlier end left; returns what was cleared, in words.

        Only to be called while the service's own process doesn't run. Raises DataError for data of another version.
        """
        data = Path(instance.data)
        marker = _read_marker(data)
        error = _unusable(instance, server, spec, marker) if marker else None
        if error is not None:
            raise error
        cleared = [f"ended process {identity.pid}, left in {data}" for identity in self._evict(instance, server, spec)]
        for name in spec.pid_files:
            with storage_errors(data / name), contextlib.suppress(FileNotFoundError, NotADirectoryError):
                (data / name).unlink()
                cleared.append(f"removed {data / name}, which named no process of this service")
        self._lay_out(instance, spec)
        if marker and server.version not in ("", marker.version):
            self._mark(data, replace(marker, version=server.version))
        return tuple(cleared)

    def squatters(self, instance: Instance, server: Server) -> tuple[Identity, ...]:
        """Living processes of this service, found by what can't be forged by chance: they work in the instance's own
        data folder and run the server's programs. A shell or an editor there is none."""
        import psutil

        data, found = os.path.realpath(instance.data), []
        for process in psutil.process_iter():
            try:
                place = process.cwd().removesuffix(" (deleted)")
                if not (place == data or place.startswith(data + os.sep)) or not _is_servers(process.exe(), server):
                    continue
            except (psutil.Error, OSError):
                continue
            identity = self._system.identity(process.pid)
            found += [identity] if identity else []
        return tuple(found)

    # --- parts --------------------------------------------------------------------------------------------------------

    def _evict(self, instance: Instance, server: Server, spec: NativeService) -> tuple[Identity, ...]:
        squatters = self.squatters(instance, server)
        for sign, wait in ((signal.Signals[f"SIG{spec.stop_signal}"], _GRACE), (signal.SIGKILL, _AFTER_KILL)):
            remaining = [identity for identity in squatters if self._system.is_alive(identity)]
            for identity in remaining:
                self._system.signal(identity, sign)
            if self._system.until(partial(self._are_gone, remaining), wait):
                return squatters
        left = ", ".join(str(identity.pid) for identity in squatters if self._system.is_alive(identity))
        raise ProcessError(
            "server-remains", f"an earlier process of {instance.name} doesn't end", why=f"pid {left} survives SIGKILL",
            fix=f"ps -o pid,stat,wchan,args -p {left.replace(' ', '')}",
        )

    def _are_gone(self, identities: list[Identity]) -> bool:
        return not any(map(self._system.is_alive, identities))

    def _fill(self, prepare: Prepare, filled: Path) -> None:
        with storage_errors(filled):
            beside = Path(tempfile.mkdtemp(dir=filled.parent, prefix=f".{filled.name}.tmp-"))
            try:
                self._seeds.copy_to(prepare, beside / "data")
                own(beside / "data", self._unprivileged.way())
                (beside / "data").rename(filled)
                self._system.sync_folder(filled.parent)
            finally:
                remove(beside)

    def _lay_out(self, instance: Instance, spec: NativeService) -> None:
        data = Path(instance.data)
        self._folder(data)
        for name in spec.folders:
            self._folder(data / name)
        for file in spec.files:
            self._folder((data / file.path).parent)
            self._write(data / file.path, file.text, file.mode)
        for name, target in spec.links.items():
            self._link(data / name, target)
        if spec.prepare is not None:
            filled = data / spec.prepare.folder
            # servers refuse to start on data that others may read
            with storage_errors(filled):
                if stat.S_IMODE(filled.stat().st_mode) & 0o077:
                    filled.chmod(0o700)
        own(data, self._unprivileged.way())

    def _write(self, path: Path, text: str, mode: int) -> None:
        with storage_errors(path):
            if self._system.read(path) == text and stat.S_IMODE(path.stat().st_mode) == mode:
                return
        self._system.write(path, text, mode)
        self._hand_over(path)

    def _link(self, path: Path, target: str) -> None:
        self._folder(path.parent)
        with storage_errors(path):
            if not Path(target).exists():
                if path.is_symlink():
                    path.unlink()
            elif not path.is_symlink() or str(path.readlink()) != target:
                self._system.link(path, target)

    def _folder(self, path: Path) -> None:
        """Make a private folder inside the project, or see that it is this user's."""
        with storage_errors(path):
            is_new = not path.exists()
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            info = path.stat()
            if os.geteuid() not in (0, info.st_uid):
                raise StorageError(
                    "not-yours", f"{path} belongs to another user", why=f"its owner has uid {info.st_uid}",
                    fix=f"sudo chown -R {os.geteuid()}:{os.getegid()} -- {shlex.quote(str(path))}",
                )
            if stat.S_IMODE(info.st_mode) != 0o700:
                path.chmod(0o700)
        if is_new:
            self._hand_over(path)

    def _hand_over(self, path: Path) -> None:
        way = self._unprivileged.way()
        with storage_errors(path):
            if os.geteuid() == 0 and path.stat().st_uid != way.uid:
                os.chown(path, way.uid, way.gid)

    def _mark(self, data: Path, marker: _Marker) -> _Marker:
        self._system.write(data / MARKER, json.dumps(asdict(marker), indent=1) + "\n")
        return marker


def is_in_use(data: Path) -> bool:
    """Was a server ever started on this data folder?"""
    marker = _read_marker(data)
    return marker is not None and bool(marker.made)


def _read_marker(data: Path) -> _Marker | None:
    try:
        raw = json.loads((data / MARKER).read_bytes())
        marker = _Marker(**{name: raw[name] for name in _Marker.__dataclass_fields__})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return marker if all(isinstance(value, str) for value in asdict(marker).values()) else None


def _sweep(data: Path, prepare: Prepare) -> None:
    # only this stack writes here, and its lock is held: these are copies that a killed run left
    for left in data.glob(f".{prepare.folder}.tmp-*"):
        remove(left)


def _discard_unused(instance: Instance, prepare: Prepare) -> None:
    """Remove a folder that no server was ever started on; refuse one that may hold data."""
    _ensure_unused(instance, prepare)
    remove(Path(instance.data) / prepare.folder)


def _ensure_unused(instance: Instance, prepare: Prepare) -> None:
    filled = Path(instance.data) / prepare.folder
    if not filled.exists():
        return
    present = [name for name in prepare.proof if (filled / name).exists()]
    if any(filled.iterdir()) and (present or not prepare.proof):
        raise DataError(
            "data-unknown", f"{filled} holds data that devstack has no record of",
            why=f"{Path(instance.data) / MARKER} is missing or damaged",
            fix=shlex.join(("mv", "--", str(filled), f"{filled}.aside")),
            evidence=tuple(sorted(entry.name for entry in filled.iterdir())[:20]),
        )


def _unusable(instance: Instance, server: Server, spec: NativeService, marker: _Marker) -> DataError | None:
    """Why this server must not be started on the data, if so."""
    has, exact = marker.version, False
    filled = Path(instance.data) / spec.prepare.folder if spec.prepare else None
    with storage_errors(Path(instance.data)):
        if spec.prepare is not None and filled is not None:
            if not filled.is_dir():
                return None
            broken = list(_broken(filled, spec.prepare))
            if broken:
                return DataError(
                    "data-damaged", f"the data of {instance.name} is damaged",
                    why=f"{', '.join(broken)} missing or empty", fix=f"devstack reset --service {instance.name}",
                    evidence=(f"kept as it is: {filled}", "a reset puts it into the trash"),
                )
            if spec.prepare.version_file:
                has, exact = (filled / spec.prepare.version_file).read_text(errors="replace").strip(), True
    ours, theirs = components(server.version)[:1], components(has)[:1]
    if not ours or not theirs or ours == theirs or (ours > theirs and not exact):
        return None
    return _other_version(instance, server, has, str(theirs[0]))


def _other_version(instance: Instance, server: Server, has: str, major: str) -> DataError:
    fix = f'version = "{major}" under [services.{instance.name}] in the profile'
    why, then = "the profile asks for another major version, or the server of the old one is gone", "change the version"
    if components(instance.declaration.version or "")[:1] == components(major):
        # that one was asked for: another was taken for something else that is asked, such as an extension
        fix = f"take back what was added under [services.{instance.name}] in the profile"
        why, then = f"no {server.kind} {major} here has all that the profile asks of {instance.name}", "add it"
    return DataError(
        "data-version",
        f"the data of {instance.name} was made by {server.kind} {has}, and {server.kind} {server.version} can't use it",
        why=why, fix=fix,
        evidence=(
            f"kept as it is: {instance.data}",
            f"to keep the data: {fix}, devstack up, dump it, then {then} again",
            "to start anew: devstack down --volumes, then devstack up (the old data goes to the trash)",
        ),
    )


def _broken(filled: Path, prepare: Prepare) -> Iterator[str]:
    for name in dict.fromkeys((*prepare.proof, *filter(None, (prepare.version_file,)))):
        path = filled / name
        if not path.exists() or (path.is_file() and path.stat().st_size == 0):
            yield name


def _is_servers(program: str, server: Server) -> bool:
    program, main = os.path.realpath(program.removesuffix(" (deleted)")), os.path.realpath(server.program)
    if program == main or Path(program).name == Path(server.program).name:
        return True
    # a fetched tree holds nothing but this server's programs; the machine's own folders hold everything
    return bool(server.libraries) and program.startswith(os.path.realpath(server.home) + os.sep)
