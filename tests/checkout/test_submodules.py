"""Submodules with the real git: nested, moved, worked on, and what a hostile `.gitmodules` says."""

from __future__ import annotations

from pathlib import Path

import pytest

from devstack.checkout import Git, submodules
from devstack.checkout.git import Wish
from devstack.checkout.submodules import MAX_DEPTH, Submodule, Wanted, ensure_safe
from devstack.errors import DataError, DevstackError, NetworkError, UsageError
from tests.checkout.desk import GIT, Hasty, Run, names, quiet

pytestmark = pytest.mark.skipif(not GIT, reason="needs git")
_LOCAL = ("-c", "protocol.file.allow=always")


def repository(folder: Path, run: Run, text: str, *inner: tuple[str, str]) -> Path:
    """inner: (URL, path) of its submodules."""
    folder.mkdir(parents=True)
    run(folder, "init", "-q", "-b", "main")
    (folder / "file").write_text(text)
    for url, path in inner:
        run(folder, *_LOCAL, "submodule", "--quiet", "add", url, path)
    run(folder, "add", "-A")
    run(folder, "commit", "-q", "-m", text)
    return folder


@pytest.fixture
def app(tmp_path: Path, run: Run) -> Path:
    """A project with a submodule that has one itself; the URLs are relative."""
    repository(tmp_path / "leaf", run, "leaf")
    repository(tmp_path / "lib", run, "lib", ("../leaf", "nested"))
    return repository(tmp_path / "app", run, "app", ("../lib", "vendor/lib"))


@pytest.fixture
def clone(git: Git, app: Path, work: Path) -> Path:
    git.clone(str(app), work / "app", Wish(), quiet)
    return work / "app"


def get(git: Git, root: Path) -> None:
    wanted = submodules.missing(git, root)
    submodules.get(git, root, (*wanted.paths, *wanted.moved), quiet, quiet)


@pytest.mark.fault("K2")
def test_they_are_got_with_theirs(git: Git, clone: Path) -> None:
    assert submodules.missing(git, clone) == Wanted(("vendor/lib",))

    get(git, clone)

    assert (clone / "vendor/lib/file").read_text() == "lib"
    assert (clone / "vendor/lib/nested/file").read_text() == "leaf"
    assert submodules.missing(git, clone) == Wanted()
    assert not git.is_dirty(clone)


def test_one_of_a_submodule_that_was_not_got_is_missed(git: Git, clone: Path, run: Run) -> None:
    get(git, clone)
    run(clone / "vendor/lib", "submodule", "--quiet", "deinit", "--all", "-f")

    assert submodules.missing(git, clone) == Wanted(("vendor/lib/nested",))
    get(git, clone)
    assert (clone / "vendor/lib/nested/file").read_text() == "leaf"


@pytest.mark.fault("S9")
def test_no_hook_runs(git: Git, clone: Path, tmp_path: Path) -> None:
    hooks = tmp_path / "template" / "hooks"
    hooks.mkdir(parents=True)
    (hooks / "post-checkout").write_text(f"#!/bin/sh\ntouch {tmp_path}/MARKER\n")
    (hooks / "post-checkout").chmod(0o755)
    (tmp_path / "home" / ".gitconfig").write_text(f"[init]\n\ttemplateDir = {tmp_path}/template\n")

    get(git, clone)

    assert (clone / ".git/modules/vendor/lib/hooks/post-checkout").exists()
    assert not (tmp_path / "MARKER").exists()


def move(app: Path, run: Run) -> None:
    """The project wants a newer commit of its submodule."""
    (app.parent / "lib" / "file").write_text("lib 2")
    run(app.parent / "lib", "commit", "-q", "-a", "-m", "two")
    run(app / "vendor/lib", *_LOCAL, "pull", "-q")
    run(app, "commit", "-q", "-a", "-m", "newer lib")


def test_after_a_pull_it_follows_the_project(git: Git, app: Path, clone: Path, run: Run) -> None:
    get(git, clone)
    move(app, run)
    run(clone, "pull", "-q")

    assert submodules.missing(git, clone) == Wanted(moved=("vendor/lib",))
    get(git, clone)
    assert (clone / "vendor/lib/file").read_text() == "lib 2"


@pytest.mark.parametrize("how", ["changed", "committed", "branch"])
@pytest.mark.fault("K1", "K2")
def test_one_that_somebody_works_on_is_left_alone(git: Git, app: Path, clone: Path, run: Run, how: str) -> None:
    get(git, clone)
    folder = clone / "vendor/lib"
    if how == "branch":
        run(folder, "checkout", "-q", "-b", "mine")
    else:
        (folder / "file").write_text("mine")
    if how == "committed":
        run(folder, "commit", "-q", "-a", "-m", "mine")
    before = git.revision(folder), (folder / "file").read_text()
    move(app, run)
    run(clone, "pull", "-q")

    wanted = submodules.missing(git, clone)
    get(git, clone)

    assert (wanted.paths, wanted.moved) == ((), ())
    assert "vendor/lib" in wanted.warnings[0]
    assert (git.revision(folder), (folder / "file").read_text()) == before


