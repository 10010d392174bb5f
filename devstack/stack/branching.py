"""The branch that a checkout is on, and what is known of the data's: read off `.git` and the automatic snapshots."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from devstack import branches
from devstack.snapshots import Manifest, Snapshots
from devstack.stack.machinery import Tools
from devstack.state import Branch, Record, State
from devstack.system import System

_REF = re.compile(r"ref: refs/heads/(\S+)")
_POINTER = re.compile(r"gitdir: (.+)")
#: automatic snapshots that are kept at once, and bytes of them all; the newest stays in any case
_MOST, _MOST_BYTES = 5, 5_000_000_000
#: bytes of data above which none is made: it would take as much again, and long
LARGE = 2_000_000_000


def current(system: System, root: Path) -> str:
    """The branch that is checked out, `detached` for none; "" where there is no git. No process is started."""
    # the project may be a part of a repository
    place = next((folder / ".git" for folder in (root, *root.parents) if (folder / ".git").exists()), root / ".git")
    if place.is_file() and (found := _POINTER.match(system.read(place) or "")):
        # a worktree's, or a submodule's
        place = place.parent / found[1].strip()
    head = system.read(place / "HEAD") if place.is_dir() else None
    if head is None:
        return ""
    found = _REF.match(head)
    return found[1] if found else "detached"


def observed(tools: Tools, record: Record, state: State) -> Branch:
    """state: with its tasks."""
    snapshots = Snapshots(tools.system, tools.project.snapshots)
    automatic = [one for one in snapshots.all() if one.origin == "automatic" and _is_usable(one, state)]
    pending = record.pending.partition(" ")[0]
    is_open = any(one.name == pending for one in automatic)
    stale = {name: task.key for name, task in state.tasks.items() if task.done and task.done != task.key}
    kept = {
        name: one.name for name, key in stale.items() for one in reversed(automatic)
        if one.tasks.get(name) == key and not one.branch.endswith("+")
    }
    return Branch(current(tools.system, tools.project.root), record.branch, pending if is_open else "", kept)


def _is_usable(manifest: Manifest, state: State) -> bool:
    """Its copies are still there."""
    return all(
        name in state.services and _began(state.services[name].generation) == _began(part.generation)
        for name, part in manifest.services.items()
    )


def _began(generation: str) -> str:
    """Without what was made anew inside of the data since."""
    return generation.partition("+")[0]


def remember(tools: Tools, branch: Branch, task: str = "") -> None:
    """A task that works on data, or all of an `up`, has ended well: the data is this branch's."""
    now = branches.after(branch)

    def change(record: Record) -> Record:
        name, *waiting = record.pending.split() or [""]
        left = [one for one in waiting if one != task]
        return replace(record, branch=now, pending=" ".join((name, *left)) if left else "")

    tools.store.update(change)


def surplus(automatic: Mapping[str, Manifest]) -> list[Manifest]:
    """Those that go, by name: more than are kept, or larger together. The newest stays."""
    newest = sorted(automatic.values(), key=lambda one: -one.made)
    kept, size, gone = 0, 0, []
    for one in newest:
        size += one.size
        if kept and (kept >= _MOST or size > _MOST_BYTES):
            gone.append(one)
        else:
            kept += 1
    return gone
