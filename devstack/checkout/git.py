"""git, as safely as it can be asked. Clones beside and renames, never prompts, never touches work in progress.

Runs nothing of the repository: no hooks, no submodules, no file-system monitor.
"""

from __future__ import annotations

import difflib
import math
import os
import re
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from devstack.checkout.address import hidden
from devstack.checkout.failures import DUBIOUS, checkout_failed, clone_error, not_yours, unfetched, unreadable
from devstack.checkout.sparse import cone, patterns
from devstack.detect.scrub import reaching
from devstack.errors import DataError, PrerequisiteError, UsageError
from devstack.system import Completed, Identity, System, storage_errors

_TEMPORARY = ".devstack-tmp-"
_OWNER = "DEVSTACK_GIT_OF"
#: git -c …: nothing of the repository runs, nothing but known protocols is spoken
_SAFE = (
    "core.hooksPath=/dev/null", "core.fsmonitor=false", "submodule.recurse=false", "protocol.ext.allow=never",
    "protocol.fd.allow=never",
)
#: what Git LFS holds is got by a step of its own: a checkout must not fail for it
_WITHOUT_LFS = ("filter.lfs.smudge=", "filter.lfs.process=", "filter.lfs.required=false")
_TRIES = 3
#: more files that a remote lacks aren't looked for one by one
_LOST = 25
_STALL = 60.0
#: a revision that no branch or tag need name, so that a clone may not have brought it
_FETCHABLE = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}|refs/\S+")

Say = Callable[[str], None]
#: text of a file of the commit to check out, None where it has none
Read = Callable[[str], str | None]


def ignore(text: str) -> None:
    """Nobody listens."""


def nothing_left_out(read: Read) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True)
class Wish:
    """How a repository is checked out.

    ref: branch, tag or commit, None for the default branch. sparse: `[project] sparse`, where it is known beforehand.
    own: finds it in a file of the commit, where it isn't. profile: what `--profile` named, for the error.
    """

    ref: str | None = None
    sparse: tuple[str, ...] = ()
    own: Callable[[Read], tuple[str, ...]] = nothing_left_out
    profile: str = ""


class _LostFilesError(Exception):
    """A checkout lacks the content of these files."""

    def __init__(self, lost: tuple[str, ...], done: Completed) -> None:
        super().__init__()
        self.lost = lost
        self.done = done


