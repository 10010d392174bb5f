"""All printing: `Output` renders every result, for people and for programs; nothing else writes to a stream."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TextIO

from devstack.errors import DevstackError

if TYPE_CHECKING:
    from devstack.executor import Progress
    from devstack.plan import Plan
    from devstack.profile.model import Profile
    from devstack.registry import Entry
    from devstack.stack.status import ProcessRow, ServiceRow, Status

_CONTROL = re.compile(r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-_][0-?]*[ -/]*[@-~]?|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def clean(text: str) -> str:
    """Text of a stranger (a log line, a probe's answer) without anything that a terminal would obey."""
    return _CONTROL.sub("", text)


class Output:
    """One command's way to speak. With `json`, one document goes to stdout and words for people to stderr."""

    def __init__(self, *, json: bool = False, verbose: bool = False) -> None:
        self.is_json = json
        self.verbose = verbose
        self._human: TextIO = sys.stderr if json else sys.stdout

    @property
    def is_interactive(self) -> bool:
        """Somebody is there to look at a moving picture and to answer."""
        environ = os.environ
        if environ.get("NO_COLOR") or environ.get("CI") == "true" or environ.get("TERM") == "dumb":
            return False
        return sys.stdin.isatty() and sys.stderr.isatty() and not self.is_json

    def say(self, text: str = "") -> None:
        """A line for people."""
        self._write(self._human, f"{text}\n")

    def line(self, text: str) -> None:
        """A line of the result itself (a log, a child's output)."""
        self._write(sys.stdout, f"{text}\n")

    def document(self, value: Any) -> None:
        """The one JSON document of this command."""
        self._write(sys.stdout, json.dumps(value, indent=None if not sys.stdout.isatty() else 2) + "\n")

    def progress(self, plan: Plan, title: str) -> Progress:
        """What shows a run while it goes on."""
        from devstack.output.progress import LiveProgress, PlainProgress

        if self.is_interactive and plan.steps:
            return LiveProgress(plan, title)
        return PlainProgress(plan, lambda text: self._write(sys.stderr, f"{clean(text)}\n"), verbose=self.verbose)

    def log(self, name: str, text: str, width: int) -> None:
        """A log line with its source; NDJSON under --json."""
        if self.is_json:
            self._write(sys.stdout, json.dumps({"name": name, "line": clean(text)}) + "\n")
        else:
            self.line(f"{name:<{width}} | {clean(text)}")

    # --- results -----------------------------------------------------------------------------------------------------

    def error(self, error: DevstackError) -> None:
        """What happened, why, the lines that prove it, and one command."""
        if self.is_json:
            self.document({"error": {
                "id": error.id, "what": error.what, "why": error.why, "fix": error.fix, "exit_code": error.exit_code,
            }})  # fmt: skip
        where = f"  [{error.step}]" if error.step else ""
        lines = [f"{self._mark('✗', 'x')} {error.what}{where}"]
        if error.why:
            lines.append(f"  why: {error.why}")
        lines += [f"  | {line}" for line in error.evidence]
        if error.fix:
            lines.append(f"  fix: {error.fix}")
        lines.append(f"  ({error.id}, exit {error.exit_code})")
        for line in lines:
            self._write(sys.stderr, f"{clean(line)}\n")

    def plan(self, plan: Plan) -> None:
        if self.is_json:
            steps = [
                {"id": step.id, "target": step.target, "action": step.action.verb, "cause": step.cause,
                 "needs": list(step.needs), "destructive": step.destructive}
                for step in plan.steps
            ]  # fmt: skip
            self.document({"goal": plan.goal, "steps": steps, "warnings": list(plan.warnings)})
            return
        for warning in plan.warnings:
            self.say(f"note: {clean(warning)}")
        if plan.is_empty:
            self.say("nothing to do: the stack is as its profile says")
            return
        target = max(len(step.target) for step in plan.steps)
        for step in plan.steps:
            mark = self._mark("✗", "!") if step.destructive else self._mark("•", "*")
            self.say(f"{mark} {step.target:<{target}}  {step.action.verb:<9}  {clean(step.cause)}")
            if self.verbose and step.needs:
                self.say(f"  {'':<{target}}  after {', '.join(step.needs)}")
        self.say(f"{len(plan.steps)} steps")

    def status(self, status: Status) -> None:
        if self.is_json:
            self.document(asdict(status))
            return
        stack = status.stack
        self.say(f"{stack.name} is {stack.state}  ({stack.root}, profile {stack.profile})")
        rows = [*map(self._row, status.services), *map(self._row, status.processes)]
        if rows:
            self.say()
            self.table(("NAME", "STATE", "WHERE", "UP", ""), rows)

    def urls(self, status: Status) -> None:
        rows = [(process_name(row), row.url) for row in status.processes if row.url]
        rows += [(row.name, row.url) for row in status.services]
        if self.is_json:
            self.document({"urls": dict(rows)})
        else:
            self.table(("", ""), [(name, url) for name, url in rows], indent="")

    def ready(self, status: Status, took: float, prefix: str, notes: Iterable[str]) -> None:
        """The end of a successful `up`: where everything is and what to do next."""
        if self.is_json:
            self.document(asdict(status))
        for note in notes:
            self.say(f"note: {clean(note)}")
        self.say(f"{self._mark('✓', '+')} {status.stack.name} is {status.stack.state}, {took:.1f} s")
        rows = [(process_name(row), row.url or "") for row in status.processes if row.url]
        rows += [(row.name, row.url) for row in status.services]
        others = [process_name(row) for row in status.processes if not row.url]
        if rows:
            self.say()
            self.table(("", ""), rows)
        if others:
            self.say(f"  also running: {', '.join(others)}")
        self.say()
        change, _, call = prefix.rpartition(" && ")
        verbs = f" {self._mark('·', '|')} ".join(f"{call} {verb}" for verb in ("status", "logs -f", "down"))
        self.say(f"  next: {change + ' && ' if change else ''}{verbs}")

    def stacks(self, entries: Sequence[Entry], states: Sequence[str], moment: Callable[[float], str]) -> None:
        if self.is_json:
            self.document({"stacks": [
                {"id": entry.id, "name": entry.name, "root": entry.root, "state": state, "runtime": entry.runtime,
                 "ports": dict(entry.ports), "last_used": moment(entry.last_used)}
                for entry, state in zip(entries, states, strict=True)
            ]})  # fmt: skip
            return
        if not entries:
            self.say("no stack on this machine yet")
            return
        rows = [(entry.name, state, entry.root, moment(entry.last_used))
                for entry, state in zip(entries, states, strict=True)]  # fmt: skip
        self.table(("NAME", "STATE", "WHERE", "LAST USED"), rows, indent="")

    def trust_summary(self, profile: Profile, *, changed: bool) -> None:
        """What a repository would run here, before anyone says that it may."""
        self.say("This repository's profile has changed since it was trusted." if changed
                 else "This repository is not trusted yet.")  # fmt: skip
        self.say("It would install its requirements (packages may run code) and run:")
        commands = [*profile.tasks.items(), *profile.processes.items()]
        for name, command in commands:
            self.say(f"  {name}: {clean(command.run)}")

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[str]], indent: str = "  ") -> None:
        """Columns as wide as they need be; the last one runs free."""
        lines = [tuple(heads), *(tuple(map(clean, row)) for row in rows)] if any(heads) else [
            tuple(map(clean, row)) for row in rows
        ]
        widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))] if lines else []
        for line in lines:
            padded = [text.ljust(width) for text, width in zip(line, widths, strict=True)]
            self.say(f"{indent}{'  '.join(padded).rstrip()}")

    # --- parts -------------------------------------------------------------------------------------------------------

    def _row(self, row: ServiceRow | ProcessRow) -> Sequence[str]:
        from devstack.stack.status import ServiceRow

        state = "ready" if row.ready else row.state
        mark = self._mark("✓", "+") if row.ready else self._mark("✗", "x")
        if isinstance(row, ServiceRow):
            where, uptime = row.url, f"{row.kind} {row.version}"
            return (f"{mark} {row.name}", state, where, uptime, row.reason or "")
        uptime = "" if row.uptime_s is None else duration(row.uptime_s)
        restarts = f" ({row.restarts} restarts)" if row.restarts else ""
        return (f"{mark} {process_name(row)}", state, row.url or "", uptime + restarts, row.reason or "")

    def _mark(self, mark: str, plain: str) -> str:
        encoding = (self._human.encoding or "ascii").lower()
        return mark if "utf" in encoding else plain

    def _write(self, stream: TextIO, text: str) -> None:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "replace").decode(encoding))
        stream.flush()


def process_name(row: ProcessRow) -> str:
    """`worker 2`: the name as people say it."""
    return row.name if row.replica == 1 else f"{row.name} {row.replica}"


def duration(seconds: float) -> str:
    """`12 s`, `3 min`, `2 h`, `5 d`."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
