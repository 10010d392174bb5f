"""What brings an exchange of data to its end that was cut short."""

from __future__ import annotations

from typing import Literal

from devstack.plan import Up
from devstack.profile.model import Profile
from devstack.snapshots import Snapshots


def unfinished(snapshots: Snapshots, profile: Profile, goal: Up) -> Up | None:
    """The goal that finishes what was begun; None where nothing was, or where `goal` is that very exchange."""
    begun = snapshots.under_way
    if begun is None:
        return None
    services = tuple(profile.services)
    if begun.key:
        name = next((one.name for one in snapshots.every() if one.key == begun.key), "")
        if not name:
            return None
        found = Up(services, name="restore", calm=True, restore=name, before=begun.before, only=begun.only)
        return None if (goal.restore, goal.only, goal.before) == (name, begun.only, begun.before) else found
    empty: Literal["data", "queues"] = "queues" if begun.queues else "data"
    if (goal.empty, goal.only, goal.before) == (empty, begun.only, begun.before):
        return None
    return Up(services, name="reset", calm=True, empty=empty, before=begun.before, only=begun.only)