@pytest.mark.parametrize("way", ["active", "update", "filled"])
def test_one_that_is_not_wanted_is_not_missing(git: Git, clone: Path, run: Run, way: str) -> None:
    if way == "filled":
        (clone / "vendor/lib/mine").write_text("mine")
    else:
        run(clone, "config", f"submodule.vendor/lib.{way}", {"active": "false", "update": "none"}[way])
    assert submodules.missing(git, clone) == Wanted()


@pytest.mark.fault("K2")
def test_one_that_fails_is_named(system: Hasty, git: Git, app: Path, clone: Path) -> None:
    (app.parent / "lib").rename(app.parent / "gone")
    with pytest.raises(NetworkError) as caught:
        get(git, clone)
    error = caught.value
    assert (error.id, error.exit_code) == ("submodule-failed", 4)
    assert "vendor/lib" in error.what
    assert error.fix == f"git -C {clone} submodule update --init -- vendor/lib"
    assert error.evidence
    assert system.pauses == []


def test_one_whose_host_is_away_is_asked_three_times(system: Hasty, git: Git, clone: Path, run: Run) -> None:
    run(clone, "config", "-f", ".gitmodules", "submodule.vendor/lib.url", "http://127.0.0.1:1/lib.git")
    told: list[str] = []
    with pytest.raises(NetworkError) as caught:
        submodules.get(git, clone, ("vendor/lib",), quiet, told.append)
    assert caught.value.id == "submodule-unreachable"
    assert system.pauses == [1, 2]
    assert told[-1].endswith("(3 of 3)")


def test_recursion_ends(git: Git, tmp_path: Path, work: Path, run: Run) -> None:
    inner = repository(tmp_path / "s0", run, "s0")
    for number in range(1, MAX_DEPTH + 3):
        inner = repository(tmp_path / f"s{number}", run, f"s{number}", (str(inner), "in"))
    git.clone(str(inner), work / "app", Wish(), quiet)

    with pytest.raises(DataError) as caught:
        get(git, work / "app")

    assert (caught.value.id, caught.value.exit_code) == ("submodules-too-deep", 7)
    assert "/".join(["in"] * (MAX_DEPTH + 1)) in caught.value.what


HOSTILE = (
    ("sub", "-u./payload", "sub"), ("sub", "--upload-pack=touch {m}", "sub"), ("sub", "ext::sh -c touch% {m}", "sub"),
    ("sub", "fd::17", "sub"), ("sub", "ssh://-oProxyCommand=touch {m}/x", "sub"), ("sub", "x::y", "sub"),
    ("sub", "{o}\n--upload-pack=touch {m}", "sub"), ("../../hooks", "{o}", "sub"), ("a/../b", "{o}", "sub"),
    ("sub", "{o}", "../out"), ("sub", "{o}", "-x"), ("sub", "{o}", "sub\r"), ("sub", "", "sub"),
)  # fmt: skip


@pytest.fixture(params=HOSTILE)
def hostile(request: pytest.FixtureRequest, shop: Path, tmp_path: Path, run: Run) -> Path:
    """A repository with such an entry; what it would do makes `tmp_path/MARKER`."""
    marker = tmp_path / "MARKER"
    name, url, path = request.param
    safe = ("-c", "core.hooksPath=/dev/null")
    for key, value in (("path", path), ("url", url.format(m=marker, o=shop)), ("update", f"!touch {marker}")):
        run(shop, *safe, "config", "-f", ".gitmodules", f"submodule.{name}.{key}", value)
    run(shop, *safe, "add", ".gitmodules")
    link = f"160000,{run(shop, 'rev-parse', 'HEAD')},{'sub' if '..' in path else path}"
    run(shop, *safe, "update-index", "--add", "--cacheinfo", link)
    run(shop, *safe, "commit", "-q", "-m", "hostile")
    return shop


@pytest.mark.fault("S9")
def test_a_hostile_entry_makes_nothing_happen(git: Git, hostile: Path, work: Path, tmp_path: Path) -> None:
    """No command of it ever runs, nothing is written outside of the project."""
    before = names(tmp_path)

    def bring() -> None:
        git.clone(str(hostile), work / "shop", Wish(), quiet)
        get(git, work / "shop")

    with pytest.raises(DevstackError) as caught:
        bring()
    assert caught.value.fix
    assert not (tmp_path / "MARKER").exists()
    assert names(work) in ([], ["shop"])
    assert names(tmp_path) == before


@pytest.mark.parametrize(("name", "url", "path"), [one for one in HOSTILE if "{o}" not in one[1] or one[0] != "sub"])
@pytest.mark.fault("S9")
def test_the_dangerous_ones_never_reach_git(name: str, url: str, path: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        ensure_safe(Submodule(name, path, url), path, "https://example.org/x.git", tmp_path)
    assert caught.value.id == "submodule-refused"


@pytest.mark.parametrize("url", ["/srv/secret", "file:///srv/secret"])
@pytest.mark.fault("S9")
def test_a_project_from_elsewhere_opens_no_folder_of_this_machine(url: str, tmp_path: Path) -> None:
    one = Submodule("lib", "lib", url)
    with pytest.raises(UsageError):
        ensure_safe(one, "lib", "https://example.org/x.git", tmp_path)
    ensure_safe(one, "lib", "/srv/x.git", tmp_path)
    ensure_safe(Submodule("lib", "lib", "../lib.git"), "lib", "https://example.org/x.git", tmp_path)
