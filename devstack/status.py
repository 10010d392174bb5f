"""The status of a stack as data: what `status`, `urls` and the end of `up` show, in text or JSON. Pure.

Apart from what makes it (`stack/status.py`), since showing the status of a standing stack must not load a stack.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Overall = Literal["up", "degraded", "down"]
#: state of a process that somebody runs on a terminal
FOREGROUND = "foreground"


@dataclass(frozen=True)
class StackRow:
    id: str
    name: str
    root: str
    profile: str
    state: Overall


@dataclass(frozen=True)
class ServiceRow:
    """url: with the password masked. port, url: None for one that has no port."""

    name: str
    kind: str
    version: str
    runtime: str
    state: str
    ready: bool
    port: int | None
    url: str | None
    reason: str | None


@dataclass(frozen=True)
class ProcessRow:
    """One replica. uptime_s: seconds."""

    name: str
    replica: int
    role: str
    state: str
    ready: bool
    pid: int | None
    port: int | None
    url: str | None
    restarts: int
    uptime_s: float | None
    reason: str | None
    program: str = ""
    """Its name for `logs` and `restart`: `worker`, `worker-2`."""


@dataclass(frozen=True)
class ScaleRow:
    """A process that runs in another number than its profile's files say."""

    name: str
    replicas: int
    declared: int


@dataclass(frozen=True)
class Holder:
    """A devstack that is changing the stack. since: seconds since the epoch."""

    pid: int
    command: str
    since: float


@dataclass(frozen=True)
class Status:
    """notes: what the profile tells people, filled in. busy: who is at work on the stack, None for nobody else.
    shortage: which disk is full, "" for none."""

    stack: StackRow
    services: tuple[ServiceRow, ...]
    processes: tuple[ProcessRow, ...]
    scaled: tuple[ScaleRow, ...] = ()
    notes: tuple[str, ...] = ()
    busy: Holder | None = None
    shortage: str = ""
