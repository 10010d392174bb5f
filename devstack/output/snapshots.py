"""Snapshots as lines and as documents. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from devstack.output.documents import moment
from devstack.output.leftovers import size
from devstack.output.results import ago
from devstack.output.tables import Cell, table
from devstack.output.terminal import Look
from devstack.output.text import one_line

if TYPE_CHECKING:
    from devstack.snapshots import Manifest, Part
    from devstack.stack.snapshotting import Listed


def lines(look: Look, found: Sequence[Listed], now: float) -> list[str]:
    if not found:
        return ["No snapshot yet: devstack snapshot save NAME"]
    rows: list[Sequence[Cell]] = [
        (
            one.manifest.name, size(one.manifest.size), ago(now - one.manifest.made), one.manifest.revision or "-",
            (one_line(f"lost: {one.lost}"), "magenta") if one.lost else one_line(_what(one.manifest)),
        )
        for one in found
    ]  # fmt: skip
    return table(look, ("NAME", "SIZE", "AGE", "REVISION", "WHAT"), rows, indent="")


def documents(found: Sequence[Listed]) -> Any:
    return {"snapshots": [{**document(one.manifest), "lost": one.lost or None} for one in found]}


def document(manifest: Manifest) -> dict[str, Any]:
    return {
        "name": manifest.name, "made": moment(manifest.made), "revision": manifest.revision or None,
        "why": manifest.why or None, "origin": manifest.origin or None, "size": manifest.size,
        "services": {name: _part(part) for name, part in manifest.services.items()},
    }  # fmt: skip


def _part(part: Part) -> dict[str, Any]:
    return {key: value for key, value in asdict(part).items() if key != "files"}


def _what(manifest: Manifest) -> str:
    return manifest.why or ", ".join(f"{name} {part.version}" for name, part in manifest.services.items())
