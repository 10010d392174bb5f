"""A profile that was written by `init`: what became what, what was left out, what comes next. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from devstack.output.results import Call, hanging, next_steps
from devstack.output.tables import Cell, table
from devstack.output.terminal import Look
from devstack.output.text import one_line

if TYPE_CHECKING:
    from devstack.stack.initial import Draft


def document(draft: Draft, trashed: str) -> dict[str, Any]:
    """`devstack init --json`."""
    return {
        "path": str(draft.path), "name": draft.profile.name, "from": draft.source, "found": list(draft.found),
        "became": [asdict(one) for one in draft.became], "left_out": [asdict(one) for one in draft.left_out],
        "trashed": trashed or None,
    }  # fmt: skip


def lines(look: Look, draft: Draft, trashed: str, compose_file: str, call: Call) -> list[str]:
    """compose_file: one that could be taken over, "" for none."""
    found = [f"{look.paint('✓', 'green')} {draft.path.name} is written, from {one_line(draft.source)}"]
    rows: list[Sequence[Cell]] = [(one.service, one_line(one.what)) for one in draft.became]
    found += table(look, (), rows, cuts=False)
    found += [f"  found {one_line(what)}" for what in draft.found]
    if trashed:
        found.append(f"  the one before is {one_line(trashed)}")
    found += _left_out(look, draft)
    if compose_file:
        found += ["", f"  {compose_file} is there too: {call.command} init --from {compose_file} takes it over"]
    words = {"plan": "what would be done", "up": "start it all"}
    return [*found, "", *next_steps(look, call, ("plan", "up"), words)]


def _left_out(look: Look, draft: Draft) -> Iterator[str]:
    if draft.left_out:
        yield ""
        yield look.paint("Not carried over (it stands at the end of the file too):", "magenta")
    for one in draft.left_out:
        yield from hanging(look, "  - ", 4, one_line(f"{one.key} ({one.place}): {one.why}. Instead: {one.instead}"))
