"""Walking a plan on real threads: order, overlap, failure, cancel, a bug, and what the journal keeps of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from devstack.actions import Action
from devstack.errors import InterruptedRunError, ProcessError
from devstack.executor import Event, Executor, Journal, Outcome, Performer, Report, UnneededError
from devstack.plan import Plan, Step
from devstack.system import System

#: for waits that end at once unless something is broken
PATIENCE = 20.0


@dataclass(frozen=True)
class Do(Action):
    """A step of a test: what it does is looked up by its name."""

    verb: ClassVar[str] = "do"
    name: str


@dataclass(frozen=True)
class DoMore(Do):
    verb: ClassVar[str] = "more"


@dataclass
class Bench:
    """Runs plans of `Do` steps; what isn't told to act does nothing."""

    system: System
    journal: Path
    acts: dict[str, Callable[[Report], object]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    def run(self, *steps: Step) -> Outcome:
        performers: dict[type[Action], Performer] = {Do: self._perform, DoMore: self._perform}
        executor = Executor(self.system, performers, self.events.append, Journal(self.system, self.journal))
        return executor.execute(Plan("up", steps))

    def _perform(self, action: Do, report: Report) -> None:
        if action.name in self.acts:
            self.acts[action.name](report)

    def told(self, kind: str) -> list[str]:
        return [event.step.target for event in self.events if event.kind == kind]

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.journal.read_text().splitlines()]


@pytest.fixture
def bench(system: System, tmp_path: Path) -> Bench:
    return Bench(system, tmp_path / "journal.jsonl")


def step(name: str, needs: Iterable[str] = (), *, optional: bool = False) -> Step:
    return Step(name, Do(name), f"{name} is needed", tuple(f"{need}:do" for need in needs), optional=optional)


def fail(report: Report) -> None:
    raise ProcessError("broken", "it broke", why="on purpose")


# --- order -----------------------------------------------------------------------------------------------------------


def test_a_step_begins_after_all_that_it_needs(bench: Bench) -> None:
    """Whatever the order in the plan's text: here the needs come in a diamond."""
    bench.run(step("a"), step("b", "a"), step("c", "a"), step("d", "bc"))
    begun, ended = bench.told("started"), bench.told("finished")
    assert begun[0] == "a"
    assert begun[-1] == "d"
    assert sorted(ended) == list("abcd")
    order = [(event.kind, event.step.target) for event in bench.events]
    for early, late in ("ab", "ac", "bd", "cd"):
        assert order.index(("finished", early)) < order.index(("started", late))


def test_a_step_that_finds_its_work_done_holds_nothing_up(bench: Bench) -> None:
    def unneeded(report: Report) -> None:
        raise UnneededError("it is there")

    bench.acts["a"] = unneeded
    outcome = bench.run(step("a"), step("b", "a"))
    assert [(event.kind, event.text) for event in outcome.events] == [
        ("started", ""), ("unneeded", "it is there"), ("started", ""), ("finished", ""),
    ]
    assert bench.lines()[2]["text"] == "it is there"


def test_independent_steps_run_at_the_same_time(bench: Bench) -> None:
    """Each waits for the others to have begun: one after the other, none would end."""
    meeting = threading.Barrier(8)
    names = "abcdefgh"
    for name in names:
        bench.acts[name] = lambda report: meeting.wait(PATIENCE)
    bench.run(*map(step, names))
    assert sorted(bench.told("finished")) == list(names)


def test_a_slow_step_holds_up_only_what_needs_it(bench: Bench) -> None:
    """`slow` ends only after the whole other branch has."""
    other_done = threading.Event()

    def slow(report: Report) -> None:
        assert other_done.wait(PATIENCE)

    bench.acts = {"slow": slow, "c": lambda report: other_done.set()}
    bench.run(step("slow"), step("a"), step("b", "a"), step("c", "b"), step("d", ["slow", "c"]))
    assert bench.told("finished") == ["a", "b", "c", "slow", "d"]


def test_more_steps_than_threads(bench: Bench) -> None:
    bench.run(*(step(f"s{number}") for number in range(100)))
    assert len(bench.told("finished")) == 100


def test_an_empty_plan_is_done(bench: Bench) -> None:
    assert bench.run().events == ()
    assert bench.lines()[-1]["outcome"] == "done"


# --- failure ---------------------------------------------------------------------------------------------------------


