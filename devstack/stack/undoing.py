"""Bringing back what the last destructive command replaced: data, an environment, a profile, in the trash; or data that
is kept as an automatic snapshot."""

from __future__ import annotations

import calendar
import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from devstack.errors import UsageError
from devstack.snapshots import Manifest
from devstack.stack.containers import TRASHED
from devstack.stack.machinery import Tools, trash_name
from devstack.stack.paths import PROFILE as PROFILE_FILE
from devstack.stack.paths import Project
from devstack.state import Record
from devstack.system import System

#: in a folder of the trash: what the record said of the data
_RECORD = "record.json"
_TABLES = ("tasks", "generations", "runtimes", "volumes")
DATA, ENVIRONMENT, PROFILE, SERVICE = "data", "environment", "profile", "service"
#: `20261128-190312-data`, `…-000123-profile`, `…-service-postgres`
_NAME = re.compile(
    r"(?P<when>\d{8}-\d{6})(-(?P<micros>\d{6}))?-(?P<what>data|environment|profile|service)(-(?P<of>.+))?"
)


@dataclass(frozen=True)
class Thrown:
    """A folder of the trash that can be brought back. what: `data`, `environment`, `profile` or `service`. when:
    `20261128-190312`, UTC. service: whose data it is, "" for all. at: seconds since the epoch."""

    folder: Path
    what: str
    when: str
    service: str = ""
    at: float = 0.0

    @property
    def title(self) -> str:
        return f"data of {self.service}" if self.service else self.what


def note_record(system: System, folder: Path, record: Record) -> None:
    """Keep beside data in the trash what is known of it."""
    system.write(folder / _RECORD, json.dumps({name: dict(getattr(record, name)) for name in _TABLES}, indent=1) + "\n")


def last(trash: Path) -> Thrown | None:
    """What went there last, None for an empty trash."""
    found = []
    for folder in trash.iterdir() if trash.is_dir() else ():
        if name := _NAME.fullmatch(folder.name):
            at = calendar.timegm(time.strptime(name["when"], "%Y%m%d-%H%M%S")) + int(name["micros"] or 0) / 1e6
            if not name["micros"]:
                # a snapshot may be of the same second: within it the folder itself tells when it was filled
                at = min(max(at, folder.stat().st_mtime), at + 0.999999)
            found.append(Thrown(folder, name["what"], name["when"], name["of"] or "", at))
    return max(found, key=lambda one: one.at, default=None)


def last_of(snapshots: Sequence[Manifest]) -> Manifest | None:
    """The newest that holds what a restore or a reset replaced."""
    return max((one for one in snapshots if one.is_replaced), key=lambda one: one.made, default=None)


def nothing(trash: Path) -> UsageError:
    return UsageError(
        "nothing-to-undo", "there is nothing to bring back",
        why=f"{trash} holds no data, environment or profile, and nothing was reset or restored",
        fix="devstack snapshot list",
    )


def bring_back(tools: Tools, thrown: Thrown) -> None:
    """Put what is in the trash where it was."""
    match thrown.what:
        case "data":
            _data(tools, thrown)
        case "profile":
            _profile(tools, thrown)
        case _:
            _environment(tools, thrown)


def retire_environment(tools: Tools) -> None:
    """Put the virtual environment in use into the trash: the next `up` builds it anew."""
    tools.python.retire(trash_name(tools, ENVIRONMENT))


def _data(tools: Tools, thrown: Thrown) -> None:
    """Put the data where it was; the stack is down and has none."""
    system, folder = tools.system, tools.project.folder / "data"
    if (thrown.folder / "data").is_dir():
        if folder.is_dir():
            # what a start that failed has left there
            system.move(folder, system.private_folder(trash_name(tools, "left")) / "data")
        system.move(thrown.folder / "data", folder)
    known = tables(system, thrown.folder)
    tools.store.update(lambda record: replace(record, **{name: known.get(name, {}) for name in _TABLES}))
    # from now on its volumes are in use again
    (thrown.folder / TRASHED).unlink(missing_ok=True)
    system.remove_tree(thrown.folder)


def _environment(tools: Tools, thrown: Thrown) -> None:
    """Put the environment where it was; one that was built in its place goes to the trash."""
    system = tools.system
    for folder in thrown.folder.iterdir():
        place = tools.project.folder / "venvs" / folder.name
        if place.is_dir():
            system.move(place, system.private_folder(trash_name(tools, "replaced")) / folder.name)
        system.move(folder, place)
    system.remove_tree(thrown.folder)


def _profile(tools: Tools, thrown: Thrown) -> None:
    """Exchange the two: the one of now goes to the trash."""
    system, path = tools.system, tools.project.root / PROFILE_FILE
    if path.exists():
        retire_profile(system, tools.project)
    system.move(thrown.folder / PROFILE_FILE, path)
    system.remove_tree(thrown.folder)


def retire_profile(system: System, project: Project) -> Path:
    """Move the profile to the trash: answers where to."""
    system.private_folder(project.trash)
    now = system.now()
    # two within a second are two
    stamp = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now))}-{now % 1 * 1e6:06.0f}"
    target = system.private_folder(project.trash / f"{stamp}-{PROFILE}") / PROFILE_FILE
    system.move(project.root / PROFILE_FILE, target)
    return target


def tables(system: System, folder: Path) -> dict[str, Any]:
    try:
        found = json.loads(system.read(folder / _RECORD) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
