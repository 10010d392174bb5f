"""The stack's supervisord: find it, start it once, talk to it, end it with everything it started.

It is known by pid and start time (`.devstack/supervisor.json`) or by the answer on its private socket, never by a file
alone. Decides nothing about what should run: that is the plan's. Orphans are `devstack.orphans`' job.
"""

from __future__ import annotations

import json
import secrets
import signal
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devstack import orphans, supervisor_logs
from devstack.errors import ProcessError
from devstack.processes import Identity
from devstack.render import digest
from devstack.state import Orphan, ProgramState, SupervisorState
from devstack.supervisor_rpc import (
    ALREADY_STARTED,
    BAD_NAME,
    NO_FILE,
    NOT_EXECUTABLE,
    NOT_RUNNING,
    SPAWN_ERROR,
    FaultError,
    Rpc,
    UnreachableError,
)

if TYPE_CHECKING:
    from devstack.orphans import Stops
    from devstack.render import Layout
    from devstack.system import System

_START_SECONDS = 15.0
#: a supervisord that lives but has no socket yet may have been started a moment ago
_SOCKET_SECONDS = 1.0
_RELOAD_STOP_SECONDS = 60.0
_AT_REST = ("stopped", "exited", "fatal")


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
class _Snapshot:
    """One answer of supervisord. daemon: who gave it, None where it has gone since."""

    taken: float
    daemon: Daemon | None
    programs: Mapping[str, ProgramState]


