"""Leaves the memo by which later commands know, the short way, that the stack stands (`devstack/standing.py`)."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from devstack import evidence, programs, standing
from devstack.errors import DevstackError
from devstack.evidence import Notes
from devstack.profile import graph
from devstack.profile.model import CommandCheck, HttpCheck, LogCheck, Profile, TcpCheck
from devstack.registry import Registry
from devstack.runtimes import engines
from devstack.services import kind_of
from devstack.stack.contained_readiness import question_of
from devstack.stack.paths import Project, places
from devstack.stack.readiness import check_command
from devstack.state import State
from devstack.status import Status
from devstack.system import System

#: whether a row is ready, and its state
_WELL = ((True, "running"), (True, "starting"))
#: seconds after which supervisord calls a program running (`startsecs`), its own pace and rounding included
_STARTING = 4


@dataclass(frozen=True)
class Look:
    """What the last looks saw, with nothing left to do. whole: notes of the full one; glance: of one for `status`."""

    profile: Profile
    state: State
    status: Status
    whole: Notes
    glance: Notes
    #: of the plan that was empty
    warnings: tuple[str, ...]


class Standing:
    """The memo of one stack."""

    def __init__(self, system: System, project: Project) -> None:
        self._system = system
        self._project = project
        self._before = Notes(str(project.folder))

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """For what is read once for all looks: the profile, and the trust in it."""
        with evidence.noting(self._before):
            yield

    @contextlib.contextmanager
    def looking(self) -> Iterator[Notes]:
        """For one observation and what is planned from it."""
        notes = Notes(str(self._project.folder))
        notes.include(self._before)
        with evidence.noting(notes):
            yield notes

    def forget(self) -> None:
        """From now on nothing is known: servers in containers leave no process whose end could be seen."""
        (self._project.folder / standing.NAME).unlink(missing_ok=True)

    def remember(self, look: Look) -> None:
        """Write the memo, unless something is in doubt: then the next command looks for itself."""
        # a process that can be told from a later one of its number at no cost: Linux
        if not sys.platform.startswith("linux"):
            return
        for notes in {id(notes): notes for notes in (look.whole, look.glance)}.values():
            # kept in memory since it was read or written under the lock
            notes.file(str(self._project.record), "read")
        memo = None if _doubt(look) else self._memo(look)
        if memo is not None:
            # only a memo: what can't be written doesn't make the run fail
            with contextlib.suppress(DevstackError, OSError):
                text = json.dumps(memo)
                self._system.write(self._project.folder / standing.NAME, text)
                self._system.write(Path(memo["used"]), standing.digest(text.encode()))

    def _memo(self, look: Look) -> dict[str, Any] | None:
        state = look.state
        live, contained = state.supervisor.programs.values(), state.containers.values()
        # a stack of containers alone has no supervisord
        own = [state.supervisor.pid] if state.supervisor.is_running else []
        pids = [*own, *(program.pid for program in live)]
        processes = [standing.identity(pid) for pid in pids if pid is not None]
        services, checks = _services(look.profile, state), _checks(look.profile, state)
        engine = _socket(self._system) if state.images else ""
        if engine is None or services is None or None in processes or len(processes) != len(pids):
            return None
        now = int(time.time())
        status = json.loads(json.dumps(asdict(look.status)))
        begun = [row for row in (*status["services"], *status["processes"]) if row["state"] == "starting"]
        for row in begun:
            row["state"] = "running"
        return {
            "form": standing.FORM,
            "root": str(self._project.root),
            "devstack": standing.devstack_itself(),
            "variables": standing.variables_digest(self._system.environ),
            "looked": {"files": look.whole.files, "listings": look.whole.listings},
            "glanced": {"files": look.glance.files, "listings": look.glance.listings},
            "walks": [[root, list(globs), found] for (root, globs), found in look.whole.walks.items()],
            "processes": processes,
            "began": {program.name: now - int(program.uptime) for program in (*live, *contained)},
            "socket": programs.layout(state).socket if own else "",
            "services": services,
            "engine": engine,
            "images": dict(state.images),
            "checks": checks,
            "status": status,
            "from": now + _STARTING if begun else 0,
            "warnings": list(look.warnings),
            "used": str(Registry(self._system, places(self._system).state).mark(state.stack)),
        }


def _socket(system: System) -> str | None:
    """The path at which the engine can be asked without its library; None where it is elsewhere."""
    address = engines.find(system)
    return str(address.socket) if address and address.socket else None


def _doubt(look: Look) -> str:
    """Why what was seen can't be relied on later, "" where it can."""
    for notes in (look.whole, look.glance):
        if notes.doubt or notes.commands:
            return notes.doubt or f"it depends on what {notes.commands[0][0]} says"
    rows = [(row.ready, row.state) for row in look.status.services]
    rows += [(row.ready, row.state) for row in look.status.processes]
    if look.status.stack.state != "up" or any(row not in _WELL for row in rows):
        return "not everything runs"
    if any(process.schedule is not None for process in programs.processes(look.profile).values()):
        return "how a schedule's last run went is in its log"
    for process in look.profile.processes.values():
        if process.is_contained and process.replicas and not isinstance(process.ready, HttpCheck | TcpCheck):
            return "only an engine knows whether a container without a port runs"
    return ""


def _services(profile: Profile, state: State) -> list[Any] | None:
    """How each service, and each process in a container, is asked, and its answer; None where one can't be asked the
    short way."""
    found: list[Any] = []
    for name, service in state.services.items():
        question = kind_of(name, service.instance.declaration).question(service.instance)
        probe = service.probe
        if question is None or probe is None:
            return None
        found.append([dict(question), [probe.ok, probe.version, list(probe.missing)]])
    for name, process in profile.processes.items():
        for program, _ in graph.programs_of(name, process) if process.is_contained else ():
            found.append([question_of(state, process, program), [True, None, []]])
    return found


def _checks(profile: Profile, state: State) -> list[Any]:
    """How each program is asked whether it is ready."""
    found: list[Any] = []
    for name, process in profile.processes.items():
        for program, _ in graph.programs_of(name, process) if not process.is_contained else ():
            match process.ready:
                case None | LogCheck():
                    # it has stayed alive for long enough, or said its line: both stay true for this very process
                    pass
                case HttpCheck() as check:
                    wanted = check.status if isinstance(check.status, tuple) else (check.status,)
                    found.append({"http": check.http, "port": state.ports[program], "status": list(wanted)})
                case TcpCheck() as check:
                    found.append({"tcp": state.ports[program] if check.tcp is True else check.tcp})
                case CommandCheck() as check:
                    asked = check_command(profile, state, process, program, check)
                    found.append({
                        "argv": asked.argv, "env": asked.revealed(), "cwd": asked.cwd, "timeout": check.timeout,
                    })  # fmt: skip
    return found
