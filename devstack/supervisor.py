"""The stack's supervisord: find it, start it once, talk to it, end it with everything it started.

It is known by pid and start time (`.devstack/supervisor.json`) or by the answer on its private socket, never by a file
alone. Decides nothing about what should run: that is the plan's. Orphans are `devstack.orphans`' job.
"""

from __future__ import annotations

import errno
import os
import secrets
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from devstack import orphans, supervisor_logs
from devstack.errors import DevstackError, ProcessError, StorageError
from devstack.files import storage_error
from devstack.processes import Identity
from devstack.shared_answer import SharedAnswer
from devstack.state import Orphan, ProgramState, SupervisorState
from devstack.supervisor_answers import Answers, Daemon, Snapshot
from devstack.supervisor_rpc import (
    ALREADY_STARTED,
    BAD_NAME,
    NO_FILE,
    NOT_EXECUTABLE,
    NOT_RUNNING,
    SPAWN_ERROR,
    FaultError,
    UnreachableError,
)

if TYPE_CHECKING:
    from devstack.layout import Layout
    from devstack.orphans import Stops
    from devstack.system import System

_START_SECONDS = 15.0
#: a supervisord that lives but has no socket yet may have been started a moment ago
_SOCKET_SECONDS = 1.0
_RELOAD_STOP_SECONDS = 60.0
_AT_REST = ("stopped", "exited", "fatal")


