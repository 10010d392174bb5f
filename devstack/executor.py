"""Walks a Plan: each step when what it needs is done, independent ones at the same time. Decides nothing.

What a step does is a performer, looked up by the type of the step's action. Every event goes to the listener and to
the run's journal, one JSON line each.
"""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Literal, Protocol

from devstack.actions import Action
from devstack.errors import DevstackError, InterruptedRunError
from devstack.plan import Plan, Step
from devstack.system import System

Kind = Literal["started", "progress", "told", "finished", "unneeded", "failed", "skipped"]

#: steps mostly wait for other processes; this bounds threads, not cores
THREADS = 64


@dataclass(frozen=True)
class Event:
    """Something that happened to a step. unneeded: it found its work done. skipped: not begun, or not waited for.

    at: seconds since the run began. took: seconds, at its end.
    """

    kind: Kind
    step: Step
    at: float
    text: str = ""
    took: float = 0.0
    error: DevstackError | None = None
    #: something that a person wants to know however much is said besides, such as a new try


@dataclass(frozen=True)
class Outcome:
    """How a run ended. took: seconds."""

    events: tuple[Event, ...]
    took: float

    @property
    def failed_optional(self) -> tuple[Event, ...]:
        return tuple(event for event in self.events if event.kind == "failed")


class AbandonedError(Exception):
    """A wait has ended early because another step had failed; the step is neither done nor failed."""


class UnneededError(Exception):
    """A step has found that its work is done already; the text says how it knows. Whoever needs the step may go on."""


class Report:
    """A performer's way to tell how far it is, and to learn that it is pointless to go on.

    say: where it is at this moment. tell: what everybody should read, also in a log and in the journal.
    """

    def __init__(
        self, say: Callable[[str], None], abandoned: threading.Event, tell: Callable[[str], None] | None = None
    ) -> None:
        self.say = say
        self.tell = tell or say
        self._abandoned = abandoned

    @property
    def is_abandoned(self) -> bool:
        """Another step has failed: it is pointless to wait any longer."""
        return self._abandoned.is_set()

    def ensure_wanted(self) -> None:
        """Called between two tries of a wait. Raises AbandonedError once another step has failed."""
        if self.is_abandoned:
            raise AbandonedError


Performer = Callable[[Any, Report], None]
Listener = Callable[[Event], None]


class Progress(Protocol):
    """A listener that shows a run between `__enter__` and `__exit__`."""

    def __enter__(self) -> Progress: ...

    def __exit__(self, *_: object) -> None: ...

    def __call__(self, event: Event) -> None: ...


@dataclass
class Journal:
    """One file per run: a head line, a line per event, a last line with the outcome."""

    system: System
    path: Path
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, **entry: Any) -> None:
        """Append one line; a journal that can't be written never stops a run."""
        line = json.dumps(entry, ensure_ascii=False) + "\n"
        with self._lock:
            self.system.append(self.path, line)


