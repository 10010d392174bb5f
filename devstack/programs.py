"""What should run: Profile + State → the programs of a stack, every `${…}` filled in. Pure.

One program is one line of the Procfile and one process under supervisord: a native service, or one replica of a
declared process. A task and a check get the same environment as a process (`command`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Literal

from devstack import watching
from devstack.errors import UsageError
from devstack.layout import Layout
from devstack.profile import graph
from devstack.profile.interpolation import resolve
from devstack.profile.model import Command, EnvFile, Process, Profile
from devstack.profile.rules import is_reserved
from devstack.profile.secret import Secret
from devstack.render import Program, reveal
from devstack.services import NativeService, kind_of
from devstack.state import ServiceState, State
from devstack.viewpoint import Value, Viewpoint, environment, lookup


@dataclass(frozen=True)
class Resolved:
    """A command ready to execute: words, whole environment, folder."""

    argv: tuple[str, ...]
    env: Mapping[str, Value]
    cwd: str

    def revealed(self) -> dict[str, str]:
        """The environment as the child process gets it."""
        return {name: reveal(value) for name, value in self.env.items()}


def layout(state: State) -> Layout:
    return Layout(stack=state.stack, root=state.root, folder=state.folder, sockets=state.sockets)


def free_command(profile: Profile, state: State, argv: tuple[str, ...], cwd: str) -> Resolved:
    """A command that the profile doesn't know, in the environment that its tasks get."""
    return Resolved(argv, merged(layers(profile, state)), cwd)


def port_names(name: str, process: Process) -> tuple[str, ...]:
    """Names of the ports that a process needs leased: one per replica where it has one, and the named ones."""
    programs = [program for program, _ in graph.programs_of(name, process)]
    own = programs if graph.has_port(process) else []
    return (*own, *(f"{program}.{port}" for program in programs for port in process.ports))


def ports_of(state: State, program: str) -> dict[str, int]:
    """The leases of a program: its own port and its named ones, by the lease's name."""
    return {name: port for name, port in state.ports.items() if name.partition(".")[0] == program}


@dataclass(frozen=True)
class Single:
    """One program of a declared process. replica: its number, from 1."""

    process: str
    program: str
    replica: int


def single(profile: Profile, name: str, fix: str) -> Single:
    """The one program that is meant by a process's or a replica's name. fix: the command to print before the right one.

    Raises UsageError for a name that no process has, for a process that runs more than once, and for one that runs in a
    container, whose input is its engine's.
    """
    found = {
        program: Single(process, program, number)
        for process, declared in profile.processes.items()
        for program, number in graph.programs_of(process, declared)
    }
    if name in found:
        if profile.processes[found[name].process].is_contained:
            raise UsageError(
                "in-a-container", f"{name} runs in a container, and can't be had on this terminal",
                why="its input and output are its engine's", fix=f"devstack shell {name}",
                evidence=(f"what it prints: devstack logs -f {name}",),
            )
        return found[name]
    if name in profile.processes and (replicas := [one.program for one in found.values() if one.process == name]):
        raise UsageError(
            "several-replicas", f"{name} runs {len(replicas)} times", why=f"there are {', '.join(replicas)}",
            fix=f"{fix} {replicas[0]}",
        )
    raise UsageError(
        "unknown-process", f"no process is named {name!r}", why=f"there are {', '.join(found) or 'none'}",
        fix=f"{fix} {next(iter(found), 'NAME')}",
    )


def is_fixed(profile: Profile, port_name: str) -> bool:
    """Does the profile demand this very port, so that no other may be leased?"""
    owner = profile.services.get(port_name) or profile.processes.get(port_name)
    return owner is not None and owner.port is not None


def with_words(resolved: Resolved, words: tuple[str, ...], *, shell: bool) -> Resolved:
    """The same with more words behind it; a text for a shell gets them behind its last command."""
    if not words:
        return resolved
    if not shell:
        return replace(resolved, argv=(*resolved.argv, *words))
    *start, text = resolved.argv
    return replace(resolved, argv=(*start, f'{text} "$@"', "sh", *words))


def notes(profile: Profile, state: State) -> tuple[str, ...]:
    """The profile's `notes`, filled in. A secret shows as `***`: the loader refuses those that it can see."""
    answer = lookup(profile, state)
    return tuple(str(resolve(text, answer)) for text in profile.notes)


def command(profile: Profile, state: State, declared: Command, program: str = "", replica: int = 1) -> Resolved:
    """A declared command as it is executed. program: whose port and logs it uses, "" for a task or a check."""
    found = layers(profile, state, declared, program, replica)
    answer = lookup(profile, state, viewpoint(declared, program, replica))
    argv = tuple(reveal(resolve(word, answer)) for word in declared.argv())
    return Resolved(argv, merged(found), str(PurePosixPath(state.root) / declared.cwd))


def viewpoint(declared: Command | None, program: str = "", replica: int = 1) -> Viewpoint:
    """Whose texts these are."""
    process = declared if isinstance(declared, Process) and declared.is_contained else None
    return Viewpoint(program, replica, process is not None, process)


@dataclass(frozen=True)
class Layer:
    """Variables of one origin. file: the env file they come from. profile: `[env]`; command: the `env` of the
    command itself."""

    origin: Literal["machine", "devstack", "file", "profile", "command"]
    values: Mapping[str, Value]
    file: str = ""


