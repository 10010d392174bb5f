"""What no start of a container can help: an image for another kind of processor, data of another major version.

Known before the start where the image and the data say it, else by the last words of what has died.
"""

from __future__ import annotations

import re
import shlex

from devstack import contained
from devstack.contained import Contained
from devstack.errors import DataError, DevstackError, PrerequisiteError
from devstack.runtimes import image_facts
from devstack.runtimes.docker import Engine
from devstack.state import ServiceState, State


def ensure_runs(engine: Engine, wanted: Contained) -> None:
    """Raises PrerequisiteError for an image whose programs the engine's machine is sure not to run."""
    processor = image_facts.facts(engine, wanted.image).processor
    if image_facts.runs(engine, processor) is False:
        raise _other_processor(engine, wanted, processor)


def ensure_usable(engine: Engine, state: State, service: ServiceState | None, container: str) -> None:
    """Raises DataError where a container that hasn't been started yet has data that its server can't use. service:
    that it is, if it is one."""
    if service is None or not service.has_data or not (form := contained.service_form(service)).version_file:
        return
    has = engine.text_inside(container, form.version_file).strip()
    brings = image_facts.facts(engine, service.image).variables.get(form.version_variable, "")
    if has and brings and has != brings:
        raise _other_version(engine, state, service, has, brings)


def refusal(engine: Engine, state: State, wanted: Contained, words: str) -> DevstackError | None:
    """The error for what the last words of a container that has died say, where no other start of it can help; None
    for any other."""
    processor = image_facts.facts(engine, wanted.image).processor
    # what emulates another one would have let it live
    if not image_facts.is_own(engine, processor):
        error = _other_processor(engine, wanted, processor)
        error.evidence = (*words.splitlines()[-2:], *error.evidence)
        return error
    service = state.services.get(wanted.name)
    pattern = contained.service_form(service).foreign_data if service else ""
    if service is None or not pattern or not (found := re.search(pattern, words)):
        return None
    return _other_version(engine, state, service, found[1], found[2])


def _other_processor(engine: Engine, wanted: Contained, processor: str) -> PrerequisiteError:
    name, evidence = wanted.owner or wanted.name, tuple[str, ...]()
    if wanted.build is not None:
        fix = f"change FROM in {wanted.build.context}/{wanted.build.dockerfile}"
    else:
        fix = f"{engine.program} pull --platform linux/{engine.processor} {wanted.image}"
        evidence = (f"if its registry has none for {engine.processor}: change the image of {name} in the profile",)
    return PrerequisiteError(
        "image-platform", f"the image of {name} is made for another kind of processor",
        why=f"{wanted.image} is for {processor}, and this engine's machine is {engine.processor}", fix=fix,
        evidence=evidence,
    )


def _other_version(engine: Engine, state: State, service: ServiceState, has: str, brings: str) -> DataError:
    name, kind, form = service.instance.name, service.server.kind, contained.service_form(service)
    old = f'version = "{has}"' if service.instance.declaration.image is None else f'an image with {kind} {has}'
    fix = f"{old} under [services.{name}] in the profile"
    dump = f"{engine.program} exec {contained.container_name(state.stack, name)} {shlex.join(form.dump)} > {name}.sql"
    volumes = contained.volume_names(state.stack, name, form, service.generation.partition("+")[0])
    return DataError(
        "data-version", f"the data of {name} was made by {kind} {has}, and {kind} {brings} can't use it",
        why="the profile, or its image, brings another major version", fix=fix,
        evidence=(
            f"kept as it is: the volume {', '.join(volumes.values())}",
            f"to keep the data: {fix}, devstack up, {dump}, then change the version again",
            "to start anew: devstack down --volumes, then devstack up (the old data goes to the trash)",
        ),
    )
