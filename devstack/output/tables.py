"""Columns: as wide as they need be, aligned by what the eye sees, coloured after they are measured. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from devstack.output.terminal import Look, Style
from devstack.output.text import cells, cut, one_line

#: columns that are left to one that gives way
_NARROW = 12
#: a text, or a text with its style
Cell = str | tuple[str, Style]


def table(
    look: Look, heads: Sequence[str], rows: Iterable[Sequence[Cell]], indent: str = "  ", *, cuts: bool = True,
    shrinks: int | None = None,
) -> list[str]:
    """Lines of a table; columns that are empty throughout are left out. heads: () for none.

    cuts: the last column ends where the terminal does; False where people copy from it. shrinks: a column that gives
    way first.
    """
    body = [[_styled(cell) for cell in row] for row in rows]
    if not body:
        return []
    used = [column for column in range(len(body[0])) if any(row[column][0] for row in body)]
    head: list[list[tuple[str, Style]]] = [[(text, "dim") for text in heads]] if heads else []
    lines = [[row[column] for column in used] for row in [*head, *body]]
    widths = [max(cells(line[column][0]) for line in lines) for column in range(len(used))]
    if shrinks in used and look.width is not None:
        column = used.index(shrinks)
        over = sum(width + _gap(width) for width in widths) - 2 + len(indent) - look.width
        widths[column] = max(min(widths[column], _NARROW), widths[column] - max(0, over))
        for line in lines:
            line[column] = (cut(line[column][0], widths[column]), line[column][1])
    return [_line(look, line, widths, indent, cuts) for line in lines]


def _line(look: Look, line: Sequence[tuple[str, Style]], widths: Sequence[int], indent: str, cuts: bool) -> str:
    left = look.width - len(indent) if look.width is not None and cuts else None
    last = max((column for column, (text, _) in enumerate(line) if text), default=-1)
    parts = []
    for column, (text, style) in enumerate(line[: last + 1]):
        shown = text
        if left is not None:
            shown = cut(text, max(left, 0))
            left -= widths[column] + _gap(widths[column])
        gap = "" if column == last else " " * (widths[column] - cells(shown) + _gap(widths[column]))
        parts.append(look.paint(shown, style) + gap)
    return f"{indent}{''.join(parts)}".rstrip()


def _gap(width: int) -> int:
    """A mark stands close to what it marks."""
    return 1 if width == 1 else 2


def _styled(cell: Cell) -> tuple[str, Style]:
    if isinstance(cell, str):
        return one_line(cell), ""
    return one_line(cell[0]), cell[1]
