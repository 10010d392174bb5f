"""Results as JSON values: what programs read, one function per document. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from devstack.errors import NotTrustedError, ProfileError

if TYPE_CHECKING:
    from devstack.errors import DevstackError
    from devstack.plan import Plan
    from devstack.registry import Entry
    from devstack.stack.status import Status


def error(error: DevstackError) -> dict[str, Any]:
    said: dict[str, Any] = {
        "id": error.id, "what": error.what, "why": error.why, "fix": error.fix, "exit_code": error.exit_code,
    }  # fmt: skip
    if isinstance(error, ProfileError):
        said["mistakes"] = [asdict(mistake) for mistake in error.mistakes]
    if isinstance(error, NotTrustedError):
        said["changes"] = [dict(change) for change in error.changes]
    return {"error": said}


def plan(plan: Plan) -> Any:
    steps = [
        {"id": step.id, "target": step.target, "action": step.action.verb, "cause": step.cause,
         "needs": list(step.needs), "destructive": step.destructive}
        for step in plan.steps
    ]  # fmt: skip
    return {"goal": plan.goal, "steps": steps, "warnings": list(plan.warnings)}


def status(status: Status) -> dict[str, Any]:
    found, busy = asdict(status), status.busy
    return {
        "stack": found["stack"], "services": found["services"],
        "processes": [{key: row[key] for key in row if key != "program"} for row in found["processes"]],
        "busy": {"pid": busy.pid, "command": busy.command, "since": moment(busy.since)} if busy else None,
        "shortage": status.shortage or None,
    }


def stacks(entries: Sequence[Entry], states: Sequence[str]) -> Any:
    return {"stacks": [
        {"id": entry.id, "name": entry.name, "root": entry.root, "state": state, "runtime": entry.runtime,
         "ports": dict(entry.ports), "last_used": moment(entry.last_used)}
        for entry, state in zip(entries, states, strict=True)
    ]}  # fmt: skip


def moment(at: float) -> str:
    """Seconds since the epoch as RFC 3339 in UTC."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
