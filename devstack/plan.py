"""Planning: Profile + State + goal → Plan. Pure: what chance decides is already in the State.

Every step has a target, an action, a cause in words and needs. Everything that takes time is a step: starting, waiting
for readiness, tasks, clean-up. The executor walks the plan and decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from devstack.actions import Action

# --- goals -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Up:
    """Everything named (all, if nothing is) running and ready. force: started anew, or run again, even if unchanged.

    start: False prepares only: environment, servers, folders. words: more of them for the command of a forced task.
    foreground: the program that is kept, or taken, out of supervisord's hands, to be run on this terminal when all else
    is ready; "" for none. dump: services whose data is copied out once they answer; load: those that get it. calm: only
    services run, processes end and stay so. save, restore: names of snapshots, "" for none: processes end meanwhile;
    why: of a save that no person asked for; before: the name of what a restore replaces. only: services that a restore
    is about, () for all. empty: what of them is let go instead, "" for nothing. transfer: a snapshot to be written into
    a file or made of one, once the services answer.
    """

    names: tuple[str, ...] = ()
    force: frozenset[str] = frozenset()
    start: bool = True
    foreground: str = ""
    name: str = "up"
    words: tuple[str, ...] = ()
    dump: frozenset[str] = frozenset()
    load: frozenset[str] = frozenset()
    calm: bool = False
    save: str = ""
    why: str = ""
    restore: str = ""
    before: str = ""
    only: tuple[str, ...] = ()
    empty: Literal["", "data", "queues"] = ""
    transfer: Action | None = None


@dataclass(frozen=True)
class Down:
    """Nothing running. volumes: the data goes to the trash too."""

    volumes: bool = False
    name: str = "down"


@dataclass(frozen=True)
class CheckedOut:
    """The project at `destination`. exists: it is there already and stays as it is."""

    url: str
    destination: str
    ref: str | None
    exists: bool
    sparse: tuple[str, ...] = ()
    name: str = "checkout"


Goal = Up | Down

# --- plan ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """id: `target:action`. needs: ids of steps that must be done before. optional: a failure is told, not fatal."""

    target: str
    action: Action
    cause: str
    needs: tuple[str, ...] = ()
    destructive: bool = False
    optional: bool = False

    @property
    def id(self) -> str:
        return f"{self.target}:{self.action.verb}"


@dataclass(frozen=True)
class Plan:
    """Steps in an order in which each comes after what it needs.

    warnings: worth knowing before it runs. lasting: those among them that hold beyond this run; once is enough.
    """

    goal: str
    steps: tuple[Step, ...] = ()
    warnings: tuple[str, ...] = ()
    lasting: frozenset[str] = frozenset()

    @property
    def is_empty(self) -> bool:
        return not self.steps

    @property
    def destructive(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.destructive)

    def text(self) -> str:
        """One line a step: `web:start   because it is not running   (after web:write)`."""
        width = max((len(step.id) for step in self.steps), default=0)
        lines = []
        for step in self.steps:
            after = f"  (after {', '.join(step.needs)})" if step.needs else ""
            lines.append(f"{step.id:<{width}}  {step.cause}{after}")
        return "\n".join(lines)


class Draft:
    """A plan being written: steps are added in order; needs on steps that weren't planned fall away.

    `done(point)` names what must have happened for a thing to be usable (`postgres` → `postgres:await`), whether
    or not a step was needed for it.
    """

    def __init__(self, goal: str) -> None:
        self.goal = goal
        self._steps: dict[str, Step] = {}
        self._points: dict[str, tuple[str, ...]] = {}

    def add(
        self, target: str, action: Action, cause: str, *, needs: Iterable[str] = (), destructive: bool = False,
        optional: bool = False,
    ) -> str:
        """Add a step; returns its id. needs: step ids and points, those not planned are dropped."""
        step = Step(target, action, cause, self._known(needs), destructive, optional)
        self._steps[step.id] = step
        return step.id

    def point(self, name: str, steps: Iterable[str]) -> None:
        """Whoever needs `name` needs these steps."""
        self._points[name] = self._known(steps)

    def _known(self, needs: Iterable[str]) -> tuple[str, ...]:
        known: dict[str, None] = {}
        for need in needs:
            for step in self._points.get(need, (need,)):
                if step in self._steps:
                    known[step] = None
        return tuple(known)

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(self._steps.values())

    def __contains__(self, step: str) -> bool:
        return step in self._steps

    def finished(self, warnings: tuple[str, ...], lasting: Iterable[str] = ()) -> Plan:
        return Plan(self.goal, tuple(self._steps.values()), warnings, frozenset(lasting))


def few(names: Iterable[str]) -> str:
    """At most four names and how many more."""
    listed = list(names)
    more = f" and {len(listed) - 4} more" if len(listed) > 4 else ""
    return ", ".join(listed[:4]) + more
