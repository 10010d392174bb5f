"""Where snapshots stand in a plan: while only services run, and after a task that asks for one. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from devstack.actions import EmptyData, RestoreSnapshot, SaveSnapshot, stop_of
from devstack.plan import Draft, Up, few
from devstack.state import State

#: target of the steps
DATA = "data"
#: whoever uses data comes after these
DONE = (f"{DATA}:save", f"{DATA}:restore")


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
    of = f" of {few(goal.only)}" if goal.only else ""
    if goal.restore:
        restored = RestoreSnapshot(goal.restore, goal.before, goal.only)
        draft.add(DATA, restored, f"back to {goal.restore}{of}; what is there becomes {goal.before}", needs=needs)
    if goal.empty:
        what = f"what waits in the queues{of}" if goal.empty == "queues" else f"the data{of}"
        emptied = EmptyData(goal.only, goal.before, queues=goal.empty == "queues")
        draft.add(DATA, emptied, f"{what} goes, and is kept as {goal.before}", needs=needs)


def first(draft: Draft, save: SaveSnapshot, state: State, units: Iterable[str]) -> None:
    """Before anything of this run changes data that is there; a snapshot that can't be made stops nobody."""
    needs = [*(f"{name}:stop" for name in units if name not in state.services), *state.services]
    draft.add(DATA, save, f"{save.why}: as it is now it becomes {save.name}", needs=needs, optional=True)


def transfer(draft: Draft, goal: Up, state: State) -> None:
    """A snapshot's file is written, or read, beside whatever runs: nobody uses what is kept."""
    if goal.transfer is not None:
        draft.add(DATA, goal.transfer, "asked for", needs=state.services)


def after(draft: Draft, name: str, snapshot: str, needs: Iterable[str], cause: str) -> str:
    """The snapshot that a task asks for: the step after which it is done. needs: the task's own step, and the services.
    """
    action = SaveSnapshot(snapshot, why=f"the data as the task {name} leaves it", origin="task")
    return draft.add(f"snapshot {snapshot}", action, cause, needs=needs)
