"""What a checkout still lacks, submodules and large files: seen, and got before anything else is looked at.

What a stack needs is read from the project's files, so those come first: where something is missing, an `up` gets it,
then observes and plans the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from devstack import evidence
from devstack.actions import Action, GetSubmodules, PullLargeFiles
from devstack.checkout import Git, large_files, submodules
from devstack.errors import NetworkError
from devstack.executor import Performer, Report
from devstack.plan import Plan
from devstack.profile.model import Project
from devstack.state import Parts
from devstack.system import System


def observe_parts(system: System, root: Path, project: Project) -> Parts:
    """What is missing, without asking the network. Raises StorageError where git doesn't open the checkout."""
    wanted, pointers = submodules.Wanted(), tuple[str, ...]()
    # what git answers is read off these files; a checkout with neither part never asks it
    if project.submodules and submodules.has_any(root):
        with evidence.unheard():
            git = Git(system)
            wanted, sources = submodules.missing(git, root), submodules.sources(git, root)
        _depend_on(sources)
    if project.lfs and large_files.has_any(system, root):
        with evidence.unheard():
            git = Git(system)
            pointers, sources = large_files.pointers(git, root), large_files.sources(git, root)
        _depend_on(sources)
    return Parts(wanted.paths, wanted.moved, pointers, wanted.warnings)


def ensure_reachable(plan: Plan, *, offline: bool) -> None:
    """Raises NetworkError where what a checkout lacks may not be fetched."""
    if offline:
        raise NetworkError(
            "offline-missing", "this checkout lacks what can't be fetched offline",
            why="; ".join(step.cause for step in plan.steps), fix="devstack up  (with the network)",
        )


def _depend_on(sources: Iterable[Path]) -> None:
    for path in sources:
        evidence.timed(str(path))


def performers(system: System, root: Path) -> Mapping[type[Action], Performer]:
    """The actions that complete a checkout."""
    git = Git(system)

    def get(action: GetSubmodules, report: Report) -> None:
        submodules.get(git, root, action.paths, report.say, report.tell)

    def pull(action: PullLargeFiles, report: Report) -> None:
        large_files.pull(git, root, action.paths, report.say)

    return {GetSubmodules: get, PullLargeFiles: pull}
