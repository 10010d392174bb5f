"""A run while it goes on, on a terminal: one row per target, redrawn in place a few times a second."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from devstack.errors import InterruptedRunError
from devstack.output.progress import DOING, DONE, said
from devstack.output.terminal import Style
from devstack.output.text import ascii_of, cells, cut, one_line, pad

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from devstack.executor import Event
    from devstack.plan import Plan, Step

Phase = Literal["failed", "stopped", "running", "waiting", "done"]
Part = tuple[str, Style]

#: the times would be too far from what they belong to
_WIDEST = 100
#: so many things that a row waits for are named
_NAMED = 4
_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_ASCII_FRAMES = "|/-\\"
_FRAMES_PER_SECOND = 10
#: rows of a terminal that has room for everything
_WHOLE = 10_000
#: what people look for comes first when not everything fits
_URGENT: tuple[Phase, ...] = ("failed", "stopped", "running", "waiting", "done")
_NAMES: dict[Phase, Style] = {"running": "bold", "waiting": "dim", "failed": "red", "stopped": "", "done": ""}


@dataclass(frozen=True)
class Size:
    width: int
    height: int


@dataclass(frozen=True)
class Row:
    """What one target is doing. took: `3.1 s` or nothing."""

    target: str
    phase: Phase
    mark: Part
    text: tuple[Part, ...]
    took: str = ""


class Picture:
    """What has happened so far, and how it is drawn. No clock and no terminal of its own."""

    def __init__(self, plan: Plan, title: str, *, has_unicode: bool = True) -> None:
        self._title = one_line(title)
        self._has_unicode = has_unicode
        self._steps: dict[str, list[Step]] = {}
        for step in plan.steps:
            self._steps.setdefault(step.target, []).append(step)
        self._events: dict[str, Event] = {}
        self._began: dict[str, float] = {}
        self._said: dict[str, str] = {}
        self.is_stopping = False

    @property
    def has_begun(self) -> bool:
        return bool(self._events)

    def add(self, event: Event) -> None:
        if event.kind in ("progress", "told"):
            self._said[event.step.id] = said(event.text)
            return
        self._events[event.step.id] = event
        if event.kind == "started":
            self._began.setdefault(event.step.target, event.at)

    def lines(self, now: float, size: Size) -> list[list[Part]]:
        """At most `height - 1` lines of at most `width` columns. now: seconds since the run began."""
        width = min(size.width, _WIDEST) - 1
        rows = [self._row(target, steps, now) for target, steps in self._steps.items()]
        phases = Counter(row.phase for row in rows)
        head: list[Part] = [(cut(self._title, width), "bold")]
        tail = f"  {phases['done']} of {len(rows)} done, {now:.0f} s"
        tail += "  stopping, Ctrl-C again leaves at once" if self.is_stopping else ""
        head.append((cut(tail, max(0, width - cells(head[0][0]))), "magenta" if self.is_stopping else "dim"))
        room = max(3, size.height - 2)
        hidden = ""
        if len(rows) > room:
            rows, hidden = _chosen(rows, room - 1)
        name = min(max(cells(row.target) for row in rows), max(8, width // 2))
        drawn = [head, *(self._line(row, name, width) for row in rows)]
        if hidden:
            drawn.append([(cut(f"  {hidden}", width), "dim")])
        return drawn if self._has_unicode else [[(ascii_of(text), style) for text, style in line] for line in drawn]

    def _line(self, row: Row, name: int, width: int) -> list[Part]:
        room = width - name - 5 - max(len(row.took), 7)
        parts: list[Part] = []
        for text, style in row.text:
            parts.append((cut(text, max(0, room)), style))
            room -= cells(parts[-1][0])
        took = f"{'':{room}} {row.took:>7}" if row.took and room >= 0 else ""
        return [row.mark, (f" {pad(cut(row.target, name), name)}  ", _NAMES[row.phase]), *parts, (took, "dim")]

    def _row(self, target: str, steps: list[Step], now: float) -> Row:
        began = self._began.get(target, now)
        ended = max((self._events[step.id].at for step in steps if step.id in self._events), default=now)
        failed = next((self._events[step.id] for step in steps if self._is(step, "failed")), None)
        current = next((step for step in steps if self._is(step, "started")), None)
        name = one_line(target)
        if failed is not None:
            return _failed_row(name, failed, f"{ended - began:.1f} s")
        left = next((step for step in steps if self._is(step, "skipped")), None)
        if left is not None:
            words = self._events[left.id].text or "not begun"
            return Row(name, "waiting", ("·", "dim"), ((one_line(words), "dim"),))
        if all(self._is_done(step.id) for step in steps):
            if self._is(steps[-1], "unneeded"):
                words = f"skipped: {one_line(self._events[steps[-1].id].text)}"
                return Row(name, "done", ("✓", "green"), ((words, "dim"),), f"{ended - began:.1f} s")
            verbs = {step.action.verb for step in steps}
            told = [word for verb, word in DONE.items() if verb in verbs][-1]
            return Row(name, "done", ("✓", "green"), ((told, "dim"),), f"{ended - began:.1f} s")
        if current is not None:
            words = self._said.get(current.id) or one_line(current.cause)
            text: tuple[Part, ...] = ((DOING[current.action.verb], "magenta"), (f"  {words}", "dim"))
            return Row(name, "running", (self._frame(now), "magenta"), text, f"{now - began:.1f} s")
        return Row(name, "waiting", ("·", "dim"), ((self._waits(steps), "dim"),))

    def _waits(self, steps: list[Step]) -> str:
        rest = next((step for step in steps if not self._is_done(step.id)), steps[-1])
        needs = [need.rpartition(":")[0] for need in rest.needs if not self._is_done(need)]
        others = [one_line(need) for need in dict.fromkeys(needs)]
        shown = others if len(others) <= _NAMED else [*others[: _NAMED - 1], f"{len(others) - _NAMED + 1} more"]
        return f"waits for {', '.join(shown)}" if others else "waits"

    def _frame(self, now: float) -> str:
        frames = _FRAMES if self._has_unicode else _ASCII_FRAMES
        return frames[int(now * _FRAMES_PER_SECOND) % len(frames)]

    def _is(self, step: Step, kind: str) -> bool:
        event = self._events.get(step.id)
        return event is not None and event.kind == kind

    def _is_done(self, step: str) -> bool:
        event = self._events.get(step)
        return event is not None and event.kind in ("finished", "unneeded")


class LiveProgress:
    """Draws a Picture on stderr until the run ends; its last state stays."""

    def __init__(self, plan: Plan, title: str, *, has_unicode: bool) -> None:
        from rich.console import Console
        from rich.live import Live

        self._picture = Picture(plan, title, has_unicode=has_unicode)
        self._guard = threading.Lock()
        self._is_over = False
        self._console: Console = Console(stderr=True, highlight=False)
        self._live = Live(self, console=self._console, refresh_per_second=_FRAMES_PER_SECOND)
        self._began = self._console.get_time()

    def __enter__(self) -> LiveProgress:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._picture.is_stopping = False
        # refused before its first step: rows of things that nobody began would only hide the reason
        self._live.transient = not self._picture.has_begun
        self._is_over = True
        self._live.__exit__(None, None, None)

    def __call__(self, event: Event) -> None:
        with self._guard:
            self._picture.add(event)

    def stopping(self, *, at_once: bool) -> None:
        """at_once: nobody draws after this, so the cursor comes back here. No lock: a signal handler calls it."""
        self._picture.is_stopping = True
        if at_once:
            os.write(self._console.file.fileno(), b"\x1b[?25h\n")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.segment import Segment
        from rich.style import Style as RichStyle

        with self._guard:
            now = self._console.get_time() - self._began
            # what stays may scroll: at the end nothing is left out
            height = _WHOLE if self._is_over else options.size.height
            lines = self._picture.lines(now, Size(options.size.width, height))
        for line in lines:
            yield from (Segment(text, RichStyle.parse(style)) for text, style in line if text)
            yield Segment.line()


def _failed_row(name: str, event: Event, took: str) -> Row:
    if isinstance(event.error, InterruptedRunError):
        return Row(name, "stopped", ("•", "magenta"), (("stopped", "magenta"),), took)
    return Row(name, "failed", ("✗", "red"), ((one_line(event.text), "red"),), took)


def _chosen(rows: Iterable[Row], room: int) -> tuple[list[Row], str]:
    """The rows that matter most, in their order, and the others in words."""
    ranked = sorted(enumerate(rows), key=lambda item: _URGENT.index(item[1].phase))
    kept = sorted(ranked[:room], key=lambda item: item[0])
    phases = Counter(row.phase for _, row in ranked[room:])
    words = ", ".join(f"{count} {phase}" for phase, count in phases.items())
    return [row for _, row in kept], f"and {words}"
