"""Submodules: which are missing, and getting them once the project is trusted.

What `.gitmodules` says is somebody else's text: every entry is checked before git is asked, and git itself is told to
run no hook, no `update` command of a configuration, and to open no folder of this machine that a remote project names.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from devstack.checkout.address import fault_of, hidden, is_local
from devstack.checkout.failures import clone_error
from devstack.checkout.git import Git, Say
from devstack.errors import DataError, DevstackError, NetworkError, UsageError
from devstack.system import Completed

#: submodules of submodules, and so on: no project has more, a hostile one could have any number
MAX_DEPTH = 6
_TRIES = 3
_GITLINK = "160000"
_ENTRY = re.compile(r"submodule\.(?P<name>.+)\.(?P<key>path|url|update)", re.DOTALL)


@dataclass(frozen=True)
class Submodule:
    """One entry of `.gitmodules`; `url` as it is written there."""

    name: str
    path: str
    url: str


@dataclass(frozen=True)
class Wanted:
    """paths: of submodules that aren't there. moved: of those that stand where an earlier commit of the project had
    them. warnings: about those that are left to the person who works on them."""

    paths: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def missing(git: Git, root: Path, depth: int = 1) -> Wanted:
    """Submodules that should be checked out, those of submodules that are there too."""
    if depth > MAX_DEPTH or not has_any(root):
        return Wanted()
    paths, moved, warnings = list[str](), list[str](), list[str]()
    for path, commit in _links(git, root).items():
        folder = root / path
        if not (folder / ".git").exists():
            if _is_wanted(git, root, path) and not _is_filled(folder):
                paths.append(path)
            continue
        now = git.revision(folder)
        if now == commit:
            below = missing(git, folder, depth + 1)
            paths += [f"{path}/{inner}" for inner in below.paths]
            moved += [f"{path}/{inner}" for inner in below.moved]
            warnings += below.warnings
        elif now is None or _is_untouched(git, folder):
            moved.append(path)
        else:
            warnings.append(f"submodule {path} is at {now[:10]}, the project wants {commit[:10]}")
    return Wanted(tuple(paths), tuple(moved), tuple(warnings))


def has_any(root: Path) -> bool:
    return (root / ".gitmodules").is_file() and (root / ".git").exists()


def sources(git: Git, root: Path, depth: int = 1) -> tuple[Path, ...]:
    """Files that the answer of `missing` is read from."""
    if depth > MAX_DEPTH or not git.is_checkout(root):
        return (root / ".git", root)
    found = [root / ".git", root / ".gitmodules"]
    for folder in git.folders(root):
        found += [folder / name for name in ("HEAD", "index", "config", "packed-refs", "refs/heads")]
        # a branch that somebody works on
        head = (git.system.read(folder / "HEAD") or "").strip().removeprefix("ref: ")
        found.append(folder / head)
    for path in _links(git, root) if has_any(root) else ():
        found += sources(git, root / path, depth + 1)
    return tuple(found)


def get(git: Git, root: Path, paths: tuple[str, ...], say: Say, warn: Say) -> None:
    """Check these submodules out, and theirs. Raises UsageError, NetworkError, DataError naming the one that fails."""
    for path in paths:
        inside, rest, depth = root, path, 1
        while rest not in (links := _links(git, inside)):
            outer = next((link for link in links if rest.startswith(f"{link}/")), None)
            if outer is None:
                break
            inside, rest, depth = inside / outer, rest.removeprefix(f"{outer}/"), depth + 1
        _get(git, (root, inside), (rest,), say, warn, depth)


def _get(git: Git, roots: tuple[Path, Path], paths: tuple[str, ...], say: Say, warn: Say, depth: int) -> None:
    """roots: the project's, and the one that these submodules are directly in."""
    project, inside = roots
    declared = {one.path: one for one in _declared(git, inside)}
    for path in paths:
        shown = str((inside / path).relative_to(project))
        say(f"submodule {shown}")
        if depth > MAX_DEPTH:
            raise DataError(
                "submodules-too-deep", f"submodule {shown} is nested more than {MAX_DEPTH} deep",
                why="such a project isn't got without a person's decision", fix=_by_hand(project, shown, deep=True),
            )
        one = declared.get(path)
        if one is None:
            raise UsageError(
                "submodule-undeclared", f"submodule {shown} has no entry in .gitmodules", why="so it has no URL",
                fix=f"git -C {shlex.quote(str(inside))} rm --cached -- {shlex.quote(path)}",
            )
        _get_one(git, roots, one, say, warn)
        for link in _links(git, inside / path):
            if not (inside / path / link / ".git").exists():
                _get(git, (project, inside / path), (link,), say, warn, depth + 1)


