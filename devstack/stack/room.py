"""Is there room for a plan? Asked before its first step, so that a machine that is too small says so at once.

The needs are lower bounds: below them the steps are sure to fail; above them a failing step says it itself.
"""

from __future__ import annotations

from pathlib import Path

from devstack.errors import PrerequisiteError, StorageError
from devstack.plan import FetchServer, InstallPackages, Plan, StartProgram
from devstack.services import kind_of
from devstack.stack.observe import Seen, Tools

_MB = 1_000_000
#: a server's archive beside what is unpacked of it
_SERVER = 150 * _MB
#: of packages to install; Django alone has 50 MB
_PACKAGES = 30 * _MB
_SHELL = 50 * _MB


def ensure_room(plan: Plan, tools: Tools, seen: Seen) -> None:
    """Raises PrerequisiteError for too little memory, StorageError for too little disk."""
    _ensure_memory(plan, tools)
    fetched = sum(isinstance(step.action, FetchServer) for step in plan.steps)
    _ensure_disk(tools, tools.places.cache, fetched * _SERVER, "servers")
    installs = any(isinstance(step.action, InstallPackages) for step in plan.steps)
    if installs and seen.python is not None and seen.python.plan.steps:
        _ensure_disk(tools, tools.project.root, _PACKAGES, "the environment")


def _ensure_memory(plan: Plan, tools: Tools) -> None:
    services = tools.profile.services
    starts = [
        step.action.service for step in plan.steps if isinstance(step.action, StartProgram) and step.action.service
    ]
    need = sum(kind_of(name, services[name]).memory_mb for name in starts) * _MB
    if not need:
        return
    need += _SHELL
    free = tools.system.available_memory()
    if free is not None and free < need:
        raise PrerequisiteError(
            "memory-low", f"{', '.join(starts)} won't fit into this machine's memory",
            why=f"they need {need // _MB} MB at least, {free // _MB} MB are free",
            fix="free  (and end what isn't needed)",
        )


def _ensure_disk(tools: Tools, folder: Path, need: int, what: str) -> None:
    if not need:
        return
    there = next(place for place in (folder, *folder.parents) if place.exists())
    free = tools.system.free_disk(there)
    if free < need:
        raise StorageError(
            "disk-low", f"there is too little room for {what} in {folder}",
            why=f"{need // _MB} MB are needed at least, {free // _MB} MB are free", fix=f"df -h {there}",
        )
