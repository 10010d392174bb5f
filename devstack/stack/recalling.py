"""What the record says once data was exchanged: what was done with it counts as it did with the data that came back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from devstack.plan import Up
from devstack.profile import graph
from devstack.profile.model import Profile
from devstack.services import kind_of
from devstack.snapshots import Manifest, Part, Snapshots
from devstack.stack.machinery import Tools
from devstack.stack.observe import Observer
from devstack.state import Record, State


def foreseen(tools: Tools, observer: Observer, state: State, goal: Up) -> State:
    """The state as it will be once the goal's snapshot is restored: what is done then, and on whose data. Raises
    UsageError for an unknown snapshot."""
    manifest = Snapshots(tools.system, tools.project.snapshots).get(goal.restore)
    parts = {name: part for name, part in manifest.services.items() if not goal.only or name in goal.only}
    services = {
        name: replace(one, generation=parts[name].generation) if name in parts else one
        for name, one in state.services.items()
    }
    record = recalled(tools.profile, tools.store.load(), manifest, parts)
    return observer.with_tasks(replace(state, services=services), record)


def recalled(profile: Profile, record: Record, manifest: Manifest, parts: Mapping[str, Part]) -> Record:
    """parts: what came back of the snapshot, by service."""
    tasks = {name: key for name, key in record.tasks.items() if not _works_on(profile, name, parts)}
    tasks |= {name: key for name, key in manifest.tasks.items() if _works_on(profile, name, parts)}
    # what was made anew inside of the same data since then is gone again
    again = {name: f"+{rest}" for name, part in parts.items() if (rest := part.generation.partition("+")[2])}
    generations = {name: value for name, value in record.generations.items() if name not in parts}
    whole = set(parts) >= {name for name, one in profile.services.items() if kind_of(name, one).copies}
    branch = manifest.branch or record.branch if whole else record.branch
    owed = {name: snapshot for name, snapshot in record.owed.items() if not _works_on(profile, name, parts)}
    record = replace(record, owed=owed, tasks=tasks, generations=generations | again, branch=branch)
    return replace(record, pending="") if whole else record


def emptied(profile: Profile, record: Record, services: Collection[str]) -> Record:
    """Whatever was done with these services' data has to be done again."""
    tasks = {name: key for name, key in record.tasks.items() if not _works_on(profile, name, services)}
    owed = {name: snapshot for name, snapshot in record.owed.items() if name in tasks}
    return replace(record, tasks=tasks, owed=owed)


def _works_on(profile: Profile, task: str, services: Collection[str]) -> bool:
    """A task that the profile doesn't have may have worked on anything."""
    return task not in profile.tasks or not services or any(n in services for n in graph.all_needs(profile, task))
