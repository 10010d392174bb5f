"""Snapshots from one machine to another: by a file, to the other runtime, and nothing that somebody tampered with."""

from __future__ import annotations

import os
import shutil
import signal
import zipfile
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.engine_bench import ensure_image, sweep, this_machines_engine
from tests.scenarios import trio
from tests.scenarios.machine import Machine, Project, until
from tests.scenarios.trio import Trio
from tests.test_snapshot_files import forge

SNAPSHOT = '[tasks.seed]\nsnapshot = "seeded"'
#: in every row: must be in the file, since data is what it is for
WORDS = "words of the project"
SAID = "postgres/properties.json"


@pytest.fixture
def stack(machine: Machine) -> Trio:
    """A native stack with something of every sort, kept as the snapshot `mine`."""
    made = trio.make(machine)
    made.project.run("up")
    made.fill()
    with psycopg.connect(made.urls()["PG"], autocommit=True) as session:
        session.execute("UPDATE t SET words = %s || id", (WORDS,))
        session.execute("CREATE ROLE reader; GRANT SELECT ON t TO reader")
    made.project.run("snapshot", "save", "mine")
    return made


def _another(stack: Trio, name: str = "other") -> Trio:
    """The same project as another person has it: another stack, with secrets of its own."""
    machine = stack.project.machine
    project = machine.project(machine.folder / name)
    project.root.mkdir()
    for file in ("devstack.toml", "seed.py"):
        project.write(file, stack.project.read(file))
    project.trust()
    return Trio(project)


def _snapshots(project: Project) -> list[tuple[str, str | None]]:
    return [(one["name"], one["origin"]) for one in project.run("snapshot", "list", "--json").document["snapshots"]]


@pytest.mark.parametrize("ways", [("native", "docker"), ("docker", "native")], ids="-".join)
def test_a_file_brings_everything_to_the_other_runtime(machine: Machine, ways: tuple[str, str]) -> None:
    for image in ("postgres:15", "redis:7", "rabbitmq:3"):
        ensure_image(this_machines_engine(), image)
    here, there = ways
    machine.environ["DEVSTACK_RUNTIME"] = here
    stack = trio.make(machine)
    stack.project.replace("[services.postgres]", '[services.postgres]\nversion = "15"')
    stack.project.run("up")
    other = _another(stack)
    try:
        stack.fill()
        before = stack.digest()
        stack.project.run("snapshot", "save", "mine")
        done = stack.project.run("snapshot", "export", "mine", "../mine.snapshot", "--json").document
        assert set(done["exported"]["services"]) == {"postgres", "redis", "rabbitmq"}
        stack.project.assert_up()
        assert stack.digest() == before

        machine.environ["DEVSTACK_RUNTIME"] = there
        other.project.run("snapshot", "import", "../mine.snapshot", "--yes")
        assert other.project.status()["stack"]["state"] == "down", "it was down before"
        assert _snapshots(other.project) == [("mine", "imported")]
        other.project.run("up")
        assert other.seeded() == 1
        other.project.run("snapshot", "restore", "mine", "--yes")
        other.project.assert_up()
        assert other.digest() == before
        assert "nothing had to be done" in other.project.run("up").text
        assert other.seeded() == 1, "the data that came was seeded where it came from"
        other.project.run("snapshot", "restore", "before-restore", "--yes")
        other.project.assert_up()
    finally:
        for one, runtime in ((stack, here), (other, there)):
            machine.environ["DEVSTACK_RUNTIME"] = runtime
            if (one.project.folder / "state.json").exists():
                stack_id = one.project.state["stack"]
                one.project.run("down")
                sweep(this_machines_engine(), stack_id)


@pytest.mark.fault("S14")
def test_no_secret_of_the_stack_is_in_the_file(stack: Trio) -> None:
    stack.project.run("snapshot", "export", "mine", "mine.snapshot")
    file = stack.project.root / "mine.snapshot"
    assert file.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(file) as archive:
        content = b"".join(archive.read(name) for name in archive.namelist())
        assert {name.partition("/")[0] for name in archive.namelist()} >= {"postgres", "redis", "rabbitmq"}
    secrets = (stack.project.folder / "secrets.json").read_text()
    for secret in [word for word in secrets.split('"') if len(word) == 32]:
        assert secret.encode() not in content
    for telling in ("password_hash", "SCRAM-SHA", str(stack.project.root), stack.project.state["stack"]):
        assert telling.encode() not in content


