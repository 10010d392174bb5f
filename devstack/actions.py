"""What a step of a plan does: one small value each, performed by whoever the executor knows for it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from devstack.profile.model import Build
from devstack.project_files import ProjectFile
from devstack.render import RenderedFile
from devstack.state import Foreground, Orphan, ProgramState


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
    isn't. snapshot: the one that is saved once it has run, "" for none. seed: what its data comes from, if that could
    be put in before; "" for nothing."""

    verb: ClassVar[str] = "run"
    task: str
    words: tuple[str, ...] = ()
    is_forced: bool = False
    snapshot: str = ""
    seed: str = ""


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
    """Keep what all data services hold, under a name. why, origin: as of a `Manifest`. tasks: made before these run."""

    verb: ClassVar[str] = "save"
    name: str
    why: str = ""
    origin: Literal["", "task", "replaced", "automatic"] = ""
    tasks: tuple[str, ...] = ()


@dataclass(frozen=True)
class RestoreSnapshot(Action):
    """Bring back what is kept under a name; what is there becomes the snapshot `before`. only: of these services, ()
    for all that it has. tasks: those that change what came back in this very run."""

    verb: ClassVar[str] = "restore"
    name: str
    before: str
    only: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExportSnapshot(Action):
    """Write a snapshot into a file that other machines read. file: its absolute path."""

    verb: ClassVar[str] = "export"
    name: str
    file: str


@dataclass(frozen=True)
class ImportSnapshot(Action):
    """Make a snapshot of such a file, verified and unpacked into `folder` before. file: as the person named it."""

    verb: ClassVar[str] = "import"
    name: str
    folder: str
    file: str


@dataclass(frozen=True)
class EmptyData(Action):
    """Let the data of these services go; what is there becomes the snapshot `before`. queues: only what waits in
    queues."""

    verb: ClassVar[str] = "empty"
    services: tuple[str, ...]
    before: str
    queues: bool = False


@dataclass(frozen=True)
class MakeSpare(Action):
    """Have the servers make ahead what the next restore of this snapshot needs; nobody waits for it."""

    verb: ClassVar[str] = "make"
    name: str


@dataclass(frozen=True)
class PlantSeed(Action):
    """Put the data that is kept under a key into services that hold nothing of anybody's; what is damaged is told, and
    they hold nothing then. key: "" only empties them."""

    verb: ClassVar[str] = "seed"
    key: str
    covers: tuple[str, ...] = ()


@dataclass(frozen=True)
class KeepSeed(Action):
    """Keep the data for other stacks. name: of the task's snapshot. covers: what was done with it."""

    verb: ClassVar[str] = "keep"
    key: str
    name: str
    covers: tuple[str, ...]


@dataclass(frozen=True)
class DiscardData(Action):
    verb: ClassVar[str] = "discard"


def stop_of(name: str, now: ProgramState) -> Action:
    """What ends a program, or a container, as it is now."""
    return StopContainer(name, now.container) if now.container else StopProgram(name)
