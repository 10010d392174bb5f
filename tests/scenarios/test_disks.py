"""Disks that are full, read-only, or whose programs may not run: told by name, and nothing is lost."""

from __future__ import annotations

import errno
import os

import psycopg
import pytest

from tests.scenarios.disks import inside, mounted, tmpfs
from tests.scenarios.machine import Machine, Project, until
from tests.sweep.sweeping import VERBS, differs, digest, refusing, tapped
from tests.sweep.taps import Tap

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a name space of its own")

POSTGRES = """name = "one"
[services.postgres]
[env]
PG = "${services.postgres.url}"
"""
INSERT = "INSERT INTO kept VALUES (%s, repeat(md5(%s::text), 8000))"
FILL = "head -c 1000000000 /dev/zero >{} 2>/dev/null || true"


@pytest.fixture
def one(machine: Machine) -> Project:
    """A project with a database alone."""
    project = machine.project(machine.folder / "one")
    project.root.mkdir()
    project.write("devstack.toml", POSTGRES)
    project.trust()
    return project


@pytest.mark.fault("C5")
def test_logs_without_room_are_told_by_status_and_go_on_with_it(mini: Project) -> None:
    """supervisord says nothing: its programs run on, and their lines are lost."""
    with mounted(mini.machine, mini.root, f"mkdir -m 700 .devstack\n{tmpfs('.devstack/logs', 'size=2m')}") as there:
        mini.run("up")
        assert mini.status()["shortage"] is None
        inside(there, FILL.format(".devstack/logs/big"))

        status = mini.status()
        assert f"the disk of {mini.folder}/logs is full: log lines are lost" in status["shortage"]
        assert "is full" in mini.run("status").out
        assert status["stack"]["state"] == "up"

        inside(there, "rm .devstack/logs/big; : >.devstack/logs/beat.log")
        assert mini.status()["shortage"] is None
        assert until(lambda: "tick" in mini.run("logs", "beat").out)
        mini.run("down")


@pytest.mark.fault("C6")
def test_a_disk_that_is_full_at_any_write_breaks_nothing(mini: Project) -> None:
    """Every call by which `up` keeps something, refused in turn: it ends with that cause or does without, and the next
    one is as if nothing had been."""
    verb = VERBS["up, after changes"]
    mini.run("up")
    verb.prepare(mini, 0)
    tap = Tap()
    tapped(mini, verb.words, tap)
    wanted = digest(mini)
    writes = [number for number, point in enumerate(tap.points, 1) if point.call in ("fsync", "rename", "mkdir")]
    refused = 0
    for number in writes[:: max(1, len(writes) // 6)]:
        verb.prepare(mini, number)
        code, text = tapped(mini, verb.words, refusing(number, errno.ENOSPC))
        assert code == 0 or (code == 5 and "disk-full" in text), text
        refused += code == 5
        mini.run("up")
        assert not differs(digest(mini)["status"], wanted["status"])
        assert digest(mini)["plan"] == []
    assert refused > 1


@pytest.mark.fault("C7")
def test_a_disk_without_inodes_is_told_as_one(mini: Project) -> None:
    with mounted(mini.machine, mini.root, tmpfs(".devstack", "size=200m,nr_inodes=8")) as there:
        error = mini.run("up", "--json", code=5).error
        assert error["id"] == "disk-full"
        assert "no inode" in error["why"]
        assert error["fix"].startswith("df -i ")

        inside(there, "mount -o remount,nr_inodes=10000 .devstack")
        mini.run("up")
        mini.assert_up()
        mini.run("down")


@pytest.mark.fault("C8")
def test_on_a_read_only_disk_one_can_still_look(mini: Project) -> None:
    mini.run("up")
    with mounted(mini.machine, mini.root, "mount --bind . . && mount -o remount,bind,ro ."):
        mini.assert_up()
        assert mini.run("doctor", "--json").document == {"findings": []}
        assert mini.run("plan", "--json").document["steps"] == []
        assert "web begins" in mini.run("logs", "web").out
        for words in (("restart", "web"), ("snapshot", "save", "mine"), ("down",)):
            assert mini.run(*words, "--json", code=5).error["id"] == "read-only"
    mini.assert_single()


@pytest.mark.fault("C10")
def test_a_disk_whose_programs_may_not_run_is_told_as_one(mini: Project) -> None:
    with mounted(mini.machine, mini.root, tmpfs(".devstack", "size=200m,noexec")) as there:
        error = mini.run("up", "--json", code=5).error
        assert (error["id"], error["fix"]) == ("mounted-noexec", f"findmnt -T {mini.folder}/env")
        inside(there, "mount -o remount,exec .devstack")
        mini.run("up")
        mini.assert_up()
        mini.run("down")


@pytest.mark.fault("C2")
def test_a_disk_that_is_full_while_a_database_is_made_keeps_no_half_of_it(one: Project) -> None:
    with mounted(one.machine, one.root, f"mkdir -m 700 .devstack\n{tmpfs('.devstack/data', 'size=20m')}") as there:
        assert one.run("up", "--json", code=5).error["id"] == "disk-full"
        assert not (one.folder / "data/postgres/data/PG_VERSION").exists()
        inside(there, "mount -o remount,size=500m .devstack/data")
        one.run("up")
        one.assert_up()
        one.run("down")


@pytest.mark.fault("C3")
def test_a_disk_that_gets_full_below_a_database_loses_no_committed_row(one: Project) -> None:
    with mounted(one.machine, one.root, f"mkdir -m 700 .devstack\n{tmpfs('.devstack/data', 'size=160m')}") as there:
        one.run("up")
        url = one.run("exec", "--", "printenv", "PG").out.strip()
        with psycopg.connect(url, autocommit=True) as session:
            session.execute("CREATE TABLE kept (n int, words text)")
            for number in range(50):
                session.execute(INSERT, (number, number))
            inside(there, FILL.format(".devstack/data/big"))
            committed = 50 + _as_many_as_fit(session)

        assert f"the disk of {one.folder}/data is full" in one.status()["shortage"]
        inside(there, "rm .devstack/data/big")
        one.run("up")
        with psycopg.connect(url) as session:
            row = session.execute("SELECT count(*) FROM kept").fetchone()
        assert row is not None
        assert row[0] >= committed
        assert one.status()["shortage"] is None
        one.run("down")


def _as_many_as_fit(session: psycopg.Connection) -> int:
    """Insert until the disk refuses; how many rows were committed."""
    for number in range(100_000):
        try:
            session.execute(INSERT, (number, number))
        except psycopg.Error:
            return number
    raise AssertionError("the disk never got full")
