"""Rules between the keys of a profile: needs, names, ports, paths. Each rule yields findings and stops at none.

A profile with mistakes is checked as far as it goes: `Declared` holds every name that the files declare, so that what
was left out for a mistake of its own is not reported a second time as missing.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from devstack.profile.container_rules import check_containers
from devstack.profile.mistakes import Finding, listed, near
from devstack.profile.model import Command, Process, Profile
from devstack.profile.needs import first_cycle, has_port, process_needs, programs_of, task_needs
from devstack.profile.python_rules import check_python
from devstack.profile.source import Path, printable

#: what a profile makes must not be what says how devstack, git or Python work here
_OWN = frozenset({"devstack.toml", "devstack.local.toml"})
_TOOLS = frozenset({".git", ".devstack", ".venv"})
SECTIONS = {"services": "service", "tasks": "task", "processes": "process"}
#: names of devstack's own in a plan and under supervisord; so is all that begins with `devstack-`
OWN = frozenset({"python", "supervisor", "supervisord"})
OWN_PREFIX = "devstack-"


@dataclass(frozen=True)
class Declared:
    """Names by section as the files declare them. place: `file:line` of a key path. damaged: `(section, name)` of what
    has a mistake of its own; spoiled: the whole paths of those."""

    names: Mapping[str, frozenset[str]]
    place: Callable[[Path], str]
    damaged: frozenset[Path] = frozenset()
    spoiled: frozenset[Path] = frozenset()

    def sections_of(self, name: str) -> tuple[str, ...]:
        return tuple(section for section in SECTIONS if name in self.names[section])


def check(profile: Profile, declared: Declared) -> Iterator[Finding]:
    """Every finding of every rule."""
    graph = [*_shared_names(declared), *_needs(profile, declared)]
    yield from graph
    if not graph and not any(path[0] in ("tasks", "processes") for path in declared.damaged):
        yield from _cycles(profile)
    yield from _programs(profile, declared)
    yield from _ports(profile, declared)
    yield from _readiness(profile, declared)
    yield from _repetition(profile, declared)
    yield from _paths(profile)
    yield from _collisions(profile)
    yield from _options(profile)
    yield from check_python(profile.python)
    yield from check_containers(profile, declared.spoiled)
    yield from _reserved(profile)


def _shared_names(declared: Declared) -> Iterator[Finding]:
    for name in sorted(frozenset[str]().union(*(declared.names[section] for section in SECTIONS))):
        first, *others = declared.sections_of(name)
        if name in OWN or name.startswith(OWN_PREFIX):
            yield Finding((first, name), f"`{name}` is a name of devstack's own", "give it another name")
        for section in others:
            text = f"the name is a {SECTIONS[first]}'s already ({declared.place((first, name))})"
            yield Finding((section, name), text, "services, tasks and processes share one set of names")


def _needs(profile: Profile, declared: Declared) -> Iterator[Finding]:
    every = tuple(SECTIONS)
    commands: tuple[tuple[str, tuple[str, ...], Mapping[str, tuple[str, ...] | None]], ...] = (
        ("tasks", ("services", "tasks"), {name: task.needs for name, task in profile.tasks.items()}),
        ("processes", every, {name: process.needs for name, process in profile.processes.items()}),
        ("checks", every, {name: check.needs for name, check in profile.checks.items()}),
    )
    for section, parts, entries in commands:
        known = frozenset[str]().union(*(declared.names[part] for part in parts))
        for name, needs in entries.items():
            for index, need in enumerate(needs or ()):
                if need in known:
                    continue
                hint = near(need, sorted(known)) or f"there are {listed(sorted(known))}" * bool(known)
                text = f"`{need}` is no {' or '.join(SECTIONS[part] for part in parts)}"
                if section == "tasks" and need in declared.names["processes"]:
                    text, hint = f"`{need}` is a process", "a task can need services and tasks only"
                yield Finding((section, name, "needs", index), text, hint)


def _cycles(profile: Profile) -> Iterator[Finding]:
    graph = {name: task_needs(profile, name) for name in profile.tasks}
    graph |= {name: process_needs(profile, name) for name in profile.processes if name not in graph}
    cycle = first_cycle(graph)
    if not cycle:
        return
    section = "tasks" if cycle[0] in profile.tasks else "processes"
    left_out = [name for name in cycle[1:] if name in profile.tasks and profile.tasks[name].needs is None]
    hint = f"`{left_out[0]}` has no `needs`, so it needs the tasks declared before it" if left_out else ""
    yield Finding((section, cycle[0], "needs"), f"needs go in a circle: {' → '.join(cycle)}", hint)


def _programs(profile: Profile, declared: Declared) -> Iterator[Finding]:
    """Two processes' replicas never share a program name, since a number has no dash; a declared name may be one."""
    for section, called in SECTIONS.items():
        for other in sorted(declared.names[section]):
            name, dash, number = other.rpartition("-")
            process = profile.processes.get(name) if dash and number.isdecimal() else None
            if process and any(other == program for program, _number in programs_of(name, process)):
                text = f"replica {number} of `{name}` is the program `{other}`, which is a {called} too"
                place = declared.place((section, other))
                yield Finding(("processes", name, "replicas"), f"{text} ({place})", "give one of them another name")


