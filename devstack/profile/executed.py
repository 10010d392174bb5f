"""Every command that a profile makes devstack execute, and which files of the project such a command starts."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from devstack.profile.model import Command, CommandCheck, Profile, Task

_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh"})
#: words that execute the one after them
_WRAPPERS = frozenset({"env", "exec", "nice", "nohup", "time", "command", "."})
_OPERATORS = frozenset("();<>|&")


@dataclass(frozen=True)
class Executed:
    """key: of the profile, `tasks.migrate.run`. cwd: below the project's root."""

    key: str
    text: str
    shell: bool
    cwd: str


def executed(profile: Profile) -> Iterator[Executed]:
    """Every command, in the order of the profile; those in containers too."""
    for section in ("tasks", "processes", "checks"):
        commands: dict[str, Command] = getattr(profile, section)
        for name, command in commands.items():
            place = f"{section}.{name}"
            if command.run:
                yield Executed(f"{place}.run", command.run, command.shell, command.cwd)
            if isinstance(command, Task) and command.unless is not None:
                yield Executed(f"{place}.unless", command.unless, shell=False, cwd=command.cwd)
            ready = getattr(command, "ready", None)
            if isinstance(ready, CommandCheck):
                yield Executed(f"{place}.ready.command", ready.command, shell=False, cwd=command.cwd)


def scripts(command: Executed) -> tuple[str, ...]:
    """Words that may be files the command executes itself: `./run.sh`, and what a shell is given. Paths as written."""
    try:
        words = _tokens(command.text) if command.shell else shlex.split(command.text)
    except ValueError:
        return ()
    found: list[str] = []
    expects_command, after_shell = True, False
    for word in words:
        if command.shell and set(word) <= _OPERATORS:
            expects_command, after_shell = True, False
        elif expects_command and not ("=" in word.partition("/")[0] or word in _WRAPPERS or word.startswith("-")):
            expects_command = False
            after_shell = word.rpartition("/")[2] in _SHELLS
            found += [word] if "/" in word else []
        elif after_shell and not word.startswith("-"):
            after_shell = False
            found.append(word)
    return tuple(dict.fromkeys(found))


def _tokens(text: str) -> list[str]:
    lexer = shlex.shlex(text.replace("\n", " ; "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    return list(lexer)
