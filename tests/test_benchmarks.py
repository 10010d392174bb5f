"""The measurements run, at their smallest; what they measure is nobody's business here."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import cold, processes, report
from benchmarks.measure import Bench, Row, Samples, bench
from tests.supervisor_bench import private_sockets

BY_HAND = Path(cold.__file__).with_name("by_hand.sh")


@pytest.fixture
def small() -> Iterator[Bench]:
    with private_sockets() as folder:
        folder.mkdir()
        with bench(folder, 1, lambda text: None) as made:
            yield made


def test_processes_are_measured_and_none_is_left(small: Bench) -> None:
    rows = processes.measure(small, (2,))
    assert all(row.seconds > 0 for row in rows)
    table = report.text(rows, 1, 0.0)
    assert table.count("| `up`, all seen running |") == 2
    assert "honcho" in table


def test_a_table_replaces_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    shutil.copy(report.TARGET, page)
    monkeypatch.setattr(report, "TARGET", page)
    before = page.read_text().partition("<!-- measured -->")[0]
    for seconds in (1.0, 2.0):
        report.write(report.text([Row("a part", "a thing", seconds, limit=1.5)], 3, 0.0))
    assert page.read_text().startswith(before)
    assert page.read_text().count("| a thing | 2.00 s |  |  |  | 1.5 s | **missed** |") == 1
    assert "1.00 s" not in page.read_text()


def test_ratios_are_of_pairs() -> None:
    samples = Samples({"ours": [1.0, 10.0, 2.0], "theirs": [2.0, 20.0, 8.0]})
    assert samples.ratio("ours", "theirs") == 0.5


def test_the_critical_path_is_the_longest_chain(tmp_path: Path) -> None:
    needs = {"a": [], "b": ["a"], "c": [], "d": ["b", "c"]}
    took = {"a": 1.0, "b": 2.0, "c": 2.5, "d": 0.5}
    steps = [{"id": step, "cause": "", "needs": need} for step, need in needs.items()]
    lines: list[object] = [{"goal": "up", "steps": steps}]
    lines += [{"event": "finished", "step": step, "at": 0, "took": seconds} for step, seconds in took.items()]
    journal = tmp_path / "journal.jsonl"
    journal.write_text("".join(json.dumps(line) + "\n" for line in [*lines, {"outcome": "done", "took": 9}]))
    assert cold.critical_path(journal) == 3.5


def test_the_recipe_by_hand_is_a_script_that_parses(small: Bench) -> None:
    small.run("bash", "-n", str(BY_HAND))
