"""`devstack init`: a profile from the repository or from a compose file, and nothing written over without a yes."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.scenarios.machine import Machine, Project
from tests.scenarios.terminal import terminal

COMPOSE = """
services:
  web:
    build: .
    command: python web.py
    ports: ["8000:8000"]
    environment: {DATABASE_URL: "postgres://a:b@db/shop", SECRET_KEY: plain-text}
  db: {image: "postgres:16", environment: {POSTGRES_USER: a, POSTGRES_PASSWORD: b, POSTGRES_DB: shop}}
"""


def tables(folder: Path) -> dict[str, object]:
    return tomllib.loads((folder / "devstack.toml").read_text())


@pytest.fixture
def folder(machine: Machine) -> Path:
    made = machine.folder / "shop"
    made.mkdir()
    return made


def test_a_django_project_gets_its_shipped_profile(machine: Machine, folder: Path) -> None:
    (folder / "manage.py").write_text("import django\n")
    (folder / "requirements.txt").write_text("celery\ndjango\n")
    (folder / "site").mkdir()
    (folder / "site" / "celery.py").write_text("from celery import Celery\napp = Celery('site')\n")
    done = machine.run("init", "--json", cwd=folder)
    assert done.document["from"] == "django-celery"
    assert tables(folder) == {"name": "shop", "extends": "django-celery", "env": {"CELERY_APP": "site"}}


def test_a_project_in_a_folder_gets_it_there(machine: Machine, folder: Path) -> None:
    (folder / "backend").mkdir()
    (folder / "backend" / "manage.py").write_text("import django\n")
    machine.run("init", cwd=folder)
    assert tables(folder / "backend")["extends"] == "django"


def test_nothing_known_is_minimal_and_names_the_compose_file(machine: Machine, folder: Path) -> None:
    (folder / "compose.yaml").write_text(COMPOSE)
    done = machine.run("init", cwd=folder)
    assert tables(folder) == {"name": "shop", "extends": "minimal"}
    assert "init --from compose.yaml" in done.text


def test_a_compose_file_is_taken_over_without_its_secrets(machine: Machine, folder: Path) -> None:
    (folder / "compose.yaml").write_text(COMPOSE)
    (folder / "compose.override.yaml").write_text("services: {web: {environment: {EXTRA: 1}}}\n")
    done = machine.run("init", "--from", ".", "--json", cwd=folder)
    document = done.document
    assert [one["service"] for one in document["became"]] == ["web", "db"]
    assert [one["key"] for one in document["left_out"]] == ["services.web.environment.SECRET_KEY"]
    assert document["left_out"][0]["place"] == "compose.yaml:7"
    env = tables(folder)["env"]
    assert env == {"DATABASE_URL": "${services.db.url}", "EXTRA": "1", "SECRET_KEY": {"generate": 50}}
    assert "plain-text" not in done.text + (folder / "devstack.toml").read_text()
    machine.run("config", "--json", cwd=folder)


def test_a_profile_is_replaced_with_a_yes_only_and_kept(machine: Machine, folder: Path) -> None:
    (folder / "compose.yaml").write_text(COMPOSE)
    mine = 'name = "mine"\n'
    (folder / "devstack.toml").write_text(mine)
    refused = machine.run("init", "--from", "compose.yaml", "--json", cwd=folder, code=2)
    assert refused.error["id"] == "not-confirmed"
    assert refused.error["fix"] == "devstack init --from compose.yaml --yes"
    assert (folder / "devstack.toml").read_text() == mine
    done = machine.run("init", "--from", "compose.yaml", "--yes", "--json", cwd=folder)
    assert Path(done.document["trashed"]).read_text() == mine
    assert tables(folder)["name"] == "shop"


@pytest.mark.parametrize(("text", "wrong"), [
    ("services: [", "yaml-invalid"), ("a: !!python/object/apply:os.system [id]", "yaml-invalid"),
    ("services: {}", "compose-invalid"), (None, "no-compose-file"),
])  # fmt: skip
def test_a_file_that_is_none_is_told_and_nothing_written(
    machine: Machine, folder: Path, text: str | None, wrong: str
) -> None:
    if text is not None:
        (folder / "compose.yaml").write_text(text)
    done = machine.run("init", "--from", "compose.yaml", "--json", cwd=folder, code=2)
    assert done.error["id"] == wrong
    assert not (folder / "devstack.toml").exists()


def test_a_name_that_no_file_can_have_is_none(machine: Machine, folder: Path) -> None:
    (folder / "compose.yaml").write_text(COMPOSE.replace("build: .", 'build: {context: ., dockerfile: "a\\0b"}'))
    machine.run("init", "--from", "compose.yaml", cwd=folder)
    assert 'dockerfile = "a' not in (folder / "devstack.toml").read_text()


def test_a_link_out_of_the_project_is_not_followed(machine: Machine, folder: Path) -> None:
    outside = machine.folder / "secret.env"
    outside.write_text("DATABASE_URL=postgres://a:leaked@db/shop\n")
    (folder / "link.env").symlink_to(outside)
    (folder / "compose.yaml").write_text(COMPOSE.replace("    command:", "    env_file: link.env\n    command:"))
    machine.run("init", "--from", "compose.yaml", cwd=folder)
    assert "leaked" not in (folder / "devstack.toml").read_text()


def test_at_a_terminal_a_person_says_what_cannot_be_found(machine: Machine, folder: Path) -> None:
    with terminal(Project(machine, folder), "init") as screen:
        assert screen.sees("Which profile fits this project?")
        # the list goes round: the one before `minimal`
        screen.type("\x1b[A\r")
        assert screen.sees("devstack.toml is written")
    assert tables(folder)["extends"] == "flask-rq"


def test_at_a_terminal_enter_alone_replaces_nothing(machine: Machine, folder: Path) -> None:
    (folder / "compose.yaml").write_text(COMPOSE)
    (folder / "devstack.toml").write_text("mine = true\n")
    with terminal(Project(machine, folder), "init", "--from", ".") as screen:
        assert screen.sees("Replace it?")
        screen.type("\r")
        assert screen.sees("Nothing was done.")
    assert (folder / "devstack.toml").read_text() == "mine = true\n"


def test_what_is_written_counts_from_then_on(machine: Machine, folder: Path) -> None:
    """Also where an earlier run was told another profile."""
    project = machine.project(folder)
    project.run("bootstrap", ".", "--profile", "minimal", "--no-start", "--trust")
    assert project.status()["stack"]["profile"] == "minimal"
    (folder / "manage.py").write_text("import django\n")
    project.run("init")
    assert project.status()["stack"]["profile"] == "devstack.toml"
