"""Data that is damaged: what can be mended is, what can't is kept and named before anything is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenarios.machine import Project


def _appended(mini: Project) -> Path:
    """The file that Redis appends each change to."""
    [found] = (mini.folder / "data/redis/data/appendonlydir").glob("*.incr.aof")
    return found


@pytest.fixture
def filled(mini: Project) -> Project:
    """A stack that is down, with a hundred keys."""
    mini.run("up")
    for number in range(100):
        mini.redis("SET", f"key{number}", "value" * 10)
    assert mini.redis("WAITAOF", "1", "0", "5000")[0] == 1
    mini.run("down")
    return mini


@pytest.mark.fault("G7")
def test_an_append_only_file_that_was_cut_short_loses_its_last_change_alone(filled: Project) -> None:
    file = _appended(filled)
    file.write_bytes(file.read_bytes()[:-7])
    filled.run("up")
    assert filled.redis("GET", "key98")
    assert filled.redis("GET", "key99") is None


@pytest.mark.fault("G7")
def test_a_damaged_append_only_file_is_kept_and_named_with_what_mends_it(filled: Project) -> None:
    file = _appended(filled)
    content = file.read_bytes()
    # an update's own number of words, in the middle
    at = content.index(b"*3\r\n", len(content) // 2)
    damaged = content[:at] + b"+oops" + content[at + 5 :]
    file.write_bytes(damaged)

    error = filled.run("up", "--json", code=8).error

    assert (error["id"], error["why"]) == ("process-died", "what it has on disk is damaged; nothing was changed")
    assert error["fix"] == "devstack reset --service redis"
    assert file.read_bytes() == damaged
    filled.run("down")
    file.write_bytes(content)
    filled.run("up")
    assert filled.redis("GET", "key99")


@pytest.mark.fault("G12")
@pytest.mark.parametrize("damage", ["cut", "flipped", "gone", "added"])
def test_a_snapshot_that_was_tampered_with_is_refused_before_anything_is_touched(mini: Project, damage: str) -> None:
    mini.run("up")
    mini.redis("SET", "mine", "saved")
    mini.run("snapshot", "save", "one")
    mini.redis("SET", "mine", "now")
    [file] = mini.folder.glob("snapshots/one-*/redis/keys.dump")
    content = file.read_bytes()
    match damage:
        case "cut":
            file.write_bytes(content[:-20])
        case "flipped":
            file.write_bytes(content.replace(b"saved", b"savee"))
        case "gone":
            file.unlink()
        case "added":
            file.with_name("more").touch()
    before = mini.programs()

    error = mini.run("snapshot", "restore", "one", "--yes", "--json", code=7).error

    assert error["id"] == "snapshot-damaged"
    assert error["why"].startswith("redis/")
    assert mini.programs() == before
    assert mini.redis("GET", "mine") == b"now"
    # whole again, it is taken
    file.write_bytes(content)
    file.with_name("more").unlink(missing_ok=True)
    mini.run("snapshot", "restore", "one", "--yes")
    assert mini.redis("GET", "mine") == b"saved"
