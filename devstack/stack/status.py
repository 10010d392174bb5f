"""The status of a stack as data: what `status`, `urls` and the end of `up` show, in text or JSON."""

from __future__ import annotations

from devstack import programs, watching
from devstack.profile import graph
from devstack.profile.model import Profile
from devstack.profile.secret import Secret
from devstack.services import kind_of
from devstack.state import ProgramState, ServiceState, State
from devstack.status import FOREGROUND, Overall, ProcessRow, ScaleRow, ServiceRow, StackRow, Status

__all__ = [
    "FOREGROUND", "Overall", "ProcessRow", "ScaleRow", "ServiceRow", "StackRow", "Status", "masked", "status_of",
]


def status_of(profile: Profile, state: State, source: str) -> Status:
    """source: where the profile came from, as shown to people."""
    services = tuple(_service(name, service, state) for name, service in state.services.items())
    processes = tuple(
        _process(profile, state, name, program, number)
        for name, process in profile.processes.items()
        for program, number in graph.programs_of(name, process)
    )
    running = any(program.is_running for program in state.live.values())
    if running and watching.process(profile):
        # devstack's own isn't listed among the project's, unless it is what a person has to know of
        own = _process(profile, state, watching.NAME, watching.NAME, 1)
        processes = processes if own.ready else (*processes, own)
    optional = {name for name, process in profile.processes.items() if process.optional}
    # what a person runs on a terminal is that person's to judge
    judged = [row for row in processes if row.name not in optional and row.state != FOREGROUND]
    rows: list[ServiceRow | ProcessRow] = [*services, *judged]
    alive = running or state.foreground
    if not alive:
        overall: Overall = "down"
    else:
        overall = "up" if all(row.ready for row in rows) else "degraded"
    stack = StackRow(state.stack, profile.name, state.root, source, overall)
    scaled = tuple(row for row in scale_rows(profile) if row.replicas != row.declared)
    return Status(stack, services, processes, scaled, programs.notes(profile, state))


def scale_rows(profile: Profile) -> tuple[ScaleRow, ...]:
    """How many of each process run, and how many the profile's files want."""
    return tuple(
        ScaleRow(name, process.replicas, process.declared_replicas) for name, process in profile.processes.items()
    )


def masked(url: str | Secret, password: Secret) -> str:
    """A URL as it may be shown."""
    text = url.reveal() if isinstance(url, Secret) else url
    return text.replace(password.reveal(), "***") if password.reveal() else text


def _phase(now: ProgramState | None) -> str:
    return now.phase if now is not None else "stopped"


def _service(name: str, service: ServiceState, state: State) -> ServiceRow:
    instance, now, probe = service.instance, state.live.get(name), service.probe
    running = now is not None and now.is_running
    ready = running and probe is not None and probe.ok and not probe.missing
    reason = None
    if not ready:
        said = probe.detail if probe is not None else "not asked yet"
        missing = f"missing: {', '.join(probe.missing)}" if probe is not None and probe.ok and probe.missing else said
        silent = state.engine if service.runtime == "docker" else ""
        reason = missing if running else silent or (now.reason if now is not None and now.reason else "not running")
    kind = kind_of(name, instance.declaration)
    version = (probe.version if probe is not None else None) or service.server.version
    return ServiceRow(
        name=name, kind=instance.declaration.kind or name, version=version, runtime=service.runtime, state=_phase(now),
        ready=ready, port=instance.ports.get("main"), reason=reason,
        url=masked(kind.url(instance), instance.password) or None,
    )


def _process(profile: Profile, state: State, name: str, program: str, number: int) -> ProcessRow:
    process, now = programs.processes(profile)[name], state.live.get(program)
    here = state.foreground.get(program)
    answer = state.replicas.get(program)
    running = now is not None and now.is_running
    ready = answer is not None and answer.ready
    port = state.ports.get(program)
    silent = state.engine if process.is_contained and not running else ""
    reason = silent or (answer.reason if answer is not None else "") or (None if ready else "not running")
    if here is not None:
        ready, reason = False, f"in the foreground (pid {here.pid})"
    return ProcessRow(
        name=name, replica=number, role=process.role, state=FOREGROUND if here else _phase(now), ready=ready,
        pid=here.pid if here else now.pid if now is not None and running else None, port=port,
        url=f"http://127.0.0.1:{port}" if port is not None and process.role == "web" else None,
        restarts=now.restarts if now is not None else 0,
        uptime_s=round(now.uptime, 1) if now is not None and running else None, reason=reason,
        program=program,
    )
