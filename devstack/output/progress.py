"""A run while it goes on: a live picture on a terminal, one line per finished step elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from devstack.executor import Event
from devstack.plan import Plan, Step

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table

#: steps that may take long: their beginning is worth a line
_LONG = ("clone", "fetch", "install", "run", "prepare")
_EVERY = 10.0
_DONE = {
    "clone": "cloned", "reap": "cleared", "write": "written", "make": "made", "create": "created",
    "install": "installed", "link": "linked", "fetch": "fetched", "prepare": "prepared", "provision": "provisioned",
    "await": "ready", "start": "started", "reload": "reloaded", "stop": "stopped", "run": "done", "verify": "verified",
    "discard": "discarded",
}  # fmt: skip


class PlainProgress:
    """Lines without colour or movement."""

    def __init__(self, plan: Plan, write: Callable[[str], None], *, verbose: bool) -> None:
        self._write = write
        self._verbose = verbose
        self._said: dict[str, float] = {}
        self._width = max((len(step.target) for step in plan.steps), default=0)

    def __enter__(self) -> PlainProgress:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def __call__(self, event: Event) -> None:
        step, name = event.step, event.step.target.ljust(self._width)
        match event.kind:
            case "started":
                self._said[step.id] = event.at
                if step.action.verb in _LONG or self._verbose:
                    because = f": {step.cause}" if self._verbose else ""
                    self._write(f"[{event.at:5.1f} s] {name}  {step.action.verb} …{because}")
            case "progress":
                if self._verbose or event.at - self._said.get(step.id, 0) > _EVERY:
                    self._said[step.id] = event.at
                    self._write(f"[{event.at:5.1f} s] {name}    {event.text[:160]}")
            case "finished":
                self._write(f"[{event.at:5.1f} s] {name}  {_DONE[step.action.verb]} ({event.took:.1f} s)")
            case "failed":
                optional = " (optional)" if step.optional else ""
                self._write(f"[{event.at:5.1f} s] {name}  {step.action.verb} FAILED{optional}: {event.text[:200]}")
            case "skipped":
                if self._verbose:
                    self._write(f"[{event.at:5.1f} s] {name}  {step.action.verb} not begun")


class LiveProgress:
    """One row per target, redrawn a few times a second: what it is doing, how far it is, how long it took."""

    def __init__(self, plan: Plan, title: str) -> None:
        from rich.console import Console
        from rich.live import Live

        self._title = title
        self._console: Console = Console(stderr=True, highlight=False)
        self._guard = threading.Lock()
        self._steps: dict[str, list[Step]] = {}
        for step in plan.steps:
            self._steps.setdefault(step.target, []).append(step)
        self._events: dict[str, Event] = {}
        self._started: dict[str, float] = {}
        self._text: dict[str, str] = {}
        self._live = Live(self, console=self._console, refresh_per_second=10, transient=False)
        self._clock: Callable[[], float] = self._console.get_time
        self._began = self._clock()

    def __enter__(self) -> LiveProgress:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)

    def __call__(self, event: Event) -> None:
        with self._guard:
            if event.kind == "progress":
                self._text[event.step.id] = event.text
                return
            self._events[event.step.id] = event
            if event.kind == "started":
                self._started.setdefault(event.step.target, event.at)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        with self._guard:
            now = self._clock() - self._began
            yield Text.assemble((self._title, "bold"), (f"  {now:.0f} s", "dim"))
            yield self._rows(now, max(5, options.size.height - 4))

    def _rows(self, now: float, room: int) -> Table:
        from rich.table import Table

        table = Table.grid(padding=(0, 1))
        table.add_column(width=1)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, ratio=1, overflow="ellipsis")
        table.add_column(justify="right", no_wrap=True)
        rows = [(target, steps, self._phase(steps)) for target, steps in self._steps.items()]
        if len(rows) > room:
            # what goes on, or went wrong, is what people look for; the rest is a number
            urgent = [row for row in rows if row[2] in ("running", "failed")][: room - 1]
            hidden = len(rows) - len(urgent)
            rows = urgent
            done = sum(1 for _, steps in self._steps.items() if self._phase(steps) == "done")
            table.add_row("", f"and {hidden} more", f"{done} done", "")
        for target, steps, phase in rows:
            self._add(table, target, steps, phase, now)
        return table

    def _add(self, table: Table, target: str, steps: list[Step], phase: str, now: float) -> None:
        from rich.spinner import Spinner
        from rich.text import Text

        done = [step for step in steps if self._is(step, "finished")]
        current = next((step for step in steps if self._is(step, "started")), None)
        failed = next((step for step in steps if self._is(step, "failed")), None)
        began = self._started.get(target)
        ended = max((self._events[step.id].at for step in steps if step.id in self._events), default=0.0)
        if phase == "done" and began is not None:
            words = ", ".join(_DONE[step.action.verb] for step in steps)
            table.add_row(Text("✓", "green"), Text(target), Text(words, "dim"), Text(f"{ended - began:.1f} s", "dim"))
        elif failed is not None:
            text = Text(f"{failed.action.verb}: {self._events[failed.id].text}", "red")
            table.add_row(Text("✗", "red"), Text(target, "red"), text, "")
        elif current is not None and began is not None:
            said = self._text.get(current.id) or current.cause
            text = Text.assemble((current.action.verb, "cyan"), "  ", (printable(said), "dim"))
            table.add_row(Spinner("dots", style="cyan"), Text(target, "bold"), text, Text(f"{now - began:.1f} s"))
        else:
            rest = next((step for step in steps if step not in done), steps[-1])
            waits = [need.partition(":")[0] for need in rest.needs if not self._is_done(need)]
            text = Text(f"waits for {', '.join(dict.fromkeys(waits))}" if waits else "waits", "dim")
            table.add_row(Text("·", "dim"), Text(target, "dim"), text, "")

    def _phase(self, steps: list[Step]) -> str:
        if any(self._is(step, "failed") for step in steps):
            return "failed"
        if all(self._is(step, "finished") for step in steps):
            return "done"
        return "running" if any(self._is(step, "started") for step in steps) else "waiting"

    def _is(self, step: Step, kind: str) -> bool:
        event = self._events.get(step.id)
        return event is not None and event.kind == kind

    def _is_done(self, step: str) -> bool:
        event = self._events.get(step)
        return event is not None and event.kind == "finished"


def printable(text: str) -> str:
    """One line without control characters."""
    return "".join(character for character in text if character.isprintable())
