"""What supervisord answers, as values: many threads who want to know share one question. Changes nothing by itself."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devstack import orphans, supervisor_logs
from devstack.errors import ProcessError
from devstack.processes import Identity
from devstack.render import digest
from devstack.state import ProgramState
from devstack.supervisor_rpc import BAD_NAME, FaultError, Rpc

if TYPE_CHECKING:
    from devstack.layout import Layout
    from devstack.system import System


@dataclass(frozen=True)
class Daemon:
    """A supervisord of this stack, as recorded when it was started. config: digest of the file it has loaded."""

    pid: int
    start: str
    run: str
    config: str = ""

    @property
    def identity(self) -> Identity:
        return Identity(self.pid, self.start)


@dataclass(frozen=True)
class Snapshot:
    """One answer of supervisord. daemon: who gave it, None where it has gone since. asked, taken: when, monotonic."""

    asked: float
    taken: float
    daemon: Daemon | None
    programs: Mapping[str, ProgramState]


class Answers:
    """Asks one stack's supervisord. Safe to share between threads.

    Raises ProcessError (`supervisor-unreachable`, `supervisor-silent`) where it doesn't answer.
    """

    def __init__(self, system: System, layout: Layout) -> None:
        self._system = system
        self._layout = layout
        self.rpc = Rpc(system, layout.socket)
        self._guard = threading.Lock()
        self._last: Snapshot | None = None
        #: when each program was last told something: an answer asked for before is worth nothing about it
        self._told: dict[str, float] = {}
        #: it was started by whoever holds this: what has been told nothing is stopped
        self.is_new = False

    def programs(self, max_age: float) -> Mapping[str, ProgramState]:
        """Every program, from an answer at most `max_age` seconds old: many who wait share one question."""
        return self.snapshot(max_age, max(self._told.copy().values(), default=0.0)).programs

    def program(self, name: str, max_age: float) -> ProgramState | None:
        """One program, as `programs` says; what others were told meanwhile makes no answer too old."""
        return self.snapshot(max_age, self._told.get(name, 0.0)).programs.get(name)

    def snapshot(self, max_age: float, since: float = 0.0) -> Snapshot:
        """since: it must have been asked for after this moment."""
        called = self._system.monotonic()
        with self._guard:
            last = self._last
            if last is not None and max_age:
                # a big stack's answer takes supervisord a while: half of its time is for its own work
                max_age = max(max_age, last.taken - last.asked)
            # an answer that came while this thread waited for its turn is fresh whatever max_age says
            if last is None or last.taken < called - max_age or last.asked < since:
                asked = self._system.monotonic()
                pid, infos = self.rpc.calls("supervisor.getPID", "supervisor.getAllProcessInfo")
                daemon = self._daemon(pid)
                run = daemon.run if daemon else ""
                programs = {info["name"]: self._state(info, run) for info in infos}
                last = self._last = Snapshot(asked, self._system.monotonic(), daemon, programs)
            return last

    def order(self, method: str, name: str, *args: Any) -> None:
        """A call that changes a program: what was answered before it is worth nothing about it afterwards."""
        try:
            self.rpc.call(f"supervisor.{method}", name, *args)
        finally:
            self._told[name] = self._system.monotonic()

    def has_seen_stopped(self, name: str) -> bool:
        """Was this program stopped when last asked about, and has it been told nothing since?"""
        known = self._last.programs.get(name) if self._last else None
        return name not in self._told and (self.is_new or (known is not None and known.phase == "stopped"))

    def info(self, name: str) -> Mapping[str, Any]:
        """One program as supervisord describes it (getProcessInfo). Raises ProcessError (`program-unknown`)."""
        try:
            info: Mapping[str, Any] = self.rpc.call("supervisor.getProcessInfo", name)
        except FaultError as fault:
            if fault.code != BAD_NAME:
                raise
        else:
            return info
        raise self.unknown(name)

    def unknown(self, name: str) -> ProcessError:
        return ProcessError(
            "program-unknown", f"supervisord knows no program {name}", why="its configuration has changed",
            fix="devstack up",
        )

    # --- who answers -------------------------------------------------------------------------------------------------

    def _daemon(self, pid: int) -> Daemon | None:
        """The supervisord of this pid; None where it has gone."""
        identity, record = self._system.identity(pid), self.record()
        if identity is None or (record and record.identity == identity):
            return record if identity else None
        # its record was lost, or it was started by hand
        run = self._system.variables(pid).get("DEVSTACK_RUN") or orphans.BY_HAND
        return Daemon(identity.pid, identity.start, run)

    def record(self) -> Daemon | None:
        try:
            raw = json.loads(self._system.read(Path(self._layout.supervisor_record)) or "")
            return Daemon(int(raw["pid"]), str(raw["start"]), str(raw["run"]), str(raw["config"]))
        except (ValueError, TypeError, KeyError):
            return None

    def write_record(self, identity: Identity, run: str) -> None:
        config = digest(self._system.read(Path(self._layout.config)) or "")
        daemon = Daemon(identity.pid, identity.start, run, config)
        self._system.write(Path(self._layout.supervisor_record), json.dumps(asdict(daemon)) + "\n")

    # --- programs ----------------------------------------------------------------------------------------------------

    def _state(self, info: Mapping[str, Any], run: str) -> ProgramState:
        name, pid, phase = info["name"], info["pid"] or None, info["statename"].lower()
        record = self._start_record(name)
        if record and record.run != run:
            record = None
        is_same = bool(pid and record and record.pid == pid)
        if is_same and record and record.start != "-":
            is_same = record.names(self._system.identity(record.pid))
        status, reason = None, ""
        restarts = record.restarts if record else 0
        if phase in ("backoff", "fatal", "exited") or (restarts and phase in ("starting", "running")):
            said = info["spawnerr"] if phase in ("backoff", "fatal") else ""
            status, reason = supervisor_logs.ending(self._system, self._layout, name, said)
        if phase == "exited":
            # the log may have been flooded since; a signal is -1
            status, is_same = info["exitstatus"] if info["exitstatus"] >= 0 else None, True
        return ProgramState(
            name, phase, pid, float(info["now"] - info["start"]) if pid else 0.0, status,
            record.digest if record and is_same else "", restarts, reason,
        )

    def identity(self, name: str) -> Identity | None:
        """The program's process, as it noted itself when it began."""
        record = self._start_record(name)
        identity = self._system.identity(record.pid) if record else None
        return identity if record and (record.start == "-" or record.names(identity)) else None

    def restarts(self, name: str) -> int:
        """Starts of a program by supervisord itself, as the newest of its processes has noted."""
        record = self._start_record(name)
        return record.restarts if record else 0

    def _start_record(self, name: str) -> orphans.StartRecord | None:
        return orphans.parse_record(self._system.read(Path(self._layout.record(name))))
