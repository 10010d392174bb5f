"""When a task runs again (decision 0006). Pure."""

from __future__ import annotations

from devstack.plan import few
from devstack.profile.model import Task
from devstack.state import TaskState


def why_due(task: Task, state: TaskState) -> str:
    """Why a task has to run; "" where it is done."""
    if not state.done:
        return "not done yet with this data"
    if state.missing:
        return f"not there any more: {few(state.missing)}"
    if task.once:
        return "" if state.has_same_data else "the data it was done with began anew"
    return "" if state.done == state.key else "its inputs, command, environment or data changed"
