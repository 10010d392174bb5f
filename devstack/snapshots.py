"""Named states of a stack's data: a folder each, `.devstack/snapshots/NAME-TOKEN`.

It counts once its manifest is there, which is written last; what has none was cut short, is never listed, and goes at
the next save. Of two with one name the newer counts, so that a name always stands for something whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

from devstack.errors import DataError, UsageError
from devstack.profile.model import NAME
from devstack.system import System

_MANIFEST = "manifest.json"
#: what a restore that is under way goes to, and what it leaves behind
_UNDER_WAY = "restoring.json"
#: ends the names of files that say that a person has removed what was called so
_REMOVED = ".removed"
#: begins the names of those that devstack makes itself
BEFORE = "before-"
#: task: as it leaves the data; replaced: by a restore or a reset; automatic: before a task; imported: from a file
Origin = Literal["", "task", "replaced", "automatic", "imported"]
#: ends the name of such a one when the next of its name has taken its place
_EARLIER = "-earlier"


@dataclass(frozen=True)
class Part:
    """What is kept of one service. generation: of the data that it belongs to. size: bytes. files: SHA-256 of each of
    its files, by name."""

    version: str
    runtime: str
    generation: str
    size: int
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """One snapshot. token: the servers know their copies by it. made: seconds since the epoch. revision: git's, "" for
    none. why: what made it; origin: what for; both "" for a person. branch, tasks: whose data it is, and what was done
    with it, as in the record. folder: the name of its folder where that isn't made of its own."""

    name: str
    token: str
    made: float
    revision: str = ""
    why: str = ""
    origin: Origin = ""
    branch: str = ""
    services: Mapping[str, Part] = field(default_factory=dict)
    tasks: Mapping[str, str] = field(default_factory=dict)
    folder: str = ""

    @property
    def key(self) -> str:
        """The name of its folder."""
        return self.folder or f"{self.name}-{self.token}"

    @property
    def is_replaced(self) -> bool:
        """It holds what a restore or a reset has replaced."""
        return self.origin == "replaced"

    @property
    def size(self) -> int:
        return sum(part.size for part in self.services.values())


@dataclass(frozen=True)
class Restore:
    """A restore that has begun: key of the snapshot that it goes to, "" where data only goes; name and token of the one
    that what was there becomes. only: services that it is about, () for all. queues: only what waits in queues goes."""

    key: str
    before: str
    token: str
    only: tuple[str, ...] = ()
    queues: bool = False

    @property
    def kept(self) -> str:
        """The name of the folder of what was there."""
        return f"{self.before}-{self.token}"


