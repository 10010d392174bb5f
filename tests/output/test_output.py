"""Which stream gets what: documents for programs, words for people, nothing that either can't take."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from devstack.errors import ConflictError, StorageError
from devstack.output import Call, Output, documents
from devstack.output.progress import PlainProgress
from devstack.registry import Entry
from tests.output.samples import HOSTILE, PAINT, PLAN, SHOP, Screen, closed_pipe, finished, started
from tests.output.samples import INSTALL as STEP

_TAKEN = ConflictError("port-taken", "port 8000 is taken", why="by nginx", fix="devstack up --new-ports")


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "CI", "LC_ALL", "LC_CTYPE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("LANG", "en_US.UTF-8")


def _screens(monkeypatch: pytest.MonkeyPatch, **options: Any) -> tuple[Screen, Screen]:
    out, err = Screen(**options), Screen(**options)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    return out, err


def test_json_puts_one_document_on_stdout_and_words_on_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = _screens(monkeypatch)
    Output(json=True).ready(SHOP, 3.0, Call("devstack"), ["something"])
    assert json.loads(out.text) == json.loads(json.dumps(documents.status(SHOP)))
    assert len(out.text.splitlines()) == 1
    assert "note: something" in err.text
    assert "shop is up" in err.text


def test_documents_are_those_of_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = _screens(monkeypatch)
    output = Output(json=True)
    output.plan(PLAN)
    output.status(SHOP)
    output.urls(SHOP)
    output.stacks([Entry("1", "shop", "/src", "native", {"web": 8000}, 0.0)], ["up"], 9.0)
    output.log("web", "hello \x1b[31mred", 3)
    output.error(_TAKEN)
    plan, status, urls, stacks, log, error = map(json.loads, out.text.splitlines())
    assert list(plan) == ["goal", "steps", "warnings"]
    assert plan["steps"][1] == {
        "id": "migrate:run", "target": "migrate", "action": "run", "cause": "not done yet with this data",
        "needs": ["python:install"], "destructive": False,
    }  # fmt: skip
    assert list(status) == ["stack", "services", "processes", "busy", "shortage"]
    assert urls == {
        "urls": {"web": "http://127.0.0.1:8000", "postgres": "postgresql://shop:***@127.0.0.1:5432/shop"}, "notes": [],
    }
    assert stacks == {"stacks": [{
        "id": "1", "name": "shop", "root": "/src", "state": "up", "runtime": "native", "ports": {"web": 8000},
        "last_used": "1970-01-01T00:00:00+00:00",
    }]}  # fmt: skip
    assert log == {"name": "web", "line": "hello red"}
    assert error == {"error": {
        "id": "port-taken", "what": "port 8000 is taken", "why": "by nginx", "fix": "devstack up --new-ports",
        "exit_code": 6,
    }}  # fmt: skip
    assert "port 8000 is taken" in err.text


def test_an_error_goes_to_stderr_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = _screens(monkeypatch)
    Output().error(_TAKEN)
    assert (out.text, err.text.splitlines()[0]) == ("", "✗ port 8000 is taken")


def test_a_pipe_gets_neither_colours_nor_movement(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = _screens(monkeypatch)
    output = Output()
    with output.progress(PLAN, "up") as progress:
        progress(started(STEP, 0.0))
        progress(finished(STEP, 1.0, 1.0))
    output.status(SHOP)
    assert isinstance(progress, PlainProgress)
    assert "\x1b" not in out.text + err.text
    assert "\r" not in out.text + err.text


def test_a_terminal_gets_the_sixteen_colours_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    out, _ = _screens(monkeypatch, is_terminal=True)
    Output().status(SHOP)
    assert "\x1b[32m✓\x1b[0m" in out.text
    assert "\x1b" not in PAINT.sub("", out.text)


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("CI", "true"), ("TERM", "dumb")])
def test_who_asks_for_plain_text_gets_it_on_a_terminal_too(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    out, _ = _screens(monkeypatch, is_terminal=True)
    monkeypatch.setattr(sys, "stdin", Screen(is_terminal=True))
    monkeypatch.setenv(name, value)
    output = Output()
    output.status(SHOP)
    assert "\x1b" not in out.text
    assert not output.is_interactive
    assert isinstance(output.progress(PLAN, "up"), PlainProgress)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_stream_that_has_no_unicode_gets_ascii(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    out, _ = _screens(monkeypatch, encoding=encoding)
    output = Output()
    output.status(SHOP)
    output.line("日本 …")
    assert "  + web       ready" in out.text
    assert out.text.isascii()


@pytest.mark.parametrize("locale", ["C", "POSIX"])
def test_the_c_locale_means_ascii_although_python_speaks_utf_8(monkeypatch: pytest.MonkeyPatch, locale: str) -> None:
    out, _ = _screens(monkeypatch)
    monkeypatch.setenv("LC_ALL", locale)
    Output().status(SHOP)
    assert out.text.isascii()


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
def test_log_lines_and_words_can_not_speak_to_the_terminal(monkeypatch: pytest.MonkeyPatch, hostile: str) -> None:
    out, _ = _screens(monkeypatch, is_terminal=True)
    output = Output()
    output.log("web", hostile, 3)
    output.say(hostile)
    output.note(hostile)
    output.done(hostile)
    shown = PAINT.sub("", out.text)
    assert all(line.isprintable() for line in shown.split("\n")), shown
    assert len(shown.splitlines()) == 4


def test_a_result_that_nobody_reads_is_told_to_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    with closed_pipe() as gone:
        monkeypatch.setattr(sys, "stdout", gone)
        output = Output()
        with pytest.raises(BrokenPipeError):
            output.status(SHOP)
        monkeypatch.undo()


def test_a_run_goes_on_when_nobody_reads_its_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """`devstack up 2>&1 | head -1` must not leave half a stack."""
    with closed_pipe() as gone:
        monkeypatch.setattr(sys, "stderr", gone)
        output = Output()
        with output.progress(PLAN, "up") as progress:
            progress(started(STEP, 0.0))
            progress(finished(STEP, 1.0, 1.0))
        output.error(_TAKEN)
        monkeypatch.undo()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_an_error_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    full = open("/dev/full", "w", encoding="utf-8", buffering=1)  # noqa: PTH123, SIM115 - closed below, which fails
    monkeypatch.setattr(sys, "stdout", full)
    output = Output(json=True)
    with pytest.raises(StorageError) as caught:
        output.status(SHOP)
    monkeypatch.undo()
    assert (caught.value.id, caught.value.exit_code) == ("output-not-written", 5)
    with contextlib.suppress(OSError):
        full.close()
