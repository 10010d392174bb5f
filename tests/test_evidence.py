"""Whatever is looked at is noted, and whatever then changes is seen."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from devstack import evidence
from devstack.evidence import TICK, Notes
from devstack.system import System


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With files that are older than a tick."""
    (tmp_path / "a").write_text("one")
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "b").write_text("two")
    System().pause(TICK)
    return tmp_path


def taken(folder: Path, look: Callable[[], object]) -> Notes:
    notes = Notes(str(folder / ".devstack"))
    with evidence.noting(notes):
        look()
    return notes


def test_every_way_to_look_is_noted(folder: Path) -> None:
    ways: list[Callable[[], object]] = [
        (folder / "a").read_text, (folder / "a").exists, (folder / "a").is_file, (folder / "a").stat,
        lambda: os.access(folder / "a", os.X_OK), lambda: System().read(folder / "a"),
    ]  # fmt: skip
    for way in ways:
        assert list(taken(folder, way).files) == [str(folder / "a")]
    assert str(folder / "missing") in taken(folder, (folder / "missing").exists).files
    assert str(folder / "link") in taken(folder, (folder / "link").readlink).files
    for listing in (lambda: list(folder.iterdir()), lambda: list(folder.glob("*.x")), lambda: list(os.walk(folder))):
        assert str(folder) in taken(folder, listing).listings


def test_another_thread_is_heard_as_well_and_commands_are_told(folder: Path) -> None:
    def look() -> None:
        thread = threading.Thread(target=(folder / "a").read_text)
        thread.start()
        thread.join()
        subprocess.run([sys.executable, "-c", ""], check=True)

    notes = taken(folder, look)
    assert str(folder / "a") in notes.files
    assert notes.commands == [(sys.executable, "-c", "")]


def test_nothing_is_noted_before_after_and_aside(folder: Path) -> None:
    def look() -> None:
        with evidence.unheard():
            (folder / "a").read_text()

    notes = taken(folder, look)
    (folder / "a").read_text()
    assert (notes.files, notes.listings) == ({}, {})
    assert os.stat.__module__ == "posix"


@pytest.mark.parametrize("change", [
    lambda folder: (folder / "a").write_text("two"),
    lambda folder: (folder / "a").chmod(0o640),
    lambda folder: (folder / "a").unlink(),
    lambda folder: os.utime(folder / "a", ns=(1, 1)),
    lambda folder: ((folder / "new").write_text("one"), (folder / "new").rename(folder / "a")),
    lambda folder: ((folder / "link").unlink(), (folder / "link").symlink_to("inside/b")),
    lambda folder: (folder / "missing").touch(),
    lambda folder: (folder / "inside" / "c").touch(),
    lambda folder: (folder / "inside" / "b").unlink(),
])  # fmt: skip
def test_a_change_is_seen(folder: Path, change: Callable[[Path], object]) -> None:
    def look() -> None:
        (folder / "a").read_text()
        (folder / "link").read_text()
        (folder / "missing").exists()
        list((folder / "inside").iterdir())

    notes = taken(folder, look)
    assert not notes.doubt
    assert evidence.changed(notes.files, notes.listings) == ""
    change(folder)
    assert evidence.changed(notes.files, notes.listings) != ""


def test_what_was_written_in_the_same_tick_is_in_doubt(folder: Path) -> None:
    later = time.time_ns() + 10**12 + 1
    os.utime(folder / "a", ns=(later, later))
    assert "this very moment" in taken(folder, (folder / "a").read_text).doubt


def test_a_folders_time_matters_only_where_it_was_asked_for(folder: Path) -> None:
    loose = taken(folder, (folder / "inside").is_dir)
    timed = taken(folder, lambda: evidence.timed(str(folder / "inside")))
    (folder / "inside" / "c").touch()
    assert evidence.changed(loose.files, {}) == ""
    assert evidence.changed(timed.files, {}) == str(folder / "inside")


def test_a_search_is_one_question(folder: Path) -> None:
    notes = taken(folder, lambda: System().matching(folder, ["**/b"]))
    assert notes.walks == {(str(folder), ("**/b",)): ["inside/b"]}
    assert (notes.files, notes.listings) == ({}, {})
