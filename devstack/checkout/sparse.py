"""`[project] sparse` as git's sparse checkout wants it. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence


def cone(entries: Sequence[str]) -> tuple[str, ...]:
    """Folders of a checkout in cone mode; () where something is left out by name, which a cone can't express."""
    return () if any(entry.startswith("!") for entry in entries) else tuple(entry.strip("/") for entry in entries)


def patterns(entries: Sequence[str]) -> tuple[str, ...]:
    """Entries of which some (`!docs/film.mp4`) leave something out: the folders named, else everything, without it."""
    kept = [_escaped(entry) for entry in entries if not entry.startswith("!")]
    gone = [_escaped(entry[1:]) for entry in entries if entry.startswith("!")]
    first = ["/*", "!/*/", *(f"/{path}/" for path in kept)] if kept else ["/*"]
    return (*first, *(f"!/{path}" for path in gone))


def _escaped(path: str) -> str:
    return re.sub(r"([*?\[\]\\ ])", r"\\\1", path.strip("/"))
