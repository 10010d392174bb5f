"""Stack: the façade that the command line uses. Observes, plans, shows, executes; keeps no state of its own."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from devstack import programs
from devstack.errors import NetworkError, NotTrustedError, PrerequisiteError, UsageError
from devstack.executor import Event, Executor, Journal, Listener, Outcome
from devstack.plan import Down, FetchServer, Goal, Plan, StartProgram, Up
from devstack.planner import build, down
from devstack.profile.model import Ask, Profile
from devstack.python_env import PythonEnvironments
from devstack.registry import Entry, Registry
from devstack.render import Layout
from devstack.resources import shared
from devstack.runtimes.native import Native
from devstack.runtimes.servers import Servers
from devstack.stack.observe import Observer, Seen, Tools, observe_running
from devstack.stack.paths import Project, places, sockets
from devstack.stack.perform import Performers, port_taken
from devstack.stack.room import ensure_room
from devstack.stack.sources import Found, read_profile
from devstack.stack.status import Status, status_of
from devstack.stack.store import RecordStore, held
from devstack.supervisor import Supervisor
from devstack.system import System

Asker = Callable[[str, Ask], str | None]


@dataclass(frozen=True)
class Options:
    """What flags and `DEVSTACK_*` say. profile: a path or a shipped name, "" for the project's own."""

    profile: str = ""
    runtime: str = ""
    trust: bool = False
    new_ports: bool = False
    offline: bool = False
    #: a yes to every question about what is installed or replaced
    yes: bool = False
    #: shows a command of the system's package manager and asks whether it may run; None where nobody can be asked
    ask_consent: Callable[[tuple[str, ...]], bool] | None = None
    ask: Asker = lambda name, question: None
    #: shows what would run and asks whether to trust it; None where nobody can be asked
    ask_trust: Callable[[Profile, bool], bool] | None = None


