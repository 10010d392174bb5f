"""Which services are brokers: where tasks and messages wait until somebody takes them."""

from __future__ import annotations

from devstack.profile.interpolation import references
from devstack.profile.model import Profile
from devstack.services import kind_of


def queues(profile: Profile) -> dict[str, tuple[str, ...]]:
    """The parts that hold queues, by the name of their service (`Copies.queues`)."""
    found = {}
    for name, service in profile.services.items():
        copies = kind_of(name, service).copies
        if copies and (parts := copies.queues(service, _leading_to(profile, name))):
            found[name] = parts
    return found


def _leading_to(profile: Profile, service: str) -> dict[str, str]:
    """Variables of the profile whose text names the service."""
    values = [*profile.env.items()]
    for command in (*profile.processes.values(), *profile.tasks.values()):
        values += command.env.items()
    begin = f"services.{service}."
    return {
        name: text for name, text in values
        if isinstance(text, str) and any(one.startswith(begin) for one in references(text))
    }
