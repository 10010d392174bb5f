"""Downloads fail: telling a passing failure from a lasting one, and trying again."""

from __future__ import annotations

import re
from collections.abc import Callable

from devstack.errors import NetworkError, StorageError
from devstack.system import Completed, System

_TRIES = 3
_PASSING = re.compile(
    r"(?i)connection|timed? ?out|temporar|reset by peer|resolv|unreachable|retrying|\b50[0234]\b|\b429\b"
    r"|hash sum mismatch|incompleteread|failed to fetch|proxy"
)
#: what pip says of each try, before it says only that it has found nothing
_BROKEN = re.compile(r"after connection broken by '(.+)': /")
_QUOTED = re.compile(r"['\"]([^'\"]+)['\"]")


class LastingError(NetworkError):
    """A network failure that trying again doesn't mend."""


class Retry:
    """Up to three tries, with a pause that grows."""

    def __init__(self, system: System, on_progress: Callable[[str], None]) -> None:
        self._system = system
        self._on_progress = on_progress

    def of(self, attempt: Callable[[], NetworkError | None]) -> None:
        """Call `attempt` until it returns no error. Raises the last one, and a lasting one at once."""
        for number in range(1, _TRIES + 1):
            error = attempt()
            if error is None:
                return
            if isinstance(error, LastingError) or number == _TRIES:
                raise error
            self._on_progress(f"trying again: {error.why}")
            self._system.pause(2.0**number - 1)


def failure(id: str, what: str, done: Completed) -> NetworkError:
    """The error for a download command that failed. Raises StorageError where it was the disk that refused."""
    lines = done.last_lines()
    text = "\n".join(lines)
    if "No space left on device" in text or "Disk quota exceeded" in text:
        raise StorageError("disk-full", what, why="no space left on the device", fix="df -h", evidence=lines)
    if done.timed_out:
        return LastingError(id, what, why="it took too long", fix="devstack up", evidence=lines)
    errors = [line for line in lines if line.startswith(("ERROR:", "E:", "Err:"))]
    why = (errors or list(lines) or ["it said nothing"])[-1].split(": ", 1)[-1][:300]
    if (broken := _BROKEN.findall(text)) and (said := _QUOTED.findall(broken[-1])):
        why = re.sub(r"^\[Errno -?\d+\] ", "", said[-1].rpartition(": ")[2])[:300]
    kind = NetworkError if _PASSING.search(text) else LastingError
    return kind(id, what, why=why, fix="devstack up", evidence=lines)
