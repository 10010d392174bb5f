"""What is wrong with a stack, as findings with stable ids. Pure.

They come from the errors that looking at it raised, the plan that would put it right, and a few facts of the machine.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from devstack import actions
from devstack.actions import Action
from devstack.errors import DevstackError
from devstack.plan import Plan, Step

Severity = Literal["fault", "warning"]
_MB = 1_000_000
#: below it nothing can be written soon; below the second it is worth a word
_NO_ROOM, _LITTLE_ROOM = 100 * _MB, 1000 * _MB
_MUCH_TRASH = 2000 * _MB
#: seconds; sessions and signatures that are valid from now on are refused by who is further behind
_SKEW = 5.0
_UP = "devstack up"


@dataclass(frozen=True)
class Finding:
    """id: stable. what, why, fix: as of an error; fix is one command. target: of the stack, "" for the machine.
    is_fixable: `devstack doctor --fix` does it. is_stuck: it runs, and only a new start of it can help."""

    id: str
    severity: Severity
    what: str
    why: str = ""
    fix: str = ""
    target: str = ""
    is_fixable: bool = False
    is_stuck: bool = False


@dataclass(frozen=True)
class Facts:
    """What was seen. errors: that looking raised. plan: what `up` would do, None where that can't be told. is_down:
    nothing of the stack runs, as after `down`. free_disk, memory, trash: bytes, None where unknown. engine_ahead:
    seconds that the clock of the containers' engine is before this machine's. engine_machine: what that runs on.
    shortage: which disk of the stack is full, "" for none. lost: ids for files of `.devstack` that were there and are
    gone or damaged. has_ended: all of it ran, and nobody took it down. silent: what runs, took a connection and said
    nothing; unfit: services that only a new start can help; resting: what is there and doesn't run."""

    errors: Sequence[DevstackError] = ()
    plan: Plan | None = None
    is_down: bool = False
    is_trusted: bool = True
    has_git: bool = True
    busy: str = ""
    was_damaged: bool = False
    free_disk: int | None = None
    memory: int | None = None
    trash: int = 0
    engine_ahead: float = 0.0
    engine_machine: str = ""
    shortage: str = ""
    lost: frozenset[str] = frozenset()
    has_ended: bool = False
    silent: frozenset[str] = frozenset()
    unfit: frozenset[str] = frozenset()
    resting: frozenset[str] = frozenset()


#: severity, what, why: of what only has to be made again
_LOST: dict[str, tuple[Severity, str, str]] = {
    "state-lost": ("warning", "the state file is gone", "it is made anew from what is there"),
    "state-damaged": ("warning", "the state file is damaged", "it is made anew from what is there"),
    "secrets-lost": ("fault", "the stack's passwords are gone, or their file is damaged", "new ones are made"),
}
#: id, severity, and how a step of the plan reads as something that is wrong
_OF_STEPS: dict[type[Action], tuple[str, Severity, str]] = {
    actions.ReapOrphans: ("orphans", "fault", "processes of a killed run are left over"),
    actions.WriteFiles: ("files-stale", "warning", "generated files are not as they would be written now"),
    actions.MakePaths: ("files-missing", "fault", "files or folders of the project are missing"),
    actions.CreateEnvironment: ("environment-unusable", "fault", "there is no environment to use"),
    actions.LinkEnvironment: ("environment-unlinked", "warning", "another environment, or none, is linked as .venv"),
    actions.FetchServer: ("server-missing", "warning", "{target}'s server is not on this machine"),
    actions.PullImage: ("image-missing", "warning", "{target}'s image is not on this machine"),
    actions.PrepareData: ("data-missing", "fault", "{target} has no data"),
    actions.StopProgram: ("changed", "warning", "{target} isn't as the profile says now"),
    actions.StopContainer: ("changed", "warning", "{target} isn't as the profile says now"),
    actions.StartProgram: ("not-running", "fault", "{target} doesn't run"),
    actions.StartContainer: ("not-running", "fault", "{target} doesn't run"),
    actions.ProvisionService: ("service-incomplete", "fault", "{target} isn't as it must be"),
    actions.AwaitProgram: ("not-ready", "fault", "{target} isn't ready"),
    actions.RunTask: ("task-stale", "warning", "the task {target} has to run"),
}
#: of a stack that is down as it should be, these are no news
_AFTER_START = frozenset({"not-ready", "service-incomplete"})
_OF_RUNNING = frozenset({"not-running", "not-ready", "service-incomplete", "changed", "data-missing"})
_IMPLIED_BY = {"not-running": ("changed", "data-missing"), "changed": ("data-missing",)}


