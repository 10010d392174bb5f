"""A run in lines: enough to follow it in a log, not more."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from devstack.actions import Action, Clone
from devstack.errors import InterruptedRunError, ProcessError
from devstack.executor import Event
from devstack.output.progress import DOING, DONE, PlainProgress
from devstack.plan import Plan, Step
from tests.output.samples import AWAIT, HOSTILE, INSTALL, MIGRATE, PLAN, START, finished, started


def _said(*events: Event, verbose: bool = False) -> list[str]:
    lines: list[str] = []
    with PlainProgress(PLAN, lines.append, verbose=verbose) as progress:
        for event in events:
            progress(event)
    return lines


def test_long_steps_have_a_beginning_and_targets_an_end() -> None:
    assert _said(
        started(INSTALL, 0.0), Event("progress", INSTALL, 1.0, "downloading"), finished(INSTALL, 2.0, 2.0),
        started(START, 3.0), finished(START, 3.1, 0.1), started(AWAIT, 3.1), finished(AWAIT, 5.0, 1.9),
    ) == [
        "[  0.0 s] python   install …",
        "[  2.0 s] python   installed (2.0 s)",
        "[  5.0 s] web      ready (2.0 s)",
    ]  # fmt: skip


def test_a_long_silence_is_broken() -> None:
    events = [Event("progress", INSTALL, at, f"at {at}") for at in (1.0, 11.0, 12.0, 22.0)]
    lines = _said(started(INSTALL, 0.0), *events)
    assert lines[1:] == ["[ 11.0 s] python     at 11.0", "[ 22.0 s] python     at 22.0"]


def test_what_was_said_last_is_told_when_nothing_comes_after_and_then_that_it_goes_on() -> None:
    lines: list[str] = []
    progress = PlainProgress(PLAN, lines.append, verbose=False)
    progress(started(INSTALL, 0.0))
    progress(Event("progress", INSTALL, 3.0, "building lxml 5.0 from source"))
    for at in range(4, 140):
        progress.look(float(at))
    progress(finished(INSTALL, 140.0, 140.0))
    progress.look(999.0)
    assert lines == [
        "[  0.0 s] python   install …",
        "[ 10.0 s] python     building lxml 5.0 from source",
        "[ 70.0 s] python     still installing: building lxml 5.0 from source",
        "[130.0 s] python     still installing: building lxml 5.0 from source",
        "[140.0 s] python   installed (140.0 s)",
    ]


def test_the_clock_alone_breaks_a_silence() -> None:
    is_told = threading.Event()

    def write(line: str) -> None:
        if line.endswith("  building lxml 5.0 from source"):
            is_told.set()

    with PlainProgress(PLAN, write, verbose=False) as progress:
        progress(started(INSTALL, 0.0))
        progress(Event("progress", INSTALL, 9.5, "building lxml 5.0 from source"))
        assert is_told.wait(20)


def test_a_clone_is_told_every_other_second_and_a_new_try_at_once() -> None:
    clone = Step("project", Clone("https://x/y", "/y", None), "it is not there")
    events = [Event("progress", clone, at / 2, f"Receiving objects: {at}%") for at in range(1, 9)]
    events.insert(3, Event("told", clone, 1.6, "trying again (2 of 3)"))
    told = [float(line[1:7]) for line in _said(started(clone, 0.0), *events)]
    assert told == [0.0, 1.0, 1.6, 3.0, 4.0]


def test_verbose_tells_everything_with_its_cause() -> None:
    lines = _said(started(START, 0.0), Event("progress", START, 0.1, "[Errno 111] Connection refused"),
                  finished(START, 0.2, 0.2), Event("skipped", AWAIT, 0.3), verbose=True)  # fmt: skip
    assert [line[10:] for line in lines] == [
        "web      start: not running", "web        Connection refused", "web      started (0.2 s)",
        "web      await: not begun",
    ]  # fmt: skip


def test_failures_and_what_was_stopped_are_told_apart() -> None:
    optional = replace(INSTALL, optional=True)
    assert [line[19:] for line in _said(
        Event("failed", MIGRATE, 1.0, "exit status 1", error=ProcessError("x", "y")),
        Event("failed", optional, 1.0, "no", error=ProcessError("x", "y")),
        Event("failed", START, 1.0, "z", error=InterruptedRunError("interrupted", "z")),
    )] == ["run FAILED: exit status 1", "install FAILED (optional): no", "start stopped"]  # fmt: skip


def test_a_wait_that_ended_because_something_failed_is_not_called_ready() -> None:
    failed = Event("failed", MIGRATE, 1.0, "no", error=ProcessError("x", "y"))
    assert len(_said(started(AWAIT, 0.5), failed, Event("skipped", AWAIT, 1.1, "not waited for"))) == 1


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
def test_names_and_log_lines_can_not_speak_to_the_terminal(hostile: str) -> None:
    step = replace(MIGRATE, target=hostile, cause=hostile)
    lines: list[str] = []
    progress = PlainProgress(Plan("up", (step,)), lines.append, verbose=True)
    for event in (started(step, 0.0), Event("progress", step, 0.1, hostile), Event("failed", step, 0.1, hostile)):
        progress(event)
    assert len(lines) == 3
    assert all(line.isprintable() for line in lines)


def test_every_action_has_its_words() -> None:
    verbs = {action.verb for action in Action.__subclasses__() if action.__module__ == Action.__module__}
    assert verbs <= set(DONE)
    assert set(DONE) == set(DOING)
