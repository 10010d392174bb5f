"""`scripts/faults`: every fault of the catalogue, the whole sweep, every broken state of the demo, the rivals; the
tables go to docs/reliability.md."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.report import machine
from reliability import report, rivals
from tests.test_faults_covered import FAULTS

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/faults", description="Throw every fault; write down what is seen.")
    parser.add_argument("--quick", action="store_true", help="a few points of the sweep only; prints, writes nothing")
    parser.add_argument("--no-rivals", action="store_true", help="only devstack")
    parser.add_argument("--told", metavar="FILE", help="add to what an earlier run has seen, and keep it there")
    parser.add_argument("--no-tests", action="store_true", help="the tables of what is in FILE, and the rivals")
    parser.add_argument("-n", "--numprocesses", default="auto", metavar="N", help="tests side by side (default: cores)")
    parser.add_argument("tests", nargs="*", metavar="TEST", help="only these tests; prints, writes nothing")
    given = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="f-") as folder:
        told = Path(given.told or f"{folder}/told.jsonl").absolute()
        told.touch()
        code = 0 if given.no_tests else _test(told, given)
        thrown = [] if given.no_rivals else rivals.throw(Path(folder), _say)
        found = report.parse(told.read_text().splitlines())
    took = "" if given.told else f"; {(time.monotonic() - began) / 60:.0f} minutes"
    head = f"{time.strftime('%Y-%m-%d', time.gmtime())}, {machine()}{took}."
    tables = report.text(found, FAULTS, thrown, head)
    if given.quick or given.tests:
        print(tables)
    else:
        report.write(tables)
        _say(f"written: {report.TARGET.relative_to(ROOT)}")
    return code


def _test(told: Path, given: argparse.Namespace) -> int:
    """Pass every test that injects a fault; pytest's exit code."""
    words = [
        sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "reliability.told", "--told", str(told), "-q",
        "-m", "fault or broken", "-n", given.numprocesses, "--dist", "worksteal", *given.tests,
    ]  # fmt: skip
    environ = {**os.environ, "DEVSTACK_SWEEP": "" if given.quick or given.tests else "whole"}
    return subprocess.run(words, cwd=ROOT, env=environ, check=False).returncode


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


sys.exit(main())
