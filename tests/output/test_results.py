"""The words and the layout that people see, whole; and that nothing in them can speak to a terminal."""

from __future__ import annotations

from dataclasses import replace
from textwrap import dedent
from typing import Any

import pytest

from devstack.errors import (
    DevstackError,
    InterruptedRunError,
    Mistake,
    ProcessError,
    ProfileError,
)
from devstack.output import results
from devstack.output.results import Call
from devstack.output.terminal import Look
from devstack.output.text import cells
from devstack.plan import Plan
from devstack.registry import Entry
from tests.output.samples import DEGRADED, DISCARD, DOWN, HOSTILE, PAINT, PLAN, SHOP, WEB, WORKER

_PIPE = Look()
_NARROW = Look(80, has_colour=True)


def _plain(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


def _is(lines: list[str], wanted: str) -> None:
    assert _plain(lines) == dedent(wanted).lstrip("\n")


# --- status ----------------------------------------------------------------------------------------------------------


def test_status_of_a_stack_that_is_up() -> None:
    _is(results.status(_PIPE, SHOP), """
        shop is up, 4 of 4 ready
        /src/shop, profile devstack.toml

            NAME      STATE  WHAT           WHERE                  UP
          ✓ postgres  ready  postgres 16.4  127.0.0.1:5432
          ✓ web       ready  web            http://127.0.0.1:8000  1 min
          ✓ worker-1  ready  worker                                4 s
          ✓ worker-2  ready  worker                                4 s, 1 restart
        """)  # fmt: skip


def test_status_says_why_something_is_not_ready() -> None:
    """The reason is cut after a few lines, so that a page of HTML can't push the rest away."""
    _is(results.status(_PIPE, DEGRADED), """
        shop is degraded, 1 of 3 ready
        /src/shop, profile devstack.toml

            NAME      STATE    WHAT           WHERE                  UP
          ✓ postgres  ready    postgres 16.4  127.0.0.1:5432
          • web       running  web            http://127.0.0.1:8000  1 min
             GET http://127.0.0.1:8000/health/: 500, wanted 200: relation is missing GET
             http://127.0.0.1:8000/health/: 500, wanted 200: relation is missing GET
             http://127.0.0.1:8000/health/: 500, wanted 200: relation is missing GET http://127.0.0.1:8000/…
          ✗ worker    fatal    worker
             exit status 1

          devstack logs web  what it printed
          devstack up        try again
        """)  # fmt: skip


def test_a_stack_that_is_down_is_no_row_of_failures() -> None:
    _is(results.status(_PIPE, DOWN), """
        shop is down
        /src/shop, profile devstack.toml

            NAME      STATE    WHAT           WHERE
          · postgres  stopped  postgres 16.4  127.0.0.1:5432
          · web       stopped  web            http://127.0.0.1:8000

          devstack up  start it all
        """)  # fmt: skip


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_rows_of_status_stay_within_the_terminal(width: int) -> None:
    lines = results.status(Look(width), DEGRADED)
    rows = lines[lines.index("") + 1 : len(lines) - 3]
    assert all(cells(line) <= max(width, 25) for line in rows), rows


def test_urls_say_what_does_not_answer() -> None:
    _is(results.urls(_PIPE, DEGRADED), """
        web       http://127.0.0.1:8000                      not ready
        postgres  postgresql://shop:***@127.0.0.1:5432/shop
        """)  # fmt: skip


# --- the end of a run ------------------------------------------------------------------------------------------------


def test_the_end_of_a_bootstrap_says_where_everything_is_and_what_to_do_next() -> None:
    _is(results.ready(_PIPE, SHOP, 14.62, Call("python3 ../bootstrap.py", "shop")), """
        ✓ shop is up in 14.6 s

          web       http://127.0.0.1:8000
          postgres  postgresql://shop:***@127.0.0.1:5432/shop
          running   worker-1, worker-2

          Next:
            cd shop
            python3 ../bootstrap.py status   what runs, and whether it is ready
            python3 ../bootstrap.py logs -f  follow what everything prints
            python3 ../bootstrap.py down     stop it all, keep the data
        """)  # fmt: skip


def test_a_devstack_that_is_not_on_path_is_told_with_what_puts_it_there() -> None:
    lines = results.ready(_PIPE, SHOP, 0.0, Call("python3 b.py", unseen="$HOME/.local/bin"))
    assert lines[-1] == '    export PATH="$HOME/.local/bin:$PATH"'
    assert results.status(_PIPE, DOWN, call=Call("python3 b.py"))[-1] == "  python3 b.py up  start it all"


def test_a_narrow_terminal_takes_from_what_matters_least() -> None:
    what = replace(SHOP.services[0], version="7.2.4 (valkey 9.1.2, of the distribution)")
    lines = results.status(Look(76), replace(SHOP, services=(what, *SHOP.services[1:])))
    assert any(line.endswith("4 s, 1 restart") for line in lines), lines
    assert all(cells(line) <= 76 for line in lines), lines


def test_an_up_with_nothing_to_do_says_so() -> None:
    assert results.ready(_PIPE, SHOP, 0.0, Call("devstack"))[0] == "✓ shop is up, nothing had to be done"


def test_an_up_of_a_part_does_not_claim_the_whole() -> None:
    part = replace(SHOP, stack=replace(SHOP.stack, state="degraded"), processes=(replace(WEB, ready=False), WORKER))
    lines = results.ready(_PIPE, part, 1.0, Call("devstack"))
    assert lines[0] == "✓ 2 of 3 of shop are ready in 1.0 s"
    assert "  not ready  web" in lines
    assert not any("8000" in line for line in lines)


# --- plan ------------------------------------------------------------------------------------------------------------


def test_a_plan_shows_each_step_and_its_cause() -> None:
    _is(results.plan(_PIPE, PLAN, verbose=False), """
        note: web gets port 8001: 8000 is taken
        • python   install  requirements.txt has changed
        • migrate  run      not done yet with this data
        • web      start    not running
        • web      await    after its start

        4 steps; nothing was changed.
        """)  # fmt: skip


def test_a_verbose_plan_shows_what_comes_before() -> None:
    assert "    after python:install" in results.plan(_PIPE, PLAN, verbose=True)


def test_a_destructive_step_stands_out() -> None:
    lines = results.plan(_PIPE, Plan("down", (DISCARD,)), verbose=False)
    assert lines == ["! data  discard  asked for", "", "1 step, 1 of them destructive (!); nothing was changed."]


def test_an_empty_plan_says_so() -> None:
    assert results.plan(_PIPE, Plan("up"), verbose=False) == ["Nothing to do: the stack is as its profile says."]


# --- errors ----------------------------------------------------------------------------------------------------------


def test_an_error_says_what_why_what_proves_it_and_what_helps() -> None:
    error = ProcessError("task-failed", "the task migrate failed", why="exit status 1", fix="devstack run migrate",
                         evidence=("Traceback:", "  File x"))  # fmt: skip
    error.step = "migrate:run"
    _is(results.error(_PIPE, error), """
        ✗ the task migrate failed
          why: exit status 1
          | Traceback:
          |   File x
          fix: devstack run migrate
          (task-failed, exit 8, step migrate:run)
        """)  # fmt: skip


def test_every_mistake_of_a_profile_has_its_line() -> None:
    mistakes = tuple(Mistake("devstack.toml", line, "key", "is wrong") for line in range(1, 6))
    lines = results.error(_PIPE, ProfileError("devstack.toml can't be used", mistakes, fix="correct it"))
    assert [line for line in lines if line.startswith("  | ")] == [f"  | {mistake}" for mistake in mistakes]


def test_one_mistake_is_not_told_twice() -> None:
    lines = results.error(_PIPE, ProfileError("can't be used", (Mistake("devstack.toml", 1, "key", "is wrong"),)))
    assert sum("is wrong" in line for line in lines) == 1


def test_being_stopped_on_request_is_no_failure() -> None:
    error = InterruptedRunError("interrupted", "stopped on request", fix="devstack up")
    error.step = "web:await"
    _is(results.error(_PIPE, error), """
        • stopped on request
          fix: devstack up
          (interrupted, exit 130)
        """)  # fmt: skip


def test_long_words_and_evidence_are_folded_below_their_beginning() -> None:
    error = ProcessError("x", "what " * 20, why="why " * 30, fix="devstack " + "y" * 90, evidence=("  log " * 20,))
    lines = results.error(Look(40), error)
    assert all(cells(line) <= 40 for line in lines if "fix:" not in line)
    # a command is there to be copied
    assert "  fix: devstack " + "y" * 90 in lines


# --- the rest --------------------------------------------------------------------------------------------------------


def test_stacks_are_listed_with_their_age() -> None:
    entries = [Entry("1", "shop", "/src/shop", "native", {}, 1000.0), Entry("2", "blog", "/src/blog", "native", {}, 0)]
    _is(results.stacks(_PIPE, entries, ["up", "down"], 1030.0), """
        NAME  STATE  LAST USED   WHERE
        shop  up     just now    /src/shop
        blog  down   17 min ago  /src/blog
        """)  # fmt: skip


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
def test_no_result_lets_a_stranger_speak_to_the_terminal(hostile: str) -> None:
    """Names, roots, reasons, commands and log lines come from repositories, branches and programs."""
    process = replace(WEB, name=f"w{hostile}", ready=False, reason=hostile, role=hostile, url=f"http://{hostile}")
    status = replace(SHOP, stack=replace(SHOP.stack, name=hostile, root=hostile), processes=(process,))
    error = DevstackError("id", hostile, why=hostile, fix=hostile, evidence=(hostile,))
    steps: Any = tuple(replace(step, target=hostile, cause=hostile, needs=(hostile,)) for step in PLAN.steps)
    lines = [
        *results.status(_NARROW, status), *results.urls(_NARROW, status),
        *results.ready(_NARROW, status, 1.0, Call("devstack")), *results.error(_NARROW, error),
        *results.plan(_NARROW, Plan("up", steps, (hostile,)), verbose=True),
        *results.stacks(_NARROW, [Entry("1", hostile, hostile, "native", {}, 0.0)], ["up"], 1.0),
    ]  # fmt: skip
    for line in lines:
        rest = PAINT.sub("", line)
        assert rest.isprintable(), (line, hostile)
        assert "evil\x1b" not in rest


def test_a_note_has_two_lines_at_most_and_keeps_what_to_do() -> None:
    text = "web listens on 0.0.0.0:8000, where other machines can reach it; make its settings bind 127.0.0.1"
    lines = results.notes(Look(80), [text, "x " * 200])
    assert len(lines) == 4
    assert " ".join(line.strip() for line in lines[:2]) == f"note: {text}"
    assert max(map(cells, lines)) <= 80
    assert results.notes(_PIPE, [text]) == [f"note: {text}"]


def test_the_end_of_a_run_has_the_profiles_notes_and_a_program_that_goes_on_here() -> None:
    status = replace(SHOP, notes=("Log in as demo",))
    lines = results.ready(_PIPE, status, 1.0, Call("devstack", here="worker-1"))
    assert lines[0] == "✓ all of shop that worker-1 needs is ready in 1.0 s"
    assert lines[-3:] == ["  Log in as demo", "", "worker-1 runs here: Ctrl-C goes to it, the rest stays up"]
    assert "Log in as demo" in results.urls(_PIPE, status)
