"""What another branch makes of a stack: what is stale and since when, and the snapshot before a task changes data that
is there. Pure (decision 0044)."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator

from devstack.actions import (
    CreateEnvironment,
    FetchServer,
    LinkEnvironment,
    RunTask,
    SaveSnapshot,
    StartContainer,
    StartProgram,
    StopContainer,
    StopProgram,
)
from devstack.due import why_due
from devstack.keeping import COPIED
from devstack.plan import Step, Up
from devstack.profile import graph
from devstack.profile.model import Profile, Task, name_from
from devstack.services import kind_of
from devstack.state import Branch, State, TaskState

#: what of a plan says that something isn't as this branch wants it
_TELLING = (CreateEnvironment, LinkEnvironment, FetchServer, RunTask, StopProgram, StopContainer)
_MOST = 40


def snapshot_name(branch: str) -> str:
    """Of the data as a branch had it. branch: as of the record, a `+` behind it where another's data is in it too."""
    plain = branch.removesuffix("+") or "data"
    slug = name_from(plain)
    mark = f"-{hashlib.sha256(plain.encode()).hexdigest()[:4]}" if slug != plain else ""
    end = f"{mark}{'-mixed' if branch.endswith('+') else ''}"
    return f"auto-{slug}"[: _MOST - len(end)].rstrip("-_") + end


def before(profile: Profile, state: State, goal: Up, wanted: Collection[str]) -> SaveSnapshot | None:
    """The snapshot that is due before tasks change data that is there; None where none do, or an earlier try at them
    has made it already."""
    is_about_data = goal.calm or goal.transfer or goal.save or goal.restore or goal.empty
    is_whole = goal.start and not is_about_data and set(wanted).issuperset(profile.services)
    if not is_whole or state.branch.pending:
        return None
    tasks = [name for name in changing(profile, state) if name in wanted and name not in goal.force]
    if not tasks:
        return None
    now = f" on {state.branch.now}" if state.branch.now else ""
    why = f"before {', '.join(tasks)}{now}"
    return SaveSnapshot(snapshot_name(state.branch.before), why, "automatic", tuple(tasks))


def changing(profile: Profile, state: State) -> list[str]:
    """Tasks that will run again, or for the first time, on data that others have worked on."""
    works = {name: works_on(profile, state, name) for name in profile.tasks if name in state.tasks}
    is_used = any(works[name] and state.tasks[name].done and state.tasks[name].has_same_data for name in works)
    return [name for name in works if works[name] and is_used and _changes(profile.tasks[name], state.tasks[name])]


def _changes(task: Task, state: TaskState) -> bool:
    # what began anew is made again, not changed
    return bool(why_due(task, state)) and (not state.done or state.has_same_data)


def works_on(profile: Profile, state: State, task: str) -> bool:
    """It needs a service whose data is there and can be copied."""
    services = [name for name in graph.all_needs(profile, task) if name in state.services]
    return any(
        state.services[name].has_data and kind_of(name, state.services[name].instance.declaration).copies is not None
        for name in services
    )


def why_anew(save: SaveSnapshot | None, *, is_running: bool) -> str:
    """Why a process that runs has to be started anew, "" where it needn't be."""
    return COPIED if save is not None and is_running else ""


def notes(branch: Branch, steps: Collection[Step]) -> Iterator[str]:
    """One line for each thing that isn't as the branch of now wants it, and where the data of before is."""
    was = branch.before.removesuffix("+")
    if was and branch.now and was != branch.now:
        told = set()
        started = {step.target for step in steps if isinstance(step.action, StartProgram | StartContainer)}
        for step in steps:
            # whoever ends because the branch lacks it isn't started again; whoever ends for a copy isn't stale
            is_stop = isinstance(step.action, StopProgram | StopContainer)
            if isinstance(step.action, _TELLING) and step.target not in told and step.cause != COPIED:
                told.add(step.target)
                gone = " (ends)" if is_stop and step.target not in started else ""
                yield f"{step.target}{gone}: {step.cause}, since branch {was}"
    if branch.kept:
        tasks, names = ", ".join(branch.kept), list(dict.fromkeys(branch.kept.values()))
        yield (
            f"the data is ahead of {branch.now or 'the project'}: {tasks} ran on it elsewhere since; as it was before: "
            f"devstack snapshot restore {names[0]}"
        )
    elif branch.pending:
        yield (
            "a run that began to change the data didn't end well; as it was before: "
            f"devstack snapshot restore {branch.pending}"
        )


def after(branch: Branch) -> str:
    """Whose data it is once what was due has run."""
    is_mixed = branch.now and (branch.kept or branch.before.endswith("+"))
    return branch.now + "+" if is_mixed else branch.now
