"""A shell in the project's environment, and the client of a service: what to execute, in which environment."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from devstack.detect.scrub import plain
from devstack.errors import PrerequisiteError
from devstack.render import SHELL_OWN, RenderedFile, reveal
from devstack.services import Client, Instance, Server, kind_of
from devstack.system import System

#: what belongs to the terminal and its person, not to the project
_OF_THE_TERMINAL = (
    "TERM", "COLORTERM", "TERM_PROGRAM", "LS_COLORS", "EDITOR", "VISUAL", "PAGER", "LESS", "DISPLAY",
    "WAYLAND_DISPLAY", "SSH_AUTH_SOCK", "SSH_CONNECTION", "NO_COLOR", "PSQLRC", "HISTFILE", "INPUTRC",
)  # fmt: skip


@dataclass(frozen=True)
class Opened:
    """What to execute. files: to be written before. execute: instead of argv, where there is no program: answers one
    command. is_interactive: it reads commands itself; else each one is a run of argv."""

    argv: tuple[str, ...]
    env: dict[str, str]
    files: tuple[RenderedFile, ...] = ()
    is_interactive: bool = True
    execute: Callable[[Sequence[str], float], str] | None = None


def client(system: System, instance: Instance, server: Server) -> Opened:
    """A service's client, logged in. Raises PrerequisiteError where this machine has none."""
    found = kind_of(instance.name, instance.declaration).client(instance, server)
    env = {**plain(system.environ), **terminal(system.environ)}
    env |= {name: reveal(value) for name, value in found.env.items()}
    program = _program(found, env["PATH"])
    if program is None and found.execute is None:
        raise PrerequisiteError(
            "client-missing", f"there is no {found.programs[0]} for {instance.name} on this machine",
            why="neither its server's folder nor PATH has one", fix=found.install,
        )
    argv = (program, *found.argv) if program else ()
    return Opened(argv, env, is_interactive=found.is_interactive, execute=None if program else found.execute)


def _program(wanted: Client, path: str) -> str | None:
    searched = os.pathsep.join((*wanted.places, path))
    return next((found for name in wanted.programs if (found := shutil.which(name, path=searched))), None)


def terminal(environ: Mapping[str, str]) -> dict[str, str]:
    """What a program that talks to a person needs of the terminal that it is started in."""
    return {name: environ[name] for name in _OF_THE_TERMINAL if name in environ}


def shell(program: str, folder: Path, name: str, env: Mapping[str, str], own: Iterable[str]) -> Opened:
    """An interactive shell that reads its person's settings and then has the project's environment again, whatever
    those made of it. folder: where its start files may lie. own: variables that the project decides."""
    values = {one: env[one] for one in own if one in env and one not in SHELL_OWN}
    kind = Path(program).name
    if kind == "bash":
        path = f"{folder}/bashrc"
        text = f"[ -r ~/.bashrc ] && . ~/.bashrc\n{_exports(values)}PS1={shlex.quote(f'({name}) ')}\"$PS1\"\n"
        return Opened((program, "--rcfile", path, "-i"), dict(env), (RenderedFile(path, text),))
    if kind == "zsh":
        home = 'ZDOTDIR="$HOME"; [ -r "$HOME"/{0} ] && . "$HOME"/{0}\n'
        again = f"ZDOTDIR={shlex.quote(str(folder))}\n"
        text = f"{home.format('.zshrc')}{_exports(values)}PROMPT={shlex.quote(f'({name}) ')}\"$PROMPT\"\n"
        files = (RenderedFile(f"{folder}/.zshenv", home.format(".zshenv") + again),
                 RenderedFile(f"{folder}/.zshrc", text))  # fmt: skip
        return Opened((program, "-i"), {**env, "ZDOTDIR": str(folder)}, files)
    if kind == "fish":
        lines = "".join(f"set -gx {one} {_fish(value)}\n" for one, value in values.items() if one != "PATH")
        path = ""
        if "PATH" in values:
            path = f"set -gx PATH {' '.join(map(_fish, values['PATH'].split(os.pathsep)))}\n"
        file = RenderedFile(f"{folder}/config.fish", lines + path)
        return Opened((program, "-i", "-C", f"source {_fish(file.path)}"), dict(env), (file,))
    return Opened((program,), dict(env))


def _exports(values: Mapping[str, str]) -> str:
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())


def _fish(text: str) -> str:
    quoted = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{quoted}'"
