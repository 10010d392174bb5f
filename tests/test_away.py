"""What a program on a terminal means for the plans of all the others, as whole texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from devstack.errors import ConflictError
from devstack.plan import Down, Up
from devstack.planner import down
from devstack.profile.model import Profile
from devstack.state import Foreground, State
from tests.test_planner import SHOP, Desk

_NEEDY = """
[processes.mailer]
run = "mailer"
needs = ["web"]
"""


@pytest.fixture(scope="session")
def needy(make_profile: Callable[[str], Profile], make_state: Callable[..., State]) -> Desk:
    profile = make_profile(SHOP.replace('[files."media"]', f'{_NEEDY}[files."media"]'))
    return Desk(profile, make_state(profile))


def test_a_running_program_is_taken_out_of_supervisords_hands(needy: Desk) -> None:
    plan = needy.plan(needy.settled, Up(foreground="web"))

    assert "\n" + plan.text() + "\n" == """
web:stop     it will run on this terminal instead
web:release  it runs on this terminal when all else is ready  (after web:stop)
"""
    assert plan.warnings == (), "the mailer runs already: it is left as it is"


def test_all_else_is_ready_first_and_whoever_needs_it_is_not_started(needy: Desk) -> None:
    plan = needy.plan(needy.without("redis", "web", "worker-2", "mailer"), Up(foreground="web"))

    assert "\n" + plan.text() + "\n" == """
redis:start      not running: exited too quickly
redis:provision  after its start  (after redis:start)
redis:await      others need it to answer  (after redis:provision)
worker-2:start   not running: exited too quickly  (after redis:await)
worker-2:await   after its start  (after worker-2:start)
stack:verify     all must still be running at the end  (after redis:await, worker-2:await)
web:release      it runs on this terminal when all else is ready  (after stack:verify)
"""
    assert plan.warnings == ("mailer isn't started: it needs web, which runs on a terminal",)


def test_one_replica_leaves_the_others_to_those_who_need_them(needy: Desk) -> None:
    plan = needy.plan(needy.without("worker-1", "worker-2"), Up(foreground="worker-1"))

    assert [step.id for step in plan.steps] == ["worker-2:start", "worker-2:await", "stack:verify", "worker-1:release"]
    assert plan.warnings == ()


def test_what_runs_on_a_terminal_is_left_alone_and_ended_by_down(needy: Desk) -> None:
    elsewhere = replace(needy.without("web"), foreground={"web": Foreground(77, "1")})

    plan = needy.plan(elsewhere)
    assert (plan.steps, plan.warnings) == ((), ("web runs in the foreground of a terminal (pid 77) and is left alone",))
    with pytest.raises(ConflictError, match="runs on another terminal: as pid 77") as caught:
        needy.plan(elsewhere, Up(foreground="web"))
    assert (caught.value.id, caught.value.fix) == ("in-foreground", "kill 77")
    assert "\nweb:stop         the stack goes down; it runs on a terminal\n" in down(elsewhere, Down()).text()
