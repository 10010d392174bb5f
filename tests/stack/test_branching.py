"""The branch that is checked out, read off real repositories; which automatic snapshots go."""

from __future__ import annotations

from pathlib import Path

from devstack.snapshots import Manifest, Part
from devstack.stack.branching import current, surplus
from devstack.system import System
from tests.scenarios.machine import commit, git


def test_the_branch_of_a_checkout_a_part_of_one_a_worktree_and_none(tmp_path: Path) -> None:
    root = tmp_path / "repository"
    (root / "part").mkdir(parents=True)
    (root / "part" / "file").write_text("text")
    assert current(System(), root / "part") == ""
    git(root, "init", "-q", "-b", "feature/a")
    commit(root, "One")
    assert current(System(), root) == "feature/a"
    assert current(System(), root / "part") == "feature/a"
    git(root, "worktree", "add", "-q", "-b", "other", str(tmp_path / "tree"))
    assert current(System(), tmp_path / "tree") == "other"
    git(root, "switch", "-q", "--detach")
    assert current(System(), root) == "detached"


def test_the_newest_five_stay_and_no_more_than_is_allowed_together() -> None:
    def made(number: int, size: int = 1) -> Manifest:
        return Manifest(f"auto-{number}", "t", float(number), services={"db": Part("16", "native", "g", size)})

    many = {one.name: one for one in map(made, range(8))}
    assert {one.name for one in surplus(many)} == {"auto-0", "auto-1", "auto-2"}
    large = {one.name: one for one in (made(1, 10), made(2, 4_000_000_000), made(3, 4_000_000_000))}
    assert {one.name for one in surplus(large)} == {"auto-1", "auto-2"}
    assert surplus({"auto-9": made(9, 90_000_000_000)}) == []