class Supervisor:
    """One stack's supervisord. python: the interpreter that has the supervisor package. Safe to share between threads.

    Methods that need it running raise ProcessError (`supervisor-unreachable`, `supervisor-silent`).
    """

    def __init__(self, system: System, layout: Layout, python: str) -> None:
        self._system = system
        self._layout = layout
        self._python = python
        self._rpc = Rpc(system, layout.socket)
        self._guard = threading.Lock()
        self._last: _Snapshot | None = None

    # --- what is -----------------------------------------------------------------------------------------------------

    def observe(self) -> SupervisorState:
        """What lives now. A supervisord that can't be reached any more counts as an orphan, with all its children."""
        daemon, snapshot = self._living()
        if daemon is None or snapshot is None:
            return SupervisorState(orphans=self._orphans(daemon))
        found = orphans.find(self._system, self._layout, daemon.run)
        return SupervisorState(daemon.run, daemon.pid, daemon.config, snapshot.programs, found)

    def programs(self, max_age: float) -> Mapping[str, ProgramState]:
        """Every program, from an answer at most `max_age` seconds old: many who wait share one question."""
        return self._snapshot(max_age).programs

    @property
    def run(self) -> str:
        """Id of the supervisord that answers."""
        daemon = self._snapshot(1.0).daemon
        return daemon.run if daemon else ""

    def _snapshot(self, max_age: float) -> _Snapshot:
        asked = self._system.monotonic()
        with self._guard:
            # an answer that came while this thread waited for its turn is fresh whatever max_age says
            if self._last is None or self._last.taken < asked - max_age:
                pid, infos = self._rpc.calls("supervisor.getPID", "supervisor.getAllProcessInfo")
                daemon = self._daemon(pid)
                run = daemon.run if daemon else ""
                programs = {info["name"]: self._state(info, run) for info in infos}
                self._last = _Snapshot(self._system.monotonic(), daemon, programs)
            return self._last

    def _order(self, method: str, *args: Any) -> None:
        """A call that changes something: what was answered before it is worth nothing afterwards."""
        try:
            self._rpc.call(f"supervisor.{method}", *args)
        finally:
            with self._guard:
                self._last = None

    def _living(self) -> tuple[Daemon | None, _Snapshot | None]:
        """The supervisord that answers and its answer; (recorded one, None) where one lives but has lost its socket."""
        record = self._record()
        if record and not self._system.is_alive(record.identity):
            record = None
        if record and not Path(self._layout.socket).exists():
            self._system.until(Path(self._layout.socket).exists, _SOCKET_SECONDS, 0.02)
        try:
            snapshot = self._snapshot(0)
        except UnreachableError:
            return record, None
        return (snapshot.daemon, snapshot) if snapshot.daemon else (record, None)

    def _daemon(self, pid: int) -> Daemon | None:
        """The supervisord of this pid; None where it has gone."""
        identity, record = self._system.identity(pid), self._record()
        if identity is None or (record and record.identity == identity):
            return record if identity else None
        # its record was lost, or it was started by hand
        run = self._system.variables(pid).get("DEVSTACK_RUN") or orphans.BY_HAND
        return Daemon(identity.pid, identity.start, run)

    def _record(self) -> Daemon | None:
        try:
            raw = json.loads(self._system.read(Path(self._layout.supervisor_record)) or "")
            return Daemon(int(raw["pid"]), str(raw["start"]), str(raw["run"]), str(raw["config"]))
        except (ValueError, TypeError, KeyError):
            return None

    def _write_record(self, identity: Identity, run: str) -> None:
        config = digest(self._system.read(Path(self._layout.config)) or "")
        daemon = Daemon(identity.pid, identity.start, run, config)
        self._system.write(Path(self._layout.supervisor_record), json.dumps(asdict(daemon)) + "\n")

    def _orphans(self, lost: Daemon | None) -> tuple[Orphan, ...]:
        found = {orphan.pid: orphan for orphan in orphans.find(self._system, self._layout, None)}
        if lost and lost.pid not in found:
            for orphan in orphans.of_identity(self._system, lost.identity, orphans.SUPERVISORD):
                found.setdefault(orphan.pid, orphan)
        return tuple(found.values())

    def _state(self, info: Mapping[str, Any], run: str) -> ProgramState:
        name, pid, phase = info["name"], info["pid"] or None, info["statename"].lower()
        record = orphans.parse_record(self._system.read(Path(self._layout.record(name))))
        if record and record.run != run:
            record = None
        is_same = bool(pid and record and record.pid == pid)
        if is_same and record and record.start != "-":
            is_same = record.names(self._system.identity(record.pid))
        status, reason = None, ""
        if phase in ("backoff", "fatal", "exited"):
            status, reason = supervisor_logs.ending(
                self._system, self._layout, name, "" if phase == "exited" else info["spawnerr"]
            )
        return ProgramState(
            name, phase, pid, float(info["now"] - info["start"]) if pid else 0.0, status,
            record.digest if record and is_same else "", record.restarts if record else 0, reason,
        )

    # --- the daemon --------------------------------------------------------------------------------------------------

    def start(self, env: Mapping[str, str]) -> str:
        """Start supervisord with this environment and no other, unless one lives; returns its run id.

        Its files must be written before. Killed at any moment, the next observation finds the daemon by its record,
        its socket or its environment. Raises ProcessError where it doesn't come up.
        """
        for folder in self._layout.folders:
            self._system.private_folder(Path(folder))
        deadline = self._system.monotonic() + _START_SECONDS
        while True:
            daemon, snapshot = self._living()
            if daemon and snapshot:
                return daemon.run
            if lost := [one for one in self._orphans(daemon) if one.program == orphans.SUPERVISORD]:
                orphans.reap(self._system, lost, {})
            # held by a supervisord for all its life, also by one just forked by a killed devstack and not seen yet
            with self._system.heritable_lock(Path(self._layout.folder, "supervisor.lock")) as lock:
                if lock is not None or self._system.monotonic() > deadline:
                    return self._spawn(env, lock)
            self._system.pause(0.02)

    def _spawn(self, env: Mapping[str, str], lock: int | None) -> str:
        output = Path(self._layout.folder, "logs", "supervisord.out")
        # a stale socket would make supervisord sleep before it takes its place
        for stale in (Path(self._layout.socket), output):
            stale.unlink(missing_ok=True)
        run = secrets.token_hex(8)
        pid = self._system.spawn(
            # -I: no PYTHON* variable and no user's packages; utf8: whatever the locale, the paths are read as written
            (self._python, "-I", "-X", "utf8", "-m", "supervisor.supervisord", "-n", "-s", "-c", self._layout.config),
            env={**env, "DEVSTACK_STACK": self._layout.stack, "DEVSTACK_RUN": run}, cwd=Path(self._layout.folder),
            log=output, lock=lock,
        )
        identity = self._system.identity(pid)
        if identity:
            self._write_record(identity, run)
        if not identity or not self._system.until(lambda: self._is_up_or_dead(identity), _START_SECONDS, 0.01):
            raise supervisor_logs.not_started(self._system.read(output) or "", self._layout.config)
        if not self._system.is_alive(identity):
            raise supervisor_logs.not_started(self._system.read(output) or "", self._layout.config)
        return run

    def _is_up_or_dead(self, identity: Identity) -> bool:
        if not self._system.is_alive(identity):
            return True
        if not Path(self._layout.socket).exists():
            return False
        try:
            daemon = self._snapshot(0).daemon
        except UnreachableError:
            return False
        return daemon is not None and daemon.pid == identity.pid

    def reload(self) -> None:
        """Make supervisord take over its configuration file: only programs that changed are touched.

        A changed or removed program that still runs is stopped first; none is started.
        """
        try:
            ((added, changed, removed),) = self._rpc.call("supervisor.reloadConfig")
        except FaultError as fault:
            raise ProcessError(
                "config-rejected", "supervisord can't read its configuration", why=fault.why,
                fix=f"supervisord -n -c {self._layout.config}",
            ) from None
        gone = [*changed, *removed]
        for name in gone:
            self._ask_to_stop(name)
        for name in gone:
            self.stop_program(name, _RELOAD_STOP_SECONDS)
            self._order("removeProcessGroup", name)
        for name in (*added, *changed):
            self._order("addProcessGroup", name)
        if daemon := self._snapshot(0).daemon:
            self._write_record(daemon.identity, daemon.run)

    def shutdown(self, stops: Stops, timeout: float | None = None) -> tuple[Orphan, ...]:
        """Stop all programs at once, then supervisord, then whatever they left; returns what had to be killed.

        stops: as `reap`. timeout: seconds for the programs together; None: the longest grace and a little.
        """
        daemon, snapshot = self._living()
        if timeout is None:
            timeout = max((grace for _, grace in stops.values()), default=10.0) + 5
        if daemon and snapshot:
            # supervisord's own shutdown would stop one program after the other
            self._system.until(lambda: not [name for name in snapshot.programs if not self._ask_to_stop(name)], timeout)
            self._order("shutdown")
            self._system.until(lambda: not self._system.is_alive(daemon.identity), 5.0, 0.02)
        killed = self.sweep(stops, daemon)
        for path in (self._layout.supervisor_record, self._layout.socket):
            Path(path).unlink(missing_ok=True)
        return killed

    def sweep(self, stops: Stops, daemon: Daemon | None = None) -> tuple[Orphan, ...]:
        """End everything of this stack that still lives, supervisord too; returns what had to be killed."""
        killed: tuple[Orphan, ...] = ()
        if daemon and not self._system.is_alive(daemon.identity):
            daemon = None
        # what dies may fork once more
        for _ in range(3):
            if not (found := self._orphans(daemon)):
                break
            killed += self.reap(found, stops)
            daemon = None
        return killed

    def reap(self, found: tuple[Orphan, ...], stops: Stops) -> tuple[Orphan, ...]:
        """End these orphans by their programs' own stop signals; returns those that had to be killed."""
        return orphans.reap(self._system, found, stops)

    # --- programs ----------------------------------------------------------------------------------------------------

    def start_program(self, name: str, timeout: float = 10.0) -> None:
        """Have a program's process made, unless it runs; whether it works is for its check to say.

        Raises ProcessError (`program-failed`, `program-unknown`) with the last lines of its log.
        """
        phase = self._phase(name)
        if phase == "stopping":
            self._system.until(lambda: self._phase(name) != "stopping", timeout)
        elif phase in ("running", "starting"):
            return
        record = Path(self._layout.record(name))
        record.unlink(missing_ok=True)
        try:
            self._order("startProcess", name, False)
        except FaultError as fault:
            if fault.code == ALREADY_STARTED:
                return
            raise self._failed(name, fault) from None
        # its digest can be observed as soon as this returns
        self._system.until(record.exists, min(timeout, 1.0), 0.005)

    def _failed(self, name: str, fault: FaultError) -> ProcessError:
        why = {
            NO_FILE: f"{self._layout.script(name)} is missing",
            NOT_EXECUTABLE: f"{self._layout.script(name)} can't be executed",
            SPAWN_ERROR: self.programs(0)[name].reason if fault.code == SPAWN_ERROR else "",
        }.get(fault.code, fault.why)
        return ProcessError(
            "program-failed", f"{name} didn't start", why=why, fix=f"devstack logs {name}",
            evidence=self.last_lines(name, 12),
        )

    def stop_program(self, name: str, timeout: float) -> tuple[Orphan, ...]:
        """Stop a program and what it left behind; returns what had to be killed. timeout: more than its grace.

        supervisord kills at the end of the grace itself; that isn't told apart from an end in time.
        """
        before = self.programs(0).get(name)
        if before is None:
            return ()
        killed: tuple[Orphan, ...] = ()
        if not self._system.until(lambda: self._ask_to_stop(name), timeout, 0.02):
            identity = self._system.identity(before.pid) if before.pid else None
            if identity:
                self._system.signal_group(identity, signal.SIGKILL)
                killed = (Orphan(identity.pid, identity.start, name),)
            if not self._system.until(lambda: self._ask_to_stop(name), 5.0):
                raise ProcessError(
                    "program-unkillable", f"{name} doesn't stop", why=f"process {before.pid} survived SIGKILL",
                    fix=f"devstack logs {name}",
                )
        return killed + orphans.reap(self._system, orphans.of_program(self._system, self._layout, name), {})

    def _ask_to_stop(self, name: str) -> bool:
        """Is this program at rest? If not, it has been asked to."""
        phase = self._phase(name)
        if phase == "exited":
            # one that is restarted passes through `exited`; supervisord goes on within the call after
            phase = self._phase(name)
        if phase in _AT_REST:
            return True
        if phase != "stopping":
            try:
                self._order("stopProcess", name, False)
            except FaultError as fault:
                if fault.code != NOT_RUNNING:
                    raise
        return False

    def _phase(self, name: str) -> str:
        """One program's phase at this moment: a small question, where a snapshot's price grows with the stack."""
        try:
            return str(self._rpc.call("supervisor.getProcessInfo", name)["statename"]).lower()
        except FaultError as fault:
            if fault.code != BAD_NAME:
                raise
        raise ProcessError(
            "program-unknown", f"supervisord knows no program {name}", why="its configuration has changed",
            fix="devstack up",
        )

    # --- logs --------------------------------------------------------------------------------------------------------

    def log_path(self, name: str) -> Path:
        return Path(self._layout.log(name))

    def log_since_start(self, name: str) -> str:
        """What the program's present process has said, its last megabyte; "" where none runs."""
        state = self.programs(0.2).get(name)
        return supervisor_logs.since_start(self._log(name), name, state.pid) if state and state.pid else ""

    def last_lines(self, name: str, count: int) -> tuple[str, ...]:
        """The last lines of a program's log, repetitions told once; none where there is no log."""
        return supervisor_logs.folded(self._log(name).splitlines())[-count:]

    def _log(self, name: str) -> str:
        path = self.log_path(name)
        if not path.exists() and (daemon := self._record()):
            # somebody removed it: supervisord goes on writing to the removed file until it is told
            self._system.signal(daemon.identity, signal.SIGUSR2)
        return supervisor_logs.tail(path)
