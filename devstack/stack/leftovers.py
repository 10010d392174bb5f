"""What stacks have left on this machine that nobody can want any more: of projects whose folder was deleted, and, if a
person says so, the trash of this one."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from devstack.errors import DevstackError, PrerequisiteError
from devstack.registry import Entry, Registry
from devstack.runtimes import builds
from devstack.runtimes.engine_answers import Owned
from devstack.stack.containers import Containers, trashed_volumes
from devstack.stack.paths import Project, places, sockets
from devstack.system import Identity, System

_GRACE = 10.0
Kind = Literal["process", "container", "image", "volume", "network", "folder", "entry"]


@dataclass(frozen=True)
class Leftover:
    """size: bytes. why: what makes it nobody's. thing: how it is got hold of."""

    kind: Kind
    name: str
    root: str
    size: int
    why: str
    thing: Identity | Owned | Path | str


class Leftovers:
    """Found and removed for one user. project: whose trash counts too, None for no trash."""

    def __init__(self, system: System, project: Project | None) -> None:
        self._system = system
        self._project = project
        self._places = places(system)
        self._registry = Registry(system, self._places.state)
        self._containers = Containers(system)

    @property
    def silence(self) -> str:
        """Why an engine wasn't looked at, "" where it was or there is none."""
        try:
            _ = self._containers.engine
        except PrerequisiteError as error:
            return "" if "no socket" in error.why else error.why
        return ""

    def find(self) -> tuple[Leftover, ...]:
        """Everything, in the order in which it has to be removed."""
        entries = self._registry.entries()
        gone = [entry for entry in entries if _is_deleted(entry.root, entry.last_used)]
        found = [*self._processes(gone), *self._on_engine({entry.root: entry.last_used for entry in entries})]
        found += [*self._trash(), *self._sockets(gone)]
        return (*found, *(Leftover("entry", one.name, one.root, 0, "its folder is gone", one.id) for one in gone))

    def remove(self, leftover: Leftover) -> None:
        """Raises DevstackError where it can't be removed."""
        match leftover.thing:
            case Identity() as identity:
                self._end(identity)
            case Owned(kind="image") as thing:
                builds.remove(self._containers.engine, thing.id)
            case Owned() as thing:
                self._containers.engine.remove(thing)
            case Path() as path:
                self._system.remove_tree(path)
            case str() as stack:
                self._registry.forget(stack)

    def _processes(self, gone: list[Entry]) -> Iterator[Leftover]:
        for entry in gone:
            for identity in self._system.marked("DEVSTACK_STACK", entry.id):
                name = f"{identity.pid}: {self._system.command_line(identity.pid)[:60]}"
                yield Leftover("process", name, entry.root, 0, "its project's folder is gone", identity)

    def _on_engine(self, used: Mapping[str, float]) -> Iterator[Leftover]:
        """used: when each known root was used last."""
        try:
            engine, user = self._containers.engine, self._system.user_id()
            # an image goes after the containers that use it
            survey = (*engine.survey(user, sizes=True), *builds.built(engine, user))
        except DevstackError:
            return
        trashed = trashed_volumes(self._system, self._project) if self._project else frozenset()
        for thing in survey:
            if thing.root and _is_deleted(thing.root, used.get(thing.root)):
                yield Leftover(thing.kind, thing.name, thing.root, thing.size, "its project's folder is gone", thing)
            elif thing.kind == "volume" and thing.name in trashed:
                yield Leftover("volume", thing.name, thing.root, thing.size, "it is in the trash", thing)

    def _trash(self) -> Iterator[Leftover]:
        if self._project and self._project.trash.is_dir():
            for path in sorted(self._project.trash.iterdir()):
                size = self._system.tree_size(path)
                yield Leftover("folder", str(path), str(self._project.root), size, "it is in the trash", path)

    def _sockets(self, gone: list[Entry]) -> Iterator[Leftover]:
        for entry in gone:
            path = sockets(self._places, entry.id)
            if path.is_dir():
                size = self._system.tree_size(path)
                yield Leftover("folder", str(path), entry.root, size, "its project's folder is gone", path)

    def _end(self, identity: Identity) -> None:
        for sign in (signal.SIGTERM, signal.SIGKILL):
            self._system.signal(identity, sign)
            if self._system.until(lambda: not self._system.is_alive(identity), _GRACE):
                return


def _is_deleted(root: str, used: float | None) -> bool:
    """Is the folder gone, and not only out of reach, as on a disk that isn't there now? used: when it was last."""
    path = Path(root)
    try:
        if path.exists() or not path.parent.is_dir():
            return False
        # whoever deletes in a folder changes it; the place of a disk that isn't there is empty, and older
        return any(path.parent.iterdir()) or (used is not None and path.parent.stat().st_mtime >= used)
    except OSError:
        return False
