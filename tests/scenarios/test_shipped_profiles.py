"""The shipped profiles with real projects: a page answers, a job that it begins is done by a worker."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path

import pytest

from tests.scenarios.machine import Machine, Project, get, until

APPS = Path(__file__).parent / "apps"
_PATIENCE = 60.0


def as_the_reference_says(process: str, *keys: str) -> str:
    """Keys of a process in the reference, for the tiny project."""
    reference = tomllib.loads((APPS.parents[2] / "profiles" / "reference.toml").read_text())
    said = reference["processes"][process]
    # a JSON text is a TOML text too
    lines = (f'{key} = {{ command = {json.dumps(said[key]["command"])}, timeout = 20 }}' if key == "ready"
             else f"{key} = {json.dumps(said[key])}" for key in keys)
    return f"[processes.{process}]\n" + "\n".join(lines).replace("-A shop", "-A tiny") + "\n"


def project(machine: Machine, app: str, name: str = "tiny") -> Project:
    shutil.copytree(APPS / app, machine.folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return machine.project(machine.folder / name)


def page(of: Project, path: str = "/") -> str:
    status, body = get(of.state["ports"]["web"], path)
    assert status == 200, body
    return body.decode()


def assert_works(of: Project) -> str:
    """A job is begun on the page; who did it."""
    assert page(of, "/do") == "begun"
    assert until(lambda: page(of, "/job") != "", _PATIENCE)
    return page(of, "/job")


def ready(of: Project) -> list[str]:
    status = of.assert_up()
    return [row["name"] for row in (*status["services"], *status["processes"])]


def test_django_alone_and_then_with_celery(machine: Machine) -> None:
    """One project, first as it would begin, then with what the other profile adds."""
    tiny = project(machine, "tiny_django")
    tiny.write("devstack.toml", 'extends = "django"\n')
    tiny.run("up", "--trust")

    assert ready(tiny) == ["postgres", "web"]
    assert page(tiny) == "0 jobs"

    worker = as_the_reference_says("worker", "run", "ready")
    tiny.write("devstack.toml", f'extends = "django-celery"\n{worker}')
    before = tiny.pids()
    tiny.run("up", "--trust")

    assert ready(tiny) == ["postgres", "redis", "rabbitmq", "web", "worker", "beat"]
    assert assert_works(tiny).startswith("done by worker1@")
    assert page(tiny) == "1 jobs"
    assert before["web 1"] != tiny.pids()["web 1"], "the page doesn't know its broker"


def test_flask_with_rq(machine: Machine) -> None:
    tiny = project(machine, "tiny_flask")
    fix = tiny.run("bootstrap", ".", "--json", code=2).error["fix"]

    assert fix == "DEVSTACK_ENV_FLASK_APP=app devstack bootstrap . --profile flask-rq"
    tiny.run("bootstrap", ".", "--profile", "flask-rq", "--trust")

    assert ready(tiny) == ["postgres", "redis", "web", "worker"]
    assert page(tiny) == "tiny"
    assert assert_works(tiny) == "done by worker"


def test_fastapi(machine: Machine) -> None:
    tiny = project(machine, "tiny_fastapi")
    tiny.run("bootstrap", ".", "--profile", "fastapi", "--trust")

    assert ready(tiny) == ["postgres", "web"]
    assert page(tiny) == '"from tiny"'


@pytest.mark.parametrize("profile", ["flask", "fastapi"])
def test_what_does_not_fit_is_taken_out(machine: Machine, profile: str) -> None:
    """Neither a database nor anything to migrate: the plan says so, nothing is run."""
    tiny = machine.project(machine.folder / "tiny")
    tiny.write("devstack.toml", (
        f'extends = "{profile}"\nservices.postgres = false\ntasks.migrate = false\n'
        f'env = {{ DATABASE_URL = "", SQLALCHEMY_DATABASE_URI = "" }}\n'
    ))  # fmt: skip
    ids = [step["id"] for step in tiny.run("plan", "--json").document["steps"]]

    assert "web:start" in ids
    assert not [one for one in ids if one.startswith(("postgres:", "migrate:"))]
