"""Rules for what runs in containers: which keys go together, what of the machine a container may see."""

from __future__ import annotations

from collections.abc import Iterator

from devstack.profile.mistakes import Finding
from devstack.profile.model import ENV_NAME, Command, Process, Profile, Service
from devstack.profile.source import Path, printable


def check_containers(profile: Profile, spoiled: frozenset[Path]) -> Iterator[Finding]:
    """Every finding of what concerns containers, but for paths of the project (`rules`). spoiled: keys that have a
    mistake of their own."""
    for name, process in profile.processes.items():
        place: Path = ("processes", name)
        if process.is_contained:
            yield from _contained(place, process)
            yield from _natives(profile, place, process)
        else:
            yield from _on_the_machine(place, process, spoiled)
    for name, task in profile.tasks.items():
        yield from _variables(("tasks", name), task)
    for name, check in profile.checks.items():
        yield from _variables(("checks", name), check)
    for name, service in profile.services.items():
        yield from _service(("services", name), service)


def _on_the_machine(place: Path, process: Process, spoiled: frozenset[Path]) -> Iterator[Finding]:
    # whether a mistake in one of them left it a process of the machine isn't known
    if spoiled.intersection((*place, key) for key in ("run", "image", "build")):
        return
    if not process.run:
        yield Finding((*place, "run"), "the key `run` is missing")
    yield from _variables(place, process)
    for key in ("volumes", "container_port"):
        if getattr(process, key):
            yield Finding((*place, key), "only a process in a container has it", "give it an `image` or a `build`")


def _variables(place: Path, command: Command) -> Iterator[Finding]:
    """What a shell takes for none would get lost on the way to a program of this machine."""
    for name in command.env:
        if not ENV_NAME.fullmatch(name):
            text = f"`{printable(name)}` is a variable that only a container can be given"
            yield Finding((*place, "env", name), text, "letters, digits and `_`, no digit first")


def _contained(place: Path, process: Process) -> Iterator[Finding]:
    if process.image is not None and process.build is not None:
        yield Finding((*place, "build"), "an image is named already", "take out one of them")
    if process.cwd != "." and not process.cwd.startswith("/"):
        text = f"`{printable(process.cwd)}` is no folder of a container"
        yield Finding((*place, "cwd"), text, "it is inside: an absolute path; left out: the image's own")
    for key, reason in (("schedule", "a schedule"), ("watch", "`watch`")):
        if getattr(process, key):
            yield Finding((*place, key), f"a process in a container can't have {reason}", "take it out")
    yield from _targets((*place, "volumes"), [one.target for one in process.mounts])
    inside = [*([process.inside_port] if process.container_port or process.port else []), *process.ports.values()]
    if len(set(inside)) < len(inside):
        yield Finding((*place, "ports"), "two of its ports are one number inside", "give one of them another number")


def _natives(profile: Profile, place: Path, process: Process) -> Iterator[Finding]:
    """From its network nobody reaches what listens on 127.0.0.1 of the machine."""
    for index, need in enumerate(process.needs or ()):
        service = profile.services.get(need)
        if service is not None and service.runtime == "native":
            text = f"`{need}` runs natively and can't be reached from a container"
            yield Finding((*place, "needs", index), text, f'runtime = "docker" below [services.{need}]')


def _service(place: Path, service: Service) -> Iterator[Finding]:
    volumes = getattr(service, "volumes", {})
    yield from _targets((*place, "volumes"), list(volumes.values()))
    ports = getattr(service, "ports", {})
    if len(set(ports.values())) < len(ports):
        yield Finding((*place, "ports"), "two of its ports are one number inside", "give one of them another number")


def _targets(place: Path, targets: list[str]) -> Iterator[Finding]:
    twice = {one for one in targets if targets.count(one) > 1}
    for target in sorted(twice):
        yield Finding(place, f"two volumes at `{printable(target)}`", "take out one of them")
