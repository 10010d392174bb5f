"""Git: a project from its URL to a folder. Clones beside and renames, never prompts, never touches work in progress.

Runs nothing of the repository: no hooks, no submodules, no file-system monitor.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from devstack.detect.scrub import reaching
from devstack.errors import (
    ConflictError,
    DataError,
    DevstackError,
    NetworkError,
    PrerequisiteError,
    StorageError,
    UsageError,
)
from devstack.system import Completed, Identity, System, storage_errors

_TEMPORARY = ".devstack-tmp-"
_SCP = re.compile(r"[A-Za-z0-9_.-]+@[A-Za-z0-9_.-]+:[^:].*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SCHEMES = ("https://", "http://", "ssh://", "git://", "file://")
#: git -c …: nothing of the repository runs, nothing but known protocols is spoken
_SAFE = ("core.hooksPath=/dev/null", "core.fsmonitor=false", "protocol.ext.allow=never", "protocol.fd.allow=never")
_NETWORK = re.compile(
    r"could not resolve|connection (refused|timed out|reset)|unable to access|network is unreachable|timed out"
    r"|early eof|remote end hung up|the requested url returned error: 5", re.IGNORECASE,
)
_ACCESS = re.compile(
    r"authentication failed|could not read username|permission denied|terminal prompts disabled|access denied"
    r"|returned error: 40[13]", re.IGNORECASE,
)
_DUBIOUS = "dubious ownership"
#: the server has the repository, but not all of its objects
_DAMAGED = re.compile(r"^(?:remote: )?(?:fatal|error): .*(?:unable to read|pack-objects died).*", re.MULTILINE)
#: lines that only count up
_COUNTING = re.compile(r"(?:remote: )?[A-Z][a-z]+ [a-z]+: +\d+%")
#: what a URL may hold between `//` and `@`; never shown
_LOGIN = re.compile(r"(?<=://)[^/@\s]*:[^/\s]*@")
_TRIES = 3
_STALL = 60.0


@dataclass(frozen=True)
class Repository:
    """A repository to clone. url: as git gets it. name: of the folder it makes."""

    url: str
    name: str


def parse(text: str, base: Path) -> Repository:
    """What `bootstrap TEXT` means as a repository. Raises UsageError for anything git should not be asked for."""
    is_url = text.startswith(_SCHEMES)
    if not text or text.startswith("-") or ("::" in text and not is_url) or _CONTROL.search(text):
        raise _refused(text, "only https, http, ssh, git and file URLs, user@host:path and folders are cloned")
    is_remote = is_url or (_SCP.fullmatch(text) is not None and not (base / text).exists())
    if is_remote:
        # ssh would take a user or a host that begins with a dash for an option
        authority = re.split("/" if is_url else ":", text.partition("://")[2] or text, maxsplit=1)[0]
        if any(part.startswith("-") for part in authority.split("@")):
            raise _refused(text, "its user or host begins with a dash")
        url = text
    else:
        path = (base / Path(text).expanduser()).resolve()
        if not path.exists():
            raise UsageError(
                "no-repository", f"there is no repository at {text}", why=f"{path} does not exist and it is no git URL",
                fix="python3 bootstrap.py https://host/path/project.git",
            )
        url = str(path)
    name = re.split(r"[/:]", url.rstrip("/"))[-1].removesuffix(".git")
    if not name or name in (".", ".."):
        raise _refused(text, "no folder name can be made of it; give one with --into")
    return Repository(url, name)


class Git:
    """git, as safely as it can be asked."""

    def __init__(self, system: System) -> None:
        self._system = system
        kept = {"GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "GIT_SSH_COMMAND", "GIT_ASKPASS", "SSH_AUTH_SOCK"}
        self._env = {name: value for name, value in system.environ.items() if name in kept}
        self._env |= reaching(system.environ)
        self._env |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C.UTF-8"}
        self._env.setdefault("GIT_SSH_COMMAND", "ssh -oBatchMode=yes -oConnectTimeout=20")
        self._found: str | None = None

    def clone(self, url: str, destination: Path, ref: str | None, say: Callable[[str], None]) -> None:
        """A new checkout at `destination`, which must not exist. Complete or not there at all."""
        _check_ref(ref)
        parent = destination.parent
        with storage_errors(destination):
            parent.mkdir(parents=True, exist_ok=True)
        self._sweep(parent, destination.name)
        own = self._system.identity(os.getpid())
        start = own.start if own else "0"
        temporary = parent / f"{_TEMPORARY}{destination.name}-{os.getpid()}-{start}"
        try:
            for attempt in range(1, _TRIES + 1):
                done = self._clone_once(url, temporary, say)
                if done.returncode == 0:
                    break
                error = _clone_error(url, done)
                if attempt == _TRIES or error.id not in ("network-failed", "clone-stalled"):
                    raise error
                shutil.rmtree(temporary, ignore_errors=True)
                say(f"{error.why}; trying again ({attempt + 1} of {_TRIES})")
                self._system.pause(attempt)
            if ref is not None:
                self._switch(temporary, ref)
            with storage_errors(destination):
                if destination.is_dir() and not any(destination.iterdir()):
                    destination.rmdir()
                temporary.rename(destination)
                self._system.sync_folder(parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def is_checkout(self, folder: Path) -> bool:
        return (folder / ".git").exists()

    def remotes(self, folder: Path) -> tuple[str, ...]:
        """URLs that this checkout was cloned from or knows."""
        # `git config` alone says nothing of a repository that it doesn't open
        self._git("rev-parse", "--git-dir", cwd=folder)
        done = self._git("config", "--get-regexp", r"^remote\..*\.url$", cwd=folder)
        return tuple(line.split(" ", 1)[1] for line in done.stdout.splitlines() if " " in line)

    def is_dirty(self, folder: Path) -> bool:
        """Work that isn't committed (untracked files don't count: a checkout never overwrites them)."""
        done = self._git("status", "--porcelain", "--untracked-files=no", cwd=folder)
        if done.returncode != 0:
            raise DataError(
                "checkout-unreadable", f"git can't tell whether {folder} has changes", why=done.output.strip()[-300:],
                fix=f"git -C {folder} status",
            )
        return bool(done.stdout.strip())

    def revision(self, folder: Path) -> str | None:
        """The commit checked out, or None (an empty repository, or none)."""
        done = self._git("rev-parse", "--verify", "-q", "HEAD", cwd=folder)
        return done.stdout.strip() or None

    def update(self, folder: Path, ref: str, say: Callable[[str], None]) -> None:
        """Fetch and switch an existing checkout to `ref`. Raises DataError where that would touch uncommitted work."""
        _check_ref(ref)
        branch = self._git("rev-parse", "--abbrev-ref", "HEAD", cwd=folder).stdout.strip()
        wanted = self._git("rev-parse", "--verify", "-q", f"{ref}^{{commit}}", cwd=folder).stdout.strip()
        is_there = branch == ref or (bool(wanted) and wanted == self.revision(folder))
        if is_there and (branch != ref or self.is_dirty(folder)):
            # a commit or a tag doesn't move; a branch with work in progress is left to the person who works on it
            return
        if self.is_dirty(folder):
            raise DataError(
                "work-not-committed", f"{folder} has changes that aren't committed",
                why=f"switching to {ref} could touch them; nothing was changed", fix=f"git -C {folder} stash",
            )
        done = self._progress(["fetch", "--progress", "--", "origin"], folder, say)
        if done.returncode != 0 and is_there:
            say(f"{ref} stays as it is: {_clone_error(str(folder), done).why}")
            return
        if done.returncode != 0:
            raise _clone_error(str(folder), done)
        self._switch(folder, ref)
        tracked = self._git("rev-parse", "--abbrev-ref", "--symbolic-full-name", "@{u}", cwd=folder)
        if tracked.returncode == 0:
            self._git("merge", "--ff-only", "-q", cwd=folder)

    def exclude(self, folder: Path, line: str) -> None:
        """Keep a path out of `git status`, without touching a file of the project."""
        common = self._git("rev-parse", "--git-common-dir", cwd=folder).stdout.strip()
        if not common:
            return
        path = (folder / common / "info" / "exclude").resolve()
        # the person's own lines stay as they are, in whatever encoding
        text = self._system.read_bytes(path) or b""
        if line.encode() not in text.splitlines():
            with storage_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            gap = b"" if not text or text.endswith(b"\n") else b"\n"
            self._system.write(path, b"%b%b%b\n" % (text, gap, line.encode()), 0o644)

    def publish(self, source: Path, repository: Path) -> None:
        """A repository with one commit that holds the files of `source`; made beside, then renamed."""
        temporary = repository.with_name(f".{repository.name}.{os.getpid()}")
        shutil.rmtree(temporary, ignore_errors=True)
        with storage_errors(repository):
            ignored = shutil.ignore_patterns("__pycache__", ".devstack", ".venv", "*.pyc", ".*_cache")
            shutil.copytree(source, temporary, ignore=ignored)
        identity = ["-c", "user.name=devstack", "-c", "user.email=devstack@localhost", "-c", "commit.gpgsign=false"]
        for words in (["init", "-q", "-b", "main"], ["add", "-A"], [*identity, "commit", "-q", "-m", "The shop"]):
            done = self._git(*words, cwd=temporary)
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

    def _clone_once(self, url: str, temporary: Path, say: Callable[[str], None]) -> Completed:
        return self._progress(["clone", "--progress", "--no-recurse-submodules", "--", url, str(temporary)], None, say)

    def _switch(self, folder: Path, ref: str) -> None:
        done = self._git("checkout", "-q", ref, "--", cwd=folder)
        if done.returncode != 0:
            raise UsageError(
                "no-such-ref", f"the repository has no branch, tag or commit {ref!r}",
                why=done.output.strip()[-300:], fix=f"git -C {folder} branch -a",
            )

    def _progress(self, words: list[str], cwd: Path | None, say: Callable[[str], None]) -> Completed:
        """A git command that may take long; ended when it says nothing for a minute."""
        return self._system.run(
            [self._program(), *_options(), *words], timeout=3600, stall=_STALL, env=self._env, cwd=cwd, on_line=say
        )

    def _git(self, *words: str, cwd: Path) -> Completed:
        done = self._system.capture([self._program(), *_options(), *words], timeout=60, env=self._env, cwd=cwd)
        if done.returncode != 0 and _DUBIOUS in done.output:
            raise _not_yours(done)
        return done

    def _program(self) -> str:
        if self._found is None:
            self._found = self._system.which("git", self._env.get("PATH", ""))
        if self._found is None:
            raise PrerequisiteError(
                "git-missing", "git is not installed", why="a project is cloned with it",
                fix="sudo apt-get install git  (dnf install git, brew install git)",
            )
        return self._found

    def _sweep(self, parent: Path, name: str) -> None:
        """Remove what clones that were killed left beside `name`."""
        # the numbers are matched whole: `shop-7` is another project than `shop`
        owned = re.compile(re.escape(f"{_TEMPORARY}{name}-") + r"(\d+)-(\d+(?:\.\d+)?)")
        with storage_errors(parent):
            found = [(left, owned.fullmatch(left.name)) for left in parent.iterdir()]
        for left, owner in found:
            if owner and not self._system.is_alive(Identity(int(owner[1]), owner[2])):
                shutil.rmtree(left, ignore_errors=True)


def ensure_fits(git: Git, repository: Repository, destination: Path) -> bool:
    """Is this repository checked out at `destination` already? False: there is nothing, it can be cloned.

    Raises ConflictError where something else is there.
    """
    if not destination.exists() or (destination.is_dir() and not any(destination.iterdir())):
        return False
    if git.is_checkout(destination) and any(_same(url, repository.url) for url in git.remotes(destination)):
        return True
    what = "a checkout of another repository" if git.is_checkout(destination) else "something else"
    raise ConflictError(
        "folder-taken", f"{destination} is there already", why=f"it is {what}; nothing was touched",
        fix=f"python3 bootstrap.py {repository.url} --into OTHER-FOLDER",
    )


def _same(one: str, other: str) -> bool:
    return one.rstrip("/").removesuffix(".git") == other.rstrip("/").removesuffix(".git")


def _options() -> list[str]:
    return [word for setting in _SAFE for word in ("-c", setting)]


def _check_ref(ref: str | None) -> None:
    if ref is not None and (not ref or ref.startswith("-") or re.search(r"[ ~^:?*\[\\\x00-\x1f\x7f]|\.\.|@\{", ref)):
        raise UsageError("bad-ref", f"{ref!r} is no branch, tag or commit", fix="--ref main")


def _refused(text: str, why: str) -> UsageError:
    return UsageError(
        "url-refused", f"{text!r} is not cloned", why=why, fix="python3 bootstrap.py https://host/path/project.git"
    )


def _not_yours(done: Completed) -> StorageError:
    """git refuses a repository of another account; only its owner's word can change that."""
    found = re.search(r"repository at '(.+)'", done.output)
    place = found[1] if found else "it"
    return StorageError(
        "not-your-repository", f"git doesn't open {place}", why="it belongs to another user of this machine",
        fix=f"git config --global --add safe.directory {place}", evidence=done.last_lines(4),
    )


