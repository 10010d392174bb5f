"""What is taken from a program's log to prove a failure."""

from __future__ import annotations

from devstack.supervisor_logs import dying_words, folded, last_words


def test_the_echoes_of_a_check_do_not_push_out_the_cause() -> None:
    asked = [f'127.0.0.1 - - [20/Nov 22:45:{second:02}] "GET /health HTTP/1.1" 500 -' for second in range(40)]
    lines = ["Traceback:", "  File x, line 3", "  File x, line 3", "OperationalError: no such table", *asked, "after"]
    assert folded(lines) == (
        "Traceback:", "  File x, line 3  (2 times)", "OperationalError: no such table", f"{asked[-1]}  (40 times)",
        "after",
    )  # fmt: skip
    assert folded([]) == ()


def test_the_last_process_that_said_anything_is_heard() -> None:
    log = "[devstack] web pid 1\nwell\n[devstack] web pid 2\nno shop\nat all\n[devstack] web pid 3\n"
    assert last_words(log, "web") == "no shop\nat all\n"
    assert last_words("rotated\n[devstack] web pid 3\n", "web") == "rotated\n"
    assert last_words("rotated\n", "web") == "rotated\n"
    assert last_words("", "web") == ""


def test_a_process_that_has_just_begun_hides_nothing_of_the_one_before() -> None:
    log = "[devstack] redis pid 1\nbegins\nBad file\n[devstack] redis pid 2\nbegins\n"
    assert last_words(log, "redis") == "begins\n"
    assert last_words(log, "redis", 2) == "begins\nBad file\nbegins\n"
    assert last_words(log, "redis", 9) == "begins\nBad file\nbegins\n"


def test_a_process_that_is_about_to_say_the_same_again_isnt_asked_what_it_died_of() -> None:
    log = "[devstack] web pid 1\nat 10:01\nno shop\n[devstack] web pid 2\nat 10:02\n"
    assert dying_words(log, "web", 2) == "at 10:01\nno shop\n"
    assert dying_words(f"{log}no shop\n", "web", 2) == "at 10:02\nno shop\n"
    assert dying_words(f"{log}no money\n", "web", 2) == "at 10:02\nno money\n"
    assert dying_words(log, "web", 1) == "at 10:02\n", "the first one was before somebody's change"
    assert dying_words("rotated\n", "web", 3) == "rotated\n"
    assert dying_words("", "web", 1) == ""
