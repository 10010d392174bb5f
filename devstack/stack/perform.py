"""What each action does. One method per action; the executor calls them, from several threads at once."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from devstack import plan, programs
from devstack.errors import ConflictError, ProcessError, UsageError
from devstack.executor import Performer, Report
from devstack.plan import Action
from devstack.profile import graph
from devstack.profile.interpolation import resolve
from devstack.profile.model import SignalName
from devstack.profile.references import ensure_defined
from devstack.python_env import Observed
from devstack.render import reveal, stops_of
from devstack.services import Probe, kind_of, said_by_a_server
from devstack.stack.observe import Observer, Seen, Tools
from devstack.stack.readiness import Readiness
from devstack.stack.sources import fields
from devstack.stack.tasks import marked
from devstack.state import ProgramState
from devstack.system import Identity

_POLL = 0.05
_SERVICE_GRACE = 120.0
#: a program that has died this often since its start isn't going to make it
_DEATHS = 2
_LINES = 12


class Performers:
    """The actions of `up` and `down` on one stack. observer: looks at data again after it was made. consent: servers
    that only the system's package manager has may be installed with it."""

    def __init__(self, tools: Tools, seen: Seen, observer: Observer, *, consent: bool = False) -> None:
        self._tools = tools
        self._system = tools.system
        self._profile = tools.profile
        self._seen = seen
        self._state = seen.state
        self._supervisor = seen.supervisor
        self._observer = observer
        self._consent = consent
        self._readiness = Readiness(tools.system, seen.supervisor, tools.profile, seen.state)

    def table(self) -> Mapping[type[Action], Performer]:
        return {
            plan.ReapOrphans: self.reap,
            plan.WriteFiles: self.write,
            plan.MakePaths: self.make,
            plan.CreateEnvironment: self.create_environment,
            plan.InstallPackages: self.install_packages,
            plan.LinkEnvironment: self.link_environment,
            plan.FetchServer: self.fetch,
            plan.PrepareData: self.prepare,
            plan.StartSupervisor: self.start_supervisor,
            plan.ReloadSupervisor: self.reload_supervisor,
            plan.StopSupervisor: self.stop_supervisor,
            plan.StartProgram: self.start,
            plan.StopProgram: self.stop,
            plan.ReleaseProgram: self.release,
            plan.StopForeground: self.stop_foreground,
            plan.ProvisionService: self.provision,
            plan.AwaitService: self.await_service,
            plan.AwaitProgram: self.await_program,
            plan.RunTask: self.run_task,
            plan.VerifyPrograms: self.verify,
            plan.DiscardData: self.discard,
        }

    # --- files and environment ---------------------------------------------------------------------------------------

    def write(self, action: plan.WriteFiles, report: Report) -> None:
        for file in action.files:
            self._system.private_folder(Path(file.path).parent)
            self._system.write(Path(file.path), file.content, file.mode)

    def make(self, action: plan.MakePaths, report: Report) -> None:
        root = self._tools.project.root
        lookup = programs.lookup(self._profile, self._state)
        for name in action.paths:
            declared, path = self._profile.files[name], root / name
            mode = int(declared.mode, 8) if declared.mode else None
            if declared.directory:
                self._system.folder(path, mode or 0o755)
                continue
            text = self._system.read(root / declared.template) if declared.template else ""
            if text is None:
                raise UsageError(
                    "template-missing", f"{name} can't be made", why=f"its template {declared.template} is not there",
                    fix=f'template = "…" below [files."{name}"]',
                )
            ensure_defined(self._profile, declared.template or name, text, fields())
            self._system.folder(path.parent, 0o755)
            self._system.write(path, reveal(resolve(text, lookup)), mode or 0o600)

    def create_environment(self, action: plan.CreateEnvironment, report: Report) -> None:
        self._tools.python.create(self._environment())

    def install_packages(self, action: plan.InstallPackages, report: Report) -> None:
        for warning in self._tools.python.install(self._environment(), report.say):
            report.tell(warning)
        self._tools.python.verify(self._environment())

    def link_environment(self, action: plan.LinkEnvironment, report: Report) -> None:
        self._tools.python.link(self._environment())

    def _environment(self) -> Observed:
        if self._seen.python is None:
            raise LookupError("a plan with steps for the environment comes from a full observation")
        return self._seen.python

    # --- supervisord -------------------------------------------------------------------------------------------------

    def reap(self, action: plan.ReapOrphans, report: Report) -> None:
        self._supervisor.reap(action.orphans, self._stops())

    def start_supervisor(self, action: plan.StartSupervisor, report: Report) -> None:
        self._supervisor.start(self._state.base)

    def reload_supervisor(self, action: plan.ReloadSupervisor, report: Report) -> None:
        self._supervisor.reload()

    def stop_supervisor(self, action: plan.StopSupervisor, report: Report) -> None:
        self._supervisor.shutdown(self._stops())
        self._system.remove_tree(Path(self._state.sockets))

    # --- services ----------------------------------------------------------------------------------------------------

    def fetch(self, action: plan.FetchServer, report: Report) -> None:
        service = action.service
        kind = kind_of(service, self._profile.services[service])
        declared = self._profile.services[service].kind or service
        self._tools.servers.fetch(
            declared, kind, self._seen.choices[service], report.say, consent=self._consent
        )

    def prepare(self, action: plan.PrepareData, report: Report) -> None:
        service = self._state.services[action.service]
        self._tools.native.prepare(service.instance, service.server, programs.native_form(service))

    def provision(self, action: plan.ProvisionService, report: Report) -> None:
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
                if self._system.monotonic() > deadline:
                    raise self._with_log(error, action.service) from None
        if made:
            report.say(", ".join(made))
        if service.has_data and any(thing.startswith("database") for thing in made):
            # data that was there is gone: what was done with it has to be done again
            token = f"+{int(self._system.now() * 1000):x}"
            self._tools.store.update(lambda record: record.with_entry("generations", action.service, token))

    def await_service(self, action: plan.AwaitService, report: Report) -> None:
        service = self._state.services[action.service]
        kind = kind_of(action.service, service.instance.declaration)
        last = Probe(False, "not asked yet")

        def answered() -> bool:
            nonlocal last
            last = kind.probe(service.instance, 2.0)
            if not last.ok:
                report.say(last.detail)
                self._check_alive(action.service, last.detail)
                report.ensure_wanted()
            return last.ok

        if not self._system.until(answered, _SERVICE_GRACE, _POLL):
            raise self._with_log(
                ProcessError(
                    "service-not-ready", f"{action.service} did not answer within {_SERVICE_GRACE:.0f} s",
                    why=last.detail, fix=f"devstack logs {action.service}",
                ),
                action.service,
            )

    # --- programs ----------------------------------------------------------------------------------------------------

    def start(self, action: plan.StartProgram, report: Report) -> None:
        name = action.program
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

    def release(self, action: plan.ReleaseProgram, report: Report) -> None:
        self._ensure_command(action.program)
        self._clear_the_way(action.program)

    def stop_foreground(self, action: plan.StopForeground, report: Report) -> None:
        sign, grace = self._stops().get(action.program, ("TERM", 10.0))
        identity = Identity(action.running.pid, action.running.start)
        for number, seconds in ((signal.Signals[f"SIG{sign}"], grace), (signal.SIGKILL, 5.0)):
            self._system.signal(identity, number)
            if self._system.until(lambda: not self._system.is_alive(identity), seconds):
                return

    def stop(self, action: plan.StopProgram, report: Report) -> None:
        _, grace = self._stops().get(action.program, ("TERM", 10.0))
        self._supervisor.stop_program(action.program, grace + 10)

    def await_program(self, action: plan.AwaitProgram, report: Report) -> None:
        name, process = action.program, action.process
        grace = self._readiness.grace(process)
        reason = ""

        def ready() -> bool:
            nonlocal reason
            now = self._check_alive(name, reason)
            answer = self._readiness.check(process, name, now)
            if answer.ready:
                run = self._supervisor.run
                pid = now.pid if now else None
                self._tools.store.update(lambda record: record.with_entry("ready", name, f"{pid}:{run}"))
                return True
            if answer.reason != reason:
                reason = answer.reason
                report.say(reason)
            report.ensure_wanted()
            return False

        if not self._system.until(ready, grace, _POLL):
            raise self._with_log(
                ProcessError(
                    "process-not-ready", f"{name} was not ready within {grace:.0f} s", why=reason,
                    fix=f"devstack logs {name}",
                ),
                name,
            )

    def verify(self, action: plan.VerifyPrograms, report: Report) -> None:
        for name in action.programs:
            now = self._check_alive(name, "it had been ready")
            if now is None or not now.is_running or now.restarts:
                raise self._with_log(
                    ProcessError(
                        "process-died", f"{name} died after it had been ready", why=now.reason if now else "it is gone",
                        fix=f"devstack logs {name}",
                    ),
                    name,
                )

    # --- tasks and data ----------------------------------------------------------------------------------------------

    def run_task(self, action: plan.RunTask, report: Report) -> None:
        name, task = action.task, self._profile.tasks[action.task]
        resolved = programs.command(self._profile, self._state, task)
        self._ensure_executable(f"task {name}", resolved)
        log = self._tools.project.logs / f"{name}.log"
        self._system.private_folder(log.parent)
        argv = self._system.as_user(task.user, resolved.argv)
        with marked(self._system, self._tools.project, name) as mark:
            done = self._system.run(
                argv, timeout=task.timeout, env={**resolved.revealed(), **mark}, cwd=Path(resolved.cwd), log=log,
                on_line=report.say,
            )
        if done.timed_out or done.returncode != 0:
            why = f"no end after {task.timeout:g} s" if done.timed_out else f"exit status {done.returncode}"
            fix = f"devstack run {name}"
            why, fix = said_by_a_server(self._profile.services, done.output) or (why, fix)
            raise ProcessError(
                "task-failed", f"the task {name} failed: {task.run}", why=why, fix=fix,
                evidence=done.last_lines(_LINES),
            )
        # what the task needed may have begun anew in this very run: the key is that of the data it worked on
        record = self._tools.store.load()
        state = self._observer.with_data(self._state)
        key = self._observer.task_state(state, record, name).key
        self._tools.store.update(lambda record: record.with_entry("tasks", name, key))

    def discard(self, action: plan.DiscardData, report: Report) -> None:
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(self._system.now()))
        trash = self._system.private_folder(self._tools.project.trash / f"{stamp}-data")
        data = self._tools.project.folder / "data"
        if data.exists():
            self._system.move(data, trash / "data")
        self._tools.store.update(lambda record: replace(record, tasks={}, generations={}))

    # --- what several of them ask -------------------------------------------------------------------------------------

    def _stops(self) -> dict[str, tuple[SignalName, float]]:
        """How each program is stopped, as its supervisord was told: the profile may say something else by now."""
        return stops_of(self._system.read(Path(programs.layout(self._state).config)) or "")

    def _check_alive(self, name: str, said: str) -> ProgramState | None:
        """The program as it is now. Raises ProcessError when it is clear that it won't make it."""
        now = self._supervisor.programs(_POLL).get(name)
        if now is not None and (now.phase in ("fatal", "exited", "stopped") or now.restarts >= _DEATHS):
            raise self._with_log(
                ProcessError(
                    "process-died", f"{name} does not stay up", why=now.reason or said or f"it is {now.phase}",
                    fix=f"devstack logs {name}",
                ),
                name,
            )
        return now

    def _with_log(self, error: ProcessError, program: str) -> ProcessError:
        error.evidence = error.evidence or self._supervisor.last_lines(program, _LINES)
        return error

    def _ensure_free(self, program: str, port_name: str, port: int) -> None:
        # the one before may have gone this very moment: its socket goes with it
        if self._system.until(lambda: self._system.is_port_free(port), 2.0, 0.02):
            return
        fixed = programs.is_fixed(self._profile, port_name)
        raise port_taken(port_name, port, str(self._system.port_holder(port)), fixed=fixed)

    def _clear_the_way(self, program: str) -> None:
        for port_name, port in self._state.ports.items():
            if port_name == program or port_name.startswith(f"{program}."):
                self._ensure_free(program, port_name, port)
        self._system.private_folder(Path(self._state.sockets) / program)
        if self._profile.home == "private":
            self._system.private_folder(self._tools.project.folder / "home")

    def _ensure_command(self, program: str) -> None:
        for name, process in self._profile.processes.items():
            for replica, number in graph.programs_of(name, process):
                if replica == program:
                    resolved = programs.command(self._profile, self._state, process, program, number)
                    self._ensure_executable(f"process {name}", resolved)

    def _ensure_executable(self, who: str, resolved: programs.Resolved) -> None:
        if not Path(resolved.cwd).is_dir():
            raise UsageError(
                "folder-missing", f"{who} can't run", why=f"its folder {resolved.cwd} is not there",
                fix="correct its `cwd` in devstack.toml",
            )
        word = resolved.argv[0]
        path = str(Path(resolved.cwd) / word) if "/" in word else word
        if shutil.which(path, path=resolved.revealed()["PATH"]) is None:
            raise UsageError(
                "command-missing", f"{who} can't run: {word} is not there",
                why="neither the environment nor PATH has it",
                fix=f'packages = ["{word}"] below [python], or correct `run`',
            )


def port_taken(name: str, port: int, holder: str, *, fixed: bool) -> ConflictError:
    """The port of a program is another's. fixed: the profile demands this very port."""
    return ConflictError(
        "port-taken", f"port {port} of {name} is taken", why=f"by {holder}; nothing of it was touched",
        fix=f"end that process, or change `port` of {name} in the profile" if fixed else "devstack up --new-ports",
    )
