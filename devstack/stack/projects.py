"""The first of a bootstrap's two plans: a project from what was typed to a folder."""

from __future__ import annotations

import hashlib
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from devstack import __version__
from devstack.actions import Clone
from devstack.checkout import Git, Repository, ensure_fits, parse
from devstack.checkout.address import hidden
from devstack.checkout.git import Read, Wish, ignore
from devstack.errors import NetworkError, UsageError
from devstack.executor import Executor, Journal, Progress, Report
from devstack.plan import CheckedOut, Plan
from devstack.planner import checkout
from devstack.profile import source
from devstack.profile.model import Project
from devstack.resources import shared
from devstack.stack.paths import PROFILE, find_root, places
from devstack.stack.sources import read_profile
from devstack.system import System

DEMO = "demo"


@dataclass(frozen=True)
class Wanted:
    """What was typed. repository: "" where it was left out. here: the folder it was typed in. profile: as given with
    `--profile`."""

    repository: str
    here: Path
    into: Path | None = None
    ref: str | None = None
    profile: str = ""
    offline: bool = False


@dataclass(frozen=True)
class CheckedOutProject:
    """is_new: cloned just now. is_shipped: devstack's own demo, which needs nobody's trust. journal: of the cloning."""

    root: Path
    is_new: bool
    is_shipped: bool
    journal: Path | None = None


def check_out(system: System, wanted: Wanted, progress: Callable[[Plan], Progress]) -> CheckedOutProject:
    """The project's folder, cloned if it isn't there. Raises UsageError, ConflictError, NetworkError, DataError."""
    declared = _declared(wanted)
    wanted = replace(wanted, repository=wanted.repository or _left_out(wanted, declared))
    if _is_here(wanted):
        start = (wanted.here / wanted.repository).resolve()
        return CheckedOutProject(_root(start), is_new=False, is_shipped=False)
    git = Git(system)
    is_shipped = wanted.repository == DEMO
    repository = _demo(system, git) if is_shipped else parse(wanted.repository, wanted.here)
    into = wanted.into if wanted.into is not None else Path(repository.name)
    destination = (wanted.here / into.expanduser()).resolve()
    exists = ensure_fits(git, repository, destination)
    if not exists and wanted.offline and not Path(repository.url).exists():
        raise NetworkError(
            "offline", f"{repository.url} is not on this machine", why="--offline forbids to clone it",
            fix=f"devstack bootstrap {shlex.quote(hidden(repository.url))}",
        )
    goal = CheckedOut(repository.url, str(destination), wanted.ref or declared.ref, exists, declared.sparse)
    plan = checkout(goal)
    with progress(plan) as shown:

        def clone(action: Clone, report: Report) -> None:
            wish = Wish(action.ref, action.sparse, declared_sparse, wanted.profile)
            git.clone(action.url, Path(action.destination), wish, report.say, report.tell)

        journal = _journal(system)
        Executor(system, {Clone: clone}, shown, journal).execute(plan)
    if exists and wanted.ref is not None:
        git.update(destination, wanted.ref, ignore)
    return CheckedOutProject(
        destination, is_new=not exists, is_shipped=is_shipped, journal=None if exists else journal.path
    )


def declared_sparse(read: Read) -> tuple[str, ...]:
    """`[project] sparse` of a repository that isn't checked out yet. What is wrong with its profile is told later."""
    try:
        if (text := read(PROFILE)) is not None:
            tables = source.parse(source.SourceFile(PROFILE, text, "project"))
        else:
            file = source.SourceFile("pyproject.toml", read("pyproject.toml") or "", "project")
            own = source.from_pyproject(file)
            tables = source.parse(own) if own else {}
        return Project.model_validate(tables.get("project", {})).sparse
    except (UsageError, ValueError):
        return ()


def _left_out(wanted: Wanted, declared: Project) -> str:
    """No repository was named: this folder, or what the profile given says where this folder is no project."""
    if declared.repo is None or (wanted.here / ".git").exists():
        return "."
    try:
        find_root(wanted.here)
    except UsageError:
        return declared.repo
    return "."


def _declared(wanted: Wanted) -> Project:
    """`[project]` of the profile given."""
    if not wanted.profile:
        return Project()
    # a local file beside the profile of the folder that this is typed in is another project's
    root = wanted.here / (wanted.into or wanted.repository.rpartition("/")[2] or "project")
    return read_profile(root, wanted.profile).loaded.profile.project


def _is_here(wanted: Wanted) -> bool:
    """`.`, or a folder that is a project already and isn't asked to be cloned elsewhere, or a checkout that lies just
    where its clone would go."""
    if wanted.repository == DEMO or wanted.into is not None or "://" in wanted.repository:
        return False
    if wanted.repository.startswith("-"):
        return False
    path = wanted.here / Path(wanted.repository).expanduser()
    is_in_place = (path / ".git").exists() and path.resolve().parent == wanted.here.resolve()
    return wanted.repository == "." or (path / ".devstack").is_dir() or is_in_place


def _root(start: Path) -> Path:
    try:
        return find_root(start)
    except UsageError:
        # no profile yet: `--profile` may bring one
        return start


def _demo(system: System, git: Git) -> Repository:
    """The shipped shop as a git repository, made once per version of it."""
    source = shared("examples") / "shop"
    content = hashlib.sha256(__version__.encode())
    for path in system.matching(source, ["**/*"]):
        content.update(f"{path.relative_to(source)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    folder = system.private_folder(places(system).cache / "demo" / content.hexdigest()[:16])
    repository = folder / "shop"
    if not repository.exists():
        git.publish(source, repository)
    return Repository(str(repository), "shop")


def _journal(system: System) -> Journal:
    folder = system.private_folder(places(system).state / "journal")
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(system.now()))
    return Journal(system, folder / f"{stamp}-checkout-{system.process_id()}.jsonl")
