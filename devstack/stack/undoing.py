"""Bringing back what the last destructive command put into the trash: data, or an environment."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from devstack.errors import UsageError
from devstack.stack.containers import TRASHED
from devstack.stack.machinery import Tools, trash_name
from devstack.state import Record
from devstack.system import System

#: in a folder of the trash: what the record said of the data
_RECORD = "record.json"
_TABLES = ("tasks", "generations", "runtimes", "volumes")
DATA, ENVIRONMENT = "data", "environment"


@dataclass(frozen=True)
class Thrown:
    """A folder of the trash that can be brought back. what: `data` or `environment`. when: `20261128-190312`, UTC."""

    folder: Path
    what: str
    when: str


def note_record(system: System, folder: Path, record: Record) -> None:
    """Keep beside data in the trash what is known of it."""
    system.write(folder / _RECORD, json.dumps({name: dict(getattr(record, name)) for name in _TABLES}, indent=1) + "\n")


def last(trash: Path) -> Thrown:
    """What went there last. Raises UsageError for an empty trash."""
    found = []
    for folder in trash.iterdir() if trash.is_dir() else ():
        when, _, what = folder.name[:15], folder.name[15:16], folder.name[16:]
        if what in (DATA, ENVIRONMENT):
            found.append(Thrown(folder, what, when))
    if not found:
        raise UsageError(
            "nothing-to-undo", "there is nothing to bring back", why=f"{trash} holds neither data nor an environment",
            fix="devstack snapshot list",
        )
    return max(found, key=lambda one: one.when)


def bring_back(tools: Tools, thrown: Thrown) -> None:
    """Put what is in the trash where it was."""
    if thrown.what == DATA:
        _data(tools, thrown)
    else:
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
    known = _tables(system, thrown.folder)
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


def _tables(system: System, folder: Path) -> dict[str, Any]:
    try:
        found = json.loads(system.read(folder / _RECORD) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
