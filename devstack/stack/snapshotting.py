"""Named states of the data as a person asks for them: saved, restored, listed, removed; and back to a good state.

Only services run while data is copied or exchanged. What was up before is up again afterwards, what was down is down.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from devstack import keeping
from devstack.errors import DataError, UsageError
from devstack.executor import Listener
from devstack.plan import Down, Plan, Up
from devstack.snapshots import BEFORE, Manifest, Snapshots
from devstack.stack import Stack
from devstack.stack.options import Run

#: the snapshot of what an `undo` has replaced
UNDONE = f"{BEFORE}undo"


@dataclass(frozen=True)
class Listed:
    """A snapshot, and why it can't be restored any more, "" where it can."""

    manifest: Manifest
    lost: str


@dataclass
class Snapshotting:
    """listener, show: as for `Stack.up`."""

    stack: Stack
    listener: Listener
    show: Callable[[Plan], None]

    @staticmethod
    def known(stack: Stack) -> tuple[Manifest, ...]:
        """Every snapshot, whether it can be restored or not."""
        return Snapshots(stack.system, stack.project.snapshots).all()

    def __post_init__(self) -> None:
        self.snapshots = Snapshots(self.stack.system, self.stack.project.snapshots)

    def list(self) -> tuple[Listed, ...]:
        """Every snapshot, the newest first."""
        return tuple(Listed(one, _lost(one, self._generations)) for one in self.snapshots.all())

    @cached_property
    def _generations(self) -> dict[str, str]:
        return self.stack.generations()

    def save(self, name: str) -> Manifest:
        """Keep everything as it is now under a name; one of this name is replaced once the new one is whole."""
        self.snapshots.ensure_name(name)
        self._calmly(Up(save=name, name="save"))
        return self.snapshots.get(name)

    def restore(
        self, name: str, before: str = f"{BEFORE}restore", only: tuple[str, ...] = ()
    ) -> Run | None:
        """Back to a snapshot; what is there becomes the snapshot `before`. only: of these services. The run that
        brought the stack up again; None where it stays down, and where a task would run again that failed on this data.
        Raises DataError for one whose copies are gone: nothing is changed then."""
        self.usable(name)
        # what was kept for a task that failed comes back without that task running again
        is_way_back = name == self.stack.record.pending.partition(" ")[0]
        goal = Up(restore=name, before=before, only=only, name="restore")
        return self._calmly(goal, stay=is_way_back)

    def usable(self, name: str) -> Manifest:
        """Raises UsageError for an unknown name, DataError for a snapshot whose copies are gone."""
        manifest = self.snapshots.get(name)
        if lost := _lost(manifest, self._generations):
            raise DataError(
                "snapshot-lost", f"the snapshot {name} can't be restored", why=lost, fix="devstack snapshot list"
            )
        self.snapshots.ensure_whole(manifest)
        return manifest

    def empty(self, services: tuple[str, ...], before: str, *, queues: bool = False) -> Run | None:
        """Let go of the data of these services, or of what waits in their queues; what is there becomes the snapshot
        `before`. Answers as `restore` does."""
        empty: Literal["data", "queues"] = "queues" if queues else "data"
        return self._calmly(Up(empty=empty, before=before, only=services, name="reset"))

    def remove(self, name: str) -> Manifest:
        """Let go of a snapshot. What a server holds of it goes with the next one that is saved."""
        manifest = self.snapshots.get(name)
        self.snapshots.dismiss(name)
        self.snapshots.remove(manifest.key)
        return manifest

    def seeded(self) -> str:
        """The name of the snapshot that `reset` goes back to, "" where there is none that can be restored."""
        name = keeping.reset_to(self.stack.profile)
        return name if name in {one.manifest.name for one in self.list() if not one.lost} else ""

    def _calmly(self, goal: Up, *, stay: bool = False) -> Run | None:
        """What was up before is up again afterwards; of what was down only the services are up meanwhile. stay: only
        services run afterwards, if anything did before."""
        services = tuple(self.stack.profile.services)
        if not services:
            raise UsageError(
                "no-services", "there is no data to keep", why="the profile declares no service", fix="devstack config"
            )
        was_up = self.stack.is_running()
        if was_up and not (stay or goal.only):
            return self.stack.up(goal, self.listener, self.show)
        self.stack.up(replace(goal, names=services, calm=True), self.listener, self.show)
        if was_up:
            return None if stay else self.stack.up(Up(), self.listener, self.show)
        self.stack.down(Down(), self.listener, self.show)
        return None


def _lost(manifest: Manifest, generations: dict[str, str]) -> str:
    """Why a snapshot can't be restored any more."""
    for name, part in manifest.services.items():
        if generations.get(name, "").partition("+")[0] != part.generation.partition("+")[0]:
            return f"the data of {name} began anew since"
    return ""
