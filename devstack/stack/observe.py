"""One observation: everything the planner may know of one stack, read off the machine."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from devstack import programs, project_files
from devstack.detect.python_inputs import environment_key
from devstack.detect.scrub import plain
from devstack.keeping import reset_to
from devstack.planner import digest
from devstack.profile import graph
from devstack.profile.model import Ask, CommandCheck, Generate, Task
from devstack.profile.secret import Secret
from devstack.python_env import Observed
from devstack.registry import Entry, Wish
from devstack.render import RenderedFile
from devstack.runtimes.engine_answers import Look
from devstack.runtimes.servers import Choice
from devstack.services import ports_of
from devstack.snapshots import Snapshots
from devstack.stack import branching, seeding
from devstack.stack.contained_readiness import ContainedReadiness
from devstack.stack.containers import look, trashed_volumes
from devstack.stack.declared_files import with_env_files, with_files
from devstack.stack.machinery import Tools
from devstack.stack.observe_contained import with_images
from devstack.stack.observe_services import ServiceObserver
from devstack.stack.parts import observe_parts
from devstack.stack.paths import Project, sockets
from devstack.stack.readiness import Readiness
from devstack.stack.store import SecretStore
from devstack.stack.tasks import left_over
from devstack.stack.terminals import on_terminals
from devstack.state import Parts, Record, ReplicaState, State, SupervisorState, TaskState
from devstack.supervisor import Supervisor
from devstack.system import System

_PROBE = 2.0
#: by program
Answers = Mapping[str, ReplicaState]
_NONE: Answers = MappingProxyType({})
Asker = Callable[[str, Ask], str | None]


@dataclass(frozen=True)
class Seen:
    """A State and what the performers need besides to act on it."""

    state: State
    python: Observed | None
    choices: Mapping[str, Choice]
    supervisor: Supervisor


class Observer:
    """keep: what chance decides is recorded (a run that will act), or only looked at (a plan that is shown)."""

    def __init__(self, tools: Tools, supervisor_for: Callable[[str], Supervisor], asker: Asker, *, keep: bool) -> None:
        self._tools = tools
        self._supervisor_for = supervisor_for
        self._asker = asker
        self._keep = keep
        self._profile = tools.profile

    def observe(self, *, light: bool = False, patience: float | None = None, known: Answers = _NONE) -> Seen:
        """light: only what runs and whether it is ready, for `status`; nothing about environment, tasks and files.
        patience: seconds for each answer, None for the usual. known: just now: commands that tell aren't run twice.

        Raises PrerequisiteError, UsageError where a full look can't say what would be needed.
        """
        tools = self._tools
        record = tools.store.load()
        supervisor = self._supervisor_for(record.stack)
        live = observe_programs(tools.system, tools.project, supervisor)
        secrets = SecretStore(tools.system, tools.project, keep=self._keep)
        ports, notes = self._lease(record)
        decided = self._decide(secrets)
        base = dict(record.base) if live.is_running and record.base else plain(tools.system.environ)
        inherited = secrets.inherited(self._profile.inherit, tools.system.environ, again=not live.is_running)
        files = self._profile.files
        missing = frozenset(path for path in files if not (tools.project.root / path).exists())
        keys = {path: secrets.key_file(path, file, is_missing=path in missing) for path, file in files.items()}
        python = None if light else tools.python.observe(self._profile.python)
        place = sockets(tools.places, record.stack)
        found = ServiceObserver(tools, record, light=light).observe(ports, secrets, str(place))
        secrets.save()
        state = State(
            stack=record.stack, root=str(tools.project.root), folder=str(tools.project.folder), sockets=str(place),
            interpreter=sys.executable,
            venv=str(python.folder if python else tools.project.root / ".venv"), base={**base, **inherited},
            supervisor=live, python=python.state if python else None, services=found.services, ports=ports,
            decided=decided, wrapper=tools.native.wrapper() if found.choices else (), missing_paths=missing,
            warnings=(*notes, *(python.warnings if python else ())), data=data_folders(tools.project),
            containers=found.look.containers, has_network=found.look.has_network, engine=found.silent,
            images=found.images, volumes=found.shared,
            written=record.written, foreground=on_terminals(tools.system, tools.project),
            keys={path: key for path, key in keys.items() if key is not None},
            parts=Parts() if light else observe_parts(tools.system, tools.project.root, self._profile.project),
        )
        state = (with_env_files if light else with_files)(self._profile, tools.files, state)
        if found.processes and not light:
            state = with_images(tools, state, found.look)
        if self._keep:
            tools.store.update(lambda r: found.recorded(replace(r, ports=ports, base=base, runtime=state.runtime)))
            self._follow(state)
        state = self._with_answers(state, record, supervisor, patience, known)
        if not light:
            state = self._with_tasks(replace(state, files=self._files(state)), record, python)
        return Seen(state, python, found.choices, supervisor)

    def _follow(self, state: State) -> None:
        """A file that holds just what would be written follows its template from now on (a run may have been killed
        between its writing and its record)."""
        found = {path: str(now) for path, now in project_files.following(self._profile, state).items()}
        self._tools.store.update(lambda record: replace(record, files={**record.files, **found}))

    # --- what chance decides -----------------------------------------------------------------------------------------

    def _lease(self, record: Record) -> tuple[dict[str, int], tuple[str, ...]]:
        wishes: dict[str, Wish] = {}
        for name, service in self._profile.services.items():
            for port, standard in ports_of(name, service).items():
                key = name if port == "main" else f"{name}.{port}"
                fixed = service.port if port == "main" else None
                wishes[key] = Wish(fixed or standard, fixed=fixed is not None)
        for name, process in self._profile.processes.items():
            for key in programs.port_names(name, process):
                program, _, port = key.partition(".")
                fixed = process.port if not port else None
                first = graph.programs_of(name, process)[0][0]
                wished = process.ports[port] if port else fixed or 8000
                wishes[key] = Wish(wished, fixed=fixed is not None and program == first)
        tools = self._tools
        entry = Entry(
            record.stack, self._profile.name, str(tools.project.root), record.runtime or "native", dict(record.ports),
            tools.system.now(),
        )
        leases = tools.registry.lease(entry, wishes, keep=self._keep)
        outgoing = tools.system.outgoing_ports()
        risky = tuple(
            f"{name} wants port {wish.port}: the system gives {outgoing[0]} to {outgoing[-1]} to outgoing connections, "
            "so it may be taken at any time"
            for name, wish in wishes.items() if wish.fixed and wish.port in outgoing
        )
        return dict(leases.ports), (*leases.notes, *risky)

    def _decide(self, secrets: SecretStore) -> dict[str, str | Secret]:
        return {
            name: secrets.value(name, value, self._asker)
            for name, value in self._profile.env.items() if isinstance(value, Generate | Ask)
        }

    # --- what runs ---------------------------------------------------------------------------------------------------

    def _with_answers(
        self, state: State, record: Record, supervisor: Supervisor, patience: float | None, known: Answers
    ) -> State:
        """Ask every program that runs, all at the same time."""
        inside = ContainedReadiness(
            self._tools.containers, self._profile, state, record.ready, is_trusted=self._tools.is_trusted
        )
        readiness = Readiness(self._tools.system, supervisor, self._profile, state, inside, patience)
        live = state.live
        with ThreadPoolExecutor(16) as pool:
            probes = {
                name: pool.submit(inside.service, name, patience or _PROBE)
                for name in state.services if (now := live.get(name)) and now.is_running
            }
            asked = {
                program: pool.submit(self._replica, readiness, record, name, program, state.supervisor)
                for name, process in programs.processes(self._profile).items()
                for program, _ in graph.programs_of(name, process)
                if not (program in known and isinstance(process.ready, CommandCheck))
            }
            services = {
                name: replace(service, probe=probes[name].result()) if name in probes else service
                for name, service in state.services.items()
            }
            replicas = {**known, **{program: answer.result() for program, answer in asked.items()}}
        return replace(state, services=services, replicas=replicas)

    def _replica(
        self, readiness: Readiness, record: Record, process: str, program: str, live: SupervisorState
    ) -> ReplicaState:
        declared = programs.processes(self._profile)[process]
        if declared.is_contained:
            return readiness.check(process, program, readiness.state.containers.get(program))
        now = live.programs.get(program)
        if isinstance(declared.ready, CommandCheck) and not self._tools.is_trusted:
            return ReplicaState(False, "its check isn't run: the project is not trusted")
        seen = now is not None and now.pid is not None and record.ready.get(program) == now.life(live.run)
        # a log line has been seen once for this very process: that doesn't go away
        if now is not None and now.is_running and seen and hasattr(declared.ready, "log"):
            return ReplicaState(True)
        return readiness.check(process, program, now)

    def generations(self) -> dict[str, str]:
        """Of each service's data as it is now."""
        record, secrets = self._tools.store.load(), SecretStore(self._tools.system, self._tools.project, keep=False)
        ports, _ = self._lease(record)
        place = sockets(self._tools.places, record.stack)
        found = ServiceObserver(self._tools, record, light=True).observe(ports, secrets, str(place))
        return {name: service.generation for name, service in found.services.items()}

    def generation(self, name: str) -> str:
        """Of a service's data as it is now, without what was made again since it began."""
        return self.generations()[name].partition("+")[0]

    def with_data(self, state: State) -> State:
        """The state with its services' data looked at again: a run may have begun some anew."""
        record = self._tools.store.load()
        services = {}
        for name, service in state.services.items():
            if service.runtime == "docker":
                services[name] = service
                continue
            form = programs.native_form(service)
            data = self._tools.native.data_state(service.instance, service.server, form)
            services[name] = replace(service, generation=f"{data.generation}{record.generations.get(name, '')}")
        return replace(state, services=services)

    def task_state(self, state: State, record: Record, name: str) -> TaskState:
        """Whether a task's inputs, command, environment and data are those of its last success."""
        task = self._profile.tasks[name]
        services = [need for need in graph.all_needs(self._profile, name) if need in state.services]
        data = [f"{service}:{state.services[service].generation}" for service in sorted(services)]
        rest = [task.run, task.cwd, str(task.shell), *(f"{k}={v}" for k, v in sorted(task.env.items()))]
        if task.inputs or not services:
            rest.append(state.python.wanted if state.python else "")
        rest.append(self._inputs(task))
        halves = (hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16] for parts in (data, rest))
        missing = self._tools.system.missing(self._tools.project.root, task.outputs)
        return TaskState(".".join(halves), record.tasks.get(name, ""), missing, record.owed.get(name, ""))

    def with_tasks(self, state: State, record: Record) -> State:
        """What is done by a record, and what that says of the data's branch."""
        state = replace(state, tasks={name: self.task_state(state, record, name) for name in self._profile.tasks})
        return replace(state, branch=branching.observed(self._tools, record, state))

    def _with_tasks(self, state: State, record: Record, python: Observed | None) -> State:
        """What is done, and what data of other stacks could do."""
        state = self.with_tasks(state, record)
        if reset_to(self._profile):
            known = Snapshots(self._tools.system, self._tools.project.snapshots).known()
            state = replace(state, snapshots=known)
        if not seeding.is_due(self._tools, state):
            return state
        # keys that are the same wherever the project is: those of environments aren't
        packages = environment_key(python.plan, python.interpreter.version, "") if python else ""
        there = replace(state, python=replace(state.python, wanted=packages) if state.python else None)
        tasks = {name: self.task_state(there, record, name) for name in state.tasks}
        return replace(state, seeding=seeding.observe(self._tools, replace(there, tasks=tasks)))

    def _inputs(self, task: Task) -> str:
        found = hashlib.sha256()
        for path in self._tools.system.matching(self._tools.project.root, task.inputs):
            found.update(f"{path.relative_to(self._tools.project.root)}\0".encode())
            found.update(hashlib.sha256(path.read_bytes()).digest())
        return found.hexdigest()

    def _files(self, state: State) -> dict[str, str]:
        """Digests of the generated files that are on disk now."""
        place = programs.layout(state)
        names = [program.name for program in programs.all_programs(self._profile, state)]
        found = {}
        for path in (place.procfile, place.config, place.watch, *(place.script(name) for name in names)):
            content = self._tools.system.read_bytes(Path(path))
            if content is not None:
                mode = self._tools.system.mode(Path(path))
                found[path] = digest(RenderedFile(path, content.decode(errors="surrogateescape"), mode))
        return found


