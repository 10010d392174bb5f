"""Named states of the data as a person asks for them: saved, restored, listed, removed; and back to a good state.

Only services run while data is copied or exchanged. What was up before is up again afterwards, what was down is down.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

from devstack import keeping
from devstack.errors import DataError, UsageError
from devstack.executor import Listener
from devstack.plan import Down, Plan, Up
from devstack.snapshots import BEFORE, Manifest, Snapshots
from devstack.stack import Stack
from devstack.stack.options import Run


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

    def restore(self, name: str, before: str = f"{BEFORE}restore") -> Run | None:
        """Back to a snapshot; what is there becomes the snapshot `before`. The run that brought the stack up again,
        None where it stays down. Raises DataError for one whose copies are gone: nothing is changed then."""
        manifest = self.snapshots.get(name)
        if lost := _lost(manifest, self._generations):
            raise DataError(
                "snapshot-lost", f"the snapshot {name} can't be restored", why=lost, fix="devstack snapshot list"
            )
        self.snapshots.ensure_whole(manifest)
        return self._calmly(Up(restore=name, before=before, name="restore"))

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

    def _calmly(self, goal: Up) -> Run | None:
        """What was up before is up again afterwards; of what was down only the services are up meanwhile."""
        services = tuple(self.stack.profile.services)
        if not services:
            raise UsageError(
                "no-services", "there is no data to keep", why="the profile declares no service", fix="devstack config"
            )
        if self.stack.is_running():
            return self.stack.up(goal, self.listener, self.show)
        self.stack.up(replace(goal, names=services, calm=True), self.listener, self.show)
        self.stack.down(Down(), self.listener, self.show)
        return None


def _lost(manifest: Manifest, generations: dict[str, str]) -> str:
    """Why a snapshot can't be restored any more."""
    for name, part in manifest.services.items():
        if generations.get(name, "").partition("+")[0] != part.generation.partition("+")[0]:
            return f"the data of {name} began anew since"
    return ""
