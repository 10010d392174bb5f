"""Planning: Profile + State + goal → Plan. Pure: what chance decides is already in the State.

Every step has a target, an action, a cause in words and needs. Everything that takes time is a step: starting, waiting
for readiness, tasks, clean-up. The executor walks the plan and decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from devstack.profile.model import Build
from devstack.project_files import ProjectFile
from devstack.render import RenderedFile
from devstack.state import Foreground, Orphan

# --- goals -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Up:
    """Everything named (all, if nothing is) running and ready. force: started anew, or run again, even if unchanged.

    start: False prepares only: environment, servers, folders. words: more of them for the command of a forced task.
    foreground: the program that is kept, or taken, out of supervisord's hands, to be run on this terminal when all else
    is ready; "" for none. dump: services whose data is copied out once they answer; load: those that get it. calm: only
    services run, processes end. save, restore: names of snapshots, "" for none; before: the name of what a restore
    replaces.
    """

    names: tuple[str, ...] = ()
    force: frozenset[str] = frozenset()
    start: bool = True
    foreground: str = ""
    name: str = "up"
    words: tuple[str, ...] = ()
    dump: frozenset[str] = frozenset()
    load: frozenset[str] = frozenset()
    calm: bool = False
    save: str = ""
    restore: str = ""
    before: str = ""


@dataclass(frozen=True)
class Down:
    """Nothing running. volumes: the data goes to the trash too."""

    volumes: bool = False
    name: str = "down"


@dataclass(frozen=True)
class CheckedOut:
    """The project at `destination`. exists: it is there already and stays as it is."""

    url: str
    destination: str
    ref: str | None
    exists: bool
    sparse: tuple[str, ...] = ()
    name: str = "checkout"


Goal = Up | Down

# --- actions: what a step does, one small value each ------------------------------------------------------------------


@dataclass(frozen=True)
class Action:
    verb: ClassVar[str] = ""


@dataclass(frozen=True)
class Clone(Action):
    """sparse: the part of the project to check out, as far as it is known before."""

    verb: ClassVar[str] = "clone"
    url: str
    destination: str
    ref: str | None
    sparse: tuple[str, ...] = ()


@dataclass(frozen=True)
class GetSubmodules(Action):
    """Check these submodules of the project out, and theirs."""

    verb: ClassVar[str] = "get"
    paths: tuple[str, ...]


@dataclass(frozen=True)
class PullLargeFiles(Action):
    """Put in place what Git LFS holds of these files."""

    verb: ClassVar[str] = "pull"
    paths: tuple[str, ...]


@dataclass(frozen=True)
class ReapOrphans(Action):
    verb: ClassVar[str] = "reap"
    orphans: tuple[Orphan, ...]


@dataclass(frozen=True)
class WriteFiles(Action):
    verb: ClassVar[str] = "write"
    files: tuple[RenderedFile, ...]


@dataclass(frozen=True)
class MakePaths(Action):
    """Make these entries of `[files]`: folders, by their paths in the project, and files."""

    verb: ClassVar[str] = "make"
    folders: tuple[str, ...]
    files: tuple[ProjectFile, ...] = ()


@dataclass(frozen=True)
class CreateEnvironment(Action):
    verb: ClassVar[str] = "create"


@dataclass(frozen=True)
class InstallPackages(Action):
    verb: ClassVar[str] = "install"


@dataclass(frozen=True)
class LinkEnvironment(Action):
    verb: ClassVar[str] = "link"


@dataclass(frozen=True)
class FetchServer(Action):
    verb: ClassVar[str] = "fetch"
    service: str


@dataclass(frozen=True)
class PullImage(Action):
    """Have the engine get the image that `name` is a container of."""

    verb: ClassVar[str] = "pull"
    name: str
    image: str


@dataclass(frozen=True)
class BuildImage(Action):
    """Have the engine build the image that the process `name` needs."""

    verb: ClassVar[str] = "build"
    name: str
    image: str
    build: Build


@dataclass(frozen=True)
class PrepareData(Action):
    verb: ClassVar[str] = "prepare"
    service: str


@dataclass(frozen=True)
class ProvisionService(Action):
    verb: ClassVar[str] = "provision"
    service: str


@dataclass(frozen=True)
class AwaitService(Action):
    verb: ClassVar[str] = "await"
    service: str


@dataclass(frozen=True)
class StartSupervisor(Action):
    verb: ClassVar[str] = "start"


@dataclass(frozen=True)
class ReloadSupervisor(Action):
    verb: ClassVar[str] = "reload"


@dataclass(frozen=True)
class StopSupervisor(Action):
    verb: ClassVar[str] = "stop"


@dataclass(frozen=True)
class StartProgram(Action):
    """service: the program is this service's server, whose files are written and left-overs cleared first."""

    verb: ClassVar[str] = "start"
    program: str
    service: str = ""


@dataclass(frozen=True)
class StopProgram(Action):
    verb: ClassVar[str] = "stop"
    program: str


@dataclass(frozen=True)
class StartContainer(Action):
    """Make the container of this name and start it."""

    verb: ClassVar[str] = "start"
    name: str


