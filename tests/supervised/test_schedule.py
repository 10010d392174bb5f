"""A schedule against a clock that only waiting moves."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field

from devstack.supervised.schedule import Schedule

NIGHT = datetime.datetime(2024, 2, 28, 23, 58, 30)  # noqa: DTZ001 - schedules are in local time


@dataclass
class Clock:
    """took: seconds of each run. ends: the run after which it is time to end. jumps: seconds at so many waits."""

    now: datetime.datetime = NIGHT
    took: float = 0.0
    ends: int = 3
    jumps: dict[int, float] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    waits: int = 0

    def wait(self, seconds: float) -> bool:
        assert seconds <= 30
        self.waits += 1
        self.now += datetime.timedelta(seconds=seconds + self.jumps.get(self.waits, 0))
        return len(self.runs) >= self.ends

    def execute(self) -> str:
        self.runs.append(f"{self.now:%d %H:%M:%S}")
        self.now += datetime.timedelta(seconds=self.took)
        return "ended with status 0"

    def run(self, expression: str) -> list[str]:
        Schedule(expression, lambda: self.now, self.wait, self.execute, self.said.append).run()
        return self.runs


def test_runs_come_at_their_times() -> None:
    assert Clock().run("*/5 * * * *") == ["29 00:00:00", "29 00:05:00", "29 00:10:00"]
    assert Clock().run("30 3 * * *") == ["29 03:30:00", "01 03:30:00", "02 03:30:00"]


def test_times_that_come_during_a_run_fall_away() -> None:
    assert Clock(took=130).run("* * * * *") == ["28 23:59:00", "29 00:02:00", "29 00:05:00"]


def test_each_run_is_told_with_its_outcome_and_the_next_time() -> None:
    clock = Clock(ends=2)
    clock.run("0 * * * *")
    assert clock.said == [
        "next run at 2024-02-29 00:00:00",
        "a run begins",
        "the last run ended with status 0; next run at 2024-02-29 01:00:00",
        "a run begins",
        "the last run ended with status 0",
    ]


def test_a_machine_that_slept_runs_it_once_and_late() -> None:
    assert Clock(ends=2, jumps={1: 3 * 3600}).run("0 * * * *") == ["29 02:59:00", "29 03:00:00"]


def test_a_clock_that_was_set_back_is_followed() -> None:
    clock = Clock(ends=1, jumps={1: -3600})
    assert clock.run("*/5 * * * *") == ["28 23:00:00"]
    assert clock.said[1] == "the clock was set back; next run at 2024-02-28 23:00:00"