class Snapshots:
    """The snapshots of one stack."""

    def __init__(self, system: System, folder: Path) -> None:
        self._system = system
        self._folder = folder

    def all(self) -> tuple[Manifest, ...]:
        """Every whole one, the newest first; of one name the newest alone."""
        return tuple({one.name: one for one in reversed(self.every())}.values())[::-1]

    def every(self) -> tuple[Manifest, ...]:
        """Every whole one, the newest first, also those that another one of their name has replaced."""
        found = [self._read(path) for path in self._folder.glob(f"*/{_MANIFEST}")]
        return tuple(sorted(filter(None, found), key=lambda one: -one.made))

    def get(self, name: str) -> Manifest:
        """Raises UsageError where there is none of this name."""
        found = {one.name: one for one in self.all()}
        if name not in found:
            known = ", ".join(found) or "none"
            raise UsageError(
                "no-snapshot", f"there is no snapshot {name!r}", why=f"there are {known}", fix="devstack snapshot list"
            )
        return found[name]

    def files(self, key: str, service: str) -> Path:
        """The folder of a service's files."""
        return self._folder / key / service

    def ensure_whole(self, manifest: Manifest) -> None:
        """Raises DataError where its files aren't what was saved: with half of them what is there would be lost."""
        for service, part in manifest.services.items():
            found = self._system.tree_digests(self.files(manifest.key, service)) if part.files else {}
            wrong = [name for name in {**part.files, **found} if found.get(name) != part.files.get(name)]
            if wrong:
                raise DataError(
                    "snapshot-damaged", f"the snapshot {manifest.name} can't be restored",
                    why=f"{service}/{wrong[0]} isn't what was saved", fix="devstack snapshot list",
                    evidence=(f"kept as it is: {self.files(manifest.key, service) / wrong[0]}",),
                )

    def ensure_name(self, name: str) -> None:
        """Raises UsageError for a name that can't be one."""
        if not NAME.fullmatch(name):
            raise UsageError(
                "name-unusable", f"{name!r} can't be a snapshot's name",
                why="it may have lower case letters, digits, `-` and `_`, and begins with a letter",
                fix=f"devstack snapshot save {re.sub('[^a-z0-9_-]+', '-', name.lower()).strip('-') or 'mine'}",
            )

    def sweep(self) -> None:
        """Remove what was cut short and nobody will finish."""
        under_way = self.under_way
        kept = {one.key for one in self.every()} | ({under_way.kept} if under_way else set())
        for path in self._folder.glob("*-*"):
            if path.is_dir() and path.name not in kept:
                self._system.remove_tree(path)

    def begin(self, key: str) -> None:
        """Make room for a snapshot."""
        self._system.private_folder(self._folder / key)

    def finish(self, manifest: Manifest) -> None:
        """It is whole: from now on it counts."""
        self._system.write(self._folder / manifest.key / _MANIFEST, json.dumps(asdict(manifest), indent=1) + "\n")
        (self._folder / f"{manifest.name}{_REMOVED}").unlink(missing_ok=True)

    def known(self) -> frozenset[str]:
        """Names of those that there are, or that a person has removed."""
        removed = (path.name.removesuffix(_REMOVED) for path in self._folder.glob(f"*{_REMOVED}"))
        return frozenset((*removed, *(one.name for one in self.all())))

    def dismiss(self, name: str) -> None:
        """A person wants this one no more: it isn't made again by itself."""
        self._system.write(self._folder / f"{name}{_REMOVED}", "")

    def replaced(self, new: Manifest) -> None:
        """Let go of those whose name another one has by now. What a restore has put aside is kept once more: one that
        is repeated must not lose what the first has found."""
        # the oldest first, since the last one stays
        for old in reversed(self.every()):
            if old.name != new.name or old.token == new.token:
                continue
            if old.is_replaced and not old.name.endswith(_EARLIER):
                earlier = replace(old, name=f"{old.name}{_EARLIER}", folder=old.key)
                self.finish(earlier)
                self.replaced(earlier)
            else:
                self.remove(old.key)

    def remove(self, key: str) -> None:
        """The manifest goes first, so that half of a snapshot never counts."""
        (self._folder / key / _MANIFEST).unlink(missing_ok=True)
        self._system.remove_tree(self._folder / key)

    @property
    def under_way(self) -> Restore | None:
        """A restore that was begun and isn't done."""
        try:
            found = json.loads(self._system.read(self._folder / _UNDER_WAY) or "null")
            return Restore(**{**found, "only": tuple(found.get("only", ()))})
        except (ValueError, TypeError, AttributeError):
            return None

    def restore_begins(self, restore: Restore) -> None:
        self._system.write(self._folder / _UNDER_WAY, json.dumps(asdict(restore)) + "\n")

    def restore_ends(self) -> None:
        (self._folder / _UNDER_WAY).unlink(missing_ok=True)

    def _read(self, path: Path) -> Manifest | None:
        try:
            raw = json.loads(self._system.read(path) or "")
            services = {name: Part(**part) for name, part in raw.pop("services").items()}
            found = Manifest(**raw, services=services)
        except (ValueError, TypeError, KeyError, AttributeError):
            return None
        return found if found.key == path.parent.name else None