def observe_running(tools: Tools, supervisor: Supervisor, stack: str) -> Seen:
    """What runs, without a profile: enough to take everything down, whatever became of the profile."""
    project, record = tools.project, tools.store.load()
    is_contained = "docker" in record.runtimes.values()
    seen, silent = look(tools.containers, stack) if is_contained else (Look(), "")
    trashed = trashed_volumes(tools.system, project)
    volumes = {one.service for one in seen.volumes if one.name not in trashed}
    state = State(
        stack=stack, root=str(project.root), folder=str(project.folder), sockets=str(sockets(tools.places, stack)),
        venv="", base={}, supervisor=observe_programs(tools.system, project, supervisor),
        data=tuple(sorted({*data_folders(project), *seen.services, *volumes})),
        containers=seen.containers, has_network=seen.has_network, engine=silent,
        foreground=on_terminals(tools.system, project),
    )
    return Seen(state, None, {}, supervisor)


def observe_programs(system: System, project: Project, supervisor: Supervisor) -> SupervisorState:
    """What supervisord says, and everything of the stack that nobody owns any more."""
    live = supervisor.observe()
    return replace(live, orphans=(*live.orphans, *left_over(system, project)))


def data_folders(project: Project) -> tuple[str, ...]:
    """Names of the services that have a data folder."""
    data = project.folder / "data"
    return tuple(sorted(path.name for path in data.iterdir() if path.is_dir())) if data.is_dir() else ()
