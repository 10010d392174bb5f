"""Whether every `${…}` of a profile stands for something, and whether a secret would end up in a command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from devstack.errors import Mistake, ProfileError
from devstack.profile.interpolation import has_unclosed, references
from devstack.profile.mistakes import Finding, near
from devstack.profile.model import Ask, CommandCheck, Generate, Process, Profile, Task
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
        found = self.fields.get(kind, BASIC)
        # what has no fixed ports declares its own
        declared: Mapping[str, int] | None = getattr(declaration, "ports", None)
        if declared is None:
            return found
        missing = frozenset() if "main" in declared else frozenset({"url", "port"})
        return Fields((found.names | {f"ports.{port}" for port in declared}) - missing, found.secret)

    @cached_property
    def shared(self) -> frozenset[str]:
        """Every reference that stands for something in any text."""
        known = {"project.root"} | {f"env.{name}" for name in self.profile.env}
        for name in self.profile.services:
            known |= {f"services.{name}.{field}" for field in self.of_service(name).names}
        for name, process in self.profile.processes.items():
            known |= {f"processes.{name}.{field}" for field in ("port", "url") if has_port(process)}
            known |= {f"processes.{name}.ports.{port}" for port in process.ports}
        return frozenset(known)

    def own(self, process: Process | None) -> frozenset[str]:
        """What stands for something in the process's own texts only."""
        if process is None:
            return frozenset()
        return frozenset({"replica", *(f"ports.{port}" for port in process.ports), *["port"] * has_port(process)})

    def is_left_out(self, reference: str) -> bool:
        """Whether it names something that has a mistake of its own."""
        section, name, _field = (*reference.split("."), "", "")[:3]
        return (section, name) in self.declared.damaged or (section,) in self.declared.damaged

    @cached_property
    def secret_env(self) -> frozenset[str]:
        """Names of environment values that must not be shown: generated, asked as secrets, or made from a secret."""
        users: dict[str, list[str]] = {}
        found: set[str] = set()
        for name, value in self.profile.env.items():
            if isinstance(value, Generate) or (isinstance(value, Ask) and value.secret):
                found.add(name)
            for reference in references(value) if isinstance(value, str) else ():
                if reference.startswith("env."):
                    users.setdefault(reference.removeprefix("env."), []).append(name)
                if self._is_secret_field(reference):
                    found.add(name)
        waiting = list(found)
        while waiting:
            new = set(users.get(waiting.pop(), ())) - found
            found |= new
            waiting += new
        return frozenset(found)

    def _is_secret_field(self, reference: str) -> bool:
        section, name, field = (*reference.split(".", 2), "", "")[:3]
        return section == "services" and field in self.of_service(name).secret

    def is_secret(self, reference: str) -> bool:
        """Whether the value must not be shown."""
        is_env = reference.startswith("env.")
        return (is_env and reference.removeprefix("env.") in self.secret_env) or self._is_secret_field(reference)


def secret_env(profile: Profile, fields: Mapping[str, Fields]) -> frozenset[str]:
    """Names of the profile's environment whose values must not be shown."""
    names = Names(profile, Declared({}, lambda _path: ""), fields)
    return names.secret_env


def ensure_defined(profile: Profile, file: str, text: str, fields: Mapping[str, Fields]) -> None:
    """Raises ProfileError with the lines of a template's references that stand for nothing. file: its path as shown."""
    names = Names(profile, Declared({}, lambda _path: ""), fields)
    known = names.shared | {"project.name"}
    mistakes = tuple(
        Mistake(file, number, "", _undefined(reference), _hint(names, reference, None))
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
    for path, file in profile.files.items():
        if file.content is not None:
            yield from _text(names, ("files", path, "content"), file.content, None)
    for section in ("tasks", "checks", "processes"):
        for name, command in getattr(profile, section).items():
            process = command if isinstance(command, Process) else None
            yield from _command(names, (section, name, "run"), command.run, process)
            for key, value in command.env.items():
                yield from _text(names, (section, name, "env", key), value, process)
            if isinstance(command, Task) and command.unless is not None:
                yield from _command(names, (section, name, "unless"), command.unless, None)
            if process and isinstance(process.ready, CommandCheck):
                yield from _command(names, (section, name, "ready", "command"), process.ready.command, process)
    for place, text, is_shown in _of_containers(profile):
        yield from (_command if is_shown else _text)(names, place, text, None)
    yield from _notes(names)
    yield from _env_cycle(profile)


def _of_containers(profile: Profile) -> Iterator[tuple[Path, str, bool]]:
    """Texts of services that may be any image, and of builds. The third: everyone may read it."""
    for name, service in profile.services.items():
        for key, value in getattr(service, "environment", {}).items():
            yield ("services", name, "environment", key), value, False
        for index, word in enumerate(getattr(service, "command", ())):
            yield ("services", name, "command", index), word, True
        ready = getattr(service, "ready", None)
        if isinstance(ready, CommandCheck):
            yield ("services", name, "ready", "command"), ready.command, True
    for name, process in profile.processes.items():
        for key, value in process.build.args.items() if process.build else ():
            yield ("processes", name, "build", "args", key), value, True


def _notes(names: Names) -> Iterator[Finding]:
    for number, note in enumerate(names.profile.notes):
        yield from _text(names, ("notes", number), note, None)
        for reference in dict.fromkeys(references(note)):
            if reference in names.shared and names.is_secret(reference):
                yield Finding(
                    ("notes", number), f"`${{{reference}}}` is secret, and notes are shown to everyone who looks",
                    "say which command shows it, such as `devstack exec -- env`",
                )  # fmt: skip


def _text(names: Names, path: Path, text: str, process: Process | None) -> Iterator[Finding]:
    if "${" not in text:
        return
    if has_unclosed(text):
        yield Finding(path, "a `${` has no `}`", "write `$${` for the two characters themselves")
    own = names.own(process)
    if process and path[:2] in names.declared.damaged:
        own |= {reference for reference in references(text) if not reference.startswith(("services.", "env."))}
    for reference in dict.fromkeys(references(text)):
        if reference not in names.shared and reference not in own and not names.is_left_out(reference):
            yield Finding(path, _undefined(reference), _hint(names, reference, process))


def _undefined(reference: str) -> str:
    return f"`${{{printable(reference)}}}` stands for nothing"


def _hint(names: Names, reference: str, process: Process | None) -> str:
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
    hint = near(reference, sorted(names.shared | names.own(process))).replace("`", "`${", 1).replace("`?", "}`?")
    return hint or "write `$${` for the shell's own `${`"


def _command(names: Names, path: Path, text: str, process: Process | None) -> Iterator[Finding]:
    yield from _text(names, path, text, process)
    for reference in dict.fromkeys(references(text)):
        if reference in names.shared and names.is_secret(reference):
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
