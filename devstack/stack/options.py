"""What a stack is asked with, and what it answers a run with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from devstack.executor import Outcome
from devstack.profile.model import Ask
from devstack.stack.trusting import Request
from devstack.status import Status

Asker = Callable[[str, Ask], str | None]


@dataclass(frozen=True)
class Options:
    """What flags and `DEVSTACK_*` say. profile: a path or a shipped name, "" for the project's own. runtime: what the
    flag says; the variable is read for every verb, whether it has the flag or not."""

    profile: str = ""
    runtime: str = ""
    trust: bool = False
    new_ports: bool = False
    #: take data along to the runtime that is asked for
    move_data: bool = False
    offline: bool = False
    #: run tasks for real, whatever data is kept for stacks like this one
    no_seed: bool = False
    #: tell again what an earlier run has told
    verbose: bool = False
    #: a yes to every question about what is installed or replaced
    yes: bool = False
    #: shows a command of the system's package manager and asks whether it may run; None where nobody can be asked
    ask_consent: Callable[[tuple[str, ...]], bool] | None = None
    ask: Asker = lambda name, question: None
    #: shows what would run and asks whether to trust it; None where nobody can be asked
    ask_trust: Callable[[Request], bool] | None = None


@dataclass(frozen=True)
class Run:
    """How a run ended, and the stack as it was right after it."""

    outcome: Outcome
    status: Status
    #: what the run brought about and somebody should know of
    remarks: tuple[str, ...] = ()
