"""Git LFS: pointers in place of files, with a stand-in for `git lfs` that does what the real one does, or fails to."""

from __future__ import annotations

from pathlib import Path

import pytest

from devstack.checkout import Git, large_files
from devstack.checkout.git import Wish
from devstack.errors import NetworkError, PrerequisiteError
from tests.checkout.desk import GIT, Hasty, Run, quiet

pytestmark = pytest.mark.skipif(not GIT, reason="needs git")
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 12345\n"
#: puts content in place of every pointer, as `git lfs pull` does where its filters are installed
_LFS = """#!/bin/sh
echo "$@" >>{log}
case "$1" in
pull) {pull} ;;
install) [ "$2 $3" = "--local --skip-repo" ] && git config filter.lfs.process "git-lfs filter-process" ;;
esac
"""
_WORKS = """git config --get filter.lfs.process >/dev/null || { echo "Skipping object checkout"; exit 0; }
for name in media/film.bin other/deep/song.bin; do echo content >"$name"; done"""


@pytest.fixture
def movies(tmp_path: Path, run: Run) -> Path:
    """Attributes at the root and in a folder; one file that isn't a pointer."""
    root = tmp_path / "movies"
    files = {
        ".gitattributes": "media/*.bin filter=lfs diff=lfs -text\n", "media/film.bin": POINTER.format("1" * 64),
        "other/deep/.gitattributes": "*.bin filter=lfs\n", "other/deep/song.bin": POINTER.format("2" * 64),
        "media/whole.bin": "whole", "notes.bin": POINTER.format("3" * 64),
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    run(root, "init", "-q", "-b", "main")
    run(root, "add", "-A")
    run(root, "commit", "-q", "-m", "one")
    return root


def with_lfs(system: Hasty, tmp_path: Path, pull: str) -> Git:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "git-lfs").write_text(_LFS.format(log=tmp_path / "log", pull=pull))
    (programs / "git-lfs").chmod(0o755)
    return Git(Hasty(system.environ | {"PATH": f"{programs}:{system.environ['PATH']}"}))


def test_pointers_are_found_by_their_attribute(git: Git, movies: Path) -> None:
    assert large_files.pointers(git, movies) == ("media/film.bin", "other/deep/song.bin")
    (movies / ".gitattributes").write_text("x filter=lfs\n")
    assert large_files.pointers(git, movies) == ("other/deep/song.bin",)
    (movies / ".gitattributes").write_text("")
    assert large_files.pointers(git, movies) == ()


def test_a_project_without_large_files(git: Git, shop: Path, tmp_path: Path) -> None:
    assert large_files.pointers(git, shop) == ()
    assert large_files.pointers(git, tmp_path) == ()


def test_they_are_pulled_and_seen_to_be_there(system: Hasty, movies: Path, tmp_path: Path) -> None:
    """Its filters are installed for this checkout first: without them a pull does nothing and says 0."""
    git = with_lfs(system, tmp_path, _WORKS)
    large_files.pull(git, movies, large_files.pointers(git, movies), quiet)

    assert (movies / "media/film.bin").read_text() == "content\n"
    assert (tmp_path / "log").read_text().splitlines() == ["install --local --skip-repo", "pull"]
    assert large_files.pointers(git, movies) == ()


@pytest.mark.fault("K3")
def test_a_pull_that_does_nothing_and_says_it_is_done(system: Hasty, movies: Path, tmp_path: Path) -> None:
    git = with_lfs(system, tmp_path, "echo 'nothing to do'")
    with pytest.raises(PrerequisiteError) as caught:
        large_files.pull(git, movies, large_files.pointers(git, movies), quiet)
    assert (caught.value.id, caught.value.exit_code) == ("lfs-incomplete", 3)
    assert "media/film.bin" in caught.value.what
    assert caught.value.evidence == ("nothing to do",)
    assert caught.value.fix == f"git -C {movies} lfs install --local && git -C {movies} lfs pull"


def test_a_pull_that_fails(system: Hasty, movies: Path, tmp_path: Path) -> None:
    git = with_lfs(system, tmp_path, "echo 'batch response: Not Found' >&2; exit 2")
    with pytest.raises(NetworkError) as caught:
        large_files.pull(git, movies, ("media/film.bin",), quiet)
    assert (caught.value.id, caught.value.exit_code) == ("lfs-failed", 4)
    assert "Not Found" in caught.value.why
    assert (movies / "media/film.bin").read_text().startswith("version ")


@pytest.mark.fault("K3")
def test_without_git_lfs(git: Git, movies: Path) -> None:
    if git.which("git-lfs"):
        pytest.skip("git-lfs is installed here")
    with pytest.raises(PrerequisiteError) as caught:
        large_files.pull(git, movies, ("media/film.bin",), quiet)
    assert (caught.value.id, caught.value.exit_code) == ("lfs-missing", 3)
    assert "apt-get install git-lfs" in caught.value.fix
    assert "lfs = false" in caught.value.fix


def test_a_clone_does_not_fail_for_a_broken_lfs(system: Hasty, movies: Path, work: Path, tmp_path: Path) -> None:
    """Its filters, in the person's own configuration, would make the checkout fail."""
    git = with_lfs(system, tmp_path, "exit 1")
    (tmp_path / "home" / ".gitconfig").write_text(
        "[filter \"lfs\"]\n\tsmudge = false\n\tprocess = false\n\trequired = true\n"
    )
    git.clone(str(movies), work / "movies", Wish(), quiet)
    assert large_files.pointers(git, work / "movies") == ("media/film.bin", "other/deep/song.bin")
