"""Env files that a compose file names and that aren't there, and what they are copied from."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from devstack.detect.compose.interpolation import unset
from devstack.detect.compose.merging import Read
from devstack.detect.compose.parts import Part, is_inside
from devstack.detect.compose.preparing import example_of
from devstack.detect.compose.report import LeftOut, Report


def tell(
    whole: Mapping[str, Any], parts: Sequence[Part], place: tuple[str, Read], report: Report, again: str
) -> None:
    """Each once, and before the rest, which may be another with them. place: name of the first file, and what reads
    others. again: the command to run then."""
    others = list(report.found)
    report.found.clear()
    name, read = place
    own = posixpath.normpath(posixpath.join(posixpath.dirname(name), ".env"))
    example = example_of(own, read)
    lacking = sorted({name for text in _texts(whole) for name in unset(text)})
    told = set()
    if lacking and example and read(own) is None:
        few = ", ".join(lacking[:5]) + (f" and {len(lacking) - 5} more" if len(lacking) > 5 else "")
        report.found.append(LeftOut(own, name, f"it isn't there, and says {few}", f"cp {example} {own}, then {again}"))
        told.add(own)
    for part in parts:
        required = dict(part.service.env_files)
        for path in part.missing:
            example = example_of(path, read) if is_inside(path) else ""
            if path in told or not is_inside(path) or not (required[path] or example):
                continue
            told.add(path)
            fix = f"cp {example} {path}, then {again}" if example else f"make it, then {again}"
            report.drop((part.service.name, "env_file"), f"{path} isn't there: nothing of it is known", fix)
    report.found += others


def _texts(value: Any) -> Iterator[str]:
    """Every text of a file."""
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _texts(inner)