class Executor:
    """Runs plans with one set of performers."""

    def __init__(
        self, system: System, performers: Mapping[type[Action], Performer], listener: Listener, journal: Journal
    ) -> None:
        self._system = system
        self._performers = performers
        self._listener = listener
        self._journal = journal
        self._guard = threading.Lock()
        self._events: list[Event] = []
        #: optional steps that failed, and those of the same target that are pointless without them
        self._lost: set[str] = set()
        self._began = 0.0

    def execute(self, plan: Plan) -> Outcome:
        """Walk the whole plan. Raises the first error of a step that isn't optional, with `step` set to its id, after
        the steps under way have ended; steps not begun by then are never begun."""
        self._began = self._system.monotonic()
        self._events = []
        self._lost = set()
        self._journal.write(
            goal=plan.goal, began=self._system.now(),
            steps=[{"id": step.id, "cause": step.cause, "needs": step.needs} for step in plan.steps],
        )
        abandoned = threading.Event()
        waiting = Waiting(plan)
        ended: SimpleQueue[tuple[Step, Future[DevstackError | None]]] = SimpleQueue()
        running = 0
        failure: DevstackError | None = None
        crash: BaseException | None = None
        with ThreadPoolExecutor(min(THREADS, max(1, len(plan.steps)))) as pool:
            while True:
                if failure is None and crash is None:
                    for step in waiting.ready():
                        future = pool.submit(self._perform, step, abandoned)
                        future.add_done_callback(functools.partial(_hand_in, ended, step))
                        running += 1
                if not running:
                    break
                step, future = ended.get()
                running -= 1
                crash = crash or future.exception()
                error = None if future.exception() else future.result()
                if error is not None and (not step.optional or isinstance(error, InterruptedRunError)):
                    # a cancelled run fails in many steps at once; the first real failure is the one to tell
                    failure = failure or error
                waiting.done(step)
                if failure is not None or crash is not None:
                    abandoned.set()
        took = self._system.monotonic() - self._began
        for step in waiting.left():
            asked = isinstance(failure, InterruptedRunError)
            self._tell("skipped", step, "not begun" if asked else "not begun, since another step failed")
        self._journal.write(outcome=_outcome(failure, crash), took=round(took, 3))
        if crash is not None:
            raise crash
        if failure is not None:
            raise failure
        return Outcome(tuple(self._events), took)

    def _perform(self, step: Step, abandoned: threading.Event) -> DevstackError | None:
        began = self._system.monotonic()
        if step.optional and (lost := [need for need in step.needs if self._is_lost(need, step)]):
            self._lost.add(step.id)
            self._tell("skipped", step, f"not begun, since {lost[0]} failed")
            return None
        self._tell("started", step)
        try:
            if self._system.cancelled.is_set():
                raise InterruptedRunError("interrupted", "stopped on request", fix="devstack up")
            report = Report(
                lambda text: self._tell("progress", step, text) if text.strip() else None, abandoned,
                lambda text: self._tell("told", step, text),
            )
            self._performers[type(step.action)](step.action, report)
        except AbandonedError:
            self._tell("skipped", step, "not waited for, since another step failed")
            return None
        except UnneededError as unneeded:
            self._tell("unneeded", step, str(unneeded), took=self._system.monotonic() - began)
            return None
        except DevstackError as error:
            error.step = step.id
            if step.optional:
                self._lost.add(step.id)
            self._tell("failed", step, str(error), took=self._system.monotonic() - began, error=error)
            return error
        self._tell("finished", step, took=self._system.monotonic() - began)
        return None

    def _is_lost(self, need: str, step: Step) -> bool:
        """Did a step before fail that is of the same target? Another target's failure is no reason not to try."""
        return need in self._lost and need.rpartition(":")[0] == step.target

    def _tell(
        self, kind: Kind, step: Step, text: str = "", *, took: float = 0.0, error: DevstackError | None = None
    ) -> None:
        event = Event(kind, step, self._system.monotonic() - self._began, text, took, error)
        with self._guard:
            if kind != "progress":
                self._events.append(event)
            self._listener(event)
        if kind != "progress":
            entry = {"event": kind, "step": step.id, "at": round(event.at, 3)}
            if kind in ("finished", "unneeded", "failed"):
                entry["took"] = round(took, 3)
            if text:
                entry["text"] = text
            self._journal.write(**entry)


class Waiting:
    """The steps of a plan that haven't begun, and what each still waits for."""

    def __init__(self, plan: Plan) -> None:
        self._steps = {step.id: step for step in plan.steps}
        self._unmet = {step.id: len(set(step.needs)) for step in plan.steps}
        self._needed_by: dict[str, list[str]] = {}
        for step in plan.steps:
            for need in set(step.needs):
                self._needed_by.setdefault(need, []).append(step.id)
        self._ready = [step for step in plan.steps if not step.needs]

    def ready(self) -> list[Step]:
        """Steps that may begin now, each told once, in the plan's order."""
        found, self._ready = self._ready, []
        for step in found:
            del self._steps[step.id]
        return found

    def done(self, step: Step) -> None:
        for needing in self._needed_by.get(step.id, ()):
            self._unmet[needing] -= 1
            if not self._unmet[needing]:
                self._ready.append(self._steps[needing])

    def left(self) -> tuple[Step, ...]:
        """Steps that were never begun."""
        return tuple(self._steps.values())


def _hand_in(
    ended: SimpleQueue[tuple[Step, Future[DevstackError | None]]], step: Step, future: Future[DevstackError | None]
) -> None:
    ended.put((step, future))


def _outcome(failure: DevstackError | None, crash: BaseException | None) -> str:
    if crash is not None:
        return f"bug: {type(crash).__name__}"
    return failure.id if failure is not None else "done"
