"""The table: as text for a terminal, and in docs/benchmarks.md between its two markers."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from benchmarks.measure import Row
from devstack import __version__

TARGET = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
_BEGIN, _END = "<!-- measured -->", "<!-- end -->"
_HEAD = ("what", "devstack", "compared with", "", "ratio", "at most", "")


def text(rows: Iterable[Row], rounds: int, load: float) -> str:
    head = (
        f"{time.strftime('%Y-%m-%d', time.gmtime())}, {machine()}, load {load:.1f} at the beginning; "
        f"medians of {rounds} rounds, ratios are medians of the rounds' own ratios."
    )
    lines, part = [head], ""
    for row in rows:
        if row.part != part:
            part = row.part
            lines += ["", f"**{part}**", "", _line(_HEAD), _line("---" for _ in _HEAD)]
        lines.append(_line(_cells(row)))
    return "\n".join(lines) + "\n"


def write(table: str) -> None:
    """Replace what was measured before."""
    before, _, rest = TARGET.read_text(encoding="utf-8").partition(_BEGIN)
    after = rest.partition(_END)[2]
    TARGET.write_text(f"{before}{_BEGIN}\n{table}{_END}{after}", encoding="utf-8")


def machine() -> str:
    """CPU, cores, memory, kernel and versions, in a line."""
    names = [
        line.partition(":")[2].strip() for line in _cpu().splitlines() if line.startswith("model name")
    ]
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GB, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, devstack {__version__}"
    )


def load() -> float:
    """How busy the machine was in the last minute, before the measurements."""
    return os.getloadavg()[0]


def _cpu() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text() if path.exists() else ""


def _cells(row: Row) -> Iterable[str]:
    verdict = {None: "", True: "met", False: "**missed**"}[row.is_met]
    limit = "" if row.limit is None else f"{row.limit:g} ×" if row.ratio is not None else f"{row.limit:g} s"
    return (
        row.what, _seconds(row.seconds), row.of, "" if row.other is None else _seconds(row.other),
        "" if row.ratio is None else f"{row.ratio:.2f}", limit, verdict,
    )


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
