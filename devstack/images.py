"""Steps that bring images to the engine: each is got, or built, once, whoever needs it. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from devstack.actions import Action, BuildImage, PullImage
from devstack.completing import PROJECT
from devstack.contained import Contained
from devstack.plan import Draft
from devstack.profile.model import Profile
from devstack.state import State


def fetch(draft: Draft, containers: Iterable[Contained], profile: Profile, state: State) -> dict[str, str]:
    """The steps for what isn't at hand, by image."""
    steps: dict[str, str] = {}
    for one in containers:
        if state.images.get(one.image) or one.image in steps:
            continue
        name = one.owner or one.name
        optional = name in profile.processes and profile.processes[name].optional
        action: Action = PullImage(name, one.image)
        cause, needs = f"the engine has no {one.image} yet", []
        if one.build is not None:
            action = BuildImage(name, one.image, one.build)
            cause, needs = f"nothing is built yet from {one.build.context} as it is now", [PROJECT]
        steps[one.image] = draft.add(name, action, cause, needs=needs, optional=optional)
    return steps