class Git:
    """git, as safely as it can be asked."""

    def __init__(self, system: System) -> None:
        self.system = system
        kept = {"GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "GIT_SSH_COMMAND", "GIT_ASKPASS", "SSH_AUTH_SOCK"}
        self.env = {name: value for name, value in system.environ.items() if name in kept}
        self.env |= reaching(system.environ)
        self.env |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C.UTF-8"}
        self.env.setdefault("GIT_SSH_COMMAND", "ssh -oBatchMode=yes -oConnectTimeout=20")
        self.stall = _stall(system.environ.get("DEVSTACK_STALL_TIMEOUT", ""))
        self._found: str | None = None

    def clone(self, url: str, destination: Path, wish: Wish, say: Say, warn: Say = ignore) -> None:
        """A new checkout at `destination`, which must not exist. Complete or not there at all.

        say: hears every line. warn: hears of every new try.
        """
        _check_ref(wish.ref)
        parent = destination.parent
        with storage_errors(destination):
            parent.mkdir(parents=True, exist_ok=True)
        self._sweep(parent, destination.name)
        own = self.system.identity(os.getpid())
        # a devstack that is killed can't end its own: they are known by it
        owner = self.env[_OWNER] = f"{os.getpid()}-{own.start if own else '0'}"
        temporary = parent / f"{_TEMPORARY}{destination.name}-{owner}"
        try:
            self._download(url, temporary, wish, say, warn)
            self._check_out(url, temporary, wish, say)
            with storage_errors(destination):
                if destination.is_dir() and not any(destination.iterdir()):
                    destination.rmdir()
                temporary.rename(destination)
                self.system.sync_folder(parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def is_checkout(self, folder: Path) -> bool:
        return (folder / ".git").exists()

    def folders(self, folder: Path) -> tuple[Path, ...]:
        """git's own folders of a checkout: of this one, and the one that it shares with others."""
        names = self.ask("rev-parse", "--git-dir", "--git-common-dir", cwd=folder).stdout.splitlines()
        return tuple(dict.fromkeys(folder / name for name in names))

    def remotes(self, folder: Path) -> tuple[str, ...]:
        """URLs that this checkout was cloned from or knows."""
        # `git config` alone says nothing of a repository that it doesn't open
        self.ask("rev-parse", "--git-dir", cwd=folder)
        done = self.ask("config", "--get-regexp", r"^remote\..*\.url$", cwd=folder)
        return tuple(line.split(" ", 1)[1] for line in done.stdout.splitlines() if " " in line)

    def is_dirty(self, folder: Path) -> bool:
        """Work that isn't committed (untracked files don't count: a checkout never overwrites them)."""
        done = self.ask("status", "--porcelain", "--untracked-files=no", cwd=folder)
        if done.returncode != 0:
            raise DataError(
                "checkout-unreadable", f"git can't tell whether {folder} has changes", why=done.output.strip()[-300:],
                fix=f"git -C {shlex.quote(str(folder))} status",
            )
        return bool(done.stdout.strip())

    def revision(self, folder: Path, name: str = "HEAD") -> str | None:
        """The commit of this name, or None (an empty repository, or none)."""
        done = self.ask("rev-parse", "--verify", "-q", f"{name}^{{commit}}", cwd=folder)
        return done.stdout.strip() or None

    def update(self, folder: Path, ref: str, say: Say) -> None:
        """Fetch and switch an existing checkout to `ref`. Raises DataError where that would touch uncommitted work."""
        _check_ref(ref)
        branch = self.ask("rev-parse", "--abbrev-ref", "HEAD", cwd=folder).stdout.strip()
        wanted = self.revision(folder, ref)
        is_there = branch == ref or (wanted is not None and wanted == self.revision(folder))
        if is_there and (branch != ref or self.is_dirty(folder)):
            # a commit or a tag doesn't move; a branch with work in progress is left to the person who works on it
            return
        if self.is_dirty(folder):
            raise DataError(
                "work-not-committed", f"{folder} has changes that aren't committed",
                why=f"switching to {ref} could touch them; nothing was changed",
                fix=f"git -C {shlex.quote(str(folder))} stash",
            )
        done = self.work(["fetch", "--progress", "--", "origin"], folder, say)
        if done.returncode != 0 and is_there:
            say(f"{ref} stays as it is: {clone_error(str(folder), done, self.stall).why}")
            return
        if done.returncode != 0:
            raise clone_error(str(folder), done, self.stall)
        try:
            self._switch(folder, str(folder), ref, say)
        except _LostFilesError as error:
            raise checkout_failed(str(folder), error.lost, error.done, "") from None
        tracked = self.ask("rev-parse", "--abbrev-ref", "--symbolic-full-name", "@{u}", cwd=folder)
        if tracked.returncode == 0:
            self.work(["merge", "--ff-only", "-q"], folder, say, *_WITHOUT_LFS)

    def exclude(self, folder: Path, line: str) -> None:
        """Keep a path out of `git status`, without touching a file of the project."""
        common = self.ask("rev-parse", "--git-common-dir", cwd=folder).stdout.strip()
        if not common:
            return
        path = (folder / common / "info" / "exclude").resolve()
        # the person's own lines stay as they are, in whatever encoding
        text = self.system.read_bytes(path) or b""
        if line.encode() not in text.splitlines():
            with storage_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            gap = b"" if not text or text.endswith(b"\n") else b"\n"
            self.system.write(path, b"%b%b%b\n" % (text, gap, line.encode()), 0o644)

    def publish(self, source: Path, repository: Path) -> None:
        """A repository with one commit that holds the files of `source`; made beside, then renamed."""
        temporary = repository.with_name(f".{repository.name}.{os.getpid()}")
        shutil.rmtree(temporary, ignore_errors=True)
        with storage_errors(repository):
            ignored = shutil.ignore_patterns("__pycache__", ".devstack", ".venv", "*.pyc", ".*_cache")
            shutil.copytree(source, temporary, ignore=ignored)
        identity = ["-c", "user.name=devstack", "-c", "user.email=devstack@localhost", "-c", "commit.gpgsign=false"]
        for words in (["init", "-q", "-b", "main"], ["add", "-A"], [*identity, "commit", "-q", "-m", "The shop"]):
            done = self.ask(*words, cwd=temporary)
            if done.returncode != 0:
                shutil.rmtree(temporary, ignore_errors=True)
                raise PrerequisiteError(
                    "git-failed", f"git {words[0]} failed", why=done.output.strip()[-300:], fix="git --version"
                )
        with storage_errors(repository):
            if repository.exists():
                shutil.rmtree(temporary)
            else:
                temporary.rename(repository)

    # --- the parts of a clone ----------------------------------------------------------------------------------------

    def _download(self, url: str, temporary: Path, wish: Wish, say: Say, warn: Say) -> None:
        """Everything but the files themselves. Raises NetworkError, DataError, StorageError."""
        # of a part of the project only that part's files are fetched, when they are checked out
        partly = bool(wish.sparse)
        attempt = 1
        while (done := self._clone_once(url, temporary, say, partly=partly)).returncode != 0:
            shutil.rmtree(temporary, ignore_errors=True)
            error = clone_error(url, done, self.stall)
            if error.id == "repository-damaged" and not partly:
                # a partial mirror: it may still have all that the profile wants
                warn(f"{error.why}; trying without what it lacks")
                partly = True
                continue
            if attempt == _TRIES or error.id not in ("network-failed", "clone-stalled"):
                raise error
            attempt += 1
            warn(f"{error.why}; trying again ({attempt} of {_TRIES})")
            self.system.pause(attempt - 1)

    def _clone_once(self, url: str, temporary: Path, say: Say, *, partly: bool) -> Completed:
        words = ["clone", "--progress", "--no-recurse-submodules", "--no-checkout"]
        words += ["--filter=blob:none"] if partly else []
        return self.work([*words, "--", url, str(temporary)], None, say)

    def _check_out(self, url: str, temporary: Path, wish: Wish, say: Say) -> None:
        """The files of a fresh clone."""
        if wish.ref is None and self.revision(temporary) is None:
            self._ensure_empty(url, temporary)
            return
        start = "HEAD" if wish.ref is None else self._commit_of(temporary, wish.ref)

        def read(name: str) -> str | None:
            found = self.ask("cat-file", "blob", f"{start}:{name}", cwd=temporary) if start else None
            return found.stdout if found and found.returncode == 0 else None

        if entries := wish.sparse or wish.own(read):
            self._narrow(temporary, entries)
        try:
            self._switch(temporary, url, wish.ref or "HEAD", say)
        except _LostFilesError as error:
            lost = self._all_lost(temporary, wish, entries, error.lost)
            raise checkout_failed(url, lost, error.done, wish.profile) from None

    def _all_lost(self, folder: Path, wish: Wish, entries: tuple[str, ...], lost: tuple[str, ...]) -> tuple[str, ...]:
        """A remote that is asked for files tells only the first one that it lacks: go on without each, for the rest."""
        found = lost
        while lost and len(found) < _LOST:
            self._narrow(folder, (*entries, *(f"!{path}" for path in found)))
            try:
                self._switch(folder, "", wish.ref or "HEAD", ignore)
                break
            except _LostFilesError as error:
                lost = tuple(path for path in error.lost if path not in found)
                found += lost
        return found

    def _ensure_empty(self, url: str, temporary: Path) -> None:
        """No default branch is fine where there is no branch at all."""
        if branches := self._branches(temporary):
            url = shlex.quote(hidden(url))
            raise UsageError(
                "no-default-branch", f"{url} has no default branch",
                why=f"what its HEAD names isn't there; it has {', '.join(branches[:6])}",
                fix=f"devstack bootstrap {url} --ref {shlex.quote(branches[0])}",
            )

    def _commit_of(self, folder: Path, ref: str) -> str | None:
        return self.revision(folder, f"refs/remotes/origin/{ref}") or self.revision(folder, ref)

    def _narrow(self, folder: Path, entries: Sequence[str]) -> None:
        """Only this part of the project is checked out, now and by git later."""
        folders = cone(entries)
        words = ["--cone", "--", *folders] if folders else ["--no-cone", "--", *patterns(entries)]
        done = self.ask("sparse-checkout", "set", *words, cwd=folder)
        if done.returncode != 0:
            raise UsageError(
                "sparse-refused", "git can't check out this part of the project alone", why=done.output.strip()[-300:],
                fix="correct `sparse` below [project]",
            )

    def _switch(self, folder: Path, url: str, ref: str, say: Say) -> None:
        if _FETCHABLE.fullmatch(ref) and self.revision(folder, ref) is None:
            done = self.work(["fetch", "--progress", "--", "origin", ref], folder, say)
            ref = "FETCH_HEAD" if done.returncode == 0 else ref
        done = self.work(["checkout", "-q", "--progress", ref, "--"], folder, say, *_WITHOUT_LFS)
        lost = unreadable(done) or self._paths_of(folder, unfetched(done), ref)
        if lost or (done.returncode != 0 and self._commit_of(folder, ref)):
            # git calls it done where a file's content is missing
            raise _LostFilesError(lost, done)
        if done.returncode != 0:
            raise self._no_such_ref(folder, url, ref, done)

    def _paths_of(self, folder: Path, ids: Sequence[str], ref: str) -> tuple[str, ...]:
        """Where these objects belong in a commit."""
        commit = self._commit_of(folder, ref)
        if not ids or commit is None:
            return ()
        listed = self.ask("ls-tree", "-r", "-z", commit, cwd=folder).stdout.split("\0")
        entries = [line.partition("\t") for line in listed if line]
        return tuple(path for head, _, path in entries if head.split()[2] in ids)

    def _no_such_ref(self, folder: Path, url: str, ref: str, done: Completed) -> UsageError:
        url = shlex.quote(hidden(url))
        names = self._branches(folder, "refs/tags")
        near = difflib.get_close_matches(ref, names, 1)
        more = f" and {len(names) - 6} more" if len(names) > 6 else ""
        return UsageError(
            "no-such-ref", f"the repository has no branch, tag or commit {ref!r}",
            why=f"it has {', '.join(names[:6]) or 'none'}{more}", evidence=done.last_lines(3),
            fix=f"devstack bootstrap {url} --ref {shlex.quote(near[0])}" if near
            else f"git ls-remote --heads --tags -- {url}",
        )

    def _branches(self, folder: Path, *more: str) -> list[str]:
        listed = self.ask("for-each-ref", "--format=%(refname)", "refs/remotes/origin", *more, cwd=folder).stdout
        names = [line.split("/", 3 if line.startswith("refs/remotes/") else 2)[-1] for line in listed.splitlines()]
        return [name for name in names if name != "HEAD"]

    def _sweep(self, parent: Path, name: str) -> None:
        """Remove what clones that were killed left beside `name`, and end those that go on by themselves."""
        # the numbers are matched whole: `shop-7` is another project than `shop`
        owned = re.compile(re.escape(f"{_TEMPORARY}{name}-") + r"(\d+)-(\d+(?:\.\d+)?)")
        with storage_errors(parent):
            found = [(left, owned.fullmatch(left.name)) for left in parent.iterdir()]
        for left, owner in found:
            if owner and not self.system.is_alive(Identity(int(owner[1]), owner[2])):
                for git in self.system.marked(_OWNER, f"{owner[1]}-{owner[2]}"):
                    self.system.signal(git, signal.SIGKILL)
                shutil.rmtree(left, ignore_errors=True)

    # --- how git is called -------------------------------------------------------------------------------------------

    def work(self, words: Sequence[str], cwd: Path | None, say: Say, *settings: str) -> Completed:
        """A git command that may take long; ended when it says nothing for too long. settings: more of `git -c`."""
        return self.system.run(
            [self.program(), *_options(*settings), *words], timeout=3600, stall=self.stall, env=self.env, cwd=cwd,
            on_line=say,
        )

    def ask(self, *words: str, cwd: Path) -> Completed:
        """A quick git command. Raises StorageError where git doesn't open the repository."""
        done = self.system.capture([self.program(), *_options(), *words], timeout=60, env=self.env, cwd=cwd)
        if done.returncode != 0 and DUBIOUS in done.output:
            raise not_yours(done)
        return done

    def program(self) -> str:
        if self._found is None:
            self._found = self.which("git")
        if self._found is None:
            raise PrerequisiteError(
                "git-missing", "git is not installed", why="a project is cloned with it",
                fix="brew install git" if sys.platform == "darwin" else "sudo apt-get install git",
            )
        return self._found

    def which(self, program: str) -> str | None:
        """A program outside of any project."""
        return self.system.which(program, self.env.get("PATH", ""))


def _options(*more: str) -> list[str]:
    return [word for setting in (*_SAFE, *more) for word in ("-c", setting)]


def _check_ref(ref: str | None) -> None:
    if ref is not None and (not ref or ref.startswith("-") or re.search(r"[ ~^:?*\[\\\x00-\x1f\x7f]|\.\.|@\{", ref)):
        raise UsageError("bad-ref", f"{ref!r} is no branch, tag or commit", fix="--ref main")


def _stall(text: str) -> float:
    """Seconds of silence that a download may have. Raises UsageError."""
    try:
        seconds = float(text or _STALL)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise UsageError(
            "bad-variable", f"DEVSTACK_STALL_TIMEOUT is {text!r}", why="wanted a number of seconds above 0",
            fix="export DEVSTACK_STALL_TIMEOUT=60",
        )
    return seconds