def layers(
    profile: Profile, state: State, declared: Command | None = None, program: str = "", replica: int = 1
) -> tuple[Layer, ...]:
    """Where a command's environment comes from, the lowest first. declared: None for a command of the person's own.

    What a file says is laid below the table beside it: the profile's files below `[env]`, a command's below its `env`.
    Into a container goes nothing of this machine but what is inherited by name.
    """
    whose = viewpoint(declared, program, replica)
    answer = lookup(profile, state, whose)
    own = {"PORT": whose.port(state)} if program in state.ports else {}
    base = {name: Secret(value) if name in profile.inherit else value for name, value in state.base.items()}
    if whose.is_inside:
        base = {name: value for name, value in base.items() if isinstance(value, Secret)}
    found = [
        Layer("machine", base),
        Layer("devstack", {} if whose.is_inside else _machine(profile, state, program)),
        *_file_layers(profile, state, profile.env_file, own),
        Layer("devstack", own),
        Layer("profile", environment(profile, state, whose)),
    ]
    if declared is not None:
        found += _file_layers(profile, state, declared.env_file, own)
        found.append(Layer("command", {name: resolve(text, answer) for name, text in declared.env.items()}))
    return tuple(layer for layer in found if layer.values)


def merged(found: Iterable[Layer]) -> dict[str, Value]:
    """One environment of all layers, higher ones winning."""
    env: dict[str, Value] = {}
    for layer in found:
        env |= layer.values
    return env


def _file_layers(
    profile: Profile, state: State, files: Iterable[EnvFile], own: Mapping[str, str]
) -> Iterator[Layer]:
    """own: what the program is given itself, which a file shared with other ways to run it must not move (PORT)."""
    for file in files:
        values = state.env_files.get(file.path, {})
        yield Layer("file", {
            name: value for name, value in values.items() if not is_reserved(profile, name) and name not in own
        }, file.path)  # fmt: skip


def processes(profile: Profile) -> dict[str, Process]:
    """The declared processes, and devstack's own."""
    watcher = watching.process(profile)
    return {**profile.processes, **({watching.NAME: watcher} if watcher else {})}


def owners(profile: Profile) -> dict[str, str]:
    """The process of each program, devstack's own too."""
    return {
        program: name
        for name, process in processes(profile).items() for program, _ in graph.programs_of(name, process)
    }


def selected(profile: Profile, names: tuple[str, ...]) -> frozenset[str]:
    """The named services, tasks and processes with all that they need; everything where nothing is named."""
    known = {*profile.services, *profile.tasks, *profile.processes}
    programs = {program: name for program, name in owners(profile).items() if name in profile.processes}
    for name in names:
        if name not in known and name not in programs:
            raise UsageError(
                "unknown-name", f"the profile has no {name!r}", why=f"it has {', '.join(sorted(known)) or 'nothing'}",
                fix="devstack status",
            )
    if not names:
        return frozenset(known)
    wanted: set[str] = set()
    waiting = [programs.get(name, name) for name in names]
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting += graph.needs(profile, name)
    return frozenset(wanted)


def process_program(profile: Profile, state: State, name: str, program: str, replica: int) -> Program:
    """The program of one replica of a process."""
    process = profile.processes[name]
    resolved = command(profile, state, process, program, replica)
    argv = resolved.argv
    if process.schedule is not None:
        argv = (state.interpreter, "-I", "-m", "devstack.supervised.schedule", process.schedule, "--", *argv)
    return Program(
        name=program, argv=argv, env=resolved.env, cwd=resolved.cwd, stop_signal=process.stop.signal,
        stop_grace=process.stop.grace, user=process.user, restart=process.restart,
    )


def native_form(service: ServiceState) -> NativeService:
    """A service as a process, from its kind."""
    kind = kind_of(service.instance.name, service.instance.declaration)
    return kind.native(service.instance, service.server)


def service_program(state: State, service: ServiceState) -> Program:
    """The program of a native service. Its digest covers the files that the server reads."""
    form = native_form(service)
    env: dict[str, Value] = {"PATH": state.base.get("PATH", "/usr/bin:/bin"), "HOME": service.instance.data, **form.env}
    if service.server.libraries:
        env["LD_LIBRARY_PATH"] = ":".join(service.server.libraries)
    files = "\0".join(f"{file.path}\0{file.text}\0{file.mode}" for file in form.files)
    env["DEVSTACK_CONFIG"] = hashlib.sha256(files.encode()).hexdigest()[:16]
    return Program(
        name=service.instance.name, argv=(*state.wrapper, *form.argv), env=env, cwd=form.cwd,
        stop_signal=form.stop_signal, stop_grace=form.stop_grace,
    )


def all_programs(profile: Profile, state: State) -> tuple[Program, ...]:
    """Every program of the stack, services first, devstack's own last."""
    services = [service_program(state, one) for one in state.services.values() if one.runtime == "native"]
    processes = [
        process_program(profile, state, name, program, replica)
        for name, process in profile.processes.items() if not process.is_contained
        for program, replica in graph.programs_of(name, process)
    ]
    return (*services, *processes, *watching.programs(profile, layout(state), state.interpreter))


def _machine(profile: Profile, state: State, program: str) -> dict[str, Value]:
    """What devstack gives to every command of the project."""
    env: dict[str, Value] = {}
    env["PATH"] = f"{state.venv}/bin:{state.base.get('PATH', '/usr/bin:/bin')}"
    env["VIRTUAL_ENV"] = state.venv
    # a pipe would make Python keep log lines back for minutes
    env["PYTHONUNBUFFERED"] = "1"
    # servers put control sockets here (else below HOME), where two stacks, or two replicas, would meet
    env["XDG_RUNTIME_DIR"] = f"{state.sockets}/{program}" if program else state.sockets
    if program and state.files_version:
        # a process that has read such a file at its start is started anew when devstack makes it anew
        env["DEVSTACK_FILES"] = state.files_version
    if profile.home == "private":
        env["HOME"] = f"{state.folder}/home"
    return env