def _clone_error(url: str, done: Completed) -> DevstackError:
    url = _LOGIN.sub("***@", url)
    lines = [_LOGIN.sub("***@", line) for line in done.last_lines(12) if not _COUNTING.match(line)]
    said = "\n".join(lines)
    last = tuple(line for line in lines[-8:] if line.strip())
    why = next((line for line in reversed(last) if line.startswith(("fatal:", "error:"))), last[-1] if last else "")
    if done.timed_out:
        return NetworkError(
            "clone-stalled", f"{url} stopped sending", why=f"nothing came for {_STALL:.0f} s", evidence=last,
            fix=f"git ls-remote -- {url}",
        )
    if "checkout failed" in said:
        return DataError(
            "checkout-failed", f"{url} was cloned but can't be checked out", why=why, evidence=last,
            fix=f"git clone --no-checkout -- {url}",
        )
    if _DUBIOUS in said:
        return _not_yours(done)
    if damaged := _DAMAGED.search(said):
        return DataError(
            "repository-damaged", f"{url} is damaged where it lies: it can't send all of its objects",
            why=damaged[0], evidence=last, fix=f"git clone --depth 1 -- {url}",
        )
    if re.search(r"no space left|disk quota", said, re.IGNORECASE):
        return StorageError("disk-full", f"{url} can't be cloned", why=why, fix="df -h .", evidence=last)
    name, what = "repository-not-found", "can't be cloned"
    if _ACCESS.search(said):
        name, what = "access-denied", "needs a log-in"
    elif _NETWORK.search(said):
        name, what = "network-failed", "can't be reached"
    return NetworkError(name, f"{url} {what}", why=why, evidence=last, fix=f"git ls-remote -- {url}")