def test_after_a_failure_nothing_begins_and_what_runs_may_end(bench: Bench) -> None:
    """The running step ends by itself and counts as done; the one after it is never begun."""
    failed, running = threading.Event(), threading.Event()

    def break_late(report: Report) -> None:
        assert running.wait(PATIENCE)
        failed.set()
        fail(report)

    def go_on(report: Report) -> None:
        running.set()
        assert failed.wait(PATIENCE)

    bench.acts = {"bad": break_late, "long": go_on}
    with pytest.raises(ProcessError) as caught:
        bench.run(step("bad"), step("long"), step("after-bad", ["bad"]), step("after-long", ["long"]))
    assert caught.value.step == "bad:do"
    assert bench.told("finished") == ["long"]
    assert "after-bad" in bench.told("skipped")
    # `long` may end in the very moment in which `bad` does, before the failure is known
    assert not {"after-bad"} & {*bench.told("started")}


def test_a_running_step_learns_that_it_is_pointless(bench: Bench) -> None:
    """It waits for as long as it isn't told so."""

    def wait(report: Report) -> None:
        assert bench.system.until(lambda: report.is_abandoned, PATIENCE, 0.01)

    bench.acts = {"bad": fail, "waits": wait}
    with pytest.raises(ProcessError):
        bench.run(step("bad"), step("waits"))
    assert bench.told("finished") == ["waits"]


def test_what_needs_a_running_step_is_not_begun_after_a_failure(bench: Bench) -> None:
    """`long` ends only once the failure is known to everybody."""

    def wait(report: Report) -> None:
        assert bench.system.until(lambda: report.is_abandoned, PATIENCE, 0.01)

    bench.acts = {"bad": fail, "long": wait}
    with pytest.raises(ProcessError):
        bench.run(step("bad"), step("long"), step("after-long", ["long"]))
    assert bench.told("skipped") == ["after-long"]


def test_an_optional_failure_is_told_and_the_rest_goes_on(bench: Bench) -> None:
    """Also what needs it: optional means that others can do without."""
    bench.acts = {"bad": fail}
    outcome = bench.run(step("bad", optional=True), step("after", ["bad"]))
    assert bench.told("finished") == ["after"]
    (event,) = outcome.failed_optional
    assert (event.step.target, event.text) == ("bad", "it broke: on purpose")
    assert event.error is not None
    assert event.error.step == "bad:do"


def test_what_of_an_optional_thing_comes_after_its_failure_is_not_begun(bench: Bench) -> None:
    """Its image can't be had: it isn't waited for. What another one needs of it is tried."""
    bench.acts = {"bad": fail}
    more = Step("bad", DoMore("more"), "it follows", ("bad:do",), optional=True)
    other = step("other", ["bad"], optional=True)
    outcome = bench.run(step("bad", optional=True), more, other, Step("last", Do("last"), "at last", ("bad:more",)))
    assert bench.told("finished") == ["other", "last"]
    (skipped,) = [event for event in outcome.events if event.kind == "skipped"]
    assert (skipped.step.id, skipped.text) == ("bad:more", "not begun, since bad:do failed")
    assert len(outcome.failed_optional) == 1


def test_the_first_failure_is_the_one_that_is_raised(bench: Bench) -> None:
    """A second one, of a step that was running, is only told."""

    def fail_later(report: Report) -> None:
        assert bench.system.until(lambda: report.is_abandoned, PATIENCE, 0.01)
        raise ProcessError("later", "it broke too")

    bench.acts = {"bad": fail, "late": fail_later}
    with pytest.raises(ProcessError, match="on purpose"):
        bench.run(step("late"), step("bad"))
    assert bench.told("failed") == ["bad", "late"]


# --- cancel and bugs -------------------------------------------------------------------------------------------------


def test_cancel_stops_what_waits_and_what_has_not_begun(bench: Bench) -> None:
    """As the signal handler does it: a wait under way ends, nothing more begins."""

    def cancelled(report: Report) -> None:
        bench.system.cancel()
        bench.system.pause(PATIENCE)

    bench.acts = {"a": cancelled}
    with pytest.raises(InterruptedRunError) as caught:
        bench.run(step("a"), step("b", "a"))
    assert caught.value.exit_code == 130
    assert bench.told("skipped") == ["b"]
    assert [event.text for event in bench.events if event.kind == "skipped"] == ["not begun"]
    assert bench.lines()[-1]["outcome"] == "interrupted"


