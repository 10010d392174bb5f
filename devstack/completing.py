"""What a checkout lacks: submodules and large files, as the first steps of a plan. Pure."""

from __future__ import annotations

from devstack.actions import Clone, GetSubmodules, PullLargeFiles
from devstack.plan import CheckedOut, Draft, Plan, few
from devstack.state import Parts

#: whoever needs it needs the project's files whole
PROJECT = "project"


def checkout(goal: CheckedOut) -> Plan:
    """The first of a bootstrap's two plans."""
    draft = Draft(goal.name)
    if not goal.exists:
        action = Clone(goal.url, goal.destination, goal.ref, goal.sparse)
        draft.add(PROJECT, action, f"{goal.destination} is not there")
    return draft.finished(())


def completion(parts: Parts, goal: str) -> Plan:
    """What an `up` does before it looks at the project: until its files are whole they say little of its needs."""
    draft = Draft(goal)
    complete(draft, parts)
    return draft.finished(())


def complete(draft: Draft, parts: Parts) -> None:
    steps: list[str] = []
    states = ((parts.submodules, "not there"), (parts.moved, "at another commit than the project wants"))
    if causes := [cause for paths, how in states if (cause := _submodules(paths, how))]:
        steps.append(draft.add("submodules", GetSubmodules((*parts.submodules, *parts.moved)), "; ".join(causes)))
    if paths := parts.pointers:
        cause = f"only pointers to what Git LFS holds: {few(paths)}"
        steps.append(draft.add("lfs", PullLargeFiles(paths), cause, needs=steps))
    draft.point(PROJECT, steps)


def _submodules(paths: tuple[str, ...], how: str) -> str:
    if len(paths) == 1:
        return f"submodule {paths[0]} is {how}"
    return f"submodules are {how}: {few(paths)}" if paths else ""
