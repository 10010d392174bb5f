"""`build(profile, state, goal)`: the decisions behind every verb that changes a stack. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from devstack import branches, contained, images, keeping, project_files, watching
from devstack.actions import (
    AwaitProgram,
    AwaitService,
    CreateEnvironment,
    DumpData,
    FetchServer,
    InstallPackages,
    LinkEnvironment,
    LoadData,
    MakePaths,
    PrepareData,
    ProvisionService,
    ReapOrphans,
    ReleaseProgram,
    ReloadSupervisor,
    RunTask,
    StartContainer,
    StartProgram,
    StartSupervisor,
    StopProgram,
    VerifyPrograms,
    WriteFiles,
    stop_of,
)
from devstack.away import Away
from devstack.completing import PROJECT, checkout, complete, completion
from devstack.contained import Contained
from devstack.due import why_due
from devstack.plan import Draft, Goal, Plan, Up, few
from devstack.profile import graph
from devstack.profile.model import Profile
from devstack.programs import all_programs, layout, owners, processes, selected
from devstack.render import Program, RenderedFile, render
from devstack.state import ProgramState, ServiceState, State
from devstack.taking_down import SUPERVISOR, down

#: whoever has died so often is started anew: what made it die may be mended
_DEATHS = 2
PYTHON = "python"


def build(profile: Profile, state: State, goal: Goal, template: str) -> Plan:
    """The plan that takes the stack from `state` to `goal`. template: text of the Procfile template.

    Raises UsageError where the goal names something that the profile doesn't have.
    """
    return _Up(profile, state, goal, template).plan() if isinstance(goal, Up) else down(state, goal)


class _Up:
    """Writes the plan for `Up`, part by part, in the order of the plan."""

    def __init__(self, profile: Profile, state: State, goal: Up, template: str) -> None:
        self.profile = profile
        self.state = state
        self.goal = keeping.late(profile, state, goal)
        self.draft = Draft(goal.name)
        self.programs = {program.name: program for program in all_programs(profile, state)}
        self.containers = {one.name: one for one in contained.containers(profile, state)}
        #: what should run, in supervisord's hands or in the engine's
        self.units: dict[str, Program | Contained] = {**self.programs, **self.containers}
        self.files = (
            *render(tuple(self.programs.values()), layout(state), template), *watching.files(profile, layout(state))
        )
        (self.config,) = [file.digest for file in self.files if file.path == layout(state).config]
        self.owners = owners(profile)
        # supervisord takes over its whole configuration: what changed and runs is restarted with what was named
        changed = tuple(name for name in self.units if self._has_changed(name)) if goal.names else ()
        self.away = Away(profile, state, goal)
        named = (*goal.names, *(name for name in changed if name != watching.NAME))
        self.wanted = selected(profile, named) - self.away.stranded.keys()
        if watching.NAME in changed or self.wanted.intersection(watching.watched(profile)):
            self.wanted |= {watching.NAME}
        self.kept = branches.before(profile, state, goal, self.wanted)
        self.started: list[str] = []

    def plan(self) -> Plan:
        self._reap()
        complete(self.draft, self.state.parts)
        self._files()
        self._python()
        services = {name: service for name, service in self.state.services.items() if name in self.wanted}
        self._fetches(services)
        ours = [one for name, one in self.containers.items() if self._owner(name) in self.wanted]
        self._images = images.fetch(self.draft, ours, self.profile, self.state)
        if not self.goal.start:
            for name, service in services.items():
                self._data(name, service)
            return self._finished()
        restarts = self._stops()
        self._supervisor(restarts)
        for name, service in services.items():
            self._data(name, service)
            self._service(name, service)
        changing = branches.changing(self.profile, self.state) if self.goal.restore else ()
        keeping.calm(self.draft, self.goal, self.state, changing)
        if self.goal.calm:
            return self._finished()
        self._seed = keeping.plant(self.draft, self.state, self.profile, self.wanted)
        keeping.transfer(self.draft, self.goal, self.state)
        if self.kept:
            keeping.first(self.draft, self.kept, self.state, self.units)
        for name in graph.order(self.profile):
            if name in self.wanted and name in self.profile.tasks:
                self._task(name)
            elif name in self.wanted and name in self.profile.processes:
                self._process(name)
        if watching.NAME in self.wanted:
            self._process(watching.NAME)
        self._verify()
        self._release()
        keeping.spare(self.draft, self.profile, self.goal)
        return self._finished()

    def _finished(self) -> Plan:
        parity = tuple(service.warning for service in self.state.services.values() if service.warning)
        python = self.state.python
        foreign = (f".venv isn't devstack's and stays as it is: commands use {self.state.venv}",)
        edited = project_files.notes(self.profile, self.state)
        lacks = (f"this machine lacks {python.lacks}: {python.remedy}",) if python and python.lacks else ()
        others = (*(foreign if python and python.foreign else ()), *lacks)
        lasting = (*self.state.warnings, *self.state.parts.warnings, *edited, *parity, *others)
        news = branches.notes(self.state.branch, self.draft.steps)
        return self.draft.finished((*lasting, *self.away.warnings, *news), lasting)

    # --- before anything runs ----------------------------------------------------------------------------------------

    def _reap(self) -> None:
        if orphans := self.state.supervisor.orphans:
            names = ", ".join(sorted({orphan.program or "unnamed" for orphan in orphans}))
            self.draft.add(
                SUPERVISOR, ReapOrphans(orphans), f"{len(orphans)} left over from a killed run ({names})"
            )

    def _files(self) -> None:
        stale = tuple(file for file in self.files if self.state.files.get(file.path) != digest(file))
        if stale:
            new = not any(file.path in self.state.files for file in stale)
            shown = few([file.path.rpartition("/.devstack/")[2] for file in stale])
            self.draft.add("files", WriteFiles(stale), f"{'not written yet' if new else 'changed'}: {shown}")
        self._paths()

    def _paths(self) -> None:
        folders, files = project_files.folders(self.profile, self.state), project_files.wanted(self.profile, self.state)
        if not folders and not files:
            return
        missing = [path for path in self.profile.files if path in self.state.missing_paths]
        causes = [f"missing: {few(missing)}"] if missing else []
        causes += [f"{file.path}: {file.cause}" for file in files if file.replaces]
        self.draft.add("paths", MakePaths(folders, files), "; ".join(causes), needs=[PROJECT])

    def _python(self) -> None:
        python = self.state.python
        if python is None:
            return
        steps = []
        if not python.is_built:
            cause = python.problem or f"no environment is built for Python {python.version} and these requirements"
            steps.append(self.draft.add(PYTHON, CreateEnvironment(), cause, needs=[PROJECT]))
            steps.append(self.draft.add(PYTHON, InstallPackages(), "into the new environment", needs=steps[-1:]))
        if python.linked != python.wanted and not python.foreign:
            cause = "another environment is linked as .venv" if python.linked else ".venv is not there"
            steps.append(self.draft.add(PYTHON, LinkEnvironment(), cause, needs=steps[-1:]))
        self.draft.point(PYTHON, steps)

    # --- supervisord -------------------------------------------------------------------------------------------------

    def _stops(self) -> dict[str, str]:
        """Stop what must start anew or go; returns the cause by program that has to start."""
        starts: dict[str, str] = {}
        for name in self.units:
            owner = self._owner(name)
            if owner not in self.wanted:
                continue
            now = self._now(name)
            if name in self.away.programs:
                if name == self.goal.foreground and now is not None and now.is_running:
                    needs = [f"{SUPERVISOR}:reap", PYTHON]
                    self.draft.add(name, StopProgram(name), "it will run on this terminal instead", needs=needs)
                continue
            if not (cause := self._why_anew(name, now)):
                continue
            starts[name] = cause
            # a container that has ended still holds its name and its volumes
            if now is not None and (now.is_running or now.container):
                # an installation that fails leaves what runs alone
                python = [] if name in self.containers or name in self.state.services else [PYTHON]
                needs = [f"{SUPERVISOR}:reap", f"{name}:fetch", self._image(name), *python]
                self.draft.add(name, stop_of(name, now), starts[name], needs=needs)
        state = self.state
        for known, live in ((self.programs, state.supervisor.programs), (self.containers, state.containers)):
            for name, now in live.items():
                # a container that has ended still has its name
                if name not in known and (now.is_running or now.container):
                    self.draft.add(name, stop_of(name, now), self._farewell(name))
        return starts

    def _image(self, name: str) -> str:
        """The step that brings the image of a container, "" for none."""
        return self._images.get(self.containers[name].image, "") if name in self.containers else ""

    def _now(self, name: str) -> ProgramState | None:
        """How a unit is, in the hands that it should be in."""
        live = self.state.containers if name in self.containers else self.state.supervisor.programs
        return live.get(name)

    def _why_anew(self, name: str, now: ProgramState | None) -> str:
        """Why a program has to be started, "" where it runs as it should."""
        if now is None or not (now.is_running or self._is_over(name)):
            return f"not running: {now.reason}" if now and now.reason else "not running"
        if self._has_changed(name):
            return "its declaration or environment changed"
        if now.restarts >= _DEATHS and (seen := self.state.replicas.get(name)) and not seen.ready:
            return f"it has died {now.restarts} times and isn't ready: {seen.reason}"
        if name in self.goal.force or self._owner(name) in self.goal.force:
            return "restart was asked for"
        if name not in self.state.services:
            return keeping.why_anew(self.goal, now) or branches.why_anew(self.kept, is_running=now.is_running)
        gone = "its first start was cut short" if name in self.containers else "its data is gone"
        probe = self.state.services[name].probe
        short = f"only a new start can help: {probe.detail}" if probe and probe.needs_start else ""
        return short if self.state.services[name].has_data else gone

    def _farewell(self, program: str) -> str:
        """Why a program that runs is no part of the stack any more."""
        if program in self.units:
            return "it runs in a container now" if program in self.containers else "it runs natively now"
        name, _, number = program.rpartition("-")
        owner = self.profile.processes.get(name if number.isdecimal() else program)
        if owner is None or owner.replicas == owner.declared_replicas:
            return "the profile doesn't have it any more"
        return f"scaled to {owner.replicas}"

    def _has_changed(self, name: str) -> bool:
        """Does the program run, or has it ended, as it was declared before?"""
        now = self._now(name)
        if now is None or not (now.is_running or self._is_over(name)):
            return False
        if now.phase == "starting" and not now.digest:
            # supervisord restarts it this very moment, and it hasn't noted yet what it was started as
            return self.state.supervisor.config != self.config
        return now.digest != self.units[name].digest

    def _is_over(self, name: str) -> bool:
        """Has it ended by itself as it may?"""
        now = self._now(name)
        return now is not None and now.has_ended_well and self.units[name].restart != "always"

    def _supervisor(self, all_starts: dict[str, str]) -> None:
        self._starts = all_starts
        starts = [name for name in all_starts if name in self.programs]
        before = ["files:write", f"{SUPERVISOR}:reap"]
        if not self.state.supervisor.is_running:
            if starts:
                step = self.draft.add(SUPERVISOR, StartSupervisor(), "not running", needs=before)
                self.draft.point(SUPERVISOR, [step])
            return
        self.draft.point(SUPERVISOR, before)
        gone = [name for name in self.state.supervisor.programs if name not in self.programs]
        if gone or (starts and self.config != self.state.supervisor.config):
            stops = [f"{name}:stop" for name in (*self.programs, *gone)]
            cause = "programs of its configuration changed"
            step = self.draft.add(SUPERVISOR, ReloadSupervisor(), cause, needs=[*before, *stops])
            self.draft.point(SUPERVISOR, [step])

    def _owner(self, program: str) -> str:
        return self.owners.get(program, program)

    # --- services, tasks, processes -----------------------------------------------------------------------------------

    def _fetches(self, services: Mapping[str, ServiceState]) -> None:
        """Before anything is stopped: a server that can't be had leaves the one that runs alone."""
        for name, service in services.items():
            if not service.is_fetched and name not in self.containers:
                cause = f"{service.server.kind} {service.server.version} is not on this machine yet"
                self.draft.add(name, FetchServer(name), cause)

    def _data(self, name: str, service: ServiceState) -> None:
        if not service.has_data:
            needs = [f"{name}:fetch", f"{name}:stop", f"{SUPERVISOR}:reap"]
            self.draft.add(name, PrepareData(name), "it has no data yet", needs=needs)

    def _service(self, name: str, service: ServiceState) -> None:
        probe = service.probe
        if name in self._starts:
            needs = [f"{name}:stop", f"{name}:fetch", self._image(name), f"{name}:prepare"]
            if name in self.containers:
                self.draft.add(name, StartContainer(name), self._starts[name], needs=needs)
            else:
                self.draft.add(name, StartProgram(name, name), self._starts[name], needs=[SUPERVISOR, *needs])
            self.started.append(name)
            cause = "after its start"
        elif probe is None or not probe.ok:
            cause = probe.detail if probe else "it has not answered yet"
        elif probe.missing:
            cause = f"missing: {few(probe.missing)}"
        elif name not in self.goal.dump:
            return
        else:
            cause = "its data is copied"
        provision = self.draft.add(name, ProvisionService(name), cause, needs=[f"{name}:start"])
        ready = self.draft.add(name, AwaitService(name), "others need it to answer", needs=[provision])
        if name in self.goal.dump:
            ready = self.draft.add(name, DumpData(name), "its data moves to the other runtime", needs=[ready])
        if name in self.goal.load:
            ready = self.draft.add(name, LoadData(name), "its data comes from the other runtime", needs=[ready])
        self.draft.point(name, [ready])

    def _task(self, name: str) -> None:
        task, state = self.profile.tasks[name], self.state.tasks[name]
        cause = "asked for" if name in self.goal.force else why_due(task, state)
        snapshot = task.snapshot or "" if self.wanted.issuperset(self.profile.services) else ""
        services = tuple(self.profile.services)
        if not cause:
            # done already: whoever needs it still comes after what it needs
            needs: Sequence[str] = graph.needs(self.profile, name)
            if snapshot and state.owes == snapshot:
                needs = [keeping.after(self.draft, self.profile, self.state, name, [*needs, *services])]
            self.draft.point(name, needs)
            return
        needs = [f"{SUPERVISOR}:reap", PROJECT, PYTHON, "paths:make", *keeping.DONE, *graph.needs(self.profile, name)]
        is_forced = name in self.goal.force
        seed = self._seed if name in self.state.seeding.covers and not is_forced else ""
        action = RunTask(name, self.goal.words if is_forced else (), is_forced, snapshot, seed)
        step = self.draft.add(name, action, cause, needs=needs, optional=task.optional)
        if snapshot:
            step = keeping.after(self.draft, self.profile, self.state, name, [step, *services])
        self.draft.point(name, [step])

    def _process(self, name: str) -> None:
        process = processes(self.profile)[name]
        awaited = []
        for program, _ in graph.programs_of(name, process):
            replica = self.state.replicas.get(program)
            if program in self.away.programs:
                continue
            if program in self._starts:
                is_ours = program not in self.containers
                action = StartProgram(program) if is_ours else StartContainer(program)
                hands, python = (SUPERVISOR, PYTHON) if is_ours else (self._image(program), "")
                needs = [hands, f"{program}:stop", PROJECT, python, "paths:make", *keeping.DONE]
                needs += graph.needs(self.profile, name)
                self.draft.add(program, action, self._starts[program], needs=needs, optional=process.optional)
                self.started.append(program)
                cause = "after its start"
            elif replica and replica.ready:
                continue
            else:
                cause = (replica.reason if replica else "") or "not ready yet"
            awaited.append(
                self.draft.add(
                    program, AwaitProgram(program, name), cause, needs=[f"{program}:start"], optional=process.optional
                )
            )
        self.draft.point(name, awaited or graph.needs(self.profile, name))

    def _verify(self) -> None:
        """Readiness was seen one by one; at the end all of them must still be alive."""
        required = tuple(
            name for name in self.started
            if not (owner := self.profile.processes.get(self._owner(name))) or not owner.optional
        )
        if required:
            needs = [f"{name}:await" for name in self.units]
            self.draft.add("stack", VerifyPrograms(required), "all must still be running at the end", needs=needs)

    def _release(self) -> None:
        """Last of all: everything else is up before a person gets a program into their hands."""
        program = self.goal.foreground
        if program:
            awaited = [f"{name}:await" for name in self.units]
            before = [PYTHON, "paths:make", f"{program}:stop", *(f"{task}:run" for task in self.profile.tasks)]
            ready = ["stack:verify"] if "stack:verify" in self.draft else awaited
            self.draft.add(
                program, ReleaseProgram(program), "it runs on this terminal when all else is ready",
                needs=[*before, *ready],
            )


def digest(file: RenderedFile) -> str:
    """What `State.files` holds for a file with this content."""
    return hashlib.sha256(b"%o\0" % file.mode + file.content).hexdigest()


__all__ = ["build", "checkout", "completion", "digest", "down", "selected"]
