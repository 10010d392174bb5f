"""Is what runs in a container ready? Its ports are asked from this machine; what only the inside knows, its engine."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from devstack import wire
from devstack.errors import DevstackError
from devstack.profile.interpolation import resolve
from devstack.profile.model import CommandCheck, HttpCheck, LogCheck, Process, Profile, Ready, TcpCheck
from devstack.render import reveal
from devstack.runtimes import container_logs, execs
from devstack.services import Probe, Question, kind_of
from devstack.stack.containers import Containers
from devstack.state import ProgramState, ReplicaState, State
from devstack.viewpoint import Viewpoint, lookup

#: seconds for one answer of a port
_TRY = 2.0
#: seconds that a service without a port must have stayed alive
_SETTLE = 1.0


@dataclass(frozen=True)
class Asked:
    """What is asked. question: of its port, None where that isn't what tells. settle: seconds it must have lived where
    nothing else does."""

    name: str
    whose: Viewpoint
    question: Question | None
    settle: float


@dataclass(frozen=True)
class ContainedReadiness:
    """Asks the checks that the profile declares of containers."""

    containers: Containers
    profile: Profile
    state: State
    #: by name, the life (`ProgramState.life`) of which the log has said that it is ready
    seen: Mapping[str, str]
    is_trusted: bool = True

    def process(self, process: Process, program: str, number: int, now: ProgramState | None) -> ReplicaState:
        """One try of one replica, a few seconds at most."""
        if now is not None and now.has_ended_well and process.restart != "always":
            return ReplicaState(True, "it ended by itself with status 0")
        if now is None or not now.is_running:
            return ReplicaState(False, (now.reason if now else "") or "not running")
        whose = Viewpoint(program, number, is_inside=True, contained=process)
        question = question_of(self.state, process, program)
        return self._asked(Asked(program, whose, question, process.must_live), process.ready, now)

    def service(self, name: str, timeout: float) -> Probe:
        """One answer of a service that may be any image; of all others that of their kind."""
        instance = self.state.services[name].instance
        kind = kind_of(name, instance.declaration)
        ready: Ready | None = getattr(instance.declaration, "ready", None)
        if kind.sources or kind.question(instance) is not None:
            return kind.probe(instance, timeout)
        now = self.state.containers.get(name) or self._now(name)
        if now is None or not now.is_running:
            return Probe(False, (now.reason if now else "") or "not running")
        answer = self._asked(Asked(name, Viewpoint(is_inside=True), None, _SETTLE), ready, now)
        return Probe(answer.ready, answer.reason)

    def _now(self, name: str) -> ProgramState | None:
        try:
            return self.containers.engine.state(name, self.state.stack)
        except DevstackError:
            return None

    def _asked(self, asked: Asked, ready: Ready | None, now: ProgramState) -> ReplicaState:
        if asked.question is not None:
            probe = wire.ask(asked.question, _TRY)
            return ReplicaState(probe.ok, "" if probe.ok else probe.detail, probe.is_silent)
        match ready:
            case CommandCheck() as check:
                return self._command(check, asked, now)
            case LogCheck() as check:
                return self._log(check, asked, now)
        lived = now.uptime if now.phase == "running" else 0.0
        if lived >= asked.settle:
            return ReplicaState(True)
        return ReplicaState(False, f"it has been running for {lived:.1f} of {asked.settle:g} s")

    def _log(self, check: LogCheck, asked: Asked, now: ProgramState) -> ReplicaState:
        # what was said once stays true, though the line may be gone
        if self.seen.get(asked.name) != now.life(""):
            lines = container_logs.since_start(self.containers.engine, now.container).splitlines()
            if not any(re.search(check.log, line) for line in lines):
                return ReplicaState(False, f"no line of its log matches `{check.log}` yet")
        return ReplicaState(True)

    def _command(self, check: CommandCheck, asked: Asked, now: ProgramState) -> ReplicaState:
        if not self.is_trusted:
            return ReplicaState(False, "its check isn't run: the project is not trusted")
        answer = lookup(self.profile, self.state, asked.whose)
        argv = tuple(reveal(resolve(word, answer)) for word in shlex.split(check.command))
        try:
            done = execs.answer(self.containers.engine, now.container, execs.Inside(argv), check.timeout)
        except DevstackError as error:
            return ReplicaState(False, f"{check.command}: {error.why or error.what}")
        if done.status == 0:
            return ReplicaState(True)
        last = done.output.splitlines()[-1:]
        return ReplicaState(False, f"{check.command}: exit status {done.status}{': ' + last[0] if last else ''}")


def question_of(state: State, process: Process, program: str) -> Question | None:
    """How the port of a replica is asked on this machine; None where it isn't its port that says whether it works."""
    match process.ready:
        case HttpCheck() as check:
            wanted = check.status if isinstance(check.status, tuple) else (check.status,)
            return {"protocol": "http", "port": state.ports[program], "path": check.http, "status": list(wanted)}
        case TcpCheck() as check:
            ports = {inside: state.ports[f"{program}.{name}"] for name, inside in process.ports.items()}
            if program in state.ports:
                ports[process.inside_port] = state.ports[program]
            inside = process.inside_port if check.tcp is True else check.tcp
            return {"protocol": "tcp", "port": ports.get(inside, inside)}
    return None
