"""Merging the tables of several files into one, and remembering which file each key came from.

Tables are merged deeply; lists and scalars are replaced; what has one of several shapes (an environment value, `ready`,
a file, a check, a service of another kind) is replaced whole. `false` in place of a named table removes what a lower
file declares.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from devstack.profile.interpolation import fill
from devstack.profile.source import Path, SourceFile

NAMED = frozenset({"services", "tasks", "processes", "checks", "files"})


@dataclass(frozen=True)
class Merged:
    """values: the merged tables, not yet validated. origins: for each key path, the index of the file that wrote it
    last. strays: paths set to `false` with nothing below to remove."""

    files: tuple[SourceFile, ...]
    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[Path, int] = field(default_factory=dict)
    strays: list[tuple[Path, int]] = field(default_factory=list)

    def origin(self, path: Path) -> int:
        """Index of the file that wrote the path, or the nearest table around it; the last file's if none did."""
        last = max((index for index, file in enumerate(self.files) if file.is_file), default=len(self.files) - 1)
        return next(
            (self.origins[path[:length]] for length in range(len(path), 0, -1) if path[:length] in self.origins), last
        )

    def forget(self, path: Path) -> None:
        """What was replaced whole comes from nowhere any more."""
        for gone in [known for known in self.origins if known[: len(path)] == path]:
            del self.origins[gone]


def merge(files: Sequence[SourceFile], tables: Sequence[dict[str, Any]], default_name: str | None = None) -> Merged:
    """Merges from the lowest precedence to the highest; `${project.name}` is filled in, since it is known then."""
    merged = Merged(tuple(files))
    for index, table in enumerate(tables):
        _merge(merged, index, (merged.values, table), ())
    if default_name is not None:
        merged.values.setdefault("name", default_name)
    name = merged.values.get("name")
    if isinstance(name, str):
        _fill(merged.values, name)
    return merged


def _merge(merged: Merged, index: int, tables: tuple[dict[str, Any], dict[str, Any]], path: Path) -> None:
    below, above = tables
    for key, value in above.items():
        here = (*path, key)
        if value is False and len(path) == 1 and path[0] in NAMED:
            if below.pop(key, None) is None:
                merged.strays.append((here, index))
            merged.forget(here)
            continue
        lower = below.get(key)
        if isinstance(lower, dict) and isinstance(value, dict) and not _is_whole(here, lower, value):
            merged.origins[here] = index
            _merge(merged, index, (lower, value), here)
            continue
        if isinstance(lower, dict):
            merged.forget(here)
        merged.origins[here] = index
        if isinstance(value, dict):
            below[key] = {}
            _merge(merged, index, (below[key], value), here)
        else:
            below[key] = deepcopy(value)


def _is_whole(path: Path, lower: dict[str, Any], value: dict[str, Any]) -> bool:
    if len(path) == 2 and path[0] == "services":
        return "kind" in value and value["kind"] != lower.get("kind", path[1])
    return (len(path) == 2 and path[0] in ("env", "files")) or (len(path) == 3 and path[2] == "ready")


def _fill(container: Any, name: str) -> None:
    """Nesting is bounded by the parser."""
    for key, value in list(container.items() if isinstance(container, dict) else enumerate(container)):
        if isinstance(value, str) and "${project.name}" in value:
            container[key] = fill(value, {"project.name": name})
        elif isinstance(value, dict | list):
            _fill(value, name)
