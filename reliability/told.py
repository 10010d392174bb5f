"""A pytest plugin: what each test that injects a fault, or breaks the demo, has seen, one JSON line each, in the file
of `--told`."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from devstack.errors import DevstackError
from tests.scenarios import machine

_answers: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--told", metavar="FILE", help="append what is seen to this file")


def pytest_configure() -> None:
    """Errors that a test meets without a command are answers too."""
    begin = DevstackError.__init__

    def note(self: DevstackError, *words: Any, **named: Any) -> None:
        begin(self, *words, **named)
        _answers.append(_answer(self.exit_code, self.id, self.fix))

    DevstackError.__init__ = note  # type: ignore[method-assign]  # the one place that every error passes


def pytest_runtest_setup() -> None:
    _answers.clear()
    machine.ENDS.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    faults = [name for mark in item.iter_markers("fault") for name in mark.args]
    is_told = bool(faults) or item.get_closest_marker("broken") is not None
    if is_told and (call.when == "call" or report.outcome != "passed"):
        function = getattr(item, "function", None)
        report.user_properties += [
            ("faults", faults), ("about", (getattr(function, "__doc__", "") or "").strip().partition("\n\n")[0]),
            ("answers", list(dict.fromkeys((*_answers, *filter(None, map(_of, machine.ENDS)))))),
        ]  # fmt: skip
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    found: dict[str, Any] = dict(report.user_properties)
    if "faults" in found and _target is not None:
        line = {"test": report.nodeid, "outcome": report.outcome, "seconds": round(report.duration, 1), **found}
        with _target.open("a") as file:
            file.write(f"{json.dumps(line)}\n")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Only the process that hears of all tests writes."""
    global _target  # noqa: PLW0603 - a plugin is a module
    if not hasattr(session.config, "workerinput") and (path := session.config.getoption("told")):
        _target = Path(path)


_target: Path | None = None


def _answer(code: int, name: str, fix: str) -> str:
    return json.dumps([code, name, fix])


def _of(done: machine.Done) -> str:
    """How a command refused; "" where it didn't."""
    if done.code <= 0:
        return ""
    for line in done.out.splitlines()[:1]:
        try:
            error = json.loads(line)["error"]
        except (ValueError, KeyError, TypeError):
            continue
        return _answer(done.code, error["id"], error["fix"])
    name, fix = "", ""
    for line in done.err.splitlines():
        fix = line.partition("fix: ")[2] or fix
        if line.startswith("  (") and ", exit " in line:
            name = line[3:].partition(",")[0]
    return _answer(done.code, name, fix) if name else ""
