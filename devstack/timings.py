"""Where a run's time went: its steps on one axis, and the chain of steps that it could not have been faster than. Pure.

Read off the journals, so that it says what was, also of a run that failed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

Ending = Literal["finished", "failed", "skipped", "cut off"]
_ENDINGS: dict[str, Ending] = {"finished": "finished", "failed": "failed", "skipped": "skipped"}


@dataclass(frozen=True)
class Span:
    """One step that was begun. at: seconds since the first run began. took: seconds.

    is_critical: on the chain that set the pace.
    """

    step: str
    at: float
    took: float
    ending: Ending
    is_critical: bool = False

    @property
    def end(self) -> float:
        return self.at + self.took


@dataclass(frozen=True)
class Timings:
    """Runs made one after the other, such as a check-out and an `up`. wall: seconds from the first's begin to the end.

    spans: in the order of their beginnings.
    """

    spans: tuple[Span, ...] = ()
    wall: float = 0.0

    @property
    def critical(self) -> tuple[Span, ...]:
        """Each began when the one before had ended; the last one ended last of all."""
        return tuple(span for span in self.spans if span.is_critical)

    @property
    def work(self) -> float:
        """What all steps took together."""
        return sum(span.took for span in self.spans)


@dataclass
class _Run:
    """needs: of every planned step. spans: by step."""

    began: float
    took: float
    needs: dict[str, tuple[str, ...]]
    spans: dict[str, Span]


def timings(journals: Iterable[str]) -> Timings:
    """journals: whole texts, in the order in which the runs were made. A line that can't be read is passed over."""
    runs = [run for text in journals if (run := _run(text)) is not None]
    if not runs:
        return Timings()
    origin = runs[0].began
    critical: set[tuple[int, str]] = set()
    for number in range(len(runs)):
        critical |= {(number, step) for step in _chain(runs[number])}
    spans = [
        replace(span, at=span.at + run.began - origin, is_critical=(number, span.step) in critical)
        for number, run in enumerate(runs) for span in run.spans.values()
    ]
    wall = runs[-1].began - origin + runs[-1].took
    return Timings(tuple(sorted(spans, key=lambda span: (span.at, span.end))), wall)


def _chain(run: _Run) -> list[str]:
    """Back from the step that ended last, each time to the one among its needs that ended last."""
    chain: list[str] = []
    # ends in the same millisecond: the one that is later in the plan came after
    places = {step: place for place, step in enumerate(run.needs)}
    waiting: Sequence[str] = tuple(run.spans)
    while waiting:
        chain.append(max(waiting, key=lambda step: (run.spans[step].end, places.get(step, 0))))
        waiting = [need for need in run.needs.get(chain[-1], ()) if need in run.spans and need not in chain]
    return chain


def _run(text: str) -> _Run | None:
    head, *entries = [entry for line in text.splitlines() if (entry := _entry(line)) is not None] or [{}]
    if not isinstance(head.get("began"), int | float):
        return None
    steps = {step["id"]: tuple(step["needs"]) for step in head["steps"]}
    run = _Run(float(head["began"]), 0.0, steps, {})
    for entry in entries:
        at = float(entry.get("at", 0.0))
        run.took = max(run.took, at, float(entry["took"]) if "outcome" in entry else 0.0)
        step, event = str(entry.get("step", "")), entry.get("event")
        if event == "started":
            run.spans[step] = Span(step, at, 0.0, "cut off")
        elif event in _ENDINGS and step in run.spans:
            began = run.spans[step].at
            run.spans[step] = Span(step, began, max(0.0, at - began), _ENDINGS[event])
    # its devstack was killed: what went on then had no end that anybody saw
    run.spans |= {
        step: replace(span, took=max(0.0, run.took - span.at))
        for step, span in run.spans.items() if span.ending == "cut off"
    }
    return run


def _entry(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None
