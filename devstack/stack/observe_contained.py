"""What there is of the processes that run in containers: their images, what those are built from, their volumes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from devstack import contained, programs
from devstack.errors import PrerequisiteError, UsageError
from devstack.profile.model import Profile
from devstack.runtimes import builds
from devstack.runtimes.engine_answers import Look
from devstack.stack.containers import UNUSED, Place, token_of, trashed_volumes
from devstack.stack.machinery import Tools
from devstack.state import Record, State


def contained_processes(profile: Profile) -> tuple[str, ...]:
    """Names of the processes that run in containers."""
    return tuple(name for name, process in profile.processes.items() if process.is_contained)


def ensure_possible(tools: Tools, places: Mapping[str, Place], asked: tuple[str, ...]) -> None:
    """asked: what is to run, () for everything. Raises PrerequisiteError where there is no engine for the processes in
    containers among it, UsageError where one couldn't reach a service. What is optional fails by itself."""
    if not contained_processes(tools.profile):
        return
    wanted = programs.selected(tools.profile, asked)
    processes = tools.profile.processes
    names = [name for name in contained_processes(tools.profile) if name in wanted and not processes[name].optional]
    if not names:
        return
    try:
        _ = tools.containers.engine
    except PrerequisiteError as error:
        raise PrerequisiteError(
            error.id, error.what, why=f"{names[0]} runs in a container; {error.why}", fix=error.fix,
        ) from None
    natively = {service: place.why for service, place in places.items() if place.runtime == "native"}
    for name in names:
        ensure_reaches(tools.profile, name, natively)


def ensure_reaches(profile: Profile, name: str, natively: Mapping[str, str]) -> None:
    """natively: why each service runs so that does. Raises UsageError where a process in a container needs one."""
    for service in sorted(contained.talks_to(profile, profile.processes[name]) & natively.keys()):
        raise UsageError(
            "native-unreachable", f"{name} can't reach {service} from its container",
            why=f"{service} runs natively, on 127.0.0.1 of this machine ({natively[service]})",
            fix=f'runtime = "docker" below [services.{service}]',
        )


def shared_volumes(tools: Tools, record: Record, seen: Look) -> str:
    """The token of the volumes that processes share, "" where none has any."""
    if not any(one.is_volume for process in tools.profile.processes.values() for one in process.mounts):
        return ""
    trashed = trashed_volumes(tools.system, tools.project)
    return token_of(record, seen, contained.VOLUMES, trashed).removesuffix(UNUSED)


def with_images(tools: Tools, state: State, seen: Look) -> State:
    """The state with the images that processes need. Reads everything that is built from. Raises UsageError,
    StorageError."""
    profile = tools.profile
    made = {}
    for name, process in profile.processes.items():
        if process.build is not None:
            key = builds.key(tools.files, process.build, contained.build_args(profile, state, process.build))
            made[name] = contained.built_image(state.stack, key)
    named = {
        contained.image_name(process.image, profile.registry)
        for process in profile.processes.values() if process.image is not None
    }
    images = {image: seen.images.get(image, "") for image in (*made.values(), *named)}
    return replace(state, builds=made, images={**state.images, **images})