@pytest.mark.fault("G12")
@pytest.mark.parametrize("harm", ["cut", "turned", "none"])
def test_what_was_tampered_with_touches_nothing(stack: Trio, harm: str) -> None:
    project = stack.project
    project.run("snapshot", "export", "mine", "mine.snapshot")
    file = project.root / "mine.snapshot"
    content, before = bytearray(file.read_bytes()), stack.digest()
    place = content.index(b"PGDMP") + 5000
    harms: dict[str, Callable[[], bytes]] = {
        "cut": lambda: bytes(content[:-1000]), "none": lambda: b"",
        "turned": lambda: bytes(content[:place]) + bytes([content[place] ^ 1]) + bytes(content[place + 1:]),
    }  # fmt: skip
    file.write_bytes(harms[harm]())
    error = project.run("snapshot", "import", "mine.snapshot", "theirs", "--yes", "--json", code=7).error
    assert error["id"] in ("snapshot-file-damaged", "snapshot-file-refused")
    assert "mine.snapshot" in error["what"]
    assert stack.digest() == before
    assert [name for name, _ in _snapshots(project)] == ["mine"]
    assert not list((project.folder / "transfers").glob("*"))
    project.assert_up()


@pytest.mark.fault("G12")
def test_a_file_of_a_newer_server_or_of_other_services_is_refused(stack: Trio) -> None:
    project = stack.project
    project.run("snapshot", "export", "mine", "../mine.snapshot")
    other = _another(stack, "older")
    other.project.replace("[services.postgres]", '[services.postgres]\nversion = "15"')
    other.project.run("up")
    other.fill()
    before = other.digest()
    error = other.project.run("snapshot", "import", "../mine.snapshot", "--yes", "--json", code=7).error
    assert error["id"] == "snapshot-newer"
    assert 'version = "' in error["fix"]
    assert other.digest() == before
    assert _snapshots(other.project) == []
    other.project.run("down")

    other.project.edit("devstack.toml", "[services.redis]", '[services.cache]\nkind = "redis"')
    other.project.edit("devstack.toml", "services.redis.url", "services.cache.url")
    other.project.trust()
    error = other.project.run("snapshot", "import", "../mine.snapshot", "--yes", "--json", code=7).error
    assert (error["id"], error["why"]) == ("snapshot-foreign", "the profile has no redis")


def test_a_file_of_an_older_server_is_taken(machine: Machine) -> None:
    stack = trio.make(machine)
    profile = stack.project.read("devstack.toml")
    stack.project.replace("[services.postgres]", '[services.postgres]\nversion = "15"')
    stack.project.run("up")
    stack.fill()
    before = stack.digest()
    stack.project.run("snapshot", "save", "mine")
    stack.project.run("snapshot", "export", "mine", "../mine.snapshot")
    stack.project.run("down")
    other = _another(stack)
    other.project.write("devstack.toml", profile.replace("[services.postgres]", '[services.postgres]\nversion = "16"'))
    other.project.trust()
    other.project.run("up")
    other.project.run("snapshot", "import", "../mine.snapshot", "theirs", "--yes")
    other.project.run("snapshot", "restore", "theirs", "--yes")
    assert other.digest() == before


@pytest.mark.fault("G11")
def test_an_export_that_is_cut_short_or_finds_no_room_leaves_nothing(stack: Trio) -> None:
    project, file = stack.project, stack.project.root / "mine.snapshot"
    file.write_text("the one before")
    refused = project.run("snapshot", "export", "mine", "mine.snapshot", "--json", code=2).error
    assert refused["id"] == "not-confirmed"
    child = project.popen("snapshot", "export", "mine", "mine.snapshot", "--yes")
    assert until(lambda: any((project.folder / "transfers").glob("*/postgres")), 60)
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate()
    assert file.read_text() == "the one before"

    if shutil.which("unshare") is None or os.geteuid() != 0:
        pytest.skip("a full disk needs unshare and root")
    full = project.root / "full"
    full.mkdir()
    small = ("unshare", "-m", "sh", "-c", f'mount -t tmpfs -o size=8k full {full} && exec "$@"', "sh")
    error = project.run("snapshot", "export", "mine", "full/mine.snapshot", "--json", code=5, prefix=small).error
    assert error["id"] == "disk-full"
    assert list(full.iterdir()) == []
    assert not list((project.folder / "transfers").glob("*"))
    project.run("snapshot", "export", "mine", "mine.snapshot", "--yes")
    assert zipfile.is_zipfile(file)


