"""Gathers what `doctor` judges by: looks at everything, changes nothing, and takes what looking raises as a fact."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from devstack import system_packages
from devstack.doctor import Facts
from devstack.errors import DevstackError
from devstack.plan import Plan, Up
from devstack.runtimes.engine_clock import clock
from devstack.stack import Stack, guards
from devstack.stack.observe_services import ensure_placed
from devstack.system import System


def machine(system: System, folder: Path) -> Facts:
    """What can be said outside of a project."""
    return Facts(
        has_git=shutil.which("git", path=system.environ.get("PATH")) is not None,
        free_disk=_free(system, folder), memory=system.available_memory(),
    )


def examine(stack: Stack) -> Facts:
    """Everything about one stack."""
    errors: list[DevstackError] = []
    plan, is_down, busy, is_trusted = None, False, "", True
    try:
        status = stack.status()
        is_down = status.stack.state == "down"
        busy = f"pid {status.busy.pid}: {status.busy.command}" if status.busy else ""
        is_trusted = stack.gate.is_open
    except DevstackError as error:
        errors.append(error)
    else:
        plan = _planned(stack, errors)
    base, folder = machine(stack.system, stack.project.root), stack.project.folder
    return Facts(
        errors, plan, is_down, is_trusted, base.has_git, busy, (folder / "state.damaged.json").exists(),
        base.free_disk, base.memory, _size(stack.system, stack.project.trash), *_engine_clock(stack),
    )


def _engine_clock(stack: Stack) -> tuple[float, str]:
    """Seconds that the engine's clock is ahead, and the system it runs on; of a stack that has containers."""
    try:
        if "docker" in stack.record.runtimes.values() and (found := clock(stack.containers.engine)):
            return found.ahead, found.machine
    except DevstackError:
        # what there is to say of an engine that doesn't answer is said by who needs it
        pass
    return 0.0, ""


def _planned(stack: Stack, errors: list[DevstackError]) -> Plan | None:
    """What `up` would do, and whether it could begin."""
    try:
        tools = stack.tools_for(stack.profile)
        ensure_placed(tools, stack.record)
        seen = stack.observe()
        plan = stack.planned(seen, Up())
    except DevstackError as error:
        errors.append(error)
        return None
    guarding: tuple[Callable[[], None], ...] = (
        lambda: system_packages.ensure(seen.state.python),
        lambda: guards.ensure_possible(plan, tools, seen, offline=False),
    )
    for ensure in guarding:
        try:
            ensure()
        except DevstackError as error:
            errors.append(error)
    return plan


def _free(system: System, folder: Path) -> int | None:
    try:
        return system.free_disk(folder)
    except (DevstackError, OSError):
        return None


def _size(system: System, folder: Path) -> int:
    try:
        return system.tree_size(folder)
    except OSError:
        return 0
