"""Where snapshots stand in a plan: while no process writes, and after a task that asks for one. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from devstack.actions import EmptyData, KeepSeed, MakeSpare, PlantSeed, RestoreSnapshot, SaveSnapshot, stop_of
from devstack.plan import Draft, Up, few
from devstack.profile import graph
from devstack.profile.model import Profile
from devstack.state import ProgramState, State

#: target of the steps
DATA = "data"
#: whoever uses data comes after these
DONE = (f"{DATA}:save", f"{DATA}:restore", f"{DATA}:empty", f"{DATA}:seed")
#: why processes end for a while
COPIED, EXCHANGED = "nobody may write while data is copied", "nobody may write while data is exchanged"


def why_anew(goal: Up, now: ProgramState) -> str:
    """Why a process that runs has to be started anew, "" where it needn't be."""
    return "" if goal.calm or not now.is_running else _why_calm(goal)


def _why_calm(goal: Up) -> str:
    """Why processes must be at rest for a goal, "" where they needn't be."""
    if goal.save:
        return COPIED
    return EXCHANGED if goal.restore or goal.empty else ""


def late(profile: Profile, state: State, goal: Up) -> Up:
    """The goal, with the snapshot that a task was given after it had been done: `reset` is to go to it from now on."""
    if goal.names or goal.calm or goal.save or goal.restore or goal.transfer or goal.foreground or not goal.start:
        return goal
    name = reset_to(profile)
    if not name or name in state.snapshots or not all(service.has_data for service in state.services.values()):
        return goal
    for task, now in state.tasks.items():
        # one that was cut short is taken up by itself
        if profile.tasks[task].snapshot == name and now.done and now.has_same_data and now.owes != name:
            return replace(goal, save=name, why=f"the task {task} was done before it asked for a snapshot")
    return goal


def calm(draft: Draft, goal: Up, state: State, changing: Sequence[str]) -> None:
    """End every process, then save or restore what the services hold. changing: tasks that will run on what came back.
    """
    if not (cause := _why_calm(goal)):
        return
    stops = [
        f"{name}:stop" if f"{name}:stop" in draft else draft.add(name, stop_of(name, now), cause)
        for name, now in state.live.items() if name not in state.services and now.is_running
    ]
    needs = [*stops, *state.services]
    if goal.save:
        cause = goal.why or f"the snapshot {goal.save} was asked for"
        draft.add(DATA, SaveSnapshot(goal.save, goal.why), cause, needs=needs)
    of = f" of {few(goal.only)}" if goal.only else ""
    if goal.restore:
        restored = RestoreSnapshot(goal.restore, goal.before, goal.only, () if goal.calm else tuple(changing))
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


def covered(profile: Profile, name: str) -> tuple[str, ...]:
    """A task and all tasks that come before it."""
    return (*(need for need in graph.all_needs(profile, name) if need in profile.tasks), name)


def plant(draft: Draft, state: State, profile: Profile, wanted: Collection[str]) -> str:
    """Before any task: data that is kept for a stack like this one. What tasks say that needn't run then, else ""."""
    seeding = state.seeding
    if not set(profile.services) <= set(wanted):
        return ""
    if seeding.task not in wanted:
        if seeding.is_unfinished:
            draft.add(DATA, PlantSeed(""), "a run was killed while it put data in", needs=state.services)
        return ""
    action = PlantSeed(seeding.key, seeding.covers)
    draft.add(DATA, action, f"{seeding.story} is what {', '.join(seeding.covers)} would make", needs=state.services)
    return seeding.story


def after(draft: Draft, profile: Profile, state: State, name: str, needs: Iterable[str]) -> str:
    """The snapshot that a task asks for, and what is kept of it for others: the step after which it is done. needs: the
    task's own step, or what it needs where it is done and was only cut short, and the services."""
    snapshot, seeding = profile.tasks[name].snapshot or "", state.seeding
    cause = f"{name} has run" if f"{name}:run" in draft else "it was cut short"
    action = SaveSnapshot(snapshot, why=f"the data as the task {name} leaves it", origin="task")
    step = draft.add(f"snapshot {snapshot}", action, cause, needs=needs)
    if name not in seeding.keys or name == seeding.task:
        return step
    kept = KeepSeed(seeding.keys[name], snapshot, covered(profile, name))
    cause = "other stacks can begin with it"
    return draft.add(f"seed {snapshot}", kept, cause, needs=[step], optional=True)


def reset_to(profile: Profile) -> str:
    """The snapshot that `reset` goes back to: that of the last task that asks for one; "" for none."""
    names = [profile.tasks[name].snapshot for name in graph.order(profile) if name in profile.tasks]
    return next((name for name in reversed(names) if name), "")


def spare(draft: Draft, profile: Profile, goal: Up) -> None:
    """Last of all: what makes the next `reset` quick, once somebody has made or used up what there was."""
    name = reset_to(profile)
    made = f"snapshot {name}:save" if f"snapshot {name}:save" in draft else ""
    if made or (name and name in (goal.restore, goal.save)):
        needs = [step.id for step in draft.steps]
        draft.add("spare copy", MakeSpare(name), f"the next reset goes to {name}", needs=needs, optional=True)
