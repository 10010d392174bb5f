"""`watch`: the one program of devstack's own that restarts processes whose files change, as values. Pure.

What it is told stands in a file, so that the program needs neither the profile nor its model: it starts in no time and
stays small. Other globs mean another file, and that restarts the watcher alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from devstack.layout import Layout
from devstack.profile.model import LogCheck, Process, Profile, Stop
from devstack.profile.needs import programs_of
from devstack.render import Program, RenderedFile

NAME = "devstack-watch"
#: seconds beside the longest grace: a restart that has begun is brought to its end
_BESIDE = 15.0
#: what it says once it sees every change
_READY = LogCheck(log=r"^\[devstack\] watching ", grace=30)


def watched(profile: Profile) -> Mapping[str, Process]:
    """Processes with something to watch and somebody to restart."""
    return {name: process for name, process in profile.processes.items() if process.watch and process.replicas}


def process(profile: Profile) -> Process | None:
    """The watcher as if the profile had declared it; None where nothing is watched."""
    found = watched(profile).values()
    if not found:
        return None
    return Process(run=NAME, ready=_READY, stop=Stop(grace=max(one.stop.grace for one in found) + _BESIDE))


def files(profile: Profile, layout: Layout) -> tuple[RenderedFile, ...]:
    """What the watcher is told; nothing where nothing is watched."""
    processes = [
        {
            "name": name, "globs": one.watch, "grace": one.stop.grace,
            "programs": [
                {"name": program, "record": layout.record(program), "log": layout.log(program)}
                for program, _ in programs_of(name, one)
            ],
        }
        for name, one in watched(profile).items()
    ]  # fmt: skip
    told = {
        "stack": layout.stack, "root": layout.root, "folder": layout.folder, "socket": layout.socket,
        "processes": processes,
    }
    return (RenderedFile(layout.watch, json.dumps(told, indent=1) + "\n"),) if processes else ()


def programs(profile: Profile, layout: Layout, interpreter: str) -> tuple[Program, ...]:
    """The watcher under supervisord; nothing where nothing is watched. interpreter: devstack's own Python."""
    declared, told = process(profile), files(profile, layout)
    if declared is None:
        return ()
    argv = (interpreter, "-I", "-m", "devstack.supervised.watch", layout.watch)
    env = {"DEVSTACK_CONFIG": told[0].digest}
    return (Program(NAME, argv, env, layout.root, stop_grace=declared.stop.grace),)
