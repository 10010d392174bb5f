"""`up`, `status`, `ps` and `urls` of a stack that stands as it was left: answered without loading what makes a stack.

In any doubt nothing is said here, and the whole command runs (docs/decisions/0007-a-standing-stack.md).
"""

from __future__ import annotations

import os
from typing import Any

from devstack import room, standing
from devstack.cli.calling import prefix, unseen
from devstack.errors import StorageError
from devstack.output import Call, Output
from devstack.status import ProcessRow, ScaleRow, ServiceRow, StackRow, Status

_FLAGS = {"--json", "-v", "--verbose"}


def run(words: list[str]) -> int | None:
    """The exit code; None where the whole command has to run. words: a verb that only looks or may find nothing to do,
    and its arguments."""
    if not _FLAGS.issuperset(words[1:]):
        return None
    try:
        found = standing.memo_of(os.getcwd())
    except OSError:
        return None
    if found is None or not standing.stands(found[1], whole=words[0] == "up"):
        return None
    memo = found[1]
    try:
        status = _status(memo)
        if words[0] == "up":
            standing.touch(memo)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    output = Output(json="--json" in words, verbose=not {"-v", "--verbose"}.isdisjoint(words))
    try:
        _show(output, words[0], status, memo["warnings"])
    except StorageError as error:
        output.error(error)
        return error.exit_code
    except BrokenPipeError:
        pass
    return 0


def _show(output: Output, verb: str, status: Status, warnings: list[str]) -> None:
    if verb == "urls":
        output.urls(status)
    elif verb == "up":
        # what was told before is told again only to who asks for more
        output.note(*(warnings if output.verbose else ()))
        output.ready(status, 0.0, Call(prefix(os.getcwd()), unseen=unseen()), ())
    else:
        output.note(*(warnings if output.verbose else ()))
        output.status(status, call=Call(prefix(os.getcwd())))


def _status(memo: standing.Memo) -> Status:
    known: dict[str, Any] = memo["status"]
    uptimes = standing.uptimes(memo)
    processes = [
        ProcessRow(**{**row, "uptime_s": round(uptimes[row["program"]], 1)}) for row in known["processes"]
    ]
    services = [ServiceRow(**row) for row in known["services"]]
    scaled = tuple(ScaleRow(**row) for row in known["scaled"])
    stack, notes = StackRow(**known["stack"]), tuple(known["notes"])
    shortage = room.shortage(f"{memo['root']}/.devstack")
    return Status(stack, tuple(services), tuple(processes), scaled, notes, shortage=shortage)