def _get_one(git: Git, roots: tuple[Path, Path], one: Submodule, say: Say, warn: Say) -> None:
    project, inside = roots
    shown = str((inside / one.path).relative_to(project))
    parent = _origin(git, inside)
    ensure_safe(one, shown, parent, project)
    # a folder of this machine may be opened where the project itself came from this machine
    allow = "always" if is_local(parent) else "user"
    words = ["submodule", "update", "--init", "--checkout", "--progress", "--", one.path]
    for attempt in range(1, _TRIES + 1):
        done = git.work(words, inside, say, f"protocol.file.allow={allow}")
        if done.returncode == 0 and (inside / one.path / ".git").exists():
            return
        error = _failed(git, project, shown, one, done)
        if attempt == _TRIES or error.id != "submodule-unreachable":
            raise error
        warn(f"submodule {shown}: {error.why}; trying again ({attempt + 1} of {_TRIES})")
        git.system.pause(attempt)


def ensure_safe(one: Submodule, shown: str, parent: str, project: Path) -> None:
    """parent: URL of what the submodule belongs to. Raises UsageError for an entry that git isn't asked for."""
    is_relative = one.url.startswith(("./", "../"))
    fault = ""
    if "\\" in one.path or PurePosixPath(one.path).is_absolute() or ".." in PurePosixPath(one.path).parts:
        fault = "its path leaves the project"
    elif any(ord(character) < 32 or ord(character) == 127 for character in one.name + one.path + one.url):
        fault = "it has a control character"
    elif one.path.startswith("-") or ".." in PurePosixPath(one.name).parts or not one.url:
        fault = "its name, path or URL is none"
    elif not is_relative and (fault := fault_of(one.url)):
        pass
    elif not is_relative and is_local(one.url) and not is_local(parent):
        fault = "it names a folder of this machine, and the project comes from elsewhere"
    if fault:
        raise UsageError(
            "submodule-refused", f"submodule {shown!r} is not fetched from {hidden(one.url)!r}", why=fault,
            fix="submodules = false below [project]",
        )


def _failed(git: Git, project: Path, shown: str, one: Submodule, done: Completed) -> DevstackError:
    cause = clone_error(one.url, done, git.stall)
    kind = type(cause)
    names = {
        "network-failed": "submodule-unreachable", "clone-stalled": "submodule-unreachable",
        "access-denied": "submodule-needs-login",
    }
    fix = cause.fix if cause.id == "access-denied" else _by_hand(project, shown)
    what = f"submodule {shown} can't be got from {hidden(one.url)}"
    if not isinstance(cause, NetworkError):
        return kind(cause.id, what, why=cause.why, evidence=cause.evidence, fix=fix)
    return NetworkError(names.get(cause.id, "submodule-failed"), what, why=cause.why, evidence=cause.evidence, fix=fix)


def _by_hand(project: Path, shown: str, *, deep: bool = False) -> str:
    more = " --recursive" if deep else ""
    return f"git -C {shlex.quote(str(project))} submodule update --init{more} -- {shlex.quote(shown)}"


def _links(git: Git, root: Path) -> dict[str, str]:
    """Path → commit of every submodule that the index has."""
    listed = git.ask("ls-files", "--stage", "-z", cwd=root).stdout.split("\0")
    entries = [line.partition("\t") for line in listed if line.startswith(f"{_GITLINK} ")]
    return {path: head.split()[1] for head, _, path in entries}


def _declared(git: Git, root: Path) -> list[Submodule]:
    listed = git.ask("config", "--no-includes", "-z", "-f", ".gitmodules", "--list", cwd=root).stdout.split("\0")
    found: dict[str, dict[str, str]] = {}
    for line in listed:
        key, _, value = line.partition("\n")
        if match := _ENTRY.fullmatch(key):
            found.setdefault(match["name"], {})[match["key"]] = value
    return [Submodule(name, keys.get("path", ""), keys.get("url", "")) for name, keys in found.items()]


def _origin(git: Git, root: Path) -> str:
    """Where a checkout came from; its own folder, where it came from nowhere."""
    found = git.ask("config", "--get", "remote.origin.url", cwd=root).stdout.strip()
    return found or str(root)


def _is_wanted(git: Git, root: Path, path: str) -> bool:
    """Left out by a sparse checkout, or switched off by the person, it isn't missing."""
    names = {one.path: one.name for one in _declared(git, root)}
    active = git.ask("config", "--get", f"submodule.{names.get(path, path)}.active", cwd=root).stdout.strip()
    update = git.ask("config", "--get", f"submodule.{names.get(path, path)}.update", cwd=root).stdout.strip()
    skipped = git.ask("ls-files", "-t", "-z", "--", path, cwd=root).stdout.startswith("S ")
    return active != "false" and update != "none" and not skipped


def _is_filled(folder: Path) -> bool:
    """Somebody put files there without git."""
    return folder.is_dir() and any(folder.iterdir())


def _is_untouched(git: Git, folder: Path) -> bool:
    """Nobody works in it: on no branch, nothing changed, and at a commit that its remote has."""
    is_detached = git.ask("symbolic-ref", "-q", "HEAD", cwd=folder).returncode != 0
    known = git.ask("for-each-ref", "--count=1", "--contains", "HEAD", "refs/remotes", "refs/tags", cwd=folder)
    return is_detached and bool(known.stdout.strip()) and not git.is_dirty(folder)