def _ports(profile: Profile, declared: Declared) -> Iterator[Finding]:
    fixed: list[tuple[Path, int]] = [
        (("services", name, "port"), service.port) for name, service in profile.services.items() if service.port
    ]
    fixed += [(("processes", name, "port"), one.port) for name, one in profile.processes.items() if one.port]
    first: dict[int, Path] = {}
    for path, port in fixed:
        other = first.setdefault(port, path)
        if other != path:
            text = f"port {port} is fixed for `{other[1]}` already ({declared.place(other)})"
            yield Finding(path, text, "leave one out and it is leased a free one")
    for name, process in profile.processes.items():
        if process.port and process.replicas > 1:
            text = f"{process.replicas} replicas can't share the fixed port {process.port}"
            yield Finding(("processes", name, "port"), text, "leave it out and each is leased one")


def _readiness(profile: Profile, declared: Declared) -> Iterator[Finding]:
    for name, process in profile.processes.items():
        asks = getattr(process.ready, "http", None) or getattr(process.ready, "tcp", None) is True
        if asks and not has_port(process) and ("processes", name) not in declared.damaged:
            text = "readiness asks the process's port, and it has none"
            yield Finding(("processes", name, "ready"), text, 'give it `role = "web"` or a `port`')


def _repetition(profile: Profile, declared: Declared) -> Iterator[Finding]:
    """What says when a task or a process runs again must not say two things."""
    for name, task in profile.tasks.items():
        if task.once and task.inputs:
            text = "a task that runs a single time doesn't run again for changed `inputs`"
            yield Finding(("tasks", name, "once"), text, "take out one of them")
        for index, glob in enumerate(task.outputs):
            if any("**" in part and part != "**" for part in glob.split("/")):
                yield Finding(("tasks", name, "outputs", index), f"`{printable(glob)}`: `**` stands between slashes")
    for name, process in profile.processes.items():
        if process.schedule is None or ("processes", name) in declared.damaged:
            continue
        reasons = {
            "ready": "it is ready when its schedule runs" if process.ready else "",
            "restart": "it is started at its times only" if process.restart != "always" else "",
            "watch": "it begins anew each time anyway" if process.watch else "",
            "replicas": "one runs it at a time" if process.replicas > 1 else "",
            "user": "its schedule runs as you" if process.user else "",
        }
        for key in (key for key, reason in reasons.items() if reason):
            text = f"a command with a `schedule` can't have `{key}`: {reasons[key]}"
            yield Finding(("processes", name, key), text, "take out one of them")