@pytest.mark.fault("G11")
def test_an_import_that_is_cut_short_is_never_listed(stack: Trio) -> None:
    project = stack.project
    project.run("snapshot", "export", "mine", "mine.snapshot")
    before = stack.digest()
    child = project.popen("snapshot", "import", "mine.snapshot", "theirs", "--yes")
    assert until(lambda: any((project.folder / "snapshots").glob("theirs-*")), 60)
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate()
    assert [name for name, _ in _snapshots(project)] == ["mine"]
    project.run("up")
    assert stack.digest() == before
    project.run("snapshot", "import", "mine.snapshot", "theirs", "--yes")
    assert len(list((project.folder / "snapshots").glob("theirs-*"))) == 1, "what was cut short is gone"
    project.run("snapshot", "restore", "theirs", "--yes")
    assert stack.digest() == before


def test_a_seeded_snapshot_that_was_sent_is_what_reset_goes_back_to(machine: Machine) -> None:
    stack = trio.make(machine)
    stack.project.replace("[tasks.seed]", SNAPSHOT)
    stack.project.run("up")
    stack.fill()
    before = stack.digest()
    stack.project.run("snapshot", "save", "rich")
    stack.project.run("snapshot", "export", "rich", "../rich.snapshot")
    other = _another(stack)
    other.project.run("up")
    refused = other.project.run("snapshot", "import", "../rich.snapshot", "seeded", "--json", code=2).error
    assert "The snapshot seeded that is there is replaced" in refused["why"]
    other.project.run("snapshot", "import", "../rich.snapshot", "seeded", "--yes")
    other.project.run("reset", "--yes")
    assert other.digest() == before
    assert other.seeded() == 1


def test_what_is_wrong_with_the_words_is_told(stack: Trio) -> None:
    project = stack.project
    for words, expected in (
        (("export", "mine"), "name-missing"), (("import",), "name-missing"), (("list", "x"), "too-many-words"),
        (("export", "none", "file"), "no-snapshot"), (("import", "nowhere", "--yes"), "no-file"),
        (("import", "nowhere", "Not A Name", "--yes"), "name-unusable"),
    ):  # fmt: skip
        assert project.run("snapshot", *words, "--json", code=2).error["id"] == expected


def test_a_file_that_says_it_is_fine_still_makes_nobody_an_administrator(stack: Trio, tmp_path: Path) -> None:
    """Users and rights in the part of the broker aren't taken, whoever put them there."""
    project = stack.project

    def more(content: dict[str, bytes]) -> None:
        user = b'{"users": [{"name": "evil", "password_hash": "x", "tags": "administrator"}], '
        content["rabbitmq/definitions.json"] = user + content["rabbitmq/definitions.json"][1:]

    project.run("snapshot", "import", _forged(stack, more), "theirs", "--yes")
    project.run("snapshot", "restore", "theirs", "--yes")
    users = project.run("shell", "rabbitmq", "--", "list_users").out
    assert "trio" in users
    assert "evil" not in users


@pytest.mark.fault("G12")
@pytest.mark.parametrize("harm", [b"[]", b"{", b'[{"grants": [["", "ALL; DROP DATABASE trio", false]]}, {}]'])
def test_what_a_file_says_of_databases_beside_their_content_is_looked_at(stack: Trio, harm: bytes) -> None:
    forged = _forged(stack, lambda content: content.update({SAID: harm}))
    error = stack.project.run("snapshot", "import", forged, "theirs", "--yes", "--json", code=7).error
    assert error["id"] == "snapshot-file-refused"
    assert "properties.json" in error["why"]
    assert [name for name, _ in _snapshots(stack.project)] == ["mine"]


def test_a_file_of_a_devstack_that_said_nothing_of_databases_is_taken(stack: Trio) -> None:
    forged = _forged(stack, lambda content: content.pop(SAID))
    before = stack.digest()
    stack.project.run("snapshot", "import", forged, "theirs", "--yes")
    stack.project.run("snapshot", "restore", "theirs", "--yes")
    after = stack.digest()
    assert (after.pop("database")[1], before.pop("database")[1]) == (None, "it's, 100%")
    assert after == before


def _forged(stack: Trio, change: Callable[[dict[str, bytes]], object]) -> str:
    stack.project.run("snapshot", "export", "mine", "mine.snapshot")
    return str(forge(stack.project.root / "mine.snapshot", change))
