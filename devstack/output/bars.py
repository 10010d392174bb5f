"""Where a run's time went, as bars on one axis. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from devstack.output.terminal import Look, Style
from devstack.output.text import cut, one_line, pad

if TYPE_CHECKING:
    from devstack.timings import Span, Timings

#: columns where nobody says how many there are
_WIDTH = 80
_WIDEST = 140
_CRITICAL, _OTHER = "█", "▒"


def lines(look: Look, timings: Timings) -> list[str]:
    """A bar per step that took long enough to be seen, the longest chain marked."""
    if not timings.spans:
        return ["No time went into steps: nothing had to be done."]
    chain = sum(span.took for span in timings.critical)
    tiny = max(0.05, timings.wall / 200)
    shown = [span for span in timings.spans if span.took >= tiny] or list(timings.critical)
    drawn = ["Where the time went", "", *_chart(look, timings, shown)]
    if hidden := len(timings.spans) - len(shown):
        drawn.append(look.paint(f"  and {hidden} {'step' if hidden == 1 else 'steps'} under {tiny:.2g} s each", "dim"))
    count = "1 step" if len(timings.spans) == 1 else f"{len(timings.spans)} steps"
    return [
        *drawn, "",
        f"  {timings.wall:7.1f} s  from the first step to the last",
        f"  {chain:7.1f} s  on the critical path ({_CRITICAL}), which set the pace",
        f"  {timings.work:7.1f} s  in {count}, had they run one after the other",
    ]


def document(timings: Timings) -> dict[str, Any]:
    """Seconds throughout."""
    return {
        "wall_s": round(timings.wall, 3), "work_s": round(timings.work, 3),
        "critical_s": round(sum(span.took for span in timings.critical), 3),
        "critical": [span.step for span in timings.critical],
        "steps": [
            {"id": span.step, "at_s": round(span.at, 3), "took_s": round(span.took, 3), "ending": span.ending,
             "critical": span.is_critical}
            for span in timings.spans
        ],
    }  # fmt: skip


def _chart(look: Look, timings: Timings, shown: list[Span]) -> list[str]:
    width = min(look.width or _WIDTH, _WIDEST)
    longest = max(len(one_line(span.step)) for span in shown)
    name = min(longest, max(8, width // 3))
    room = max(10, width - name - 15)
    end = f"{timings.wall:.1f} s"
    axis = f"  {'':{name}} {'':9}  0 s{end:>{room - 3}}"
    return [look.paint(axis, "dim"), *(_bar(look, timings.wall, span, name, room) for span in shown)]


def _bar(look: Look, wall: float, span: Span, name: int, room: int) -> str:
    scale = room / wall if wall > 0 else 0.0
    first = min(int(span.at * scale), room - 1)
    size = min(max(1, round(span.took * scale)), room - first)
    style: Style = "magenta" if span.is_critical else "dim"
    bar = " " * first + look.paint((_CRITICAL if span.is_critical else _OTHER) * size, style)
    ended: Style = "red" if span.ending == "failed" else ""
    return f"  {look.paint(pad(cut(one_line(span.step), name), name), ended)} {span.took:7.1f} s  {bar}".rstrip()
