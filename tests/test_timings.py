"""From journals to the chain that set the pace, and the bars that are drawn of it."""

from __future__ import annotations

import json
from pathlib import Path

from devstack.actions import Action, AwaitService, FetchServer, RunTask
from devstack.executor import Executor, Journal, Performer
from devstack.output import bars
from devstack.output.terminal import Look
from devstack.output.text import ascii_of
from devstack.plan import Plan, Step
from devstack.system import System
from devstack.timings import Timings, timings


def journal(began: float, steps: dict[str, tuple[str, ...]], *events: tuple[str, str, float], took: float) -> str:
    """events: kind, step and seconds since the run began."""
    lines: list[object] = [
        {"goal": "up", "began": began,
         "steps": [{"id": step, "cause": "", "needs": needs} for step, needs in steps.items()]}
    ]
    lines += [{"event": kind, "step": step, "at": at} for kind, step, at in events]
    lines.append({"outcome": "done", "took": took})
    return "".join(f"{json.dumps(line)}\n" for line in lines)


CLONE = journal(100.0, {"project:clone": ()}, ("started", "project:clone", 0), ("finished", "project:clone", 2), took=2)
UP = journal(
    103.0,
    {"python:install": (), "redis:await": (), "migrate:run": ("python:install", "redis:await"), "web:await":
     ("migrate:run",), "beat:await": ("redis:await",), "never:run": ("web:await",)},
    ("started", "python:install", 0.0), ("started", "redis:await", 0.0), ("finished", "redis:await", 0.5),
    ("started", "beat:await", 0.5), ("finished", "beat:await", 0.52), ("finished", "python:install", 4.0),
    ("started", "migrate:run", 4.0), ("finished", "migrate:run", 5.0), ("started", "web:await", 5.0),
    ("failed", "web:await", 7.0), ("skipped", "never:run", 7.0), took=7.0,
)  # fmt: skip


def test_the_chain_goes_back_from_the_last_end_to_the_need_that_ended_last() -> None:
    found = timings([UP])
    assert [span.step for span in found.critical] == ["python:install", "migrate:run", "web:await"]
    assert (found.wall, round(found.work, 2)) == (7.0, 7.52)
    assert [span.ending for span in found.spans if span.step == "web:await"] == ["failed"]


def test_bars_of_a_check_out_and_an_up() -> None:
    drawn = "\n".join(bars.lines(Look(60), timings([CLONE, UP])))
    assert f"\n{drawn}\n" == """
Where the time went

                            0 s                      10.0 s
  project:clone      2.0 s  ██████
  redis:await        0.5 s           ▒▒
  python:install     4.0 s           ████████████
  migrate:run        1.0 s                       ███
  web:await          2.0 s                          ██████
  and 1 step under 0.05 s each

     10.0 s  from the first step to the last
      9.0 s  on the critical path (█), which set the pace
      9.5 s  in 6 steps, had they run one after the other
"""
    assert "#####" in ascii_of(drawn)


def test_bars_stay_within_the_terminal() -> None:
    for width in (40, 80, 200):
        assert max(map(len, bars.lines(Look(width), timings([CLONE, UP]))[2:8])) <= width


def test_nothing_to_do_took_no_time() -> None:
    assert timings([]) == Timings()
    assert bars.lines(Look(80), Timings()) == ["No time went into steps: nothing had to be done."]
    assert bars.document(Timings())["wall_s"] == 0


def test_a_killed_run_and_a_damaged_journal_are_read_as_far_as_they_go() -> None:
    lines = UP.splitlines()[:6]
    found = timings(["\n".join([*lines, '{"event": "fini']), "no journal", ""])
    assert {span.step: span.ending for span in found.spans} == {
        "python:install": "cut off", "redis:await": "finished", "beat:await": "finished",
    }
    assert [span.took for span in found.spans if span.step == "python:install"] == [0.52]


def test_what_the_executor_writes_is_understood(tmp_path: Path) -> None:
    system = System()
    steps = (
        Step("redis", FetchServer("redis"), "it is missing"),
        Step("redis", AwaitService("redis"), "", ("redis:fetch",)),
        Step("seed", RunTask("seed"), "not done yet", ("redis:await",)),
    )  # fmt: skip
    performers: dict[type[Action], Performer] = {
        action: lambda _action, _report: None for action in (FetchServer, AwaitService, RunTask)
    }
    path = tmp_path / "journal"
    outcome = Executor(system, performers, lambda event: None, Journal(system, path)).execute(Plan("up", steps))
    found = timings([path.read_text()])
    assert [span.step for span in found.critical] == ["redis:fetch", "redis:await", "seed:run"]
    assert abs(found.wall - outcome.took) < 0.01
