"""What each action does. One method per action; the executor calls them, from several threads at once."""

from __future__ import annotations

import functools
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from devstack import actions, orphans, programs, system_packages
from devstack.actions import Action
from devstack.detect import last_words
from devstack.errors import ProcessError
from devstack.executor import Performer, Report
from devstack.profile import graph
from devstack.profile.model import SignalName
from devstack.render import stops_of
from devstack.services import Probe, kind_of, said_by_a_server
from devstack.stack.commands import ensure_executable, port_taken
from devstack.stack.contained_readiness import ContainedReadiness
from devstack.stack.containers import trash_volumes
from devstack.stack.machinery import Tools, trash_name
from devstack.stack.moving import MovePerformers
from devstack.stack.observe import Observer, Seen
from devstack.stack.perform_containers import ContainerPerformers
from devstack.stack.perform_environment import EnvironmentPerformers
from devstack.stack.perform_files import FilePerformers
from devstack.stack.perform_snapshots import SnapshotPerformers
from devstack.stack.perform_transfers import TransferPerformers
from devstack.stack.readiness import Readiness
from devstack.stack.seeding import SeedPerformers
from devstack.stack.task_runs import TaskRunner
from devstack.stack.undoing import note_record
from devstack.state import Orphan, ProgramState, ReplicaState
from devstack.system import Identity

_POLL = 0.05
#: seconds between two looks at a process that only has to go on living
_GLANCE = 0.25
#: seconds after which who answers that the question is wrong isn't asked any more
_REFUSED = 10.0
_SERVICE_GRACE = 120.0
#: a program that has died this often since its start isn't going to make it
_DEATHS = 2
_LINES = 12
#: lines of a log in which the cause is looked for: a traceback is long, and more may follow
_SEARCHED = 80


