"""The report of faults: what was told becomes tables, and a fault thrown at a contender is seen as what it is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reliability import report, rivals
from reliability.contenders import Compose, Honcho
from reliability.report import Thrown
from tests.scenarios.machine import CHECKOUT

SWEEP = {
    "verb": "down", "points": 9, "killed": 5, "recovered": 5, "lost": 0, "orphans": 0, "decoys": 0, "slowest": 1.25,
}  # fmt: skip
BROKEN = {
    "state": "web hangs", "sort": "killed", "runtime": "native", "named": "not-ready",
    "healed": ["the disk is freed", "devstack doctor --fix"], "seconds": 2.5,
}  # fmt: skip
TEST = """import subprocess, sys
import pytest
from devstack.errors import ConflictError
from tests.scenarios.machine import finish

@pytest.mark.fault("D1", "D2")
def test_a_port_is_taken():
    "A port is a stranger's."
    with pytest.raises(ConflictError):
        raise ConflictError("port-taken", "what", fix="devstack up --new-ports")
    words = [sys.executable, "-m", "devstack", "status", "--json"]
    finish(subprocess.Popen(words, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True), code=2)

@pytest.mark.fault("D3")
def test_that_fails(record_property):
    record_property("sweep", {})
    assert False

def test_without_a_fault(): pass
"""


def line(test: str, outcome: str, *faults: str, answers: tuple[object, ...] = (), **more: object) -> str:
    told = [json.dumps(answer) for answer in answers]
    return json.dumps({"test": f"tests/test_x.py::{test}", "outcome": outcome, "faults": faults, "about": "",
                       "answers": told, **more})  # fmt: skip


def test_what_was_told_becomes_tables() -> None:
    told = report.parse([
        line("test_a_port[one]", "failed", "D1"),
        line("test_a_port[one]", "passed", "D1", answers=((6, "port-taken", "kill /tmp/x/y/web 1"),)),
        line("test_b", "failed", "D2"), line("test_c", "passed", "D2"),
        *(line(f"test_sweep[{part}]", "passed", "I9", sweep=SWEEP) for part in range(2)),
        line("test_broken[a]", "passed", broken=BROKEN),
        line("test_broken[b]", "failed", broken=BROKEN | {"runtime": "docker"}),
    ])  # fmt: skip
    thrown = [Thrown("kill", {"devstack": "each once", "honcho": "✗ 2"}), Thrown("venv", {"by hand": "✗ no pip"})]
    text = report.text(told, {"D1": "a port", "D2": "another", "D3": "none", "I9": "kills"}, thrown, "here")
    assert "| `down` | 9 | 10 | 10 | 0 | 0 | 0 | 1.2 s |" in text
    assert "| D1 | a port | a port | 6 `port-taken` → `kill …/web 1` | ✓ 1 |" in text
    assert "| D2 | another | b; c | put right, or refused without harm | **1 of 2 failed** |" in text
    assert "3 injected by 5 tests, 2 of them seen" in text
    assert "D3" not in text
    assert "1 of 1 natively and 0 of 1 with the servers in containers" in text
    healed = "the disk is freed, `devstack doctor --fix`"
    assert f"| killed | web hangs | `not-ready` | {healed} | 2.5 s | **failed** |" in text
    assert "| kill | each once | ✗ 2 | – |" in text


def test_tables_replace_those_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    shutil.copy(report.TARGET, page)
    monkeypatch.setattr(report, "TARGET", page)
    before = page.read_text().partition("<!-- seen -->")[0]
    for text in ("one\n", "two\n"):
        report.write(text)
    assert page.read_text() == f"{before}<!-- seen -->\ntwo\n<!-- end -->\n"


def test_the_plugin_tells_what_each_test_with_a_fault_has_seen(tmp_path: Path) -> None:
    (tmp_path / "test_two.py").write_text(TEST)
    words = [
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "reliability.told", "--told",
        str(tmp_path / "told"), "-n", "1", "-c", str(CHECKOUT / "pyproject.toml"), "--rootdir", str(tmp_path),
        str(tmp_path / "test_two.py"),
    ]  # fmt: skip
    environ = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(words, cwd=tmp_path, env=environ, check=False, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout
    found = {one.name: one for one in report.parse((tmp_path / "told").read_text().splitlines())}
    assert set(found) == {"a port is taken", "that fails"}
    good = found["a port is taken"]
    assert (good.outcome, good.faults, good.about) == ("passed", ("D1", "D2"), "A port is a stranger's.")
    assert good.answers[0] == (6, "port-taken", "devstack up --new-ports")
    assert good.answers[1][:2] == (2, "no-project")
    assert found["that fails"].outcome == "failed"


def test_a_fault_is_thrown_at_a_contender(tmp_path: Path) -> None:
    with rivals.made(Honcho, tmp_path) as contender:
        seen = rivals.FAULTS["a child in a session of its own, then stopped"](contender)
    assert seen == "✗ 1 of 1 lives on"


def test_compose_meets_them_too(tmp_path: Path) -> None:
    if not Compose.is_here():
        pytest.skip(f"no Docker Compose, or no engine that has {Compose.image}")
    with rivals.made(Compose, tmp_path) as contender:
        seen = rivals.FAULTS["the port is a stranger's"](contender)
    assert seen == "✗ exit 1, doesn't say who has it; worker ×1"
