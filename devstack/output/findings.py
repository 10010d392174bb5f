"""What `doctor` has found, as lines and as a document. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from devstack.output.results import hanging
from devstack.output.terminal import Look
from devstack.output.text import one_line

if TYPE_CHECKING:
    from devstack.doctor import Finding


def lines(look: Look, found: Sequence[Finding]) -> list[str]:
    """What happened, why, one command, and the id of each."""
    if not found:
        return [f"{look.paint('✓', 'green')} nothing is wrong"]
    said: list[str] = []
    for one in found:
        is_fault = one.severity == "fault"
        mark = look.paint("✗", "red") if is_fault else look.paint("•", "magenta")
        said += hanging(look, f"{mark} ", 2, f"{one_line(one.what)}  ({one.id})", "red" if is_fault else "")
        if one.why:
            said += hanging(look, "  why: ", 7, one_line(one.why))
        if one.fix:
            said.append(f"  fix: {look.paint(one_line(one.fix), 'bold')}")
    faults = sum(one.severity == "fault" for one in found)
    return [*said, "", f"{faults} at fault, {len(found) - faults} to know of"]


def document(found: Sequence[Finding]) -> Any:
    keys = ("id", "severity", "what", "why", "fix", "target")
    return {"findings": [
        {**{key: asdict(one)[key] for key in keys}, "fixable": one.is_fixable} for one in found
    ]}  # fmt: skip
