"""Results as lines for people, one function per result. Pure: what is known about the terminal comes in as a Look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from devstack.errors import DevstackError, InterruptedRunError
from devstack.output.tables import Cell, table
from devstack.output.terminal import Look, Style
from devstack.output.text import clean, one_line, pieces, wrap
from devstack.status import FOREGROUND

if TYPE_CHECKING:
    from devstack.plan import Plan, Step
    from devstack.registry import Entry
    from devstack.status import Holder, ProcessRow, ScaleRow, ServiceRow, Status

#: lines that the reason of one row in `status` may take
_REASON_LINES = 3
_NOTE_LINES = 2
_COMING = ("starting", "running")


@dataclass(frozen=True)
class Call:
    """How the person calls devstack, and the folder to go to first ("" where this one will do).

    here: the program that runs on this terminal from now on, "" for none. unseen: the folder of a `devstack` that
    would do, were it on PATH.
    """

    command: str
    folder: str = ""
    here: str = ""
    unseen: str = ""


DEVSTACK = Call("devstack")


def error(look: Look, error: DevstackError) -> list[str]:
    """What happened, why, the lines that prove it, and one command."""
    is_wanted = isinstance(error, InterruptedRunError)
    style: Style = "magenta" if is_wanted else "red"
    lines = hanging(look, f"{look.paint('•' if is_wanted else '✗', style)} ", 2, one_line(error.what), style)
    evidence = [clean(line).rstrip() for line in error.evidence]
    if error.why and evidence != [error.why]:
        lines += hanging(look, "  why: ", 7, one_line(error.why))
    lines += [line for text in evidence for part in text.split("\n") for line in _evidence(look, part)]
    if error.fix:
        # never wrapped: it is there to be copied
        lines.append(f"  fix: {look.paint(_command(error.fix), 'bold')}")
    step = f", step {one_line(error.step)}" if error.step and not is_wanted else ""
    lines.append(look.paint(f"  ({error.id}, exit {error.exit_code}{step})", "dim"))
    return lines


def plan(look: Look, plan: Plan, *, verbose: bool) -> list[str]:
    lines = notes(look, plan.warnings)
    if plan.is_empty:
        return [*lines, "Nothing to do: the stack is as its profile says."]
    steps = table(look, (), [_step(step) for step in plan.steps], indent="")
    for step, line in zip(plan.steps, steps, strict=True):
        lines.append(line)
        if verbose and step.needs:
            after = one_line(", ".join(step.needs))
            lines += [look.paint(part, "dim") for part in hanging(look, "    after ", 10, after)]
    lost = f", {len(plan.destructive)} of them destructive (!)" if plan.destructive else ""
    return [*lines, "", f"{_steps(len(plan.steps))}{lost}; nothing was changed."]


def status(look: Look, status: Status, now: float = 0.0, call: Call = DEVSTACK) -> list[str]:
    """now: seconds since the epoch."""
    stack = status.stack
    total, ready = _count(status)
    part = f", {ready} of {total} ready" if stack.state != "down" else ""
    style: Style = "green" if stack.state == "up" else "red" if stack.state == "degraded" else ""
    lines = [
        f"{one_line(stack.name)} is {look.paint(stack.state, style)}{part}",
        look.paint(f"{one_line(stack.root)}, profile {one_line(stack.profile)}", "dim"),
        *(notes(look, [_at_work(status.busy, now)]) if status.busy else ()),
        *(notes(look, [status.shortage]) if status.shortage else ()),
    ]
    rows = [*_services(status), *_processes(status)]
    if rows:
        drawn = table(look, ("", "NAME", "STATE", "WHAT", "WHERE", "UP"), [row.cells for row in rows], shrinks=3)
        lines += ["", drawn[0]]
        for row, line in zip(rows, drawn[1:], strict=True):
            tone: Style = "dim" if row.is_ready else "magenta"
            lines += [line, *(look.paint(f"     {part}", tone) for part in row.reason_lines(look))]
    if status.scaled:
        lines += ["", *notes(look, map(scaled, status.scaled))]
    poor = next((row for row in rows if not row.is_ready and not row.is_away), None)
    if stack.state == "down":
        lines += ["", *table(look, (), [(f"{call.command} up", ("start it all", "dim"))])]
    elif poor is not None:
        hints: list[Sequence[Cell]] = [
            (f"{call.command} logs {poor.name}", ("what it printed", "dim")),
            (f"{call.command} up", ("try again", "dim")),
        ]  # fmt: skip
        lines += ["", *table(look, (), hints)]
    return lines


def scaled(row: ScaleRow) -> str:
    return (
        f"{one_line(row.name)} is scaled to {row.replicas}, the profile says {row.declared} "
        f"(devstack scale {one_line(row.name)}= goes back)"
    )


def scale(look: Look, rows: Sequence[ScaleRow]) -> list[str]:
    """How many of each process run."""
    cells: list[Sequence[Cell]] = [
        (row.name, str(row.replicas), f"the profile says {row.declared}" if row.replicas != row.declared else "")
        for row in rows
    ]
    return table(look, ("NAME", "REPLICAS", ""), cells, indent="") or ["The profile has no processes."]
def _at_work(busy: Holder, now: float) -> str:
    return f"not finished: pid {busy.pid} is at work on it for {duration(now - busy.since)} ({busy.command})"


def urls(look: Look, status: Status) -> list[str]:
    rows: list[Sequence[Cell]] = [
        (name, url, "" if ready else ("not ready", "magenta")) for name, url, ready in _urls(status)
    ]
    told = [line for note in status.notes for line in hanging(look, "", 0, one_line(note))]
    return [*table(look, (), rows, indent="", cuts=False), *([""] if rows and told else []), *told]


def url_pairs(status: Status) -> dict[str, str]:
    return {name: url for name, url, _ in _urls(status)}


def ready(look: Look, status: Status, took: float, call: Call) -> list[str]:
    """The end of a successful run: where everything is and what to do next."""
    stack = status.stack
    name, (total, count) = one_line(stack.name), _count(status)
    took_words = f" in {took:.1f} s" if took else ", nothing had to be done"
    verdict = f"{name} is up" if stack.state == "up" else f"{count} of {total} of {name} are ready"
    verdict = verdict if not call.here else f"all of {name} that {one_line(call.here)} needs is ready"
    lines = [f"{look.paint('✓', 'green')} {look.paint(verdict, 'bold')}{took_words}"]
    rows: list[Sequence[Cell]] = [(row, url) for row, url, is_ready in _urls(status) if is_ready]
    shown = {str(row[0]) for row in rows}
    others = [row.name for row in _processes(status) if row.is_ready and row.name not in shown]
    every = [*_services(status), *_processes(status)]
    missing = [row.name for row in every if not row.is_ready and row.name != call.here]
    rows += [*_names(look, "running", others, ""), *_names(look, "not ready", missing, "magenta")]
    if rows:
        lines += ["", *table(look, (), rows, cuts=False)]
    if status.notes:
        lines += ["", *(line for note in status.notes for line in hanging(look, "  ", 2, one_line(note)))]
    if call.here:
        return [*lines, "", look.paint(f"{one_line(call.here)} runs here: Ctrl-C goes to it, the rest stays up", "dim")]
    return [*lines, "", *next_steps(look, call, ("status", "logs -f", "down"))]


def after_foreground(look: Look, name: str, code: int, call: Call) -> list[str]:
    mark = look.paint("✓", "green") if code == 0 else look.paint("•", "magenta")
    words = {"up": f"put {one_line(name)} back under supervisord"}
    ended = f"{mark} {one_line(name)} has ended with exit status {code}; the rest of the stack stays up"
    return ["", ended, "", *next_steps(look, call, ("up", "down"), words)]


def next_steps(
    look: Look, call: Call, verbs: Iterable[str], others: Mapping[str, str] = MappingProxyType({})
) -> list[str]:
    """Commands to copy, one a line, each with a word on what it does. others: words where the usual ones don't fit."""
    words = {
        "up": "start it all", "status": "what runs, and whether it is ready",
        "logs -f": "follow what everything prints",
        "down": "stop it all, keep the data", **others,
    }  # fmt: skip
    rows: list[Sequence[Cell]] = [(f"cd {call.folder}", "")] if call.folder else []
    rows += [(f"{call.command} {verb}", (words[verb], "dim")) for verb in verbs]
    lines = ["  Next:", *table(look, (), rows, indent="    ", cuts=False)]
    if call.unseen:
        lines += ["", *(f"  {line}" for line in (
            look.paint("To type only `devstack`, put this into your shell's profile:", "dim"),
            f'  export PATH="{call.unseen}:$PATH"',
        ))]  # fmt: skip
    return lines


