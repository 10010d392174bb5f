"""Seeds of data: whole or not at all, this user's own, bounded."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from devstack import data_seeds
from devstack.data_seeds import DamagedError, DataSeed, DataSeeds
from devstack.system import System

KEY = "0123abcd"


class SomebodyElse(System):
    """Another user of this machine, to whom all of these files belong to a stranger."""

    def user_id(self) -> int:
        return super().user_id() + 1


@pytest.fixture
def seeds(tmp_path: Path) -> DataSeeds:
    return DataSeeds(System(), tmp_path / "data-seeds")


def _seed(key: str = KEY) -> DataSeed:
    return DataSeed(key, "seeded", "/srv/one", 1000.0, ("migrate", "seed"), {})


def _fill(text: str = "data") -> Callable[[Path], None]:
    def fill(folder: Path) -> None:
        (folder / "postgres").mkdir()
        (folder / "postgres" / "0.sql").write_text(text)

    return fill


def test_what_is_kept_comes_back_and_only_this_user_can_read_it(seeds: DataSeeds) -> None:
    kept = seeds.keep(_seed(), _fill())
    assert kept == seeds.checked(KEY) == seeds.find(KEY)
    assert kept is not None
    assert kept.size == 4
    assert seeds.find("ffff") is None
    for path in (seeds.files(KEY).parent, *seeds.files(KEY).parent.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0
    assert [seed.key for seed in seeds.all()] == [KEY]
    seeds.remove(KEY)
    assert seeds.all() == ()


def test_another_users_seed_is_never_used(seeds: DataSeeds) -> None:
    seeds.keep(_seed(), _fill())
    theirs = DataSeeds(SomebodyElse(), seeds.files(KEY).parent)
    with pytest.raises(DamagedError, match="isn't this user's own"):
        theirs.checked(KEY)
    assert theirs.all() == ()


def test_what_fails_half_way_leaves_nothing(seeds: DataSeeds) -> None:
    def fail(folder: Path) -> None:
        _fill()(folder)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        seeds.keep(_seed(), fail)
    assert seeds.find(KEY) is None
    assert list(seeds.files(KEY).parent.iterdir()) == []


def test_the_first_of_two_that_keep_the_same_counts(seeds: DataSeeds) -> None:
    def fill(folder: Path) -> None:
        _fill("second")(folder)
        seeds.keep(_seed(), _fill("first"))

    seeds.keep(_seed(), fill)
    assert (seeds.files(KEY) / "postgres" / "0.sql").read_text() == "first"
    seeds.checked(KEY)


def test_what_was_used_least_goes_first_and_what_is_too_big_is_not_kept(
    seeds: DataSeeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_seeds, "MOST", 2500)
    monkeypatch.setattr(data_seeds, "BIGGEST", 1000)
    assert seeds.keep(_seed("big"), _fill("x" * 1001)) is None
    for number in range(3):
        assert seeds.keep(_seed(f"k{number}"), _fill("x" * 700))
        os.utime(seeds.files(f"k{number}"), (number, number))
    # each has a manifest too
    assert {seed.key for seed in seeds.all()} == {"k1", "k2"}
    seeds.checked("k1")
    seeds.keep(_seed("k3"), _fill("x" * 700))
    assert {seed.key for seed in seeds.all()} == {"k1", "k3"}


@pytest.mark.parametrize(("name", "value"), [("key", "other"), ("files", {"../0.sql": [4, "x"]}), ("tasks", None)])
def test_a_manifest_that_says_something_else_is_damaged(seeds: DataSeeds, name: str, value: object) -> None:
    seeds.keep(_seed(), _fill())
    path = seeds.files(KEY) / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), name: value}))
    with pytest.raises(DamagedError):
        seeds.checked(KEY)
    assert seeds.find(KEY) is None, "it was removed"


def test_a_pipe_is_never_opened(seeds: DataSeeds) -> None:
    seeds.keep(_seed(), _fill())
    path = seeds.files(KEY) / "postgres" / "0.sql"
    path.unlink()
    os.mkfifo(path, 0o600)
    with pytest.raises(DamagedError, match="isn't a private file"):
        seeds.checked(KEY)


def _changed(file: Path) -> None:
    file.write_text("beta")


def _cut(file: Path) -> None:
    file.write_text("dat")


def _opened(file: Path) -> None:
    file.chmod(0o640)


def _linked(file: Path) -> None:
    elsewhere = file.parent.parent.parent / ".elsewhere"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)


def _one_more(file: Path) -> None:
    (file.parent / "1.txt").write_text("")


def _manifest_opened(file: Path) -> None:
    (file.parent.parent / "manifest.json").chmod(0o644)


def _swapped(file: Path) -> None:
    seed = file.parent.parent
    moved = seed.rename(seed.parent / ".moved")
    seed.symlink_to(moved)


@pytest.mark.parametrize("harm", [_changed, _cut, _opened, _linked, _one_more, _manifest_opened, _swapped])
def test_what_is_not_as_it_was_kept_is_damaged(seeds: DataSeeds, harm: Callable[[Path], None]) -> None:
    seeds.keep(_seed(), _fill())
    harm(seeds.files(KEY) / "postgres" / "0.sql")
    with pytest.raises(DamagedError):
        seeds.checked(KEY)
    assert seeds.find(KEY) is None, "it was removed"
