"""Whether every `${…}` of a profile stands for something, and whether a secret would end up in a command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from devstack.errors import Mistake, ProfileError
from devstack.profile.interpolation import has_unclosed, references
from devstack.profile.mistakes import Finding, near
from devstack.profile.model import Ask, CommandCheck, Generate, Process, Profile
from devstack.profile.needs import first_cycle, has_port
from devstack.profile.rules import Declared
from devstack.profile.source import Path, printable


@dataclass(frozen=True)
class Fields:
    """What `${services.NAME.…}` offers for a kind. secret: those that must not be shown."""

    names: frozenset[str]
    secret: frozenset[str] = frozenset({"url", "password"})


BASIC = Fields(frozenset({"url", "host", "port", "user", "password"}))
NO_PORT = 'give it `role = "web"` or a `port`'


@dataclass(frozen=True)
class Names:
    """What can be referred to, anywhere in the profile."""

    profile: Profile
    declared: Declared
    fields: Mapping[str, Fields]

    def of_service(self, name: str) -> Fields:
        declaration = self.profile.services.get(name)
        kind = declaration.kind if declaration and declaration.kind else name
        return self.fields.get(kind, BASIC)

    def known(self, process: Process | None = None) -> set[str]:
        """Every reference that stands for something; `process`: the one whose text it is."""
        known = {"project.root"} | {f"env.{name}" for name in self.profile.env}
        for name in self.profile.services:
            known |= {f"services.{name}.{field}" for field in self.of_service(name).names}
        for name, other in self.profile.processes.items():
            known |= {f"processes.{name}.{field}" for field in ("port", "url") if has_port(other)}
            known |= {f"processes.{name}.ports.{port}" for port in other.ports}
        if process is not None:
            known |= {"replica"} | {f"ports.{port}" for port in process.ports}
            known |= {"port"} if has_port(process) else set()
        return known

    def is_left_out(self, reference: str) -> bool:
        """Whether it names something that has a mistake of its own."""
        section, name, _field = (*reference.split("."), "", "")[:3]
        if section not in ("services", "processes", "env"):
            return False
        return name in self.declared.names[section] and name not in getattr(self.profile, section)

    def is_secret(self, reference: str) -> bool:
        """Whether the value must not be shown; environment values are followed."""
        seen: set[str] = set()
        waiting = [reference]
        while waiting:
            section, name, field = (*waiting.pop().split(".", 2), "", "")[:3]
            if section == "services" and field in self.of_service(name).secret:
                return True
            value = self.profile.env.get(name) if section == "env" and name not in seen else None
            seen.add(name if section == "env" else "")
            if isinstance(value, Generate) or (isinstance(value, Ask) and value.secret):
                return True
            waiting += references(value) if isinstance(value, str) else ()
        return False


def secret_env(profile: Profile, fields: Mapping[str, Fields]) -> frozenset[str]:
    """Names of the profile's environment whose values must not be shown."""
    names = Names(profile, Declared({}, lambda _path: ""), fields)
    return frozenset(name for name in profile.env if names.is_secret(f"env.{name}"))


def ensure_defined(profile: Profile, file: str, text: str, fields: Mapping[str, Fields]) -> None:
    """Raises ProfileError with the lines of a template's references that stand for nothing. file: its path as shown."""
    names = Names(profile, Declared({}, lambda _path: ""), fields)
    known = names.known() | {"project.name"}
    mistakes = tuple(
        Mistake(file, number, "", _undefined(reference), _hint(names, reference, known, None))
        for number, line in enumerate(text.split("\n"), 1)
        for reference in references(line)
        if reference not in known
    )
    if mistakes:
        raise ProfileError(f"{file} can't be filled in", mistakes)


def check(names: Names) -> Iterator[Finding]:
    """Undefined references, secrets in commands, environment values that refer to each other in a circle."""
    profile = names.profile
    for name, value in profile.env.items():
        if isinstance(value, str):
            yield from _text(names, ("env", name), value, None)
    for section in ("tasks", "checks", "processes"):
        for name, command in getattr(profile, section).items():
            process = command if isinstance(command, Process) else None
            yield from _command(names, (section, name, "run"), command.run, process)
            for key, value in command.env.items():
                yield from _text(names, (section, name, "env", key), value, process)
            if process and isinstance(process.ready, CommandCheck):
                yield from _command(names, (section, name, "ready", "command"), process.ready.command, process)
    yield from _env_cycle(profile)


def _text(names: Names, path: Path, text: str, process: Process | None) -> Iterator[Finding]:
    if "${" not in text:
        return
    if has_unclosed(text):
        yield Finding(path, "a `${` has no `}`", "write `$${` for the two characters themselves")
    known = names.known(process)
    for reference in dict.fromkeys(references(text)):
        if reference not in known and not names.is_left_out(reference):
            yield Finding(path, _undefined(reference), _hint(names, reference, known, process))


def _undefined(reference: str) -> str:
    return f"`${{{printable(reference)}}}` stands for nothing"


def _hint(names: Names, reference: str, known: set[str], process: Process | None) -> str:
    section, name, field = (*reference.split(".", 2), "", "")[:3]
    other = names.profile.processes.get(name)
    if reference == "port" or (section == "processes" and field in ("port", "url") and other and not has_port(other)):
        return NO_PORT if process or reference != "port" else "only a process has a port: `${processes.NAME.port}`"
    if section in ("replica", "ports") and process is None:
        return "only a process has one"
    if reference in names.profile.env:
        return f"did you mean `${{env.{reference}}}`?"
    if section == "env" and name:
        return near(name, names.profile.env) or f"there is no `{printable(name)}` in `[env]`"
    if section in ("services", "processes") and name and name not in getattr(names.profile, section):
        return near(name, getattr(names.profile, section)) or f"there is no `[{section}.{printable(name)}]`"
    hint = near(reference, sorted(known)).replace("`", "`${", 1).replace("`?", "}`?")
    return hint or "write `$${` for the shell's own `${`"


def _command(names: Names, path: Path, text: str, process: Process | None) -> Iterator[Finding]:
    yield from _text(names, path, text, process)
    known = names.known(process) if "${" in text else set()
    for reference in dict.fromkeys(references(text)):
        if reference in known and names.is_secret(reference):
            yield Finding(
                path, f"`${{{reference}}}` is secret, and everyone on the machine can read a command line",
                "put it into `env` and let the command read it there",
            )  # fmt: skip


def _env_cycle(profile: Profile) -> Iterator[Finding]:
    graph = {
        name: tuple(reference.removeprefix("env.") for reference in references(value) if reference.startswith("env."))
        for name, value in profile.env.items()
        if isinstance(value, str)
    }
    if cycle := first_cycle(graph):
        yield Finding(("env", cycle[0]), f"environment values refer to each other in a circle: {' → '.join(cycle)}")
