"""What another branch makes of a stack: names of automatic snapshots, and whose data it is afterwards."""

from __future__ import annotations

import pytest

from devstack.branches import after, notes, snapshot_name
from devstack.profile.model.values import NAME
from devstack.state import Branch


@pytest.mark.parametrize(("branch", "name"), [
    ("main", "auto-main"), ("main+", "auto-main-mixed"), ("", "auto-data"), ("feature-a", "auto-feature-a"),
])  # fmt: skip
def test_a_snapshot_is_called_like_its_branch(branch: str, name: str) -> None:
    assert snapshot_name(branch) == name


def test_every_branch_has_a_name_of_its_own_that_can_be_one() -> None:
    odd = ["feature/a", "feature-a", "Feature-A", "ä", "1", "x" * 60, "x" * 61, "x" * 60 + "+", "a/" + "b" * 80]
    names = [snapshot_name(branch) for branch in odd]
    assert len(set(names)) == len(odd)
    assert all(NAME.fullmatch(name) for name in names)


@pytest.mark.parametrize(("branch", "whose"), [
    (Branch("new", "old"), "new"), (Branch("new", ""), "new"), (Branch("new", "old+"), "new+"),
    (Branch("new", "old", kept={"migrate": "auto-new"}), "new+"), (Branch("", "", kept={"migrate": "auto-data"}), ""),
])  # fmt: skip
def test_whose_data_it_is(branch: Branch, whose: str) -> None:
    assert after(branch) == whose


def test_what_is_known_of_the_data_is_told() -> None:
    assert list(notes(Branch("main", "main"), ())) == []
    (ahead,) = notes(Branch("main", "new", "auto-new", {"migrate": "auto-main"}), ())
    assert ahead == (
        "the data is ahead of main: migrate ran on it elsewhere since; as it was before: "
        "devstack snapshot restore auto-main"
    )
    (cut,) = notes(Branch("main", "main", "auto-main"), ())
    assert cut.endswith("as it was before: devstack snapshot restore auto-main")
