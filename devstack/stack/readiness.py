"""Is a program ready? One answer for observing and for waiting: its own check, asked of the process that runs now."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from devstack import evidence, programs
from devstack.profile import graph
from devstack.profile.interpolation import resolve
from devstack.profile.model import CommandCheck, HttpCheck, LogCheck, Process, Profile, Ready, TcpCheck
from devstack.render import reveal
from devstack.stack.contained_readiness import ContainedReadiness
from devstack.state import ProgramState, ReplicaState, State
from devstack.supervised.schedule import MARK
from devstack.supervisor import Supervisor
from devstack.system import System
from devstack.viewpoint import lookup

_TRY = 5.0
#: a bad request, a misdirected one: as Django answers a host that it isn't told of. Waiting makes it no better
_REFUSALS = frozenset({400, 421})
#: as a socket calls it
_SILENT = "timed out"


def check_command(
    profile: Profile, state: State, declared: Process, program: str, check: CommandCheck
) -> programs.Resolved:
    """The command that tells whether a program is ready, in the program's own environment and folder."""
    number = replica(profile, program)
    answer = lookup(profile, state, programs.viewpoint(declared, program, number))
    argv = tuple(reveal(resolve(word, answer)) for word in shlex.split(check.command))
    return replace(programs.command(profile, state, declared, program, number), argv=argv)


def replica(profile: Profile, program: str) -> int:
    """The number of a program among its process's."""
    found = (graph.programs_of(name, process) for name, process in programs.processes(profile).items())
    return next((number for replicas in found for one, number in replicas if one == program), 1)


@dataclass(frozen=True)
class Readiness:
    """Asks the checks that the profile declares."""

    system: System
    supervisor: Supervisor
    profile: Profile
    state: State
    inside: ContainedReadiness
    #: seconds for one answer, None for what is usual
    patience: float | None = None

    def check(self, process: str, program: str, now: ProgramState | None) -> ReplicaState:
        """One try, a few seconds at most. The reason says what the check answered."""
        declared = programs.processes(self.profile)[process]
        if declared.is_contained:
            return self.inside.process(declared, program, replica(self.profile, program), now)
        if now is not None and now.has_ended_well and declared.restart != "always":
            return ReplicaState(True, "it ended by itself with status 0")
        if now is None or not now.is_running:
            return ReplicaState(False, (now.reason if now else "") or "not running")
        if declared.ready is None:
            answer = self._settled(declared, now)
            return self._scheduled(program) if declared.schedule is not None and answer.ready else answer
        return self._asked(declared.ready, declared, program)

    def _asked(self, ready: Ready, declared: Process, program: str) -> ReplicaState:
        match ready:
            case HttpCheck() as check:
                return self._http(check, program)
            case TcpCheck() as check:
                port = self.state.ports[program] if check.tcp is True else check.tcp
                refused = self.system.connect(port, self.patience or _TRY)
                return ReplicaState(refused is None, f"127.0.0.1:{port}: {refused}" if refused else "")
            case CommandCheck() as check:
                return self._command(check, declared, program)
            case LogCheck() as check:
                return self._log(check, program)

    def grace(self, process: str) -> float:
        """Seconds that a process may take to become ready."""
        declared = programs.processes(self.profile)[process]
        return declared.ready.grace if declared.ready is not None else declared.must_live + 30

    def _settled(self, declared: Process, now: ProgramState) -> ReplicaState:
        # whoever waits for it goes by the kernel's clock too: supervisord's has whole seconds
        lived = self.supervisor.lived(now.name)
        if lived is None:
            lived = now.uptime if now.phase == "running" else 0.0
        if lived >= declared.must_live:
            return ReplicaState(True)
        return ReplicaState(False, f"it has been running for {lived:.1f} of {declared.must_live:g} s")

    def _scheduled(self, program: str) -> ReplicaState:
        """Its schedule runs; how the last run went is told, and is no fault of the stack's."""
        lines = self.supervisor.log_since_start(program).splitlines()
        said = next((line.removeprefix(MARK) for line in reversed(lines) if line.startswith(MARK)), "")
        return ReplicaState(True, said)

    def _http(self, check: HttpCheck, program: str) -> ReplicaState:
        port = self.state.ports[program]
        wanted = check.status if isinstance(check.status, tuple) else (check.status,)
        status, said = self.system.http_status(port, check.http, self.patience or _TRY)
        place = f"GET http://127.0.0.1:{port}{check.http}"
        if status is None:
            return ReplicaState(False, f"{place}: {said}", is_silent=said == _SILENT)
        if status in wanted:
            return ReplicaState(True)
        # the first line of a page says nothing
        detail = "" if said.startswith("<") else f": {said}"
        reason = f"{place}: {status}, wanted {' or '.join(map(str, wanted))}{detail}"
        return ReplicaState(False, reason, is_refused=status in _REFUSALS)

    def _command(self, check: CommandCheck, declared: Process, program: str) -> ReplicaState:
        resolved = check_command(self.profile, self.state, declared, program, check)
        # whoever relies on this observation later asks again
        with evidence.unheard():
            seconds = min(check.timeout, self.patience or check.timeout)
            done = self.system.run(resolved.argv, timeout=seconds, env=resolved.revealed(), cwd=Path(resolved.cwd))
        if done.returncode == 0:
            return ReplicaState(True)
        last = done.last_lines(1)
        outcome = f"no answer in {seconds:g} s" if done.timed_out else f"exit status {done.returncode}"
        return ReplicaState(False, f"{check.command}: {outcome}{': ' + last[0] if last else ''}")

    def _log(self, check: LogCheck, program: str) -> ReplicaState:
        pattern = re.compile(check.log)
        if any(pattern.search(line) for line in self.supervisor.log_since_start(program).splitlines()):
            return ReplicaState(True)
        return ReplicaState(False, f"no line of its log matches `{check.log}` yet")

