"""How long a command takes that has nothing to do: against a bare interpreter, which nothing in Python can beat."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.measure import DEVSTACK, Bench, Row, Samples, compared

#: commands this short need more samples for a steady median
_TIMES = 5
_BARE = "bare interpreter"


def measure(bench: Bench, project: Path) -> list[Row]:
    """project: a folder whose stack is up."""
    samples = Samples()
    commands = {
        _BARE: (sys.executable, "-c", "pass"),
        "--help": (*DEVSTACK, "--help"), "status": (*DEVSTACK, "status"), "up": (*DEVSTACK, "up"),
    }
    bench.say("starting")
    for _ in range(_TIMES * bench.rounds):
        for name, words in commands.items():
            samples.add(name, bench.run(*words, cwd=project).took)
    return [
        compared("starting", "`--help`", samples, ("--help", _BARE), 3.0),
        Row("starting", "`status` of the running shop", samples.median("status"), limit=0.25),
        Row("starting", "`up` of the running shop, nothing to do", samples.median("up"), limit=0.25),
    ]
