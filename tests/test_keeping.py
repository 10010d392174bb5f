"""Plans in which data is copied or exchanged: who ends, who begins anew, what is made ahead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from devstack.actions import PlantSeed, RunTask
from devstack.plan import Up
from devstack.profile.model import Profile
from devstack.state import Seeding, State
from tests.test_planner import SHOP, Desk

SEEDED = SHOP.replace('needs = ["migrate"]\n', 'needs = ["migrate"]\nsnapshot = "seeded"\n', 1)


@pytest.fixture
def seeded(make_profile: Callable[[str], Profile], make_state: Callable[..., State]) -> Desk:
    profile = make_profile(SEEDED)
    return Desk(profile, make_state(profile))


def test_what_runs_begins_anew_once_the_data_is_exchanged(seeded: Desk) -> None:
    assert seeded.text(seeded.settled, Up(restore="seeded", before="before-reset", name="restore")) == """
web:stop         nobody may write while data is exchanged
worker-1:stop    nobody may write while data is exchanged
worker-2:stop    nobody may write while data is exchanged
data:restore     back to seeded; what is there becomes before-reset  (after web:stop, worker-1:stop, worker-2:stop)
web:start        nobody may write while data is exchanged  (after web:stop, data:restore)
web:await        after its start  (after web:start)
worker-1:start   nobody may write while data is exchanged  (after worker-1:stop, data:restore)
worker-1:await   after its start  (after worker-1:start)
worker-2:start   nobody may write while data is exchanged  (after worker-2:stop, data:restore)
worker-2:await   after its start  (after worker-2:start)
stack:verify     all must still be running at the end  (after web:await, worker-1:await, worker-2:await)
spare copy:make  the next reset goes to seeded  (after {})
""".format(
        "web:stop, worker-1:stop, worker-2:stop, data:restore, web:start, web:await, worker-1:start, worker-1:await, "
        "worker-2:start, worker-2:await, stack:verify"
    )


def test_what_is_to_stay_down_only_ends(seeded: Desk) -> None:
    goal = Up(("postgres", "redis"), calm=True, restore="seeded", before="before-reset")
    ids = [step.id for step in seeded.plan(seeded.settled, goal).steps]
    assert ids == ["web:stop", "worker-1:stop", "worker-2:stop", "data:restore"]


def test_a_task_that_was_not_done_with_the_restored_data_runs(seeded: Desk) -> None:
    state = seeded.settled
    tasks = {**state.tasks, "migrate": replace(state.tasks["migrate"], done="another key")}
    state = replace(state, tasks=tasks)
    steps = {step.id: step for step in seeded.plan(state, Up(restore="seeded", before="b")).steps}
    assert "data:restore" in steps["migrate:run"].needs
    assert "seed:run" not in steps
    assert "migrate:run" in steps["web:start"].needs


def test_a_spare_is_made_after_the_task_that_makes_what_reset_goes_to(seeded: Desk) -> None:
    *_, last = seeded.plan(seeded.fresh).steps
    assert last.id == "spare copy:make"
    assert "snapshot seeded:save" in last.needs
    assert last.optional
    ids = [step.id for step in seeded.plan(seeded.settled, Up(restore="mine", before="b")).steps]
    assert "spare copy:make" not in ids, "reset doesn't go there"


def test_a_program_that_is_down_is_started_with_the_rest(seeded: Desk) -> None:
    state = seeded.without("worker-1")
    steps = {step.id: step for step in seeded.plan(state, Up(save="mine")).steps}
    assert "worker-1:stop" not in steps["data:save"].needs
    assert "data:save" in steps["worker-1:start"].needs


def test_a_task_that_is_done_and_gets_a_snapshot_later_has_it_taken(seeded: Desk) -> None:
    steps = {step.id: step for step in seeded.plan(seeded.settled).steps}
    assert steps["data:save"].cause == "the task seed was done before it asked for a snapshot"
    assert "data:save" in steps["web:start"].needs
    assert "spare copy:make" in steps
    assert "seed:run" not in steps
    assert seeded.plan(replace(seeded.settled, snapshots=frozenset({"seeded"}))).is_empty
    assert "data:save" not in [step.id for step in seeded.plan(seeded.without("web"), Up(("web",))).steps]


def _with_seed(desk: Desk, *, is_unfinished: bool = False) -> State:
    seeding = Seeding({"seed": "k"}, "seed", "k", ("migrate", "seed"), "a seed of then", is_unfinished)
    return replace(desk.fresh, seeding=seeding)


def test_data_that_is_at_hand_is_put_in_before_any_task(seeded: Desk) -> None:
    steps = {step.id: step for step in seeded.plan(_with_seed(seeded)).steps}
    assert steps["data:seed"].needs == ("postgres:await", "redis:await")
    assert "data:seed" in steps["migrate:run"].needs
    assert steps["migrate:run"].action == RunTask("migrate", seed="a seed of then")
    assert "data:seed" in steps["web:start"].needs
    assert "seed seeded:keep" not in steps
    asked = {step.id for step in seeded.plan(_with_seed(seeded), Up(("migrate",), frozenset({"migrate"}))).steps}
    assert "data:seed" not in asked


def test_what_a_task_has_made_of_nothing_is_kept_for_others(seeded: Desk) -> None:
    state = replace(seeded.fresh, seeding=Seeding({"seed": "k"}))
    steps = {step.id: step for step in seeded.plan(state).steps}
    assert steps["seed seeded:keep"].needs == ("snapshot seeded:save",)
    assert steps["seed seeded:keep"].optional
    assert "seed seeded:keep" not in {step.id for step in seeded.plan(seeded.fresh).steps}


def test_data_that_was_half_put_in_goes_where_it_can_not_be_completed(seeded: Desk) -> None:
    gone = replace(seeded.fresh, seeding=Seeding(is_unfinished=True))
    for state, goal in ((gone, Up()), (_with_seed(seeded, is_unfinished=True), Up(("postgres", "redis")))):
        (step,) = [step for step in seeded.plan(state, goal).steps if step.id == "data:seed"]
        assert step.action == PlantSeed("")
