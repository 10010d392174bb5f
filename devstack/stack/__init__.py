"""Stack: the façade that the command line uses. Observes, plans, shows, executes; keeps no state of its own."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from devstack import system_packages
from devstack.actions import InstallPackages, StartProgram
from devstack.bytecode import Bytecode
from devstack.errors import DevstackError, UsageError
from devstack.evidence import TICK
from devstack.executor import Event, Executor, Journal, Listener, Outcome
from devstack.layout import Layout
from devstack.plan import Down, Goal, Plan, Up
from devstack.planner import build, completion, down
from devstack.profile.model import Profile
from devstack.python_env import PythonEnvironments
from devstack.registry import Entry, Registry
from devstack.resources import shared
from devstack.room import shortage
from devstack.runtimes.native import Native
from devstack.runtimes.servers import Servers
from devstack.snapshots import Snapshots
from devstack.stack import branching, guards, moving, seeding
from devstack.stack.containers import Containers
from devstack.stack.exposure import exposed
from devstack.stack.gate import Gate
from devstack.stack.inputs import Inputs
from devstack.stack.machinery import Tools
from devstack.stack.observe import Observer, Seen, observe_running
from devstack.stack.observe_services import ensure_placed, placing_of
from devstack.stack.options import Asker, Options, Run
from devstack.stack.parts import ensure_reachable, observe_parts, performers
from devstack.stack.paths import Project, places, sockets
from devstack.stack.perform import Performers
from devstack.stack.recalling import foreseen
from devstack.stack.sources import Found, read_profile, scale_layer, setting_layers
from devstack.stack.standing import Look, Standing
from devstack.stack.status import Status, status_of
from devstack.stack.store import RecordStore, held, holder, make_private
from devstack.stack.trusting import Request
from devstack.stack.unfinished import unfinished
from devstack.state import Record
from devstack.supervisor import Supervisor
from devstack.system import System
from devstack.trust import TrustStore


class Stack:
    """One project's stack on this machine."""

    def __init__(self, system: System, root: Path, options: Options) -> None:
        self.system = system
        self.project = Project(root)
        system.distrust(root)
        self._options = options
        self._places = places(system)
        self._registry = Registry(system, self._places.state)
        self._store = RecordStore(system, self.project, self._registry)
        trusted = TrustStore(system, self._places.state)
        self.gate = Gate(system, trusted, options, lambda: (self.found, self.inputs, self._store.load()))
        self._found: Found | None = None
        self._inputs: Inputs | None = None
        self._standing = Standing(system, self.project)
        self.containers = Containers(system)
        self._is_held = False
        #: of the runs made by this object
        self.journals: list[Path] = []

    # --- what there is -----------------------------------------------------------------------------------------------

    @property
    def found(self) -> Found:
        """The profile and where it came from. Raises ProfileError, UsageError."""
        if self._found is None:
            with self._standing.reading():
                found = self._read_profile(self._store.load().scale)
            self._found = replace(found, is_given=bool(self._options.profile))
        return self._found

    def _read_profile(self, scale: Mapping[str, int]) -> Found:
        given = self._options.profile or self._store.load().profile
        above = setting_layers(self.system.environ, self._options.runtime)
        return read_profile(self.project.root, given, (*scale_layer(scale), *above))

    @property
    def profile(self) -> Profile:
        return self.found.loaded.profile

    def observe(self, *, light: bool = False, patience: float | None = None) -> Seen:
        """What exists now; changes nothing. light: only what runs, and whether it is ready. patience: s an answer."""
        return self._observer(self.tools_for(self.profile), keep=False).observe(light=light, patience=patience)

    def status(self) -> Status:
        seen = self.observe(light=True)
        found = status_of(self.profile, seen.state, self.found.path)
        return replace(found, busy=holder(self.system, self.project), shortage=shortage(str(self.project.folder)))

    def plan(self, goal: Goal) -> Plan:
        """What would be done; changes nothing."""
        if isinstance(goal, Down):
            return down(self.running().state, goal)
        try:
            ensure_placed(self.tools_for(self.profile), self._store.load(), goal.names)
            return self.planned(self.observe(), goal)
        except UsageError as error:
            # what can't be understood yet may be in what is missing
            if (missing := self._missing(goal)).is_empty:
                raise
            return replace(missing, warnings=(f"the rest can be planned once that is done: {error}",))

    def supervisor(self) -> Supervisor:
        return self._supervisor(self._store.load().stack)

    def scaled(self, scale: Mapping[str, int]) -> Profile:
        """The profile as it would be with these numbers of replicas. Raises ProfileError."""
        return self._read_profile(scale).loaded.profile

    def generations(self) -> dict[str, str]:
        """The generation of each service's data, by its name."""
        return self._observer(self.tools_for(self.profile), keep=False).generations()

    @property
    def scale(self) -> Mapping[str, int]:
        """What `devstack scale` has kept: replicas by process."""
        return self._store.load().scale

    # --- what is done ------------------------------------------------------------------------------------------------

    def up(self, goal: Up, listener: Listener, show: Callable[[Plan], None]) -> Run:
        """Converge to the goal: hold the stack, observe, plan, execute. show: is handed the plan before anything runs
        and may raise to stop.

        Raises BusyError, NotTrustedError, ConflictError and whatever its first failing step raises.
        """
        self.ensure_trusted()
        with self.hold():
            make_private(self.system, self.project, self._places)
            if self._options.profile:
                self._store.update(lambda record: replace(record, profile=self.found.path))
            if self._options.new_ports:
                self._release_ports()
            if (missing := self._missing(goal)).steps:
                ensure_reachable(missing, offline=self._options.offline)
                show(missing)
                executor = Executor(
                    self.system, performers(self.system, self.project.root), listener, self._journal("checkout")
                )
                executor.execute(missing)
            moving = self._copy_out(listener, show) if self._options.move_data else {}
            goal = replace(goal, load=frozenset(moving)) if moving else goal
            snapshots = Snapshots(self.system, self.project.snapshots)
            if first := self._half_filled(goal) or unfinished(snapshots, self.profile, goal):
                self._converge(first, {}, listener, show)
            return self._converge(goal, moving, listener, show)

    def _converge(
        self, goal: Up, moving: Mapping[str, str], listener: Listener, show: Callable[[Plan], None]
    ) -> Run:
        tools = replace(self.tools_for(self.profile), moving=moving)
        ensure_placed(tools, self._store.load(), goal.names)
        observer = self._observer(tools, keep=True)
        with self._standing.looking() as notes:
            seen = observer.observe()
            wanted = foreseen(tools, observer, seen.state, goal) if goal.restore else seen.state
            plan = self.planned(replace(seen, state=wanted), goal)
        self._remember(seen)
        system_packages.ensure(seen.state.python)
        show(plan if self._options.verbose else self._news(plan))
        self._store.update(lambda record: replace(record, told=dict.fromkeys(sorted(plan.lasting), "")))
        guards.ensure_usable(plan, tools, seen)
        guards.ensure_possible(plan, tools, seen, offline=self._options.offline)
        consent = guards.has_consent(seen, self._options)
        outcome = self._execute(plan, Performers(tools, seen, observer, consent=consent), listener)
        if goal.start and not (goal.names or goal.calm):
            branching.remember(tools, wanted.branch)
        if outcome.events:
            status = self._last_look()
        else:
            status = status_of(self.profile, seen.state, self.found.path)
            if plan.is_empty and not goal.names and goal.start:
                self._standing.remember(Look(self.profile, seen.state, status, notes, notes, plan.warnings))
        done = {type(event.step.action) for event in outcome.events}
        if InstallPackages in done and seen.python:
            tools.bytecode.keep(seen.python.folder)
        return Run(outcome, status, exposed(self.system, self.layout()) if StartProgram in done else ())

    def _half_filled(self, goal: Up) -> Up | None:
        """What brings to its end what was put in by a run that was killed: a limited goal would leave it as it is."""
        return Up(tuple(self.profile.services)) if goal.names and seeding.marker(self.project).exists() else None

    def _last_look(self) -> Status:
        """How the stack is after a run. Where nothing is left to do, later commands needn't look for themselves."""
        # what this run has written must be older than the look, as clocks of file systems go
        self.system.pause(TICK)
        with self._standing.looking() as glance:
            seen = self._observer(self.tools_for(self.profile), keep=False).observe(light=True)
            status = status_of(self.profile, seen.state, self.found.path)
        if status.stack.state == "up":
            with self._standing.looking() as whole:
                observer = self._observer(self.tools_for(self.profile), keep=False)
                plan = self.planned(seen := observer.observe(known=seen.state.replicas), Up())
            if plan.is_empty:
                status = status_of(self.profile, seen.state, self.found.path)
                self._standing.remember(Look(self.profile, seen.state, status, whole, glance, plan.warnings))
        return status

    def _copy_out(self, listener: Listener, show: Callable[[Plan], None]) -> dict[str, str]:
        """Copy the data of all services that aren't where it is; the generation of each one's, by its name. Everything
        ends first, so that nobody writes behind the copy."""
        tools, record = self.tools_for(self.profile), self._store.load()
        if not (misplaced := placing_of(tools).misplaced(record)):
            return {}
        self._take_down(Down(), listener, show)
        before = moving.as_before(self.profile, {name: source for name, (source, _) in misplaced.items()})
        tools = replace(tools, profile=before)
        observer = self._observer(tools, keep=True)
        seen = observer.observe()
        names = tuple(misplaced)
        plan = build(before, seen.state, Up(names, name="copy", dump=frozenset(names)), self._template)
        show(plan)
        self._execute(plan, Performers(tools, seen, observer), listener)
        generations = {name: observer.generation(name) for name in names}
        moving.clear_the_way(tools, {name: (target, generations[name]) for name, (_, target) in misplaced.items()})
        return generations

    def down(self, goal: Down, listener: Listener, show: Callable[[Plan], None]) -> Outcome:
        """Stop everything, whatever became of the profile. Raises BusyError and what its first failing step raises."""
        with self.hold():
            return self._take_down(goal, listener, show)

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Nobody else changes the stack meanwhile, however many runs it takes. Raises BusyError."""
        if self._is_held:
            yield
            return
        with held(self.system, self.project):
            # whoever held it before may have gone only now
            self._store.refresh()
            self._is_held = True
            try:
                yield
            finally:
                self._is_held = False

    @contextlib.contextmanager
    def at_work(self) -> Iterator[Tools]:
        """Hold the stack, for what is done to it without a plan. Raises BusyError."""
        with self.hold():
            yield self.tools_for(self._bare())

    def running(self) -> Seen:
        """What runs and what there is of data, whatever became of the profile."""
        return observe_running(self.tools_for(self._bare()), self.supervisor(), self._store.load().stack)

    def _take_down(self, goal: Down, listener: Listener, show: Callable[[Plan], None]) -> Outcome:
        tools, seen = self.tools_for(self._bare()), self.running()
        show(plan := down(seen.state, goal))
        self._standing.forget()
        seen.supervisor.forget_gone()
        outcome = self._execute(plan, Performers(tools, seen, self._observer(tools, keep=False)), listener)
        if seen.state.engine:
            raise self.containers.silence
        return outcome

    def _execute(self, plan: Plan, performers: Performers, listener: Listener) -> Outcome:
        if plan.is_empty:
            return Outcome((), 0.0)
        return Executor(self.system, performers.table(), listener, self._journal(plan.goal)).execute(plan)

    def is_running(self) -> bool:
        """Anything of it."""
        return self.supervisor().observe().is_running or bool(self.containers.running(self._store.load()))

    @property
    def record(self) -> Record:
        """What earlier runs have left."""
        return self._store.load()

    def keep_scale(self, scale: Mapping[str, int]) -> None:
        """From now on these processes run so often. Raises BusyError."""
        with self.hold():
            self._store.update(lambda record: replace(record, scale=dict(scale)))
        self._found = None

    def ensure_trusted(self) -> None:
        """Raises NotTrustedError where nothing of this project may run."""
        with self._standing.reading():
            request = self.gate.request()
        self.gate.ensure(request)

    def trust(self, request: Request) -> None:
        """Trust the project as it was read for this request."""
        self.gate.trust(request)
        if self._options.profile:
            with self.hold():
                make_private(self.system, self.project, self._places)
                self._store.update(lambda record: replace(record, profile=self.found.path))

    @property
    def inputs(self) -> Inputs:
        """The project's files that the profile names; each is read once."""
        if self._inputs is None:
            given = [file for file in self.found.loaded.files if file.origin == "given" and file.path]
            own = Path(given[-1].path).parent if given else None
            is_elsewhere = own is not None and not own.is_relative_to(os.path.realpath(self.project.root))
            self._inputs = Inputs(self.project.root, own if is_elsewhere else None)
        return self._inputs

    # --- parts -------------------------------------------------------------------------------------------------------

    def _missing(self, goal: Up) -> Plan:
        """How to get what the checkout lacks: only then can be seen what the stack needs."""
        return completion(observe_parts(self.system, self.project.root, self.profile.project), goal.name)

    def planned(self, seen: Seen, goal: Goal) -> Plan:
        return build(self.profile, seen.state, goal, self._template)

    @property
    def _template(self) -> str:
        return self.system.read(shared("Procfile.template")) or ""

    def _news(self, plan: Plan) -> Plan:
        """The plan without what an earlier run has told: a warning at every `up` is read by nobody."""
        told = plan.lasting & self._store.load().told.keys()
        return replace(plan, warnings=tuple(text for text in plan.warnings if text not in told))

    def remarks(self) -> tuple[str, ...]:
        """All that `up` would warn of, told before or not; nothing where it would not get so far."""
        try:
            return self.plan(Up()).warnings
        except DevstackError:
            return ()

    def _bare(self) -> Profile:
        """Stands for a profile where none is needed, or none can be read."""
        return Profile(name="stack")

    @property
    def name(self) -> str:
        """The stack's name; the folder's where the profile can't be read."""
        try:
            return self.profile.name
        except UsageError:
            return self.project.root.name

    def tools_for(self, profile: Profile) -> Tools:
        project, cache = self.project, self._places.cache
        is_whole = self._found is not None and profile is self._found.loaded.profile
        return Tools(
            system=self.system, project=project, places=self._places, profile=profile, store=self._store,
            registry=self._registry, servers=Servers(self.system, cache / "servers", offline=self._options.offline),
            native=Native(self.system, cache / "seeds"), containers=self.containers, offline=self._options.offline,
            no_seed=self._options.no_seed,
            python=PythonEnvironments(self.system, project.root, project.folder, offline=self._options.offline),
            bytecode=Bytecode(self.system, cache / "bytecode"),
            files=self.inputs if is_whole else Inputs(project.root), is_trusted=is_whole and self.gate.is_open,
        )

    def _observer(self, tools: Tools, *, keep: bool) -> Observer:
        return Observer(tools, self._supervisor, self._options.ask, keep=keep)

    def layout(self, stack: str = "") -> Layout:
        """Where everything of this stack is. stack: its id, where it is known already."""
        stack = stack or self._store.load().stack
        return Layout(stack, str(self.project.root), str(self.project.folder), str(sockets(self._places, stack)))

    def _supervisor(self, stack: str) -> Supervisor:
        return Supervisor(self.system, self.layout(stack), sys.executable)

    def _journal(self, goal: str) -> Journal:
        folder = self.system.private_folder(self.project.journal)
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(self.system.now()))
        self.journals.append(folder / f"{stamp}-{goal}-{self.system.process_id()}.jsonl")
        return Journal(self.system, self.journals[-1])

    def _release_ports(self) -> None:
        """Give up the leases whose port somebody else has taken."""
        record = self._store.load()
        programs, contained = self._supervisor(record.stack).observe().programs, self.containers.running(record)
        ports = {name: port for name, port in record.ports.items() if name.partition(".")[0] not in contained}
        taken = guards.taken(self.system, programs, ports)
        kept = {name: port for name, port in record.ports.items() if name not in taken}
        self._store.update(lambda found: replace(found, ports=kept))

    def _remember(self, seen: Seen) -> None:
        state = seen.state
        self._registry.record(
            Entry(state.stack, self.profile.name, state.root, state.runtime, dict(state.ports), self.system.now())
        )


__all__ = ["Asker", "Down", "Event", "Options", "Run", "Stack", "Up"]
