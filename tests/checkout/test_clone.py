"""Projects from a URL to a folder with the real git: hostile words, killed runs, unreachable and refusing hosts."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from devstack.checkout import Git, Repository, ensure_fits, large_files, parse, submodules
from devstack.checkout.git import Wish
from devstack.errors import (
    ConflictError,
    DataError,
    DevstackError,
    InterruptedRunError,
    NetworkError,
    PrerequisiteError,
    StorageError,
    UsageError,
)
from devstack.system import System
from tests.checkout.desk import GIT, Hasty, Run, names, quiet

pytestmark = pytest.mark.skipif(not GIT, reason="needs git")
ROOT = Path(__file__).parent.parent.parent


# --- what was typed --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("https://example.org/acme/shop.git", "shop"), ("https://example.org/acme/shop/", "shop"),
        ("ssh://git@example.org:22/acme/shop.git", "shop"), ("git@example.org:acme/shop.git", "shop"),
        ("git@example.org:shop", "shop"), ("git://example.org/shop", "shop"), ("file:///srv/shop.git", "shop"),
        ("http://[::1]:8080/shop", "shop"), ("https://ann@example.org/shop-2.git", "shop-2"),
    ],
)  # fmt: skip
def test_urls_stay_as_they_are(work: Path, text: str, name: str) -> None:
    assert parse(text, work) == Repository(text, name)


@pytest.mark.parametrize("text", ["../origin/shop", "{shop}", "../origin/../origin/shop/", "~/shop"])
def test_a_folder_becomes_its_path(
    shop: Path, work: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(shop.parent))
    assert parse(text.format(shop=shop), work) == Repository(str(shop), "shop")


def test_a_folder_with_a_name_like_an_address(work: Path) -> None:
    """What is there is meant, before anything on the network."""
    (work / "a@b:c").mkdir()
    assert parse("a@b:c", work).url == str(work / "a@b:c")


@pytest.mark.parametrize("text", ["no-such-folder", "./shop", "/no/such/shop", "shop.git"])
def test_what_is_neither_is_told(work: Path, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text, work)
    assert caught.value.id == "no-repository"


HOSTILE = (
    "--upload-pack=touch {m}", "--upload-pack=touch {m};", "-u touch {m}", "-oProxyCommand=touch {m}", "--config=a.b=c",
    "-c core.sshCommand=touch {m}", "--template={m}", "--", "-", "",
    "ext::sh -c touch% {m}", "ext::sh -c 'touch {m}'", "ext::touch {m}", "fd::17", "fd::17/{m}", "EXT::touch {m}",
    "foo::bar", "::{m}", "testgit::{m}", "a::ssh://b",
    "ssh://-oProxyCommand=touch%20{m}/x", "ssh://-oProxyCommand=touch {m}/x", "ssh://-oProxyCommand=touch {m}/x@y/z",
    "ssh://a@-oProxyCommand=touch {m}/x", "ssh://-oProxyCommand=touch {m}@127.0.0.1:1/x", "ssh://-F{m}/x",
    "a@-oProxyCommand=touch:x", "-oProxyCommand=touch@host:x", "git@-F:x",
    "https://127.0.0.1:1/x\n--upload-pack=touch {m}", "https://127.0.0.1:1/x\r", "https://127.0.0.1:1/\0x",
    "https://127.0.0.1:1/x\x1b[2J", "file:///x\x7f", "https://-x/y", "https://", "https://127.0.0.1:1/..",
    "https://127.0.0.1:1/.git", "git@host:..", "ssh://127.0.0.1:1/.", "/", "..//..", "$(touch {m})", "`touch {m}`",
    "; touch {m}", "| touch {m}", "file://$(touch {m})", "javascript:touch {m}", "data:text/plain,x", "ftp://x/y",
    "rsync://x/y",
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.fault("S8")
def test_hostile_words_make_nothing_happen(
    system: Hasty, git: Git, work: Path, tmp_path: Path, text: str
) -> None:
    """Refused, or given to git as a URL that leads nowhere; no command of theirs ever runs."""
    marker = tmp_path / "MARKER"
    with pytest.raises(DevstackError) as caught:
        git.clone(parse(text.format(m=marker), work).url, work / "shop", Wish(), quiet)
    assert caught.value.fix
    assert not marker.exists()
    assert names(work) == []


@pytest.mark.parametrize(
    "text",
    [text for text in HOSTILE if text.startswith(("-", "ssh://-", "ssh://a@-")) or "::" in text or "\n" in text],
)
@pytest.mark.fault("S8")
def test_the_dangerous_ones_never_reach_git(work: Path, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text.format(m="M"), work)
    assert caught.value.id == "url-refused"


@pytest.mark.parametrize(
    "text", ["ext::sh -c touch% {m}", "--upload-pack=touch {m}", "ssh://-oProxyCommand=touch {m}/x"]
)
@pytest.mark.fault("S8")
def test_git_itself_is_told_to_refuse_them_too(git: Git, work: Path, tmp_path: Path, text: str) -> None:
    """Should one get past `parse`: `--` stands before the URL and the protocol is off."""
    with pytest.raises(DevstackError):
        git.clone(text.format(m=tmp_path / "MARKER"), work / "shop", Wish(), quiet)
    assert not (tmp_path / "MARKER").exists()


@pytest.mark.parametrize("ref", [
    "", "-", "--", "-f", "--upload-pack=touch {m}", "--orphan=x", "-b", "--detach", "main\n-f", "a b", "a..b", "main~1",
    "main^", "@{{-1}}", "HEAD@{{1}}", ":/two", "a:b", "*", "[a]", "a\\b", "a\0b", "a\x7f", "?",
])  # fmt: skip
@pytest.mark.fault("S8")
def test_hostile_refs_are_refused(git: Git, shop: Path, work: Path, tmp_path: Path, ref: str) -> None:
    with pytest.raises(UsageError) as caught:
        git.clone(str(shop), work / "shop", Wish(ref.format(m=tmp_path / "MARKER")), quiet)
    assert caught.value.id == "bad-ref"
    assert names(work) == []
    assert not (tmp_path / "MARKER").exists()


# --- cloning ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_clone_is_complete(git: Git, shop: Path, work: Path, run: Run, form: str) -> None:
    """With its remote, nothing beside it, and folders on the way made."""
    git.clone(form.format(shop), work / "deep" / "shop", Wish(), quiet)
    made = work / "deep" / "shop"
    assert (made / "file").read_text() == "two"
    assert names(made.parent) == ["shop"]
    assert git.is_checkout(made)
    assert git.remotes(made) == (form.format(shop),)
    assert git.revision(made) == run(shop, "rev-parse", "main")
    assert not git.is_dirty(made)


@pytest.mark.parametrize(("ref", "text"), [("next", "next"), ("v1", "one"), ("main", "two"), ("{first}", "one")])
def test_a_ref_is_a_branch_a_tag_or_a_commit(
    git: Git, shop: Path, work: Path, run: Run, ref: str, text: str
) -> None:
    git.clone(str(shop), work / "shop", Wish(ref.format(first=run(shop, "rev-parse", "v1"))), quiet)
    assert (work / "shop" / "file").read_text() == text
    if ref == "next":
        assert run(work / "shop", "branch", "--show-current") == "next"


@pytest.mark.parametrize("ref", ["nothing", "file", "0" * 40, "refs/heads/none"])
def test_an_unknown_ref_leaves_no_clone(git: Git, shop: Path, work: Path, ref: str) -> None:
    """A file of that name is no ref either."""
    with pytest.raises(UsageError) as caught:
        git.clone(str(shop), work / "shop", Wish(ref), quiet)
    assert caught.value.id == "no-such-ref"
    assert names(work) == []


@pytest.mark.fault("B4")
def test_an_empty_folder_is_used_and_a_full_one_is_kept(git: Git, shop: Path, work: Path) -> None:
    (work / "empty").mkdir()
    git.clone(str(shop), work / "empty", Wish(), quiet)
    assert (work / "empty" / "file").is_file()
    (work / "full").mkdir()
    (work / "full" / "mine").write_text("mine")
    with pytest.raises(StorageError):
        git.clone(str(shop), work / "full", Wish(), quiet)
    assert names(work / "full") == ["mine"]
    assert names(work) == ["empty", "full"]


@pytest.mark.fault("K5")
def test_an_empty_repository_is_cloned(git: Git, work: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "new").mkdir()
    run(tmp_path / "new", "init", "-q")
    git.clone(str(tmp_path / "new"), work / "new", Wish(), quiet)
    assert git.revision(work / "new") is None


def test_a_place_that_may_not_be_written_is_told(git: Git, shop: Path, work: Path) -> None:
    (work / "file").write_text("")
    with pytest.raises(StorageError):
        git.clone(str(shop), work / "file" / "shop", Wish(), quiet)


def test_what_is_no_repository_is_told(git: Git, work: Path, tmp_path: Path) -> None:
    with pytest.raises(NetworkError) as caught:
        git.clone(str(tmp_path / "home"), work / "shop", Wish(), quiet)
    assert caught.value.id == "repository-not-found"
    assert caught.value.evidence


def test_a_mirror_that_lacks_an_object_is_told(git: Git, shop: Path, work: Path, run: Run) -> None:
    """All was transferred but the files can't be made: no half of a project is left."""
    blob = run(shop, "rev-parse", "main:file")
    (shop / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(DataError) as caught:
        git.clone(str(shop), work / "shop", Wish(), quiet)
    assert (caught.value.id, caught.value.exit_code) == ("checkout-failed", 7)
    assert names(work) == []


def test_a_repository_that_lacks_an_object_is_not_taken_for_the_network(
    system: Hasty, git: Git, shop: Path, work: Path, run: Run
) -> None:
    """It answers, but can't send everything: asking again or looking at the network wouldn't help."""
    blob = run(shop, "rev-parse", "main:file")
    (shop / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(DataError) as caught:
        git.clone(f"file://{shop}", work / "shop", Wish(), quiet)
    assert caught.value.id == "repository-damaged"
    assert blob in caught.value.why
    assert not any("%" in line for line in caught.value.evidence)
    assert system.pauses == []
    assert names(work) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.fault("K4")
def test_a_repository_of_somebody_else_is_told_with_the_command(
    git: Git, shop: Path, work: Path
) -> None:
    """git refuses it; devstack never widens `safe.directory` itself."""
    for path in (shop, *shop.rglob("*")):
        os.chown(path, 65534, 65534, follow_symlinks=False)
    with pytest.raises(StorageError) as caught:
        git.is_dirty(shop)
    assert caught.value.id == "not-your-repository"
    assert caught.value.fix == f"git config --global --add safe.directory {shop}"
    with pytest.raises(StorageError):
        git.remotes(shop)


# --- killed ----------------------------------------------------------------------------------------------------------

SLOW_GIT = """#!/bin/sh
case " $* " in
*" clone "*)
    for last; do :; done
    mkdir -p "$last/.git" && echo half >"$last/.git/config"
    echo $$ >"$PIDFILE.new" && mv "$PIDFILE.new" "$PIDFILE"
    exec sleep 60 ;;
esac
exec "$GIT" "$@"
"""

CLONE = """
import sys
from pathlib import Path
from devstack.checkout import Git
from devstack.checkout.git import Wish
from devstack.system import System
Git(System()).clone(sys.argv[1], Path(sys.argv[2]), Wish(), lambda line: None)
"""


@pytest.fixture
def slow(private_environ: dict[str, str], tmp_path: Path) -> Iterator[tuple[dict[str, str], Path]]:
    """An environment whose git stops half-way through a clone, and the file that then holds its pid."""
    programs, pid = tmp_path / "bin", tmp_path / "pid"
    programs.mkdir()
    script = SLOW_GIT.replace("$PIDFILE", str(pid)).replace("$GIT", GIT)
    (programs / "git").write_text(script)
    (programs / "git").chmod(0o755)
    yield private_environ | {"PATH": f"{programs}:{private_environ['PATH']}"}, pid
    if pid.exists() and System().identity(int(pid.read_text())):
        os.kill(int(pid.read_text()), signal.SIGKILL)


@pytest.mark.fault("B3")
def test_killed_in_the_middle(
    system: Hasty, git: Git, shop: Path, work: Path, slow: tuple[dict[str, str], Path]
) -> None:
    """kill -9 of devstack leaves nothing under the final name, and the next clone removes what it left beside."""
    environ, pid = slow
    child = subprocess.Popen(
        [sys.executable, "-c", CLONE, str(shop), str(work / "shop")], env=environ, cwd=ROOT, start_new_session=True
    )
    waiting = System()
    assert waiting.until(pid.exists, 30)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    (left,) = names(work)
    assert left.startswith(".devstack-tmp-shop-")
    git.clone(str(shop), work / "shop", Wish(), quiet)
    assert names(work) == ["shop"]
    assert (work / "shop" / "file").read_text() == "two"


def test_cancelled_in_the_middle(
    private_environ: dict[str, str], shop: Path, work: Path, slow: tuple[dict[str, str], Path]
) -> None:
    """Ctrl-C cleans up at once."""
    environ, pid = slow
    system = System(environ)

    def cancel() -> None:
        System().until(pid.exists, 30)
        system.cancel()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    with pytest.raises(InterruptedRunError):
        Git(system).clone(str(shop), work / "shop", Wish(), quiet)
    canceller.join()
    assert names(work) == []
    assert System().until(lambda: System().identity(int(pid.read_text())) is None, 10)


def test_only_left_overs_of_the_dead_are_swept(system: Hasty, git: Git, shop: Path, work: Path) -> None:
    """Not a clone that is under way, nor one of a project whose name begins the same."""
    own = system.identity(os.getpid())
    assert own
    kept = [f".devstack-tmp-shop-{own.pid}-{own.start}"]
    # as the clone of a project `shop-7` names its folder
    kept += [f".devstack-tmp-shop-7-{own.pid}-{own.start}", ".devstack-tmp-shop-notes", ".devstack-tmp-other-1-1"]
    swept = [f".devstack-tmp-shop-{own.pid}-1", ".devstack-tmp-shop-4194305-77"]
    for name in (*kept, *swept):
        (work / name).mkdir()
    git.clone(str(shop), work / "deep-shop", Wish(), quiet)
    assert names(work) == sorted([*kept, *swept, "deep-shop"])
    git._sweep(work, "shop")
    assert names(work) == sorted([*kept, "deep-shop"])


# --- the network -----------------------------------------------------------------------------------------------------


class Refusing(BaseHTTPRequestHandler):
    """Answers everything with the status in the path: `/401/shop.git`."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        self.send_response(int(self.path.split("/")[1]))
        self.send_header("WWW-Authenticate", 'Basic realm="x"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def host() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    server.asked = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def asked(host: ThreadingHTTPServer) -> list[str]:
    found: list[str] = host.asked  # type: ignore[attr-defined]
    return found


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.fault("B10")
def test_a_refused_log_in_ends_at_once(
    system: Hasty, git: Git, work: Path, host: ThreadingHTTPServer, status: int
) -> None:
    """No prompt is waited for and nothing is tried again."""
    with pytest.raises(NetworkError) as caught:
        git.clone(f"http://127.0.0.1:{host.server_port}/{status}/shop.git", work / "shop", Wish(), quiet)
    error = caught.value
    assert (error.id, error.exit_code) == ("access-denied", 4)
    assert error.fix.endswith(f"git ls-remote -- http://127.0.0.1:{host.server_port}/{status}/shop.git")
    assert "devstack never asks for one" in error.why
    assert error.evidence
    assert (system.pauses, len(asked(host))) == ([], 1)
    assert names(work) == []


def test_a_repository_that_is_not_there(git: Git, work: Path, host: ThreadingHTTPServer) -> None:
    with pytest.raises(NetworkError) as caught:
        git.clone(f"http://127.0.0.1:{host.server_port}/404/shop.git", work / "shop", Wish(), quiet)
    assert caught.value.id == "repository-not-found"


@pytest.mark.fault("B6")
def test_a_troubled_host_is_asked_three_times(
    system: Hasty, git: Git, work: Path, host: ThreadingHTTPServer
) -> None:
    """With a pause of a second or two, told to whoever watches."""
    told: list[str] = []
    with pytest.raises(NetworkError) as caught:
        git.clone(f"http://127.0.0.1:{host.server_port}/503/shop.git", work / "shop", Wish(), quiet, told.append)
    assert (caught.value.id, caught.value.exit_code) == ("network-failed", 4)
    assert system.pauses == [1, 2]
    assert len(asked(host)) == 3
    assert [line for line in told if "trying again" in line][-1].endswith("(3 of 3)")


def test_an_unreachable_host(system: Hasty, git: Git, work: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(NetworkError) as caught:
        git.clone(f"http://127.0.0.1:{port}/shop.git", work / "shop", Wish(), quiet)
    assert (caught.value.id, caught.value.exit_code) == ("network-failed", 4)
    assert sum(system.pauses) <= 5


def test_a_password_in_a_url_is_never_shown(git: Git, work: Path, host: ThreadingHTTPServer) -> None:
    """Whatever fails: refused, missing, troubled."""
    for status in (401, 403, 404, 503):
        told: list[str] = []
        url = f"http://ann:hunter2@127.0.0.1:{host.server_port}/{status}/shop.git"
        with pytest.raises(NetworkError) as caught:
            git.clone(url, work / "shop", Wish(), told.append)
        error = caught.value
        assert "hunter2" not in " ".join([error.what, error.why, error.fix, *error.evidence, *told])
        assert "***@127.0.0.1" in error.what


@pytest.mark.fault("A1")
def test_without_git(private_environ: dict[str, str], shop: Path, work: Path, tmp_path: Path) -> None:
    """A `git` that lies in the current folder, or in a relative one of PATH, is not taken for it."""
    (tmp_path / "git").write_text(f"#!/bin/sh\ntouch {tmp_path}/MARKER\n")
    (tmp_path / "git").chmod(0o755)
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        with pytest.raises(PrerequisiteError) as caught:
            Git(System(private_environ | {"PATH": f".::{work}:"})).clone(str(shop), work / "shop", Wish(), quiet)
    finally:
        os.chdir(before)
    assert (caught.value.id, caught.value.exit_code) == ("git-missing", 3)
    assert caught.value.fix.endswith("git")
    assert not (tmp_path / "MARKER").exists()
    assert names(work) == []


# --- hostile repositories --------------------------------------------------------------------------------------------

HOOKS = (
    "post-checkout", "post-merge", "pre-commit", "reference-transaction", "post-index-change", "fsmonitor-watchman",
    "post-rewrite", "pre-auto-gc", "post-update", "pre-receive",
)


def plant_hooks(folder: Path, marker: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in HOOKS:
        (folder / name).write_text(f"#!/bin/sh\necho {name} >>{marker}\n")
        (folder / name).chmod(0o755)


@pytest.mark.fault("S9", "S10")
def test_nothing_of_a_repository_runs_when_it_is_cloned(
    git: Git, shop: Path, work: Path, tmp_path: Path, run: Run
) -> None:
    """Its hooks and monitor, hooks of the person's own template, and submodules."""
    marker = tmp_path / "MARKER"
    plant_hooks(shop / ".git" / "hooks", marker)
    plant_hooks(tmp_path / "template" / "hooks", marker)
    (tmp_path / "home" / ".gitconfig").write_text(
        f"[init]\n\ttemplateDir = {tmp_path}/template\n[submodule]\n\trecurse = true\n"
    )
    (shop / ".gitmodules").write_text(
        f'[submodule "inner"]\n\tpath = inner\n\turl = {shop}\n\tupdate = "!touch {marker}"\n'
    )
    run(shop, "-c", "core.hooksPath=/dev/null", "add", "-A")
    commit = run(shop, "rev-parse", "HEAD")
    run(shop, "-c", "core.hooksPath=/dev/null", "update-index", "--add", "--cacheinfo", f"160000,{commit},inner")
    run(shop, "-c", "core.hooksPath=/dev/null", "commit", "-q", "-m", "submodule")
    run(shop, "config", "core.fsmonitor", f"touch {marker}")
    git.clone(str(shop), work / "shop", Wish("main"), quiet)
    assert not marker.exists()
    assert list((work / "shop" / "inner").iterdir()) == []


@pytest.mark.fault("S10")
def test_nothing_of_a_checkout_runs_when_it_is_looked_at(
    git: Git, shop: Path, work: Path, tmp_path: Path, run: Run
) -> None:
    """A folder that somebody else has packed brings its own .git/config and hooks."""
    marker = tmp_path / "MARKER"
    git.clone(str(shop), work / "shop", Wish(), quiet)
    plant_hooks(work / "shop" / ".git" / "hooks", marker)
    run(work / "shop", "config", "core.fsmonitor", f"touch {marker}")
    folder = work / "shop"
    git.is_dirty(folder)
    git.revision(folder)
    git.remotes(folder)
    git.exclude(folder, "/.devstack/")
    (folder / ".gitmodules").write_text("")
    (folder / ".gitattributes").write_text("* filter=lfs\n")
    submodules.missing(git, folder)
    large_files.pointers(git, folder)
    git.update(folder, "next", quiet)
    assert (folder / "file").read_text() == "next"
    assert not marker.exists()


# --- what is there already -------------------------------------------------------------------------------------------


def test_nothing_is_there(git: Git, work: Path) -> None:
    wanted = Repository("https://example.org/shop.git", "shop")
    assert not ensure_fits(git, wanted, work / "shop")
    (work / "shop").mkdir()
    assert not ensure_fits(git, wanted, work / "shop")


@pytest.mark.parametrize("form", ["{}", "{}/", "{}.git"])
def test_the_same_repository_is_recognised(git: Git, shop: Path, work: Path, form: str) -> None:
    git.clone(str(shop), work / "shop", Wish(), quiet)
    assert ensure_fits(git, Repository(form.format(shop), "shop"), work / "shop")


@pytest.mark.fault("B4")
def test_anything_else_is_left_alone(git: Git, shop: Path, work: Path) -> None:
    """Another repository's checkout, a folder with files, a file."""
    wanted = Repository("https://example.org/shop.git", "shop")
    git.clone(str(shop), work / "clone", Wish(), quiet)
    (work / "files").mkdir()
    (work / "files" / "a").write_text("")
    (work / "file").write_text("")
    for name in ("clone", "files", "file"):
        with pytest.raises(ConflictError) as caught:
            ensure_fits(git, wanted, work / name)
        assert (caught.value.id, caught.value.exit_code) == ("folder-taken", 6)
        assert f"--into {work / name}-2" in caught.value.fix
    assert names(work) == ["clone", "file", "files"]
    assert names(work / "files") == ["a"]


def test_an_existing_checkout_follows_its_remote(git: Git, shop: Path, work: Path, run: Run) -> None:
    """To another branch, a tag, and forward when the branch has moved."""
    git.clone(str(shop), work / "shop", Wish(), quiet)
    for ref, text in (("next", "next"), ("v1", "one"), ("main", "two")):
        git.update(work / "shop", ref, quiet)
        assert (work / "shop" / "file").read_text() == text
    (shop / "file").write_text("three")
    run(shop, "commit", "-q", "-a", "-m", "three")
    git.update(work / "shop", "main", quiet)
    assert (work / "shop" / "file").read_text() == "three"
    with pytest.raises(UsageError) as caught:
        git.update(work / "shop", "nothing", quiet)
    assert caught.value.id == "no-such-ref"


@pytest.mark.fault("K1")
def test_work_that_is_not_committed_is_never_touched(git: Git, shop: Path, work: Path) -> None:
    """Changed and staged files refuse; a new file of one's own doesn't matter."""
    git.clone(str(shop), work / "shop", Wish(), quiet)
    (work / "shop" / "new").write_text("mine")
    git.update(work / "shop", "next", quiet)
    (work / "shop" / "file").write_text("mine")
    with pytest.raises(DataError) as caught:
        git.update(work / "shop", "main", quiet)
    assert (caught.value.id, caught.value.exit_code) == ("work-not-committed", 7)
    assert (work / "shop" / "file").read_text() == "mine"
    assert (work / "shop" / "new").read_text() == "mine"


def test_a_checkout_that_git_cannot_read_does_not_count_as_clean(git: Git, shop: Path, work: Path) -> None:
    git.clone(str(shop), work / "shop", Wish(), quiet)
    (work / "shop" / ".git" / "index").write_bytes(b"garbage")
    with pytest.raises(DataError) as caught:
        git.is_dirty(work / "shop")
    assert caught.value.id == "checkout-unreadable"


# --- exclude and publish ---------------------------------------------------------------------------------------------


def test_own_folders_stay_out_of_git_status(git: Git, shop: Path, work: Path, run: Run) -> None:
    """In a clone and in a worktree of it, however often it is said."""
    git.clone(str(shop), work / "shop", Wish(), quiet)
    run(work / "shop", "worktree", "add", "-q", str(work / "tree"), "next")
    for folder in (work / "tree", work / "shop"):
        for line in ("/.devstack/", "/.venv", "/.devstack/"):
            git.exclude(folder, line)
        (folder / ".devstack").mkdir()
        (folder / ".devstack" / "state.json").write_text("{}")
        (folder / ".venv").symlink_to("nowhere")
        assert run(folder, "status", "--porcelain", "--untracked-files=all") == ""
    lines = (work / "shop" / ".git" / "info" / "exclude").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["/.devstack/", "/.venv"]


def test_lines_of_ones_own_are_kept_byte_by_byte(git: Git, shop: Path) -> None:
    """Also without an end of line, and in another encoding."""
    path = shop / ".git" / "info" / "exclude"
    path.write_bytes(b"caf\xe9/\r\nmine")
    git.exclude(shop, "/.devstack/")
    assert path.read_bytes() == b"caf\xe9/\r\nmine\n/.devstack/\n"


def test_excluding_outside_of_a_repository_does_nothing(git: Git, work: Path) -> None:
    git.exclude(work, "/.devstack/")
    assert names(work) == []


def test_files_are_published_as_a_repository(git: Git, work: Path, run: Run) -> None:
    """With one commit, without what tools left; a second time changes nothing."""
    source = work / "source"
    for name in ("manage.py", "shop/__pycache__/a.pyc", ".devstack/state.json", ".venv/x", ".mypy_cache/y"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text("x")
    git.publish(source, work / "shop")
    assert run(work / "shop", "ls-files") == "manage.py"
    first = git.revision(work / "shop")
    assert first
    git.publish(source, work / "shop")
    assert git.revision(work / "shop") == first
    assert names(work) == ["shop", "source"]
