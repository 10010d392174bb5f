"""The data of one service, into the trash and back; the stack is down meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from devstack.profile.model import Profile
from devstack.stack.containers import TRASHED, look, trash_volumes, trashed_volumes
from devstack.stack.machinery import Tools, trash_name
from devstack.stack.recalling import emptied
from devstack.stack.undoing import SERVICE, Thrown, note_record, tables
from devstack.state import Record

_TABLES = ("generations", "runtimes", "volumes")


def discard(tools: Tools, profile: Profile, service: str) -> Path:
    """The service begins anew at the next `up`. Answers where its data is now."""
    system, record = tools.system, tools.store.load()
    trash = system.private_folder(trash_name(tools, f"{SERVICE}-{service}"))
    data = tools.project.folder / "data" / service
    if data.exists():
        system.move(data, system.private_folder(trash / "data") / service)
    if record.runtimes.get(service) == "docker":
        seen, _ = look(tools.containers, record.stack)
        thrown = trashed_volumes(system, tools.project)
        names = {one.name: one.name for one in seen.volumes if one.service == service and one.name not in thrown}
        trash_volumes(system, trash, {service: names} if names else {})
    note_record(system, trash, record)
    tools.store.update(lambda record: _without(profile, record, service))
    return trash


def bring_back(tools: Tools, profile: Profile, thrown: Thrown) -> None:
    """Put the data of a service where it was; what is there now goes to the trash."""
    service, system = thrown.service, tools.system
    data = tools.project.folder / "data" / service
    if data.exists() or service in tools.store.load().volumes:
        discard(tools, profile, service)
    if (thrown.folder / "data" / service).is_dir():
        system.move(thrown.folder / "data" / service, system.private_folder(data.parent) / service)
    known = tables(system, thrown.folder)
    tools.store.update(lambda record: _with(profile, record, service, known))
    (thrown.folder / TRASHED).unlink(missing_ok=True)
    system.remove_tree(thrown.folder)


def _without(profile: Profile, record: Record, service: str) -> Record:
    for table in _TABLES:
        record = record.with_entry(table, service, None)
    return emptied(profile, record, (service,))


def _with(profile: Profile, record: Record, service: str, known: Mapping[str, Any]) -> Record:
    for table in _TABLES:
        record = record.with_entry(table, service, known.get(table, {}).get(service))
    tasks = {name: key for name, key in known.get("tasks", {}).items() if name not in record.tasks}
    before = emptied(profile, record, (service,)).tasks
    done = {name: key for name, key in tasks.items() if name not in before}
    return replace(record, tasks={**before, **done})
