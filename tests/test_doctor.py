"""What facts make which findings; the rest is tried on real stacks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from devstack.actions import AwaitProgram, PrepareData, ProvisionService, StartProgram, StopProgram
from devstack.doctor import Facts, findings
from devstack.errors import ConflictError, DataError
from devstack.plan import Plan, Step

WELL = Facts(plan=Plan("up"), free_disk=50_000_000_000, memory=4_000_000_000)
STEPS = (
    Step("web", StopProgram("web"), "its declaration changed"),
    Step("web", StartProgram("web"), "its declaration changed"),
    Step("web", AwaitProgram("web", "web"), "after its start"),
    Step("beat", StartProgram("beat"), "not running"),
)
TAKEN = ConflictError("port-taken", "a port is taken", why="by x", fix="kill 1")


def test_where_nothing_is_wrong_nothing_is_found() -> None:
    assert findings(WELL) == ()
    assert findings(replace(WELL, engine_ahead=4.9)) == ()


@pytest.mark.parametrize(("facts", "id", "severity"), [
    (replace(WELL, free_disk=5_000_000), "disk-low", "fault"),
    (replace(WELL, free_disk=500_000_000), "disk-low", "warning"),
    (replace(WELL, memory=50_000_000), "memory-low", "warning"),
    (replace(WELL, engine_ahead=-8.0, engine_machine="Docker Desktop"), "clock-skew", "warning"),
    (replace(WELL, has_git=False), "git-missing", "fault"),
    (replace(WELL, trash=3_000_000_000), "trash-large", "warning"),
    (replace(WELL, is_trusted=False), "not-trusted", "warning"),
    (replace(WELL, busy="pid 4: devstack up"), "stack-busy", "warning"),
    (replace(WELL, errors=(TAKEN,)), "port-taken", "fault"),
    (replace(WELL, shortage="the disk of /x is full: log lines are lost (df -h /x)"), "disk-full", "fault"),
    (replace(WELL, is_down=True, has_ended=True), "ended", "warning"),
    (replace(WELL, lost=frozenset({"state-lost"})), "state-lost", "warning"),
    (replace(WELL, lost=frozenset({"secrets-lost"})), "secrets-lost", "fault"),
])
def test_each_fact_has_its_finding_with_a_command(facts: Facts, id: str, severity: str) -> None:
    (found,) = findings(facts)
    assert (found.id, found.severity) == (id, severity)
    assert found.what
    assert found.fix


def test_what_is_replaced_is_told_once_and_faults_come_first() -> None:
    found = findings(replace(WELL, plan=Plan("up", STEPS)))
    assert [(one.id, one.target) for one in found] == [("not-running", "beat"), ("changed", "web")]
    assert all(one.is_fixable for one in found)


def test_what_does_not_run_is_no_news_where_everything_is_down() -> None:
    assert findings(replace(WELL, plan=Plan("up", STEPS), is_down=True)) == ()


def test_what_runs_and_says_nothing_is_started_anew() -> None:
    steps = (
        Step("db", ProvisionService("db"), "no answer in time"), Step("web", AwaitProgram("web", "web"), "timed out"),
    )  # fmt: skip
    found = findings(replace(WELL, plan=Plan("up", steps), silent=frozenset({"db", "web"})))
    assert [(one.id, one.fix, one.is_stuck) for one in found] == [
        ("not-ready", "devstack restart db", True), ("not-ready", "devstack restart web", True),
    ]


def test_a_server_that_only_a_start_can_help_is_not_called_changed() -> None:
    steps = tuple(replace(step, target="db", cause="WRONGPASS") for step in STEPS[:2])
    (found,) = findings(replace(WELL, plan=Plan("up", steps), unfit=frozenset({"db"})))
    assert (found.id, found.severity, found.why) == ("service-incomplete", "fault", "WRONGPASS")


def test_what_is_there_and_does_not_run_is_not_called_changed() -> None:
    (found,) = findings(replace(WELL, plan=Plan("up", STEPS[:2]), resting=frozenset({"web"})))
    assert (found.id, found.severity, found.what) == ("not-running", "fault", "web doesn't run")


def test_what_follows_from_a_cause_that_has_a_name_is_not_told_besides() -> None:
    steps = (
        Step("db", StopProgram("db"), "its data is gone"), Step("db", PrepareData("db"), "it has no data yet"),
        Step("db", StartProgram("db", "db"), "its data is gone"),
    )  # fmt: skip
    facts = replace(WELL, plan=Plan("up", steps))
    assert [one.id for one in findings(facts)] == ["data-missing"]
    damaged = DataError("data-damaged", "the data of db is damaged", fix="devstack reset --service db")
    damaged.step = "db:prepare"
    assert [one.id for one in findings(replace(facts, errors=(damaged,)))] == ["data-damaged"]