def test_a_run_cancelled_before_it_begins_does_nothing(bench: Bench) -> None:
    bench.acts = {"a": lambda report: pytest.fail("performed")}
    bench.system.cancel()
    with pytest.raises(InterruptedRunError):
        bench.run(step("a"))


def test_cancelling_in_an_optional_step_is_no_optional_failure(bench: Bench) -> None:
    """Else a run that was interrupted in its last step would report that all is well."""

    def cancelled(report: Report) -> None:
        bench.system.cancel()
        bench.system.pause(PATIENCE)

    bench.acts = {"a": cancelled}
    with pytest.raises(InterruptedRunError):
        bench.run(step("a", optional=True))


def test_a_bug_is_not_swallowed(bench: Bench) -> None:
    """What is no error of ours comes out as it is, after the rest has ended; even from an optional step."""

    def bug(report: Report) -> None:
        raise ZeroDivisionError

    bench.acts = {"a": bug}
    with pytest.raises(ZeroDivisionError):
        bench.run(step("a", optional=True), step("b", "a"))
    assert bench.told("skipped") == ["b"]
    assert bench.lines()[-1]["outcome"] == "bug: ZeroDivisionError"


def test_an_action_nobody_performs_is_a_bug(bench: Bench) -> None:
    @dataclass(frozen=True)
    class Other(Action):
        verb: ClassVar[str] = "other"

    with pytest.raises(KeyError):
        bench.run(Step("a", Other(), ""))


# --- what is told ----------------------------------------------------------------------------------------------------


def test_progress_is_told_but_not_kept(bench: Bench) -> None:
    """A download says a hundred things; the outcome and the journal hold beginnings and ends."""
    bench.acts = {"a": lambda report: [report.say(f"{n} %") for n in range(100)]}
    outcome = bench.run(step("a"))
    assert [event.text for event in bench.events if event.kind == "progress"] == [f"{n} %" for n in range(100)]
    assert [event.kind for event in outcome.events] == ["started", "finished"]
    assert [line["event"] for line in bench.lines()[1:-1]] == ["started", "finished"]


def test_a_second_run_starts_with_no_events_of_the_first(bench: Bench) -> None:
    executor = Executor(bench.system, {Do: bench._perform}, lambda event: None, Journal(bench.system, bench.journal))
    executor.execute(Plan("up", (step("a"),)))
    assert [event.step.target for event in executor.execute(Plan("up", (step("b"),))).events] == ["b", "b"]


def test_the_journal_tells_the_whole_run(bench: Bench) -> None:
    """A head with the plan, a line per beginning and end, a last line; private."""
    bench.acts = {"bad": fail}
    with pytest.raises(ProcessError):
        bench.run(step("good"), step("bad", ["good"]), step("never", ["bad"]))
    head, *events, last = bench.lines()
    assert head["goal"] == "up"
    assert head["steps"][1] == {"id": "bad:do", "cause": "bad is needed", "needs": ["good:do"]}
    assert [(line["event"], line["step"]) for line in events] == [
        ("started", "good:do"), ("finished", "good:do"), ("started", "bad:do"), ("failed", "bad:do"),
        ("skipped", "never:do"),
    ]
    assert events[3]["text"] == "it broke: on purpose"
    assert events[1]["took"] >= 0
    assert last["outcome"] == "broken"
    assert bench.journal.stat().st_mode & 0o777 == 0o600


def test_a_journal_that_cannot_be_written_stops_nothing(bench: Bench, tmp_path: Path) -> None:
    bench.journal = tmp_path / "gone" / "journal.jsonl"
    bench.run(step("a"))
    assert bench.told("finished") == ["a"]


def test_journal_lines_are_whole(bench: Bench) -> None:
    """Steps that end at the same moment, with texts that are no UTF-8, don't mix."""
    meeting = threading.Barrier(16)
    names = [f"s{number}" for number in range(16)]

    def fail_together(report: Report) -> None:
        meeting.wait(PATIENCE)
        raise ProcessError("x", "caf\udce9 " + "long " * 500)

    for name in names:
        bench.acts[name] = fail_together
    bench.run(*(step(name, optional=True) for name in names))
    lines = bench.journal.read_bytes().decode(errors="replace").splitlines()
    assert len([json.loads(line) for line in lines]) == 2 + 2 * 16
