"""`benchmarks/run [PART...]`: measures everything in one run, prints tables and puts them into docs/benchmarks.md."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks import cold, containers, processes, report, resetting
from benchmarks.measure import Row, bench

_PARTS = ("cold", "processes", "containers", "data")


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks/run", description="Measure devstack against the usual recipes.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(_PARTS)} (default: all, into the docs)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="medians of N rounds (default: 3)")
    given = parser.parse_args()
    if unknown := set(given.parts) - set(_PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(_PARTS)}")
    load = report.load()
    rows: list[Row] = []
    # a short path: servers put sockets below it
    with tempfile.TemporaryDirectory(prefix="b-") as folder, bench(Path(folder), given.rounds, _say) as made:
        if not given.parts or "cold" in given.parts:
            rows += cold.measure(made)
        if not given.parts or "processes" in given.parts:
            rows += processes.measure(made)
        if not given.parts or "containers" in given.parts:
            rows += containers.measure(made)
        if not given.parts or "data" in given.parts:
            rows += resetting.measure(made)
    text = report.text(rows, given.rounds, load)
    print(text)
    if not given.parts:
        report.write(text)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


main()