def findings(facts: Facts) -> tuple[Finding, ...]:
    """Everything that is wrong, faults first."""
    found = [*_machine(facts), *map(_of_error, facts.errors), *_of_plan(facts), *_stack(facts)]
    distinct = {(one.id, one.target, one.what): one for one in found}.values()
    return tuple(sorted(distinct, key=lambda one: one.severity != "fault"))


def _machine(facts: Facts) -> Iterator[Finding]:
    if not facts.has_git:
        yield Finding("git-missing", "fault", "git is missing", "nothing can be cloned", "apt-get install git")
    if facts.free_disk is not None and facts.free_disk < _LITTLE_ROOM:
        severity: Severity = "fault" if facts.free_disk < _NO_ROOM else "warning"
        yield Finding("disk-low", severity, "the disk is almost full", _free(facts.free_disk), "df -h .")
    if facts.memory is not None and facts.memory < _NO_ROOM:
        yield Finding("memory-low", "warning", "memory is almost used up", _free(facts.memory), "free")
    if abs(facts.engine_ahead) > _SKEW:
        side = "ahead of" if facts.engine_ahead > 0 else "behind"
        what = f"the clock of the container engine is {abs(facts.engine_ahead):.0f} s {side} this machine's"
        why = "sessions, tokens and certificates of one side may be refused by the other"
        yield Finding("clock-skew", "warning", what, why, _clock_fix(facts.engine_machine))


def _clock_fix(machine: str) -> str:
    """What makes the machine that an engine runs in take the time anew."""
    if "docker desktop" in machine.lower():
        return "docker desktop restart"
    return "set the clock that is wrong; the virtual machine of an engine takes the time anew when it is restarted"


def _free(count: int) -> str:
    return f"{count // _MB} MB are free"


def _stack(facts: Facts) -> Iterator[Finding]:
    if facts.busy:
        yield Finding("stack-busy", "warning", "another devstack is at work here", facts.busy, "devstack status")
    if facts.shortage:
        what, _, command = facts.shortage.rstrip(")").rpartition(" (")
        yield Finding("disk-full", "fault", what, "nothing works well until there is room again", command)
    if facts.has_ended:
        why = "a crash, a kill, or a new start of the machine"
        yield Finding("ended", "warning", "all of it has ended, and nobody took it down", why, _UP, is_fixable=True)
    for name in sorted(facts.lost):
        severity, what, why = _LOST[name]
        yield Finding(name, severity, what, why, _UP, is_fixable=True)
    if not facts.is_trusted:
        why = "its commands are not run, not even to see whether it is ready"
        yield Finding("not-trusted", "warning", "the project is not trusted as it is now", why, "devstack trust")
    if facts.was_damaged and "state-damaged" not in facts.lost:
        why = "it was made anew from what is there; the damaged one is .devstack/state.damaged.json"
        fix = "rm .devstack/state.damaged.json"
        yield Finding("state-damaged", "warning", "the state file was damaged", why, fix)
    if facts.trash > _MUCH_TRASH:
        size = f"{facts.trash // _MB} MB"
        yield Finding("trash-large", "warning", "the trash takes much room", size, "devstack gc --trash")


def _of_error(error: DevstackError) -> Finding:
    return Finding(error.id, "fault", error.what, error.why, error.fix, _target(error))


def _target(error: DevstackError) -> str:
    return (error.step or "").partition(":")[0]


def _of_plan(facts: Facts) -> Iterator[Finding]:
    steps: dict[tuple[str, str], Step] = {}
    for step in facts.plan.steps if facts.plan else ():
        if (known := _OF_STEPS.get(type(step.action))) and not (facts.is_down and known[0] in _OF_RUNNING):
            steps.setdefault((known[0], step.target), step)
    told = frozenset(map(_target, facts.errors))
    for (name, target), step in steps.items():
        if name in _OF_RUNNING and (target in told or _is_implied(name, target, steps.keys())):
            continue
        is_stuck = name in _AFTER_START and target in facts.silent
        if is_stuck:
            what, fix = f"{target} runs and doesn't answer", f"devstack restart {target}"
            yield Finding("not-ready", "fault", what, step.cause, fix, target, is_fixable=True, is_stuck=True)
            continue
        action = type(step.action)
        if name == "changed":
            # a container that has ended still has to go before another one comes
            action = actions.StartContainer if target in facts.resting else action
            action = actions.ProvisionService if target in facts.unfit else action
        kind, severity, what = _OF_STEPS[action]
        yield Finding(kind, severity, what.format(target=target), step.cause, _UP, target, is_fixable=True)


def _is_implied(name: str, target: str, found: Collection[tuple[str, str]]) -> bool:
    """Is it what another finding about the same brings along?"""
    # a replacement is both an end and a start, and a start brings what comes after it
    causes = ("not-running",) if name in _AFTER_START else _IMPLIED_BY.get(name, ())
    return any((cause, target) in found for cause in causes)
