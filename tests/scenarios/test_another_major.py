"""Data of another major version of PostgreSQL: refused before any server is started on it, and kept as it is."""

from __future__ import annotations

import time

import pytest

from devstack.runtimes.engine_answers import NAME, STACK
from tests.engine_bench import ensure_image
from tests.scenarios.boxed import Boxed
from tests.scenarios.machine import Machine, Project

PROFILE = 'name = "elder"\n[python]\ninstall = []\n[services.postgres]\n'
VERSION = "/data/devstack/PG_VERSION"


def ask(project: Project, statement: str) -> str:
    return project.run("shell", "postgres", "--", "-Atq", "-c", statement).out.strip()


def assert_refused(project: Project, brought: str) -> str:
    """What `up` says, which names what is there, what isn't, and how the data is kept."""
    error = project.run("up", "--json", code=7).error
    assert (error["id"], error["fix"]) == ("data-version", 'version = "14" under [services.postgres] in the profile')
    text = project.run("up", code=7).text
    assert f"the data of postgres was made by postgres 14, and postgres {brought}" in text
    assert "to keep the data: " in text
    assert "(the old data goes to the trash)" in text
    return text


def starts(boxed: Boxed) -> int:
    """How often a container of the database has been started."""
    wanted = {"event": "start", "label": [f"{STACK}={boxed.stack}", f"{NAME}=postgres"]}
    return len(list(boxed.engine.api.events(since=1, until=int(time.time()) + 1, filters=wanted, decode=True)))


@pytest.mark.fault("G1")
def test_a_folder_of_another_major_version_is_refused_before_the_start(machine: Machine) -> None:
    project = machine.project(machine.folder / "elder")
    project.write("devstack.toml", PROFILE)
    project.trust()
    project.run("up")
    ask(project, "CREATE TABLE mine AS SELECT 'kept' AS word")
    major = ask(project, "SHOW server_version").partition(".")[0]
    project.run("down")
    version, log = project.folder / "data/postgres/pgdata/PG_VERSION", project.folder / "logs/postgres.log"
    version.write_text("14\n")
    printed = log.read_text()

    text = assert_refused(project, major)

    assert f"kept as it is: {project.folder}/data/postgres" in text
    assert log.read_text() == printed, "no server was started"
    version.write_text(f"{major}\n")
    project.run("up")
    assert ask(project, "SELECT word FROM mine") == "kept"


@pytest.mark.fault("G1")
def test_a_volume_of_another_major_version_is_refused_before_the_start(boxed: Boxed) -> None:
    ensure_image(boxed.engine, "postgres:15")
    project = boxed.project
    project.replace("[services.redis]\n", '[services.redis]\n\n[services.postgres]\nversion = "15"\n')
    project.run("up")
    ask(project, "CREATE TABLE mine AS SELECT 'kept' AS word")
    project.run("down")
    [volume] = [one.name for one in boxed.look.volumes if one.service == "postgres"]
    boxed.in_volume(volume, "sh", "-c", f"cp -p {VERSION} /data/was; echo 14 > {VERSION}")
    before = starts(boxed)

    text = assert_refused(project, "15")

    assert starts(boxed) == before == 1
    assert f"kept as it is: the volume {volume}" in text
    project.run("down")
    boxed.in_volume(volume, "mv", "/data/was", VERSION)
    project.run("up")
    assert ask(project, "SELECT word FROM mine") == "kept"
    assert project.seeded() == 1, "the data is the same"
