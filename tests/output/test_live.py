"""The moving picture: calm rows that stay within the screen, and words that say what is so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from devstack.actions import AwaitProgram, StartProgram
from devstack.errors import InterruptedRunError, ProcessError
from devstack.executor import Event
from devstack.output.live import Picture, Size
from devstack.output.text import cells
from devstack.plan import Plan, Step
from tests.output.samples import AWAIT, HOSTILE, INSTALL, MIGRATE, PLAN, START, finished, started

_SCREEN = Size(80, 24)


def _drawn(picture: Picture, now: float, size: Size = _SCREEN) -> list[str]:
    return ["".join(text for text, _ in line).rstrip() for line in picture.lines(now, size)]


def _many(count: int) -> Plan:
    steps: list[Step] = []
    for number in range(count):
        name = f"service-with-a-long-name-{number}"
        steps.append(Step(name, StartProgram(name), "not running"))
        steps.append(Step(name, AwaitProgram(name, name), "after its start", (f"{name}:start",)))
    return Plan("up", tuple(steps))


def test_a_run_from_its_beginning_to_its_end() -> None:
    picture = Picture(PLAN, "up shop")
    assert _drawn(picture, 0.0) == [
        "up shop  0 of 3 done, 0 s",
        "· python   waits",
        "· migrate  waits for python",
        "· web      waits for migrate",
    ]
    picture.add(started(INSTALL, 0.0))
    picture.add(Event("progress", INSTALL, 0.5, "downloading\tdjango"))
    assert _drawn(picture, 1.0)[1] == f"⠋ python   {'installing  downloading django':<60} {'1.0 s':>7}"
    picture.add(finished(INSTALL, 2.0, 2.0))
    picture.add(started(MIGRATE, 2.0))
    picture.add(finished(MIGRATE, 3.5, 1.5))
    picture.add(started(START, 3.5))
    picture.add(finished(START, 3.6, 0.1))
    picture.add(started(AWAIT, 3.6))
    picture.add(finished(AWAIT, 5.0, 1.4))
    assert [" ".join(line.split()) for line in _drawn(picture, 5.0)] == [
        "up shop 3 of 3 done, 5 s",
        "✓ python installed 2.0 s",
        "✓ migrate done 1.5 s",
        "✓ web ready 1.5 s",
    ]


def test_a_failure_is_seen_and_what_never_began_is_not_called_waiting() -> None:
    picture = Picture(PLAN, "up shop")
    picture.add(started(INSTALL, 0.0))
    picture.add(Event("failed", INSTALL, 1.0, "uv failed: no space", error=ProcessError("x", "uv failed")))
    picture.add(Event("skipped", MIGRATE, 1.0))
    picture.add(Event("skipped", START, 1.0))
    picture.add(Event("skipped", AWAIT, 1.0))
    lines = _drawn(picture, 1.0)
    assert lines[1].startswith("✗ python   uv failed: no space")
    assert lines[2:] == ["· migrate  not begun", "· web      not begun"]


def test_a_wait_that_ended_because_something_failed_is_not_called_ready() -> None:
    picture = Picture(PLAN, "up shop")
    picture.add(finished(START, 1.0, 1.0))
    picture.add(started(AWAIT, 1.0))
    picture.add(Event("failed", MIGRATE, 1.5, "no", error=ProcessError("x", "no")))
    picture.add(Event("skipped", AWAIT, 1.6, "not waited for"))
    assert _drawn(picture, 2.0)[3] == "· web      not waited for"


def test_stopping_on_request_is_not_drawn_as_a_failure() -> None:
    picture = Picture(PLAN, "up shop")
    picture.add(started(INSTALL, 0.0))
    picture.is_stopping = True
    assert "stopping" in _drawn(picture, 0.5)[0]
    picture.add(Event("failed", INSTALL, 1.0, "x", error=InterruptedRunError("interrupted", "stopped on request")))
    assert _drawn(picture, 1.0)[1].startswith("• python   stopped")


@pytest.mark.parametrize("size", [Size(80, 24), Size(200, 50), Size(40, 10), Size(20, 5)], ids=str)
def test_thirty_targets_stay_within_the_screen(size: Size) -> None:
    plan = _many(30)
    picture = Picture(plan, "up shop")
    for number, step in enumerate(plan.steps[:40]):
        picture.add(started(step, 0.0))
        if number < 30:
            picture.add(finished(step, 1.0, 1.0))
        else:
            picture.add(Event("progress", step, 1.0, "a line of a log that goes on " * 10))
    lines = _drawn(picture, 2.0, size)
    assert len(lines) < size.height
    assert all(cells(line) < size.width for line in lines), [line for line in lines if cells(line) >= size.width]


def test_when_not_all_fits_what_goes_wrong_and_goes_on_is_kept() -> None:
    plan = _many(30)
    picture = Picture(plan, "up shop")
    for step in plan.steps[:20]:
        picture.add(started(step, 0.0))
        picture.add(finished(step, 1.0, 1.0))
    picture.add(started(plan.steps[40], 1.0))
    picture.add(Event("failed", plan.steps[58], 1.0, "no", error=ProcessError("x", "no")))
    lines = _drawn(picture, 2.0, Size(80, 12))
    assert any("long-name-20 " in line for line in lines)
    assert any("long-name-29 " in line for line in lines)
    assert lines[-1] == "  and 11 waiting, 10 done"


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
def test_names_and_log_lines_can_not_speak_to_the_terminal(hostile: str) -> None:
    step = replace(INSTALL, target=hostile, cause=hostile)
    picture = Picture(Plan("up", (step, replace(MIGRATE, needs=(f"{hostile}:install",)))), hostile)
    picture.add(started(step, 0.0))
    for event in (None, Event("progress", step, 0.1, hostile), Event("failed", step, 0.1, hostile)):
        if event is not None:
            picture.add(event)
        assert all(line.isprintable() for line in _drawn(picture, 1.0))


def test_a_terminal_without_unicode_gets_ascii_of_the_same_width() -> None:
    for has_unicode in (True, False):
        picture = Picture(PLAN, "up shop", has_unicode=has_unicode)
        picture.add(started(INSTALL, 0.0))
        picture.add(Event("progress", INSTALL, 0.1, "é…" * 60))
        lines = _drawn(picture, 1.0)
        assert all(cells(line) < 80 for line in lines)
        assert has_unicode or all(line.isascii() for line in lines)


def test_a_row_that_waits_for_everything_names_a_few() -> None:
    needs = tuple(f"worker-{number}:await" for number in range(1, 7))
    steps = [Step(f"worker-{number}", AwaitProgram(f"worker-{number}", "worker"), "") for number in range(1, 7)]
    picture = Picture(Plan("up", (*steps, Step("stack", StartProgram("stack"), "", needs))), "up")
    assert _drawn(picture, 0.0)[-1].endswith("waits for worker-1, worker-2, worker-3, 3 more")
