"""A part of a project: what a mirror lacks, what a profile wants, and refs that lead nowhere."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from devstack.checkout import Git
from devstack.checkout.git import Wish
from devstack.checkout.sparse import cone, patterns
from devstack.errors import DataError, UsageError
from devstack.stack.projects import declared_sparse
from tests.checkout.desk import GIT, Run, names, quiet

pytestmark = pytest.mark.skipif(not GIT, reason="needs git")


@pytest.fixture
def mirror(tmp_path: Path, run: Run) -> Path:
    """A mirror without the blobs above 1 kB: two in docs."""
    origin = tmp_path / "full"
    for name, size in (("docs/film.bin", 5000), ("docs/a b [1].bin", 4000), ("docs/note", 10), ("src/code.py", 10)):
        (origin / name).parent.mkdir(parents=True, exist_ok=True)
        (origin / name).write_bytes(os.urandom(size))
    (origin / "top").write_text("top")
    run(origin, "init", "-q", "-b", "main")
    run(origin, "add", "-A")
    run(origin, "commit", "-q", "-m", "one")
    run(origin, "config", "uploadpack.allowFilter", "true")
    mirror = tmp_path / "mirror.git"
    run(tmp_path, "clone", "-q", "--bare", "--filter=blob:limit=1k", f"file://{origin}", str(mirror))
    run(mirror, "config", "uploadpack.allowFilter", "true")
    run(mirror, "config", "uploadpack.allowAnySHA1InWant", "true")
    origin.rename(tmp_path / "gone")
    return mirror


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_partial_mirror_is_told_with_what_is_to_be_left_out(git: Git, mirror: Path, work: Path, form: str) -> None:
    """Cloned, but not to be checked out: every file that is missing is named, nothing stays, and the printed edit
    brings a checkout without them."""
    url = form.format(mirror)
    with pytest.raises(DataError) as caught:
        git.clone(url, work / "shop", Wish(profile="./mine.toml"), quiet)
    error = caught.value
    assert (error.id, error.exit_code) == ("checkout-failed", 7)
    assert "docs/film.bin" in error.why
    assert "docs/a b [1].bin" in error.why
    assert error.evidence
    assert names(work) == []
    match = re.fullmatch(r"sparse = \[(.*)\] below \[project\] in \./mine\.toml", error.fix)
    assert match

    sparse = tuple(entry.strip('"') for entry in re.findall(r'"[^"]*"', match[1]))
    git.clone(url, work / "shop", Wish(sparse=sparse), quiet)

    assert names(work / "shop" / "docs") == ["note"]
    assert names(work / "shop") == [".git", "docs", "src", "top"]
    assert not git.is_dirty(work / "shop")


def test_folders_alone_are_checked_out_and_only_they_are_fetched(git: Git, mirror: Path, work: Path) -> None:
    git.clone(f"file://{mirror}", work / "shop", Wish("main", sparse=("src/",)), quiet)

    assert names(work / "shop") == [".git", "src", "top"]
    assert not git.is_dirty(work / "shop")
    assert git.ask("symbolic-ref", "--short", "HEAD", cwd=work / "shop").stdout.strip() == "main"


@pytest.mark.parametrize("file", ["devstack.toml", "pyproject.toml"])
def test_a_repository_may_say_itself_what_is_checked_out(git: Git, shop: Path, work: Path, run: Run, file: str) -> None:
    """Its profile is read before there is a file of it."""
    (shop / "big").mkdir()
    (shop / "big" / "film").write_text("")
    table = "[project]" if file == "devstack.toml" else "[tool.devstack.project]"
    (shop / file).write_text(f'{table}\nsparse = ["!big"]\n')
    run(shop, "add", "-A")
    run(shop, "commit", "-q", "-m", "big")

    git.clone(str(shop), work / "shop", Wish(own=declared_sparse), quiet)

    assert names(work / "shop") == sorted([".git", "file", file])
    assert not git.is_dirty(work / "shop")


@pytest.mark.parametrize("text", ["", "[project", "project = 1", "[project]\nsparse = 3", "[tool]\ndevstack = 1"])
def test_a_broken_profile_of_a_repository_is_told_later(text: str) -> None:
    assert declared_sparse(lambda name: text) == ()


def test_entries_become_patterns() -> None:
    assert cone(("src/", "/docs")) == ("src", "docs")
    assert cone(("src", "!src/x")) == ()
    assert patterns(("!a b*", "!c[1]")) == ("/*", r"!/a\ b\*", r"!/c\[1\]")
    assert patterns(("src", "!src/x")) == ("/*", "!/*/", "/src/", "!/src/x")


# --- refs ------------------------------------------------------------------------------------------------------------


def test_an_unknown_ref_is_told_with_the_nearest(git: Git, shop: Path, work: Path) -> None:
    with pytest.raises(UsageError) as caught:
        git.clone(str(shop), work / "shop", Wish("nexxt"), quiet)
    assert caught.value.fix == f"devstack bootstrap {shop} --ref next"
    assert "main, next, v1" in caught.value.why


def test_without_a_near_one_the_command_lists_them(
    git: Git, shop: Path, work: Path, private_environ: dict[str, str]
) -> None:
    with pytest.raises(UsageError) as caught:
        git.clone(str(shop), work / "shop", Wish("zzz"), quiet)
    done = subprocess.run(
        shlex.split(caught.value.fix), capture_output=True, text=True, check=True, timeout=60, env=private_environ
    )
    assert "refs/heads/next" in done.stdout


def test_a_commit_that_no_branch_has_any_more(git: Git, shop: Path, work: Path, run: Run) -> None:
    """Such as the head of a change under review: the server gives it when asked."""
    run(shop, "config", "uploadpack.allowAnySHA1InWant", "true")
    lost = run(shop, "rev-parse", "next")
    run(shop, "update-ref", "refs/pull/7/head", lost)
    run(shop, "branch", "-D", "next")
    for ref in (lost, "refs/pull/7/head"):
        git.clone(f"file://{shop}", work / "shop" / ref[:4], Wish(ref), quiet)
        assert git.revision(work / "shop" / ref[:4]) == lost


@pytest.mark.fault("K5")
def test_a_renamed_default_branch(git: Git, shop: Path, work: Path, run: Run) -> None:
    """Of an existing checkout the new name can be asked for, and the old one stays as it is."""
    git.clone(str(shop), work / "shop", Wish(), quiet)
    run(shop, "branch", "-m", "main", "trunk")
    git.update(work / "shop", "main", quiet)
    assert git.ask("branch", "--show-current", cwd=work / "shop").stdout.strip() == "main"
    git.update(work / "shop", "trunk", quiet)
    assert git.ask("branch", "--show-current", cwd=work / "shop").stdout.strip() == "trunk"
    git.clone(str(shop), work / "again", Wish(), quiet)
    assert (work / "again" / "file").read_text() == "two"


def test_a_default_branch_that_is_not_there(git: Git, shop: Path, work: Path, run: Run) -> None:
    run(shop, "symbolic-ref", "HEAD", "refs/heads/master")
    with pytest.raises(UsageError) as caught:
        git.clone(str(shop), work / "shop", Wish(), quiet)
    assert (caught.value.id, caught.value.exit_code) == ("no-default-branch", 2)
    assert caught.value.fix == f"devstack bootstrap {shop} --ref main"
    assert names(work) == []
    git.clone(str(shop), work / "shop", Wish("main"), quiet)


@pytest.mark.fault("K5")
def test_a_shallow_repository_and_a_detached_one(git: Git, shop: Path, work: Path, tmp_path: Path, run: Run) -> None:
    run(tmp_path, "clone", "-q", "--depth", "1", f"file://{shop}", "shallow")
    run(tmp_path / "shallow", "checkout", "-q", "--detach")
    for form in ("{}", "file://{}"):
        place = work / str(len(form))
        git.clone(form.format(tmp_path / "shallow"), place, Wish(), quiet)
        assert (place / "file").read_text() == "two"
        git.update(place, git.revision(place) or "", quiet)
