"""Kills at random times: the command, its group, supervisord, a server, all of it; and again while it recovers."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time

from tests.scenarios.machine import Machine, Project, finish
from tests.sweep.sweeping import Result, decoys, differs, digest, new, orphans

#: what is run, and what is killed meanwhile
_VERBS = (("up",), ("restart", "web", "beat"), ("snapshot", "save", "mine"), ("down",))
_VICTIMS = ("command", "group", "supervisord", "redis", "everything")
#: seconds that none of the commands takes
_SPAN = 1.2


def strike_at_random(machine: Machine, seed: int, rounds: int) -> Result:
    """seed: of the choices; what is met at the chosen moment is chance, as it would be."""
    chance = random.Random(seed)  # noqa: S311 - a choice that can be repeated
    result = Result("at random times")
    project = new(machine)
    project.run("up")
    wanted = _picture(project)
    with decoys(machine) as strangers:
        for number in range(rounds):
            words, victim = chance.choice(_VERBS), chance.choice(_VICTIMS)
            project.redis("SET", "canary", str(number))
            if words == ("up",):
                project.run("down")
            struck = _strike(project, words, victim, chance.uniform(0.0, _SPAN))
            is_double = chance.random() < 0.5
            if is_double:
                struck |= _strike(project, ("up",), chance.choice(_VICTIMS), chance.uniform(0.0, _SPAN))
            result.points += 1
            result.killed += struck
            found = _recover(project, str(number), wanted, result)
            if dead := strangers.dead():
                result.decoys += len(dead)
                found.append(f"strangers were ended: {dead}")
                break
            result.recovered += struck and not found
            again = " and again while it recovered" if is_double else ""
            result.wrong += [f"{number}: {words}, {victim} killed{again}: {one}" for one in found]
    return result


def _strike(project: Project, words: tuple[str, ...], victim: str, after: float) -> bool:
    """Run a command, and kill after so many seconds; whether there was anything to kill."""
    child = project.popen(*words)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(after)
    match victim:
        case "command":
            targets = [child.pid] if child.poll() is None else []
        case "group":
            targets = [-child.pid] if child.poll() is None else []
        case "everything":
            targets = [child.pid, *(one.pid for found in project.programs().values() for one in found)]
        case _:
            targets = [one.pid for one in project.programs().get(victim, [])]
    for pid in targets:
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if pid < 0 else os.kill)(abs(pid), signal.SIGKILL)
    finish(child, words)
    return bool(targets)


def _picture(project: Project) -> dict[str, object]:
    found = digest(project)
    found["keys"] = {name: value for name, value in found["keys"].items() if name != "canary"}
    # a snapshot may have been saved or not
    found["files"] = [name for name in found["files"] if not name.startswith("snapshots/mine")]
    return found


def _recover(project: Project, canary: str, wanted: dict[str, object], result: Result) -> list[str]:
    began = time.monotonic()
    try:
        project.run("up")
    except AssertionError as error:
        return [str(error)]
    result.slowest = max(result.slowest, time.monotonic() - began)
    left = orphans(project)
    result.orphans += len(left)
    found = [f"an orphan: {one}" for one in left]
    if difference := differs(_picture(project), wanted):
        found.append(f"it isn't as it would be:\n{difference}")
    if project.redis("GET", "canary") != canary.encode():
        result.lost += 1
        found.append("what was written before is lost")
    return found