class Performers:
    """The actions of `up` and `down` on one stack. observer: looks at data again after it was made. consent: servers
    that only the system's package manager has may be installed with it."""

    def __init__(self, tools: Tools, seen: Seen, observer: Observer, *, consent: bool = False) -> None:
        self._tools = tools
        self._system = tools.system
        self._profile = tools.profile
        self._processes = programs.processes(tools.profile)
        self._owners = programs.owners(tools.profile)
        self._seen = seen
        self._state = seen.state
        self._supervisor = seen.supervisor
        self._observer = observer
        self._consent = consent
        self._containers = ContainerPerformers(tools, seen)
        inside = ContainedReadiness(tools.containers, tools.profile, seen.state, {})
        self._tasks = TaskRunner(tools, seen.state, observer)
        self._readiness = Readiness(tools.system, seen.supervisor, tools.profile, seen.state, inside)

    def table(self) -> Mapping[type[Action], Performer]:
        return {
            actions.ReapOrphans: self.reap,
            actions.FetchServer: self.fetch,
            actions.PrepareData: self.prepare,
            actions.StartSupervisor: self.start_supervisor,
            actions.ReloadSupervisor: self.reload_supervisor,
            actions.StopSupervisor: self.stop_supervisor,
            actions.StartProgram: self.start,
            actions.StopProgram: self.stop,
            actions.ReleaseProgram: self.release,
            actions.StopForeground: self.stop_foreground,
            actions.ProvisionService: self.provision,
            actions.AwaitService: self.await_service,
            actions.AwaitProgram: self.await_program,
            actions.RunTask: self._tasks.run,
            actions.VerifyPrograms: self.verify,
            actions.DiscardData: self.discard,
            **FilePerformers(self._tools).table(),
            **EnvironmentPerformers(self._tools, self._seen).table(),
            **SnapshotPerformers(self._tools, self._state, self._observer).table(),
            **SeedPerformers(self._tools, self._state, self._tasks.key).table(),
            **TransferPerformers(self._tools, self._state, self._observer).table(),
            **self._containers.table(),
            **MovePerformers(self._tools, self._state, trash_name(self._tools, "moved")).table(),
        }

    # --- supervisord -------------------------------------------------------------------------------------------------

    def reap(self, action: actions.ReapOrphans, report: Report) -> None:
        self._supervisor.reap(action.orphans, self._stops)

    def start_supervisor(self, action: actions.StartSupervisor, report: Report) -> None:
        self._supervisor.start(self._state.base)

    def reload_supervisor(self, action: actions.ReloadSupervisor, report: Report) -> None:
        self._supervisor.reload()

    def stop_supervisor(self, action: actions.StopSupervisor, report: Report) -> None:
        self._supervisor.shutdown(self._stops)
        self._system.remove_tree(Path(self._state.sockets))

    # --- services ----------------------------------------------------------------------------------------------------

    def fetch(self, action: actions.FetchServer, report: Report) -> None:
        service = action.service
        kind = kind_of(service, self._profile.services[service])
        declared = self._profile.services[service].kind or service
        self._tools.servers.fetch(
            declared, kind, self._seen.choices[service], report.say, consent=self._consent
        )

    def prepare(self, action: actions.PrepareData, report: Report) -> None:
        service = self._state.services[action.service]
        if service.runtime == "docker":
            self._containers.prepare(service)
            return
        generation = self._tools.moving.get(action.service, "")
        self._tools.native.prepare(service.instance, service.server, programs.native_form(service), generation)

    def provision(self, action: actions.ProvisionService, report: Report) -> None:
        service = self._state.services[action.service]
        kind = kind_of(action.service, service.instance.declaration)
        deadline = self._system.monotonic() + _SERVICE_GRACE
        while True:
            try:
                # in slices, so that a server that has died is noticed long before the deadline
                made = kind.provision(service.instance, 2.0)
                break
            except ProcessError as error:
                report.ensure_wanted()
                self._check_alive(action.service, str(error))
                if service.runtime == "docker" and self._containers.repair(service, error):
                    continue
                if self._system.monotonic() > deadline:
                    raise self._with_log(error, action.service) from None
        if made:
            report.say(", ".join(made))
        if service.has_data and any(thing.startswith("database") for thing in made):
            # data that was there is gone: what was done with it has to be done again
            token = f"+{int(self._system.now() * 1000):x}"
            self._tools.store.update(lambda record: record.with_entry("generations", action.service, token))

    def await_service(self, action: actions.AwaitService, report: Report) -> None:
        service = self._state.services[action.service]
        ready = getattr(service.instance.declaration, "ready", None)
        grace = ready.grace if ready is not None else _SERVICE_GRACE
        last = Probe(False, "not asked yet")

        def answered() -> bool:
            nonlocal last
            last = self._readiness.inside.service(action.service, 2.0)
            if not last.ok:
                report.say(last.detail)
                self._check_alive(action.service, last.detail)
                report.ensure_wanted()
            return last.ok

        if not self._system.until(answered, grace, _POLL):
            raise self._with_log(
                ProcessError(
                    "service-not-ready", f"{action.service} did not answer within {grace:.0f} s",
                    why=last.detail, fix=f"devstack logs {action.service}",
                ),
                action.service,
            )
        if service.runtime == "docker":
            self._containers.note_ready(action.service)
            if action.service not in self._tools.moving:
                self._containers.hand_over(service)

    # --- programs ----------------------------------------------------------------------------------------------------

    def start(self, action: actions.StartProgram, report: Report) -> None:
        name = action.program
        if self._supervisor.has_come_back(name):
            # supervisord has started it again since it was seen dead: no leftover, and a start that counts as a death
            self._supervisor.stop_program(name, self._grace(name))
        if action.service:
            service = self._state.services[action.service]
            for cleared in self._tools.native.before_start(
                service.instance, service.server, programs.native_form(service)
            ):
                report.say(cleared)
        else:
            self._ensure_command(name)
        self._clear_the_way(name)
        self._supervisor.start_program(name)

    def release(self, action: actions.ReleaseProgram, report: Report) -> None:
        self._ensure_command(action.program)
        self._clear_the_way(action.program)

    def stop_foreground(self, action: actions.StopForeground, report: Report) -> None:
        sign, grace = self._stops.get(action.program, ("TERM", 10.0))
        identity = Identity(action.running.pid, action.running.start)
        for number, seconds in ((signal.Signals[f"SIG{sign}"], grace), (signal.SIGKILL, 5.0)):
            self._system.signal(identity, number)
            if self._system.until(lambda: not self._system.is_alive(identity), seconds):
                return

    def stop(self, action: actions.StopProgram, report: Report) -> None:
        self._supervisor.stop_program(action.program, self._grace(action.program))

    def await_program(self, action: actions.AwaitProgram, report: Report) -> None:
        name, process = action.program, action.process
        if self._processes[process].ready is None and self._settle(name, process, report):
            return
        grace, began, last = self._readiness.grace(process), self._system.monotonic(), ReplicaState(False)

        def is_over() -> bool:
            nonlocal last
            now = self._check_alive(name, last.reason)
            before, last = last, self._readiness.check(process, name, now)
            if last.ready:
                life = now.life("" if now.container else self._supervisor.run) if now else None
                self._tools.store.update(lambda record: record.with_entry("ready", name, life))
                return True
            if last.reason != before.reason:
                report.say(last.reason)
            report.ensure_wanted()
            return last.is_refused and self._system.monotonic() - began > _REFUSED

        self._system.until(is_over, grace, _POLL)
        if not last.ready:
            waited = min(grace, self._system.monotonic() - began)
            what, fix = f"{name} was not ready within {waited:.0f} s", f"devstack logs {name}"
            error = ProcessError("process-not-ready", what, why=last.reason, fix=fix)
            raise self._with_log(self._explained(error, name), name)

    def _settle(self, name: str, process: str, report: Report) -> bool:
        """Wait until it has lived as long as it must, which the kernel knows. False where it has ended meanwhile, or
        nobody can know but supervisord."""
        settle, before = self._processes[process].must_live, 0.0
        while (lived := self._lived(name)) is not None and lived < settle:
            if lived < before:
                # another process by now: supervisord knows how often it has died
                return False
            before = lived
            report.ensure_wanted()
            self._system.pause(min(settle - lived, _GLANCE))
        return lived is not None

    def _lived(self, name: str) -> float | None:
        return self._containers.lived(name) if self._is_contained(name) else self._supervisor.lived(name)

    def verify(self, action: actions.VerifyPrograms, report: Report) -> None:
        """Each has lived as long as it must, whatever its check said before, and all are those that were started."""
        for name in action.programs:
            if name in self._owners:
                self._settle(name, self._owners[name], report)
        for name in action.programs:
            now = self._check_alive(name, "it had been ready")
            if now is None or now.restarts or not (now.is_running or now.has_ended_well):
                why = "it is gone" if now is None else now.reason or "it was started again"
                what, fix = f"{name} died after it had been ready", f"devstack logs {name}"
                raise self._death(ProcessError("process-died", what, why=why, fix=fix), name, now)

    # --- data --------------------------------------------------------------------------------------------------------

    def discard(self, action: actions.DiscardData, report: Report) -> None:
        trash = self._system.private_folder(trash_name(self._tools, "data"))
        data = self._tools.project.folder / "data"
        if data.exists():
            self._system.move(data, trash / "data")
        trash_volumes(self._system, trash, self._containers.volumes())
        note_record(self._system, trash, self._tools.store.load())
        self._containers.forget_builds()
        forgotten = replace(
            self._tools.store.load(), tasks={}, owed={}, generations={}, runtimes={}, volumes={}, branch="", pending=""
        )
        self._tools.store.update(lambda record: forgotten)

    # --- what several of them ask -------------------------------------------------------------------------------------

    def _grace(self, program: str) -> float:
        """Seconds within which supervisord has ended a program, one way or the other."""
        return self._stops.get(program, ("TERM", 10.0))[1] + 10

    @functools.cached_property
    def _stops(self) -> dict[str, tuple[SignalName, float]]:
        """How each program is stopped, as its supervisord was told: the profile may say something else by now."""
        return stops_of(self._system.read(Path(programs.layout(self._state).config)) or "")

    def _check_alive(self, name: str, said: str) -> ProgramState | None:
        """The program as it is now. Raises ProcessError when it is clear that it won't make it."""
        now = self._now(name)
        if now is None:
            return None
        owner = self._processes.get(self._owners.get(name, ""))
        may_end = now.has_ended_well and owner is not None and owner.restart != "always"
        again = f"it has ended {now.restarts} times" if now.restarts >= _DEATHS else ""
        error = ProcessError(
            "process-died", f"{name} does not stay up", why=now.reason or again or said or f"it is {now.phase}",
            fix=f"devstack logs {name}",
        )
        if may_end:
            if self._in_background(name, now):
                raise self._death(error, name, now)
        elif now.phase in ("fatal", "exited", "stopped") or now.restarts >= _DEATHS:
            raise self._death(error, name, now)
        return now

    def _now(self, name: str) -> ProgramState | None:
        return self._containers.state(name) if self._is_contained(name) else self._supervisor.program(name, _POLL)

    def _is_contained(self, name: str) -> bool:
        service, process = self._state.services.get(name), self._processes.get(self._owners.get(name, ""))
        return service.runtime == "docker" if service else process is not None and process.is_contained

    def _in_background(self, name: str, now: ProgramState | None) -> tuple[Orphan, ...]:
        if self._is_contained(name):
            return ()
        place = programs.layout(self._state)
        return orphans.in_background(self._system, place, name, now.pid if now else None)

    def _death(self, error: ProcessError, name: str, now: ProgramState | None) -> ProcessError:
        """The error for a program that died. What it left in the background is ended: else each try would add one."""
        if self._is_contained(name) and (refusal := self._containers.refusal(name)):
            raise refusal
        left = self._in_background(name, now)
        if not left:
            self._ensure_not_outrun(name)
            error = self._explained(error, name, 1 + self._supervisor.restarts(name))
            words = () if self._is_contained(name) else self._supervisor.dying_lines(name, _LINES)
            error.evidence = error.evidence or words
            return self._with_log(error, name)
        last = self._supervisor.last_lines(name, _LINES - 1)
        self._supervisor.stop_program(name, 10.0)
        return ProcessError(
            "process-daemonized", f"{name} goes to the background, where nobody can look after it",
            why=f"its command ended with status 0 and left {len(left)} running, which were ended",
            fix=f"take its option for that (`-d`, `--daemon`, `--detach`, `&`) out of `run` of {name} in devstack.toml",
            evidence=(*last, f"it left pid {left[0].pid}: {left[0].command[:200]}"),
        )

    def _ensure_not_outrun(self, name: str) -> None:
        """Somebody may have taken the port between the look at it and the program's own try to listen."""
        ports = {} if self._is_contained(name) else programs.ports_of(self._state, name)
        for port_name, port in ports.items():
            holder = None if self._system.is_port_free(port) else self._system.port_holder(port)
            if holder and holder.pid and self._system.variables(holder.pid).get("DEVSTACK_STACK") != self._state.stack:
                fixed = programs.is_fixed(self._profile, port_name)
                raise port_taken(port_name, port, str(holder), fixed=fixed)

    def _explained(self, error: ProcessError, program: str, runs: int = 1) -> ProcessError:
        """With what is wrong, where the last lines of its log say it. runs: processes that it had so far."""
        lines = self._last_lines(program, _SEARCHED, runs)
        cause = last_words.cause(lines)
        texts = lines if program in self._state.services else ()
        if said := said_by_a_server(self._profile.services, cause or "\n".join(texts)):
            error.why, error.fix = said
        elif cause:
            error.why = f"{cause} ({error.why})"
            error.fix = last_words.fix(cause, system_packages.machine(self._system)) or error.fix
        return error

    def _with_log(self, error: ProcessError, program: str) -> ProcessError:
        error.evidence = error.evidence or self._last_lines(program, _LINES)
        return error

    def _last_lines(self, program: str, count: int, runs: int = 1) -> tuple[str, ...]:
        if self._is_contained(program):
            return self._containers.last_lines(program, count)
        return self._supervisor.last_lines(program, count, runs)

    def _ensure_free(self, port_name: str, port: int) -> None:
        # the one before may have gone this very moment: its socket goes with it
        if self._system.until(lambda: self._system.is_port_free(port), 2.0, 0.02):
            return
        fixed = programs.is_fixed(self._profile, port_name)
        raise port_taken(port_name, port, str(self._system.port_holder(port)), fixed=fixed)

    def _clear_the_way(self, program: str) -> None:
        for port_name, port in programs.ports_of(self._state, program).items():
            self._ensure_free(port_name, port)
        self._system.private_folder(Path(self._state.sockets) / program)
        if self._profile.home == "private":
            self._system.private_folder(self._tools.project.folder / "home")

    def _ensure_command(self, program: str) -> None:
        name = self._owners[program]
        if name not in self._profile.processes:
            # devstack's own: what runs it is what runs this
            return
        process = self._profile.processes[name]
        number = dict(graph.programs_of(name, process))[program]
        self._tools.files.inside(process.cwd)
        resolved = programs.command(self._profile, self._state, process, program, number)
        ensure_executable(self._system, f"process {name}", resolved)
