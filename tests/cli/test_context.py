"""Printed commands as a person can type them: from where they are, however they call devstack."""

from __future__ import annotations

from pathlib import Path

import pytest

from devstack.cli import questions
from devstack.cli.context import Context
from devstack.output import Output
from devstack.system import System


@pytest.mark.parametrize(("fix", "typed"), [
    ("devstack up", "cd shop && python3 bs.py up"),
    ("devstack down --volumes; devstack up", "cd shop && python3 bs.py down --volumes; python3 bs.py up"),
    ("icu = true below [services.db]; devstack down --volumes; devstack up",
     "icu = true below [services.db]; cd shop && python3 bs.py down --volumes; python3 bs.py up"),
    ("correct what the lines below name, then: devstack up",
     "correct what the lines below name, then: cd shop && python3 bs.py up"),
    ("cd web && DEVSTACK_ENV_A=b devstack bootstrap . --profile flask",
     "cd shop/web && DEVSTACK_ENV_A=b python3 bs.py . --profile flask"),
    ("devstack bootstrap ./other", "python3 bs.py ./other"),
    ('packages = ["gunicorn"] below [python]', 'packages = ["gunicorn"] below [python]'),
])
def test_every_command_in_a_fix_works_where_it_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fix: str, typed: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("DEVSTACK_BOOTSTRAP", "bs.py")
    context = Context(Output(json=False, verbose=False))
    context.root = tmp_path / "shop"
    assert context.spelled(context.placed(fix)) == typed


def test_a_fix_is_left_as_it_is_for_who_has_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DEVSTACK_BOOTSTRAP", raising=False)
    context = Context(Output(json=False, verbose=False))
    context.root = tmp_path
    fix = "icu = true below [services.db]; devstack down --volumes; devstack up"
    assert context.spelled(context.placed(fix)) == fix


def test_the_time_that_is_told_is_the_whole_command_s_without_a_person_s(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]

    def hesitate(system: System, question: str) -> bool:
        now[0] += 60
        return True

    monkeypatch.setattr(System, "monotonic", lambda system: now[0])
    monkeypatch.setattr(questions, "confirm", hesitate)
    context = Context(Output())
    now[0] += 2
    assert context.confirm("Go on?")
    now[0] += 3
    assert context.took == 5
