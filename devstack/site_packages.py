"""Is what was installed still there? Compares an environment's site-packages with the RECORD of each distribution.

Reads only; runs nothing of the environment.
"""

from __future__ import annotations

import os
import re
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
    for info in sorted(site.glob("*.dist-info")):
        name = _name(info)
        present.add(name)
        missing = _missing_files(site, info)
        if missing is None:
            problems.append(f"package {name} is half-installed: it has no RECORD")
        elif missing:
            files = "file" if missing == 1 else "files"
            problems.append(f"package {name} is damaged: {missing} {files} missing")
    problems += [f"package {name} is gone" for name in expected if name not in present]
    return "; ".join(problems[:3]) + (f"; and {len(problems) - 3} more" if len(problems) > 3 else "")


def truncated(site: Path) -> tuple[str, ...]:
    """Names of distributions with a file of another size than its RECORD says."""
    return tuple(
        _name(info) for info in sorted(site.glob("*.dist-info"))
        if any(size.isdigit() and found != int(size) for found, size in _sizes(site, info) or ())
    )


def _missing_files(site: Path, info: Path) -> int | None:
    sizes = _sizes(site, info)
    return None if sizes is None else sum(
        1 for found, size in sizes if found is None or (found == 0 and size not in ("", "0"))
    )


def _sizes(site: Path, info: Path) -> list[tuple[int | None, str]] | None:
    """Size on disk (None where it is gone) and size by its RECORD, of each file of a distribution; None without one."""
    try:
        text = (info / "RECORD").read_text(errors="replace")
    except OSError:
        return None
    base = str(site)
    sizes: list[tuple[int | None, str]] = []
    for line in text.splitlines():
        # path,hash,size: only the path may be quoted
        quoted, _, size = line.rpartition(",")
        path = quoted.rpartition(",")[0].strip('"').replace('""', '"')
        # virtualenv's own seeds list folders of bytecode too
        if not path or path.endswith((".pyc", "__pycache__")):
            continue
        try:
            # RECORD's paths may be absolute; join keeps those
            found = os.stat(os.path.join(base, path)).st_size  # noqa: PTH116,PTH118 - thousands of files, on every doubt
        except OSError:
            sizes.append((None, size))
        else:
            sizes.append((found, size))
    return sizes


def _name(info: Path) -> str:
    return re.sub(r"[-_.]+", "-", info.name.removesuffix(".dist-info").rpartition("-")[0]).lower()
