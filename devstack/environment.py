"""Where each variable of a command's environment comes from. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from devstack.profile import graph
from devstack.profile.model import Ask, Command, Generate, Profile
from devstack.profile.source import Path
from devstack.programs import Layer, layers
from devstack.state import State
from devstack.viewpoint import Value

Place = Callable[[Path], str]


@dataclass(frozen=True)
class Variable:
    """One variable. origin: `devstack.toml:12 [env]`, `.env`, `generated (devstack.toml:13 [env])`, `asked (…)`,
    `machine` (the person's shell), `devstack`. hidden: origins of the values that this one wins over, nearest first.
    """

    name: str
    value: Value
    origin: str
    hidden: tuple[str, ...] = ()


def explain(
    profile: Profile, state: State, place: Place, of: tuple[str, str] | None = None, replica: int = 1
) -> dict[str, Variable]:
    """Every variable that a command gets, sorted by name. place: `Loaded.place`.

    of: `("tasks", "migrate")`, `("processes", "web")` or `("checks", "test")`; None: what every command gets, and so
    `devstack exec`. replica: of a process. Raises KeyError for a name that the profile doesn't have.
    """
    declared, program = _declared(profile, of, replica)
    found: dict[str, Variable] = {}
    for layer in layers(profile, state, declared, program, replica):
        for name, value in layer.values.items():
            below = found.get(name)
            hidden = (below.origin, *below.hidden) if below is not None else ()
            found[name] = Variable(name, value, _origin(profile, layer, name, place, of), hidden)
    return dict(sorted(found.items()))


def _declared(profile: Profile, of: tuple[str, str] | None, replica: int) -> tuple[Command | None, str]:
    if of is None:
        return None, ""
    section, name = of
    commands: dict[str, Command] = getattr(profile, section)
    if section != "processes":
        return commands[name], ""
    replicas = {number: program for program, number in graph.programs_of(name, profile.processes[name])}
    return commands[name], replicas[replica]


def _origin(profile: Profile, layer: Layer, name: str, place: Place, of: tuple[str, str] | None) -> str:
    if layer.origin == "file":
        return layer.file
    if layer.origin == "command" and of is not None:
        return f"{place((*of, 'env', name))} [{of[0]}.{of[1]}] env"
    if layer.origin != "profile":
        return layer.origin
    where = f"{place(('env', name))} [env]"
    match profile.env[name]:
        case Generate():
            return f"generated ({where})"
        case Ask():
            return f"asked ({where})"
        case _:
            return where