class Supervisor:
    """One stack's supervisord. python: the interpreter that has the supervisor package. Safe to share between threads.

    Methods that need it running raise ProcessError (`supervisor-unreachable`, `supervisor-silent`).
    """

    def __init__(self, system: System, layout: Layout, python: str) -> None:
        self._system = system
        self._layout = layout
        self._python = python
        self._answers = Answers(system, layout)
        self._left = SharedAnswer(lambda: orphans.by_program(system, layout), system.monotonic)

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
        return self._answers.programs(max_age)

    def program(self, name: str, max_age: float) -> ProgramState | None:
        """One program, as `programs` says; what others were told meanwhile makes no answer too old."""
        return self._answers.program(name, max_age)

    def lived(self, name: str) -> float | None:
        """For how many seconds the program's present process has lived, read off the machine without a question to
        supervisord; None where there is none, or this can't be known."""
        identity = self._answers.identity(name)
        return self._system.age(identity) if identity else None

    @property
    def run(self) -> str:
        """Id of the supervisord that answers."""
        daemon = self._answers.snapshot(1.0).daemon
        return daemon.run if daemon else ""

    def _living(self) -> tuple[Daemon | None, Snapshot | None]:
        """The supervisord that answers and its answer; (recorded one, None) where one lives but has lost its socket."""
        record = self._answers.record()
        if record and not self._system.is_alive(record.identity):
            record = None
        if record and not Path(self._layout.socket).exists():
            self._system.until(Path(self._layout.socket).exists, _SOCKET_SECONDS, 0.02)
        try:
            snapshot = self._answers.snapshot(0)
        except UnreachableError:
            return record, None
        return (snapshot.daemon, snapshot) if snapshot.daemon else (record, None)

    def _orphans(self, lost: Daemon | None) -> tuple[Orphan, ...]:
        found = {orphan.pid: orphan for orphan in orphans.find(self._system, self._layout, None)}
        if lost and lost.pid not in found:
            for orphan in orphans.of_identity(self._system, lost.identity, orphans.SUPERVISORD):
                found.setdefault(orphan.pid, orphan)
        return tuple(found.values())

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
            (self._python, "-I", "-X", "utf8", "-m", "devstack.supervisord", "-n", "-s", "-c", self._layout.config),
            env={**env, "DEVSTACK_STACK": self._layout.stack, "DEVSTACK_RUN": run}, cwd=Path(self._layout.folder),
            log=output, lock=lock,
        )
        identity = self._system.identity(pid)
        if identity:
            self._answers.write_record(identity, run)
        if not identity or not self._system.until(lambda: self._is_up_or_dead(identity), _START_SECONDS, 0.01):
            raise supervisor_logs.not_started(self._system.read(output) or "", self._layout.config)
        if not self._system.is_alive(identity):
            raise supervisor_logs.not_started(self._system.read(output) or "", self._layout.config)
        self._answers.is_new = True
        return run

    def _is_up_or_dead(self, identity: Identity) -> bool:
        if not self._system.is_alive(identity):
            return True
        if not Path(self._layout.socket).exists():
            return False
        try:
            return bool(self._answers.rpc.call("supervisor.getPID") == identity.pid)
        except UnreachableError:
            return False

    def reload(self) -> None:
        """Make supervisord take over its configuration file: only programs that changed are touched.

        A changed or removed program that still runs is stopped first; none is started.
        """
        try:
            ((added, changed, removed),) = self._answers.rpc.call("supervisor.reloadConfig")
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
            self._answers.order("removeProcessGroup", name)
        for name in (*added, *changed):
            self._answers.order("addProcessGroup", name)
        if daemon := self._answers.snapshot(0).daemon:
            self._answers.write_record(daemon.identity, daemon.run)

    def shutdown(self, stops: Stops, timeout: float | None = None) -> tuple[Orphan, ...]:
        """Stop all programs at once, then supervisord, then whatever they left; returns what had to be killed.

        stops: as `reap`. timeout: seconds for the programs together; None: the longest grace and a little.
        """
        daemon, snapshot = self._living()
        if timeout is None:
            timeout = max((grace for _, grace in stops.values()), default=10.0) + 5
        if daemon and snapshot:
            # supervisord's own shutdown would stop one program after the other
            self._system.until(self._is_all_at_rest, timeout)
            self._answers.rpc.call("supervisor.shutdown")
            self._system.until(lambda: not self._system.is_alive(daemon.identity), 5.0, 0.02)
        killed = self.sweep(stops, daemon)
        self._forget()
        return killed

    def forget_gone(self) -> None:
        """Remove what a supervisord that lives no more has left on disk. For whoever holds the stack."""
        record = self._answers.record()
        # one that lives isn't asked for all of its programs only to hear so
        is_alive = record is not None and self._system.is_alive(record.identity)
        if not is_alive and self._living() == (None, None):
            self._forget()

    def _forget(self) -> None:
        for path in (self._layout.supervisor_record, self._layout.socket):
            Path(path).unlink(missing_ok=True)

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

    def has_come_back(self, name: str) -> bool:
        """Has supervisord itself started a program again that was seen to have ended?"""
        return not self._answers.has_seen_stopped(name) and self._lasting_phase(name) in ("running", "starting")

    def start_program(self, name: str, timeout: float = 10.0) -> None:
        """Have a program's process made, unless it runs; whether it works is for its check to say.

        Raises ProcessError (`program-failed`, `program-unknown`) with the last lines of its log.
        """
        # nobody else starts what has been seen at rest: the stack is held
        phase = "stopped" if self._answers.has_seen_stopped(name) else self._phase(name)
        if phase == "stopping":
            self._system.until(lambda: self._phase(name) != "stopping", timeout)
        elif phase in ("running", "starting"):
            return
        record = Path(self._layout.record(name))
        record.unlink(missing_ok=True)
        try:
            self._answers.order("startProcess", name, False)
        except FaultError as fault:
            if fault.code == BAD_NAME:
                raise self._answers.unknown(name) from None
            # one that has noted its start was made, and has ended by now
            if fault.code == ALREADY_STARTED or (fault.code == SPAWN_ERROR and record.exists()):
                return
            raise self._failed(name, fault) from None
        # its digest can be observed as soon as this returns; on a busy machine its script comes late
        if not self._system.until(record.exists, min(timeout, 1.0), 0.005):
            self._system.until(lambda: record.exists() or self._phase(name) in _AT_REST, timeout)

    def _failed(self, name: str, fault: FaultError) -> DevstackError:
        script = Path(self._layout.script(name))
        if fault.code == NOT_EXECUTABLE and self._system.is_noexec(script):
            return StorageError(
                "mounted-noexec", f"programs in {script.parent} can't run", why="its file system is mounted noexec",
                fix=f"findmnt -T {script.parent}",
            )
        why = {
            NO_FILE: f"{self._layout.script(name)} is missing",
            NOT_EXECUTABLE: f"{self._layout.script(name)} can't be executed",
            SPAWN_ERROR: self.programs(0)[name].reason if fault.code == SPAWN_ERROR else "",
        }.get(fault.code, fault.why)
        if errno.errorcode[errno.ENOSPC] in why:
            # supervisord couldn't make its log
            return storage_error(Path(self._layout.log(name)), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        return ProcessError(
            "program-failed", f"{name} didn't start", why=why, fix=f"devstack logs {name}",
            evidence=self.last_lines(name, 12),
        )

    def stop_program(self, name: str, timeout: float) -> tuple[Orphan, ...]:
        """Stop a program and what it left behind; returns what had to be killed. timeout: more than its grace.

        supervisord kills at the end of the grace itself; that isn't told apart from an end in time.
        """
        if self.program(name, _START_SECONDS) is None:
            return ()
        identity, is_asked = self._answers.identity(name), False

        def is_at_rest() -> bool:
            nonlocal is_asked
            # as long as it lives, the kernel knows; supervisord has enough to do
            if is_asked and identity and self._system.is_alive(identity):
                return False
            is_asked = True
            return self._ask_to_stop(name)

        killed: tuple[Orphan, ...] = ()
        if not self._system.until(is_at_rest, timeout, 0.02):
            if identity:
                self._system.signal_group(identity, signal.SIGKILL)
                killed = (Orphan(identity.pid, identity.start, name),)
            if not self._system.until(lambda: self._ask_to_stop(name), 5.0):
                raise ProcessError(
                    "program-unkillable", f"{name} doesn't stop", why="its process survived SIGKILL",
                    fix=f"devstack logs {name}",
                )
        left = orphans.of_program(self._system, name, self._left.get().get(name, ()))
        return killed + orphans.reap(self._system, left, {})

    def _is_all_at_rest(self) -> bool:
        """Are all programs at rest? If not, those that aren't have been asked to."""
        busy = [name for name, now in self._answers.snapshot(0).programs.items() if now.phase not in _AT_REST]
        for name in busy:
            self._ask_to_stop(name)
        return not busy

    def _ask_to_stop(self, name: str) -> bool:
        """Is this program at rest? If not, it has been asked to."""
        phase = self._lasting_phase(name)
        if phase in _AT_REST:
            return True
        if phase != "stopping":
            try:
                self._answers.order("stopProcess", name, False)
            except FaultError as fault:
                if fault.code != NOT_RUNNING:
                    raise
        return False

    def _lasting_phase(self, name: str) -> str:
        """Its phase, past the one that a program that is restarted only passes through."""
        phase = self._phase(name)
        # supervisord goes on within the call after
        return self._phase(name) if phase == "exited" else phase

    def _phase(self, name: str) -> str:
        """One program's phase at this moment: a small question, where a snapshot's price grows with the stack."""
        return str(self._answers.info(name)["statename"]).lower()

    # --- logs --------------------------------------------------------------------------------------------------------

    def log_path(self, name: str) -> Path:
        return Path(self._layout.log(name))

    def log_since_start(self, name: str) -> str:
        """What the program's present process has said, its last megabyte; "" where none runs."""
        state = self.programs(0.2).get(name)
        return supervisor_logs.since_start(self._log(name), name, state.pid) if state and state.pid else ""

    def last_lines(self, name: str, count: int, runs: int = 1) -> tuple[str, ...]:
        """The last lines that a program's last processes have said, repetitions told once; none where there are none.
        runs: so many of those that said anything."""
        return supervisor_logs.folded(supervisor_logs.last_words(self._log(name), name, runs).splitlines())[-count:]

    def dying_lines(self, name: str, count: int) -> tuple[str, ...]:
        """The last lines of the last process that came to its end, of a program that dies again and again."""
        log = self._log(name)
        # asked after the log was read: no process in it is missed
        words = supervisor_logs.dying_words(log, name, 1 + self.restarts(name))
        return supervisor_logs.folded(words.splitlines())[-count:]

    def restarts(self, name: str) -> int:
        """How often supervisord has started a program again by itself, as of this very moment."""
        return self._answers.restarts(name)

    def _log(self, name: str) -> str:
        path = self.log_path(name)
        if not path.exists() and (daemon := self._answers.record()):
            # somebody removed it: supervisord goes on writing to the removed file until it is told
            self._system.signal(daemon.identity, signal.SIGUSR2)
        return supervisor_logs.tail(path)
