"""Gathers what `doctor` judges by: looks at everything, changes nothing, and takes what looking raises as a fact."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from devstack import system_packages
from devstack.contained import container_name, service_container
from devstack.doctor import Facts
from devstack.errors import DataError, DevstackError, ProcessError
from devstack.plan import Plan, Up
from devstack.room import shortage
from devstack.runtimes.engine_clock import clock
from devstack.services import damage_told
from devstack.stack import Stack, guards, unfit
from devstack.stack.observe import Seen
from devstack.stack.observe_services import ensure_placed
from devstack.stack.status import status_of
from devstack.stack.store import holder, is_readable
from devstack.state import parse
from devstack.system import System

#: seconds that one answer is waited for: a doctor is quick
_PATIENCE = 1.5
#: lines of a log in which a cause is looked for
_SEARCHED = 200


def machine(system: System, folder: Path) -> Facts:
    """What can be said outside of a project."""
    return Facts(
        has_git=shutil.which("git", path=system.environ.get("PATH")) is not None,
        free_disk=_free(system, folder), memory=system.available_memory(),
    )


def examine(stack: Stack) -> Facts:
    """Everything about one stack, in one look: servers that hang are waited for once."""
    errors: list[DevstackError] = []
    lost, folder = _lost(stack), stack.project.folder
    seen = _seen(stack, errors)
    plan = _planned(stack, seen, errors) if seen else None
    errors += (*_environment(stack, seen), *_damaged(stack, seen)) if seen else ()
    base, busy = machine(stack.system, stack.project.root), holder(stack.system, stack.project)
    state = seen.state if seen else None
    is_down = state is not None and status_of(stack.profile, state, "").stack.state == "down"
    services = state.services.items() if state else ()
    return Facts(
        errors, plan, is_down, not state or stack.gate.is_open, base.has_git,
        f"pid {busy.pid}: {busy.command}" if busy else "", (folder / "state.damaged.json").exists(),
        base.free_disk, base.memory, _size(stack.system, stack.project.trash), *_engine_clock(stack),
        shortage=shortage(str(folder)), lost=lost,
        has_ended=is_down and state is not None and not state.supervisor.orphans and _was_up(stack),
        silent=frozenset((
            *(name for name, service in services if service.probe and service.probe.is_silent),
            *(name for name, answer in (state.replicas.items() if state else ()) if answer.is_silent),
        )),
        unfit=frozenset(name for name, service in services if service.probe and service.probe.needs_start),
        resting=frozenset(name for name, now in (state.live.items() if state else ()) if not now.is_running),
    )  # fmt: skip


def _seen(stack: Stack, errors: list[DevstackError]) -> Seen | None:
    """All that there is; what runs, where more can't be said."""
    try:
        ensure_placed(stack.tools_for(stack.profile), stack.record)
        return stack.observe(patience=_PATIENCE)
    except DevstackError as error:
        errors.append(error)
    try:
        return stack.observe(light=True, patience=_PATIENCE)
    except DevstackError:
        return None


def _environment(stack: Stack, seen: Seen) -> Iterator[DevstackError]:
    """What a look at every file of an environment finds that passes for a sound one."""
    tools = stack.tools_for(stack.profile)
    if seen.python and seen.python.state.is_built and (damage := tools.python.damage(seen.python)):
        what = "the environment is damaged"
        yield ProcessError("environment-damaged", what, why=damage, fix="devstack reset --env")


def _damaged(stack: Stack, seen: Seen) -> Iterator[DevstackError]:
    """What the last words of servers that don't stay up say of their data."""
    for name, service in seen.state.services.items():
        now = seen.state.live.get(name)
        if now is None or (service.probe and service.probe.ok) or not (now.restarts or now.exit_status or now.reason):
            continue
        is_ours = service.runtime == "native"
        lines = (
            seen.supervisor.last_lines(name, _SEARCHED, 1 + now.restarts) if is_ours
            else stack.containers.engine.last_lines(container_name(seen.state.stack, name), _SEARCHED)
        )
        words = "\n".join(lines)
        error: DevstackError | None = None
        if said := damage_told(name, service.instance.declaration, words):
            why, fix = said
            error = DataError("data-damaged", f"the data of {name} is damaged", why=why, fix=fix)
        elif not is_ours:
            wanted = service_container(stack.profile, seen.state, service)
            error = unfit.refusal(stack.containers.engine, seen.state, wanted, words)
        if error is not None:
            error.step = f"{name}:start"
            yield error


def _lost(stack: Stack) -> frozenset[str]:
    """Ids for files that the stack can't have been up without, and that can't be read as what they are."""
    project, found = stack.project, set[str]()
    was_up = any((project.folder / name).exists() for name in ("data", "secrets.json", "supervisord.conf"))
    text = stack.system.read(project.record)
    if was_up and text is None:
        found.add("state-lost")
    try:
        if text is not None and parse(text) is None:
            found.add("state-damaged")
        # each has a password, used or not
        has_secrets = any(name in stack.record.runtimes for name in stack.profile.services)
    except DevstackError:
        return frozenset(found)
    if has_secrets and not is_readable(stack.system, project.secrets):
        found.add("secrets-lost")
    return frozenset(found)


def _was_up(stack: Stack) -> bool:
    """Whoever takes a stack down takes this file away."""
    return Path(stack.layout().supervisor_record).exists()


def _engine_clock(stack: Stack) -> tuple[float, str]:
    """Seconds that the engine's clock is ahead, and the system it runs on; of a stack that has containers."""
    try:
        if "docker" in stack.record.runtimes.values() and (found := clock(stack.containers.engine)):
            return found.ahead, found.machine
    except DevstackError:
        # what there is to say of an engine that doesn't answer is said by who needs it
        pass
    return 0.0, ""


def _planned(stack: Stack, seen: Seen, errors: list[DevstackError]) -> Plan | None:
    """What `up` would do, and whether it could begin; None where that can't be said."""
    if errors:
        return None
    try:
        plan = stack.planned(seen, Up())
    except DevstackError as error:
        errors.append(error)
        return None
    tools = stack.tools_for(stack.profile)
    guarding: tuple[Callable[[], None], ...] = (
        lambda: system_packages.ensure(seen.state.python),
        lambda: guards.ensure_usable(plan, tools, seen),
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