def _paths(profile: Profile) -> Iterator[Finding]:
    sections: dict[str, Mapping[str, Command]] = {
        "tasks": profile.tasks, "processes": profile.processes, "checks": profile.checks,
    }  # fmt: skip
    named: list[tuple[Path, str]] = []
    for section, commands in sections.items():
        named += [((section, name, "cwd"), one.cwd) for name, one in commands.items() if not _is_contained(one)]
        for name, command in commands.items():
            named += [((section, name, "env_file", n), file.path) for n, file in enumerate(command.env_file)]
    named += [(("env_file", index), file.path) for index, file in enumerate(profile.env_file)]
    for name, task in profile.tasks.items():
        named += [(("tasks", name, "inputs", index), glob) for index, glob in enumerate(task.inputs)]
        named += [(("tasks", name, "outputs", index), glob) for index, glob in enumerate(task.outputs)]
    for name, process in profile.processes.items():
        named += [(("processes", name, "watch", index), glob) for index, glob in enumerate(process.watch)]
        mounts = enumerate(process.mounts)
        named += [(("processes", name, "volumes", n), one.source) for n, one in mounts if not one.is_volume]
        if process.build is not None:
            named.append((("processes", name, "build", "context"), process.build.context))
            named.append((("processes", name, "build", "dockerfile"), process.build.dockerfile))
    for path, file in profile.files.items():
        named.append((("files", path), path))
        yield from _not_to_make(path)
        if file.template is not None:
            named.append((("files", path, "template"), file.template))
    installed = enumerate(profile.python.install or ())
    named += [(("python", "install", index), entry.split("[", 1)[0]) for index, entry in installed]
    named += [(("python", "constraints", index), entry) for index, entry in enumerate(profile.python.constraints)]
    sparse = enumerate(profile.project.sparse)
    named += [(("project", "sparse", index), entry.removeprefix("!")) for index, entry in sparse]
    for place, path in named:
        if trouble := _outside(path):
            yield Finding(place, f"`{printable(path)}` {trouble}", "paths are relative and stay in the project")


def _is_contained(command: Command) -> bool:
    return isinstance(command, Process) and command.is_contained


def _collisions(profile: Profile) -> Iterator[Finding]:
    """Where upper and lower case don't count (macOS, Windows), two such entries are one file."""
    seen: dict[str, str] = {}
    for path in profile.files:
        first = seen.setdefault(posixpath.normpath(path).casefold(), path)
        if first != path:
            text = f"`{printable(path)}` and `{printable(first)}` are one file where case doesn't count"
            yield Finding(("files", path), text, "give one of them another name")


def _not_to_make(path: str) -> Iterator[Finding]:
    parts = posixpath.normpath(path).lower().split("/")
    if not _outside(path) and (parts == ["."] or parts[0] in _OWN or _TOOLS.intersection(parts)):
        yield Finding(("files", path), f"`{printable(path)}` is not the project's to make")


def _outside(path: str) -> str:
    if "\0" in path or not path.strip():
        return "is no path"
    if path.startswith(("/", "~")) or "\\" in path:
        return "is not relative to the project"
    # normpath alone is not enough for globs: `**/../..` may match a folder above
    parts = path.split("/")
    climbs = posixpath.normpath(path).split("/")[0] == ".." or (".." in parts and any("*" in part for part in parts))
    return "leaves the project" if climbs else ""


def _options(profile: Profile) -> Iterator[Finding]:
    """Words that a tool further down would take for an option."""
    python = profile.python
    words: list[tuple[Path, str | None]] = [
        (("project", "repo"), profile.project.repo),
        (("project", "ref"), profile.project.ref),
    ]
    lists = {"install": python.install or (), "constraints": python.constraints, "packages": python.packages,
             "extras": python.extras, "groups": python.groups}  # fmt: skip
    words += [(("project", "sparse", index), entry) for index, entry in enumerate(profile.project.sparse)]
    words += [(("python", key, index), word) for key, values in lists.items() for index, word in enumerate(values)]
    for family in type(python.system).model_fields:
        values = getattr(python.system, family)
        words += [(("python", "system", family, index), word) for index, word in enumerate(values)]
    for path, word in words:
        if word is not None and (word.startswith("-") or not word.strip()):
            yield Finding(path, f"`{printable(word)}` would be taken for an option" if word.strip() else "is empty")


def _reserved(profile: Profile) -> Iterator[Finding]:
    for index, name in enumerate(profile.inherit):
        if is_reserved(profile, name):
            yield Finding(("inherit", index), f"`{name}` is set by devstack")
    places: list[Path] = [("env", key) for key in profile.env]
    for section in ("tasks", "processes", "checks"):
        commands: Mapping[str, Command] = getattr(profile, section)
        places += [(section, name, "env", key) for name, command in commands.items() for key in command.env]
    for path in places:
        key = str(path[-1])
        if key == "HOME" and profile.home == "private":
            yield Finding(path, "`HOME` is set by devstack", 'take out `home = "private"`')
        elif is_reserved(profile, key):
            yield Finding(path, f"`{key}` is set by devstack")


def is_reserved(profile: Profile, name: str) -> bool:
    """Is the variable devstack's own to set?"""
    return name == "VIRTUAL_ENV" or name.startswith("DEVSTACK_") or (name == "HOME" and profile.home == "private")