@dataclass(frozen=True)
class Run:
    """How a run ended, and the stack as it was right after it."""

    outcome: Outcome
    status: Status


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
        self._found: Found | None = None

    # --- what there is -----------------------------------------------------------------------------------------------

    @property
    def found(self) -> Found:
        """The profile and where it came from. Raises ProfileError, UsageError."""
        if self._found is None:
            given = self._options.profile or self._store.load().profile
            found = read_profile(self.project.root, given)
            self._found = replace(found, is_given=bool(self._options.profile))
        return self._found

    @property
    def profile(self) -> Profile:
        return self.found.loaded.profile

    def observe(self, *, keep: bool = False) -> Seen:
        """What exists now. keep: record what chance decides (leases, secrets)."""
        return self._observer(self._tools(self.profile), keep=keep).observe()

    def status(self) -> Status:
        seen = self._observer(self._tools(self.profile), keep=False).observe(light=True)
        return status_of(self.profile, seen.state, self.found.path)

    def plan(self, goal: Goal) -> Plan:
        """What would be done; changes nothing."""
        if isinstance(goal, Down):
            tools = self._tools(self._bare())
            return down(observe_running(tools, self.supervisor(), self._store.load().stack).state, goal)
        return self._plan(self.observe(), goal)

    def command(self, argv: tuple[str, ...], cwd: Path) -> programs.Resolved:
        """A command of the person's own in the project's environment."""
        return programs.free_command(self.profile, self.observe().state, argv, str(cwd))

    def check_command(self, name: str) -> programs.Resolved:
        """A check of the profile, ready to execute. Raises KeyError for an unknown name."""
        return programs.command(self.profile, self.observe().state, self.profile.checks[name])

    def supervisor(self) -> Supervisor:
        return self._supervisor(self._store.load().stack)

    # --- what is done ------------------------------------------------------------------------------------------------

    def up(self, goal: Up, listener: Listener, show: Callable[[Plan], None]) -> Run:
        """Converge to the goal: hold the stack, observe, plan, execute. show: is handed the plan before anything runs
        and may raise to stop.

        Raises BusyError, NotTrustedError, ConflictError and whatever its first failing step raises.
        """
        self._ensure_runtime()
        self.ensure_trusted()
        with held(self.system, self.project):
            self._prepare_folder()
            if self._options.profile:
                self._store.update(lambda record: replace(record, profile=self.found.path))
            if self._options.new_ports:
                self._release_ports()
            tools = self._tools(self.profile)
            observer = self._observer(tools, keep=True)
            seen = observer.observe()
            self._remember(seen)
            plan = self._plan(seen, goal)
            show(plan)
            self._ensure_offline(plan)
            self._ensure_ports(plan, seen)
            ensure_room(plan, tools, seen)
            outcome = self._execute(plan, Performers(tools, seen, observer, consent=self._has_consent(seen)), listener)
            after = observer.observe(light=True) if outcome.events else seen
        return Run(outcome, status_of(self.profile, after.state, self.found.path))

    def down(self, goal: Down, listener: Listener, show: Callable[[Plan], None]) -> Outcome:
        """Stop everything, whatever became of the profile. Raises BusyError and what its first failing step raises."""
        with held(self.system, self.project):
            tools = self._tools(self._bare())
            seen = observe_running(tools, self.supervisor(), self._store.load().stack)
            plan = down(seen.state, goal)
            show(plan)
            return self._execute(plan, Performers(tools, seen, self._observer(tools, keep=False)), listener)

    def _execute(self, plan: Plan, performers: Performers, listener: Listener) -> Outcome:
        if plan.is_empty:
            return Outcome((), 0.0)
        return Executor(self.system, performers.table(), listener, self._journal(plan.goal)).execute(plan)

    def ensure_trusted(self) -> None:
        """Nothing of a repository runs before a person said it may: bound to the profile's content and its place."""
        known = self._registry.trusted(self.project.root)
        if known == self._trust_mark():
            return
        asked = self._options.ask_trust
        if not (self._options.trust or self.found.is_given or (asked and asked(self.profile, known is not None))):
            why = "its profile has changed since" if known else "its profile names commands that would run here"
            raise NotTrustedError(
                "not-trusted", f"{self.project.root} is not trusted", why=why, fix="devstack trust  (or pass --trust)"
            )
        self.trust()

    def trust(self) -> None:
        self._registry.trust(self.project.root, self._trust_mark())

    def _trust_mark(self) -> str:
        """What trust is bound to: the profile's content; for a file of the person's own, outside of the project, its
        path, since nobody else writes there."""
        path = Path(self.found.path)
        own = path.is_absolute() and not path.is_relative_to(self.project.root)
        return f"file:{path}" if own else self.found.loaded.digest

    # --- parts -------------------------------------------------------------------------------------------------------

    def _plan(self, seen: Seen, goal: Goal) -> Plan:
        template = self.system.read(shared("Procfile.template")) or ""
        return build(self.profile, seen.state, goal, template)

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

    def _tools(self, profile: Profile) -> Tools:
        project, cache = self.project, self._places.cache
        return Tools(
            system=self.system, project=project, places=self._places, profile=profile, store=self._store,
            registry=self._registry, servers=Servers(self.system, cache / "servers", offline=self._options.offline),
            native=Native(self.system, cache / "seeds"),
            python=PythonEnvironments(self.system, project.root, project.folder, offline=self._options.offline),
        )

    def _observer(self, tools: Tools, *, keep: bool) -> Observer:
        return Observer(tools, self._supervisor, self._options.ask, keep=keep)

    def _supervisor(self, stack: str) -> Supervisor:
        project = self.project
        place = Layout(stack, str(project.root), str(project.folder), str(sockets(self._places, stack)))
        return Supervisor(self.system, place, sys.executable)

    def _journal(self, goal: str) -> Journal:
        folder = self.system.private_folder(self.project.journal)
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(self.system.now()))
        return Journal(self.system, folder / f"{stamp}-{goal}-{self.system.process_id()}.jsonl")

    def _prepare_folder(self) -> None:
        """`.devstack` is private and never shows up in `git status`."""
        from devstack.checkout import Git

        self.system.private_folder(self.project.folder)
        # below /tmp anybody may have made it, and could exchange what lies in it
        self.system.private_folder(self._places.runtime)
        marker = self.project.folder / ".gitignore"
        if self.system.read(marker) is None:
            git = Git(self.system)
            if git.is_checkout(self.project.root):
                git.exclude(self.project.root, "/.devstack/")
                git.exclude(self.project.root, "/.venv")
            self.system.write(marker, "*\n")

    def _ensure_runtime(self) -> None:
        wanted = self._options.runtime or self.profile.runtime
        if wanted == "docker":
            raise PrerequisiteError(
                "runtime-unavailable", "services can't run in docker yet", why="this devstack runs them natively only",
                fix="devstack up --runtime native",
            )

    def _ensure_ports(self, plan: Plan, seen: Seen) -> None:
        """Fail before anything is done when a leased port is a stranger's; what a step frees itself doesn't count."""
        state = seen.state
        own = {program.pid for program in state.supervisor.programs.values()} | {
            orphan.pid for orphan in state.supervisor.orphans
        }
        for step in plan.steps:
            if not isinstance(step.action, StartProgram):
                continue
            name = step.action.program
            for port_name, port in state.ports.items():
                if (port_name == name or port_name.startswith(f"{name}.")) and not self.system.is_port_free(port):
                    holder = self.system.port_holder(port)
                    if holder is not None and holder.pid not in own:
                        raise port_taken(port_name, port, str(holder), fixed=programs.is_fixed(self.profile, port_name))

    def _release_ports(self) -> None:
        """Give up the leases of programs that don't run and whose port somebody else has taken."""
        record = self._store.load()
        running = {name for name, now in self._supervisor(record.stack).observe().programs.items() if now.is_running}
        taken = {
            name for name, port in record.ports.items()
            if name.partition(".")[0] not in running and not self.system.is_port_free(port)
        }
        kept = {name: port for name, port in record.ports.items() if name not in taken}
        self._store.update(lambda found: replace(found, ports=kept))

    def _has_consent(self, seen: Seen) -> bool:
        """May servers be installed with the system's package manager? Asked only where there is no other way."""
        commands = [choice.consent for choice in seen.choices.values() if choice.consent and not choice.is_fetched]
        ask = self._options.ask_consent
        return bool(commands) and (self._options.yes or bool(ask and all(ask(command) for command in commands)))

    def _ensure_offline(self, plan: Plan) -> None:
        """Offline, all that is missing is told at once, before anything is done."""
        fetches = [step for step in plan.steps if isinstance(step.action, FetchServer)]
        if self._options.offline and fetches:
            raise NetworkError(
                "offline-missing", "this machine lacks what can't be fetched offline",
                why="; ".join(step.cause for step in fetches), fix="devstack up  (with the network)",
            )

    def _remember(self, seen: Seen) -> None:
        state = seen.state
        self._registry.record(
            Entry(state.stack, self.profile.name, state.root, state.runtime, dict(state.ports), self.system.now())
        )


__all__ = ["Asker", "Down", "Event", "Options", "Stack", "Up"]
