"""Where snapshots stand in a plan: while only services run, and after a task that asks for one. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from devstack.actions import RestoreSnapshot, SaveSnapshot, stop_of
from devstack.plan import Draft, Up
from devstack.state import State

#: target of the steps
DATA = "data"


def calm(draft: Draft, goal: Up, state: State) -> None:
    """End every process, then save or restore what the services hold: nobody writes meanwhile."""
    cause = "nobody may write while data is copied" if goal.save else "nobody may write while data is exchanged"
    stops = [
        draft.add(name, stop_of(name, now), cause)
        for name, now in state.live.items() if name not in state.services and now.is_running
    ]
    needs = [*stops, *state.services]
    if goal.save:
        draft.add(DATA, SaveSnapshot(goal.save), f"the snapshot {goal.save} was asked for", needs=needs)
    if goal.restore:
        action = RestoreSnapshot(goal.restore, goal.before)
        draft.add(DATA, action, f"back to {goal.restore}; what is there becomes {goal.before}", needs=needs)


def after(draft: Draft, name: str, snapshot: str, needs: Iterable[str], cause: str) -> str:
    """The snapshot that a task asks for: the step after which it is done. needs: the task's own step, and the services.
    """
    action = SaveSnapshot(snapshot, why=f"the data as the task {name} leaves it")
    return draft.add(f"snapshot {snapshot}", action, cause, needs=needs)
