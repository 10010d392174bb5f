"""Is what was installed still there? Compares an environment's site-packages with the RECORD of each distribution.

Reads only; runs nothing of the environment.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


def folder_of(environment: Path) -> Path | None:
    """The environment's site-packages, None where it has none."""
    return next(iter(sorted(environment.glob("lib/python3.*/site-packages"))), None)


def distributions(site: Path) -> tuple[str, ...]:
    """Normalized names of the installed distributions."""
    return tuple(sorted(_name(folder) for folder in site.glob("*.dist-info")))


def damage(site: Path, expected: tuple[str, ...] = ()) -> str:
    """In words what is missing, "" where all is there. expected: distributions that were there when it was built.

    A file counts as missing where it is gone, or empty though its RECORD says otherwise (what a crash leaves).
    Compiled bytecode doesn't count.
    """
    problems = []
    present = set()
    for info, files in _by_distribution(site):
        name = _name(info)
        present.add(name)
        missing = sum(file.size is None or (file.size == 0 and file.is_other_size) for file in files or ())
        if files is None:
            problems.append(f"package {name} is half-installed: it has no RECORD")
        elif missing:
            problems.append(f"package {name} is damaged: {missing} {'file' if missing == 1 else 'files'} missing")
    problems += [f"package {name} is gone" for name in expected if name not in present]
    return "; ".join(problems[:3]) + (f"; and {len(problems) - 3} more" if len(problems) > 3 else "")


def truncated(site: Path) -> tuple[str, ...]:
    """Names of distributions with a file of another size than its RECORD says."""
    return tuple(
        _name(info) for info, files in _by_distribution(site) if any(file.is_other_size for file in files or ())
    )


def sources(site: Path) -> Iterator[tuple[str, ...]]:
    """Of each distribution that says what its Python files contain: `path,hash` of each of them, sorted."""
    for info in site.glob("*.dist-info"):
        with contextlib.suppress(OSError):
            lines = [line.rpartition(",")[0] for line in (info / "RECORD").read_text(errors="replace").splitlines()]
            found = sorted(line for line in lines if ".py,sha256=" in line and not line.startswith(("/", ".", '"')))
            if found:
                yield tuple(found)


@dataclass(frozen=True)
class _File:
    """size: on disk, None where it is gone. is_other_size: than every RECORD that names it says."""

    size: int | None
    is_other_size: bool


def _by_distribution(site: Path) -> list[tuple[Path, list[_File] | None]]:
    """The files of each distribution; None for one without a RECORD."""
    records = [(info, _record(info)) for info in sorted(site.glob("*.dist-info"))]
    # old distributions share top-level files such as tests/__init__.py: the one that came last is on disk
    sizes: dict[str, set[str]] = {}
    for _, record in records:
        for path, size in record or ():
            sizes.setdefault(path, set()).add(size)
    base = str(site)
    return [
        (info, None if record is None else [_looked_at(base, path, sizes[path]) for path, _ in record])
        for info, record in records
    ]


def _looked_at(base: str, path: str, sizes: set[str]) -> _File:
    try:
        # RECORD's paths may be absolute; join keeps those
        found = os.stat(os.path.join(base, path)).st_size  # noqa: PTH116,PTH118 - thousands of files, on every doubt
    except OSError:
        return _File(None, is_other_size=False)
    return _File(found, is_other_size=str(found) not in sizes and "" not in sizes)


def _record(info: Path) -> list[tuple[str, str]] | None:
    """Path and size of each file that a distribution's RECORD names; None where there is no RECORD."""
    try:
        text = (info / "RECORD").read_text(errors="replace")
    except OSError:
        return None
    # path,hash,size: only the path may be quoted
    lines = (line.rpartition(",") for line in text.splitlines())
    named = [(quoted.rpartition(",")[0].strip('"').replace('""', '"'), size) for quoted, _, size in lines]
    # virtualenv's own seeds list folders of bytecode too
    return [(path, size) for path, size in named if path and not path.endswith((".pyc", "__pycache__"))]


def _name(info: Path) -> str:
    return re.sub(r"[-_.]+", "-", info.name.removesuffix(".dist-info").rpartition("-")[0]).lower()
