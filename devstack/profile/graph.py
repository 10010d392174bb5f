"""Walks over what needs what: services, tasks and processes are the nodes, `needs.py` says the edges."""

from __future__ import annotations

from devstack.profile.model import Profile
from devstack.profile.needs import has_port, process_needs, programs_of, task_needs

__all__ = ["all_needs", "has_port", "needs", "order", "programs_of"]


def needs(profile: Profile, name: str) -> tuple[str, ...]:
    """What comes right before a service, task or process; a service needs nothing."""
    if name in profile.tasks:
        return task_needs(profile, name)
    return process_needs(profile, name) if name in profile.processes else ()


def all_needs(profile: Profile, name: str) -> tuple[str, ...]:
    """Everything that comes before, however far, in an order in which needs come first."""
    found: dict[str, None] = {}

    def visit(current: str) -> None:
        for need in needs(profile, current):
            if need not in found:
                visit(need)
                found[need] = None

    visit(name)
    return tuple(found)


def order(profile: Profile) -> tuple[str, ...]:
    """Every service, task and process, each after what it needs (the loader has refused cycles)."""
    found: dict[str, None] = {}
    for name in (*profile.services, *profile.tasks, *profile.processes):
        found.update(dict.fromkeys(all_needs(profile, name)))
        found[name] = None
    return tuple(found)
