"""The status of a stack as data: what `status`, `urls` and the end of `up` show, in text or JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from devstack import programs
from devstack.profile import graph
from devstack.profile.model import Profile
from devstack.profile.secret import Secret
from devstack.services import kind_of
from devstack.stack.store import Holder
from devstack.state import ProgramState, ServiceState, State

Overall = Literal["up", "degraded", "down"]
#: state of a process that somebody runs on a terminal
FOREGROUND = "foreground"


@dataclass(frozen=True)
class StackRow:
    id: str
    name: str
    root: str
    profile: str
    state: Overall


@dataclass(frozen=True)
class ServiceRow:
    """url: with the password masked."""

    name: str
    kind: str
    version: str
    runtime: str
    state: str
    ready: bool
    port: int
    url: str
    reason: str | None


@dataclass(frozen=True)
class ProcessRow:
    """One replica. uptime_s: seconds."""

    name: str
    replica: int
    role: str
    state: str
    ready: bool
    pid: int | None
    port: int | None
    url: str | None
    restarts: int
    uptime_s: float | None
    reason: str | None


@dataclass(frozen=True)
class Status:
    """notes: what the profile tells people, filled in. busy: who is at work on the stack, None for nobody else."""

    stack: StackRow
    services: tuple[ServiceRow, ...]
    processes: tuple[ProcessRow, ...]
    notes: tuple[str, ...] = ()
    busy: Holder | None = None


def status_of(profile: Profile, state: State, source: str) -> Status:
    """source: where the profile came from, as shown to people."""
    services = tuple(_service(name, service, state) for name, service in state.services.items())
    processes = tuple(
        _process(profile, state, name, program, number)
        for name, process in profile.processes.items()
        for program, number in graph.programs_of(name, process)
    )
    # what a person runs on a terminal is that person's to judge
    judged = [row for row in processes if not profile.processes[row.name].optional and row.state != FOREGROUND]
    rows: list[ServiceRow | ProcessRow] = [*services, *judged]
    alive = state.foreground or any(now.is_running for now in state.supervisor.programs.values())
    if not alive:
        overall: Overall = "down"
    else:
        overall = "up" if all(row.ready for row in rows) else "degraded"
    stack = StackRow(state.stack, profile.name, state.root, source, overall)
    return Status(stack, services, processes, programs.notes(profile, state))


def masked(url: str | Secret, password: Secret) -> str:
    """A URL as it may be shown."""
    text = url.reveal() if isinstance(url, Secret) else url
    return text.replace(password.reveal(), "***") if password.reveal() else text


def _phase(now: ProgramState | None) -> str:
    return now.phase if now is not None else "stopped"


def _service(name: str, service: ServiceState, state: State) -> ServiceRow:
    instance, now, probe = service.instance, state.supervisor.programs.get(name), service.probe
    running = now is not None and now.is_running
    ready = running and probe is not None and probe.ok and not probe.missing
    reason = None
    if not ready:
        said = probe.detail if probe is not None else "not asked yet"
        missing = f"missing: {', '.join(probe.missing)}" if probe is not None and probe.ok and probe.missing else said
        reason = missing if running else (now.reason if now is not None and now.reason else "not running")
    kind = kind_of(name, instance.declaration)
    version = (probe.version if probe is not None else None) or service.server.version
    return ServiceRow(
        name=name, kind=instance.declaration.kind or name, version=version, runtime=state.runtime, state=_phase(now),
        ready=ready, port=instance.port, url=masked(kind.url(instance), instance.password), reason=reason,
    )


def _process(profile: Profile, state: State, name: str, program: str, number: int) -> ProcessRow:
    process, now = profile.processes[name], state.supervisor.programs.get(program)
    here = state.foreground.get(program)
    answer = state.replicas.get(program)
    running = now is not None and now.is_running
    ready = running and answer is not None and answer.ready
    port = state.ports.get(program)
    reason = None
    if not ready:
        reason = (answer.reason if answer is not None else "") or "not running"
    if here is not None:
        ready, reason = False, f"in the foreground (pid {here.pid})"
    return ProcessRow(
        name=name, replica=number, role=process.role, state=FOREGROUND if here else _phase(now), ready=ready,
        pid=here.pid if here else now.pid if now is not None and running else None, port=port,
        url=f"http://127.0.0.1:{port}" if port is not None and process.role == "web" else None,
        restarts=now.restarts if now is not None else 0,
        uptime_s=round(now.uptime, 1) if now is not None and running else None, reason=reason,
    )
