"""`reset`, graded: said before anybody agrees, and done: everything, one service, what waits in queues."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from devstack.errors import UsageError
from devstack.plan import Down, Up, few
from devstack.services import kind_of
from devstack.snapshots import BEFORE
from devstack.stack import Stack, discarding, undoing
from devstack.stack.brokers import queues
from devstack.stack.guards import is_usable
from devstack.stack.options import Run
from devstack.stack.sizes import sizes
from devstack.stack.snapshotting import Snapshotting

_WHOLE = f"{BEFORE}reset"
_QUEUES = f"{BEFORE}queues"


@dataclass(frozen=True)
class Grade:
    """What is asked for. service: whose data alone, "" for all. anew: whatever snapshots there are."""

    data: bool = True
    queues: bool = False
    environment: bool = False
    anew: bool = False
    service: str = ""


@dataclass(frozen=True)
class Step:
    """What becomes of data. seeded: the snapshot that it goes back to, "" for empty. services: () for all. before: the
    snapshot that keeps what is there, "" for the trash."""

    seeded: str = ""
    services: tuple[str, ...] = ()
    before: str = ""


class Resetting:
    """One reset, decided when it is made."""

    def __init__(self, snapshotting: Snapshotting, grade: Grade) -> None:
        self._snapshotting = snapshotting
        self._grade = grade
        self._stack: Stack = snapshotting.stack
        self._step = self._decide()

    def preview(self) -> str:
        """What goes, and where it is kept. One sentence."""
        said = [*self._of_data()]
        if self._grade.environment:
            said.append("the virtual environment is built anew; the old one goes to the trash")
        text = "; ".join(said)
        return f"{text[:1].upper()}{text[1:]}."

    def perform(self) -> Run:
        """Ends with the stack up and ready. Nobody else has it meanwhile."""
        with self._stack.hold():
            return self._perform()

    def _perform(self) -> Run:
        stack, step, snapshotting = self._stack, self._step, self._snapshotting
        listener, show = snapshotting.listener, snapshotting.show
        if self._grade.environment:
            stack.down(Down(), listener, show)
            with stack.at_work() as tools:
                undoing.retire_environment(tools)
        run = None
        if step is None:
            pass
        elif step.seeded:
            run = snapshotting.restore(step.seeded, step.before, step.services)
        elif step.before:
            run = snapshotting.empty(step.services, step.before, queues=self._grade.queues)
        elif step.services:
            stack.down(Down(), listener, show)
            with stack.at_work() as tools:
                for service in step.services:
                    discarding.discard(tools, stack.profile, service)
        else:
            stack.down(Down(volumes=True), listener, show)
        return run or stack.up(Up(name="reset"), listener, show)

    def _decide(self) -> Step | None:
        grade, profile = self._grade, self._stack.profile
        if grade.service:
            _ensure_declared(self._stack, grade.service)
        if grade.queues:
            found = [name for name in queues(profile) if grade.service in ("", name)]
            if not found:
                raise _no_queues(self._stack.project.root, grade.service)
            return Step("", tuple(found), _QUEUES)
        if not grade.data:
            return None
        unusable = _unusable(self._stack)
        is_lost = grade.service in unusable if grade.service else bool(unusable)
        seeded = "" if grade.anew or is_lost else self._snapshotting.seeded()
        if not grade.service:
            return Step(seeded, (), _WHOLE if seeded else "")
        service = grade.service
        before = f"{_WHOLE}-{service}"[:40].rstrip("-_")
        if seeded and service in self._snapshotting.snapshots.get(seeded).services:
            return Step(seeded, (service,), before)
        copies = kind_of(service, profile.services[service]).copies
        can_be_kept = not grade.anew and service not in unusable and copies is not None
        return Step("", (service,), before if can_be_kept else "")

    def _of_data(self) -> tuple[str, ...]:
        step, name = self._step, self._stack.name
        if step is None:
            return ()
        where = f"becomes the snapshot {step.before}" if step.before else "goes to the trash"
        where = f"as it is now it {where}"
        if self._grade.queues:
            parts = queues(self._stack.profile)
            which = ", ".join(f"{service} ({_named(parts[service])})" for service in step.services)
            return (f"what waits in the queues of {which} goes; {where}",)
        known = sizes(self._stack.tools_for(self._stack.profile))
        names = step.services or tuple(known)
        total = sum(known.get(one, 0) for one in names)
        size = f" ({total / 1e6:.1f} MB)" if total else ""
        of = few(step.services) if step.services else name
        if step.seeded:
            return (f"all data of {of}{size} goes back to the snapshot {step.seeded}; {where}",)
        return (f"all data of {of}{size} is made anew; {where}",)


def _unusable(stack: Stack) -> frozenset[str]:
    """Services that can't be asked for a copy of their data: it is damaged, or they run and don't answer."""
    tools, state = stack.tools_for(stack.profile), stack.observe(light=True).state
    is_up = any(now.is_running for now in state.live.values())
    return frozenset(
        name for name, service in state.services.items()
        if not is_usable(tools, service) or (is_up and service.has_data and not (service.probe and service.probe.ok))
    )


def _named(parts: tuple[str, ...]) -> str:
    return ", ".join(f"database {part}" if part.isdecimal() else part for part in parts)


def _ensure_declared(stack: Stack, service: str) -> None:
    names = tuple(stack.profile.services)
    if service not in names:
        near = difflib.get_close_matches(service, names, 1)
        raise UsageError(
            "unknown-service", f"no service is named {service!r}", why=f"there are {', '.join(names) or 'none'}",
            fix=f"devstack reset --service {(near or names or ('NAME',))[0]}",
        )


def _no_queues(root: Path, service: str) -> UsageError:
    return UsageError(
        "no-queues", f"{service} is no broker" if service else "the profile declares no broker",
        why="queues live in a RabbitMQ, and in a Redis with `broker = true` or that a variable such as "
        "CELERY_BROKER_URL leads to",
        fix=f"broker = true below [services.{service or 'redis'}]",
    )