def stacks(look: Look, entries: Sequence[Entry], states: Sequence[str], now: float) -> list[str]:
    if not entries:
        return ["No stack on this machine yet."]
    rows: list[Sequence[Cell]] = [
        (entry.name, (state, "green") if state == "up" else state, ago(now - entry.last_used), entry.root)
        for entry, state in zip(entries, states, strict=True)
    ]
    return table(look, ("NAME", "STATE", "LAST USED", "WHERE"), rows, indent="")


def notes(look: Look, texts: Iterable[str]) -> list[str]:
    """Two lines each on a terminal at most: a note is worth a look, not a stop."""
    found: list[str] = []
    for text in texts:
        words = f"note: {one_line(text)}"
        first, *rest = wrap(words, max(20, look.text_width - 6), _NOTE_LINES) if look.width else [words]
        found += [look.paint(line, "magenta") for line in (first, *(f"      {line}" for line in rest))]
    return found


def duration(seconds: float) -> str:
    """`12 s`, `3 min`, `2 h`, `5 d`."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"


def ago(seconds: float) -> str:
    return "just now" if seconds < 60 else f"{duration(seconds)} ago"


# --- rows ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Row:
    """One service or one replica, as `status` shows it."""

    name: str
    is_ready: bool
    is_away: bool
    cells: Sequence[Cell]
    reason: str

    def reason_lines(self, look: Look) -> list[str]:
        return wrap(one_line(self.reason), max(20, look.text_width - 5), _REASON_LINES) if self.reason else []


def _services(status: Status) -> Iterator[_Row]:
    for row in status.services:
        what = f"{row.kind} {row.version}".strip()
        yield _row(status, row, one_line(row.name), what, f"127.0.0.1:{row.port}" if row.port else "", "")


def _processes(status: Status) -> Iterator[_Row]:
    for name, row in _named(status):
        uptime = "" if row.uptime_s is None else duration(row.uptime_s)
        times = f", {row.restarts} {'restart' if row.restarts == 1 else 'restarts'}" if row.restarts else ""
        where = row.url or (f"127.0.0.1:{row.port}" if row.port else "")
        yield _row(status, row, name, row.role, where, f"{uptime}{times}".lstrip(", "))


def _row(status: Status, row: ServiceRow | ProcessRow, name: str, what: str, where: str, up: str) -> _Row:
    mark, style = _mark(status, row)
    state = "ready" if row.ready and row.state != "exited" else row.state
    says_more = row.reason and (status.stack.state != "down" or row.reason != "not running")
    return _Row(name, row.ready, row.state == FOREGROUND, ((mark, style), name, (state, style), what, where, up),
                (row.reason or "") if says_more else "")  # fmt: skip


def _mark(status: Status, row: ServiceRow | ProcessRow) -> tuple[str, Style]:
    if row.ready:
        return "✓", "green"
    if row.state in _COMING:
        return "•", "magenta"
    if row.state == "foreground":
        return "•", "magenta"
    # what was stopped on purpose is no failure
    return ("·", "dim") if row.state == "stopped" and status.stack.state == "down" else ("✗", "red")


def _named(status: Status) -> Iterator[tuple[str, ProcessRow]]:
    """Processes by the names of their programs: `worker-1` where there are several workers."""
    replicas = Counter(row.name for row in status.processes)
    for row in status.processes:
        yield one_line(row.program or (f"{row.name}-{row.replica}" if replicas[row.name] > 1 else row.name)), row


def _urls(status: Status) -> Iterator[tuple[str, str, bool]]:
    for name, row in _named(status):
        if row.url:
            yield name, one_line(row.url), row.ready
    for service in status.services:
        if service.url:
            yield one_line(service.name), one_line(service.url), service.ready


def _count(status: Status) -> tuple[int, int]:
    rows: list[ServiceRow | ProcessRow] = [*status.services, *status.processes]
    return len(rows), sum(row.ready for row in rows)


def _names(look: Look, head: str, names: Sequence[str], style: Style) -> Iterator[Sequence[Cell]]:
    parts = wrap(", ".join(names), max(20, look.text_width - 14)) if names else []
    for number, part in enumerate(parts):
        yield head if number == 0 else "", (part, style)


def _step(step: Step) -> Sequence[Cell]:
    mark: Cell = ("!", "red") if step.destructive else ("•", "dim")
    return mark, (step.target, "bold"), step.action.verb, step.cause


def _steps(count: int) -> str:
    return "1 step" if count == 1 else f"{count} steps"


def _command(text: str) -> str:
    return clean(text).replace("\n", " ").replace("\t", " ")


def _evidence(look: Look, text: str) -> list[str]:
    """One line of a log as it is, its indentation too; what doesn't fit goes on below."""
    bar, room = look.paint("|", "dim"), max(20, (look.width or 0) - 6)
    if look.width is None:
        return [f"  {bar} {text}".rstrip()]
    first, *others = pieces(text.expandtabs(4), room)
    return [f"  {bar} {first}".rstrip(), *(f"  {bar}   {piece}".rstrip() for piece in others)]


def hanging(look: Look, head: str, indent: int, text: str, style: Style = "") -> list[str]:
    """Running text behind a head; on a terminal its further lines begin where the first one's text does."""
    parts = wrap(text, max(20, look.text_width - indent)) if look.width is not None else [text]
    return [f"{head if number == 0 else ' ' * indent}{look.paint(part, style)}" for number, part in enumerate(parts)]