@dataclass(frozen=True)
class StopContainer(Action):
    """End a container and remove it; its volumes stay. container: the engine's id."""

    verb: ClassVar[str] = "stop"
    name: str
    container: str


@dataclass(frozen=True)
class RemoveNetwork(Action):
    verb: ClassVar[str] = "remove"


@dataclass(frozen=True)
class ReleaseProgram(Action):
    """All is ready for this program to be run by the person: its command, its folder, its ports."""

    verb: ClassVar[str] = "release"
    program: str


@dataclass(frozen=True)
class StopForeground(Action):
    """End a program that was started on somebody's terminal."""

    verb: ClassVar[str] = "stop"
    program: str
    running: Foreground


@dataclass(frozen=True)
class AwaitProgram(Action):
    verb: ClassVar[str] = "await"
    program: str
    process: str


@dataclass(frozen=True)
class RunTask(Action):
    """words: more of them for its command; it doesn't count as done then. is_forced: a person asked for it: `unless`
    isn't."""

    verb: ClassVar[str] = "run"
    task: str
    words: tuple[str, ...] = ()
    is_forced: bool = False


@dataclass(frozen=True)
class VerifyPrograms(Action):
    """Every one of them is still the process that was started."""

    verb: ClassVar[str] = "verify"
    programs: tuple[str, ...]


@dataclass(frozen=True)
class DumpData(Action):
    """Copy a service's data into files."""

    verb: ClassVar[str] = "dump"
    service: str


@dataclass(frozen=True)
class LoadData(Action):
    """Put the data of such files into a service that has just begun; it belongs there from then on."""

    verb: ClassVar[str] = "load"
    service: str


@dataclass(frozen=True)
class SaveSnapshot(Action):
    """Keep what all data services hold, under a name. why: what made it, "" for a person."""

    verb: ClassVar[str] = "save"
    name: str
    why: str = ""


@dataclass(frozen=True)
class RestoreSnapshot(Action):
    """Bring back what is kept under a name; what is there becomes the snapshot `before`."""

    verb: ClassVar[str] = "restore"
    name: str
    before: str


@dataclass(frozen=True)
class DiscardData(Action):
    verb: ClassVar[str] = "discard"


# --- plan ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """id: `target:action`. needs: ids of steps that must be done before. optional: a failure is told, not fatal."""

    target: str
    action: Action
    cause: str
    needs: tuple[str, ...] = ()
    destructive: bool = False
    optional: bool = False

    @property
    def id(self) -> str:
        return f"{self.target}:{self.action.verb}"


@dataclass(frozen=True)
class Plan:
    """Steps in an order in which each comes after what it needs.

    warnings: worth knowing before it runs. lasting: those among them that hold beyond this run; once is enough.
    """

    goal: str
    steps: tuple[Step, ...] = ()
    warnings: tuple[str, ...] = ()
    lasting: frozenset[str] = frozenset()

    @property
    def is_empty(self) -> bool:
        return not self.steps

    @property
    def destructive(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.destructive)

    def text(self) -> str:
        """One line a step: `web:start   because it is not running   (after web:write)`."""
        width = max((len(step.id) for step in self.steps), default=0)
        lines = []
        for step in self.steps:
            after = f"  (after {', '.join(step.needs)})" if step.needs else ""
            lines.append(f"{step.id:<{width}}  {step.cause}{after}")
        return "\n".join(lines)


class Draft:
    """A plan being written: steps are added in order; needs on steps that weren't planned fall away.

    `done(point)` names what must have happened for a thing to be usable (`postgres` → `postgres:await`), whether
    or not a step was needed for it.
    """

    def __init__(self, goal: str) -> None:
        self.goal = goal
        self._steps: dict[str, Step] = {}
        self._points: dict[str, tuple[str, ...]] = {}

    def add(
        self, target: str, action: Action, cause: str, *, needs: Iterable[str] = (), destructive: bool = False,
        optional: bool = False,
    ) -> str:
        """Add a step; returns its id. needs: step ids and points, those not planned are dropped."""
        step = Step(target, action, cause, self._known(needs), destructive, optional)
        self._steps[step.id] = step
        return step.id

    def point(self, name: str, steps: Iterable[str]) -> None:
        """Whoever needs `name` needs these steps."""
        self._points[name] = self._known(steps)

    def _known(self, needs: Iterable[str]) -> tuple[str, ...]:
        known: dict[str, None] = {}
        for need in needs:
            for step in self._points.get(need, (need,)):
                if step in self._steps:
                    known[step] = None
        return tuple(known)

    def __contains__(self, step: str) -> bool:
        return step in self._steps

    def finished(self, warnings: tuple[str, ...], lasting: Iterable[str] = ()) -> Plan:
        return Plan(self.goal, tuple(self._steps.values()), warnings, frozenset(lasting))


def few(names: Iterable[str]) -> str:
    """At most four names and how many more."""
    listed = list(names)
    more = f" and {len(listed) - 4} more" if len(listed) > 4 else ""
    return ", ".join(listed[:4]) + more
