"""What `gc` has found or removed, as lines and as a document. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from devstack.output.tables import Cell, table
from devstack.output.terminal import Look

if TYPE_CHECKING:
    from devstack.stack.leftovers import Leftover

_UNITS = ("B", "kB", "MB", "GB", "TB")
_ENTRY = "leases"


def lines(look: Look, found: Sequence[Leftover]) -> list[str]:
    """One line each, and how much it is in all."""
    rows: list[Sequence[Cell]] = [
        (_ENTRY if one.kind == "entry" else one.kind, one.name, size(one.size) if one.size else "", one.root, one.why)
        for one in found
    ]
    return table(look, ("WHAT", "NAME", "SIZE", "OF", "WHY"), rows, indent="  ")


def document(found: Sequence[Leftover]) -> Any:
    removed = [
        {"kind": one.kind, "name": one.name, "root": one.root, "size": one.size, "why": one.why} for one in found
    ]
    return {"removed": removed, "bytes": total(found)}


def total(found: Sequence[Leftover]) -> int:
    return sum(one.size for one in found)


def size(count: int) -> str:
    """Bytes for people: `12.3 MB`."""
    value, unit = float(count), 0
    while value >= 1000 and unit + 1 < len(_UNITS):
        value, unit = value / 1000, unit + 1
    return f"{value:.0f} {_UNITS[unit]}" if unit == 0 or value >= 100 else f"{value:.1f} {_UNITS[unit]}"
