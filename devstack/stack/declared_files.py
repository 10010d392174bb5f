"""Observes what a profile says of files: env files, `[files]` and their templates."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import replace

from devstack import project_files
from devstack.errors import UsageError
from devstack.profile.env_file import parse_env
from devstack.profile.model import EnvFile, Profile
from devstack.profile.references import ensure_defined
from devstack.profile.secret import Secret
from devstack.profile.source import MAX_BYTES
from devstack.render import digest
from devstack.stack.inputs import Inputs
from devstack.stack.sources import fields
from devstack.state import State


def env_files(profile: Profile) -> tuple[EnvFile, ...]:
    """Every env file that the profile names, each once; required where any place requires it."""
    commands = (*profile.tasks.values(), *profile.processes.values(), *profile.checks.values())
    found: dict[str, EnvFile] = {}
    for file in (*profile.env_file, *(one for command in commands for one in command.env_file)):
        known = found.get(file.path)
        found[file.path] = file if known is None or file.required else known
    return tuple(found.values())


def with_files(profile: Profile, inputs: Inputs, state: State) -> State:
    """The state with what is there of `[files]`, and what the files that this run makes will hold.

    Raises UsageError for a template or env file that is missing or lies elsewhere, ProfileError for mistakes in them.
    """
    templates = dict(_templates(profile, inputs, state.missing_paths))
    state = replace(state, templates=templates, on_disk=dict(_digests(profile, inputs)))
    state = replace(state, files_version=project_files.version(profile, state))
    values = {}
    for file in env_files(profile):
        text = project_files.text_of(profile, state, file.path)
        content = text.encode(errors="surrogateescape") if text is not None else _env_content(profile, inputs, file)
        values[file.path] = _parsed(file, content)
    return replace(state, env_files=values)


def with_env_files(profile: Profile, inputs: Inputs, state: State) -> State:
    """The state with the env files that are there; a look at what runs stops at none that is missing."""
    values = {}
    for file in env_files(profile):
        values[file.path] = _parsed(file, _env_content(profile, inputs, EnvFile(path=file.path, required=False)))
    return replace(state, env_files=values)


def _parsed(file: EnvFile, content: bytes | None) -> dict[str, Secret]:
    return {name: Secret(text) for name, text in parse_env(file.path, content or b"").items()}


def _env_content(profile: Profile, inputs: Inputs, file: EnvFile) -> bytes | None:
    # what devstack makes itself may have been made meanwhile
    content = inputs.content(inputs.inside(file.path), fresh=file.path in profile.files)
    if content is None and file.required:
        raise UsageError(
            "env-file-missing", f"the env file {file.path} is not there",
            why=f"{inputs.root / file.path} does not exist", fix=_fix(inputs, file.path),
        )
    return content


def _fix(inputs: Inputs, path: str) -> str:
    """An example beside it is there to be copied."""
    for ending in (".example", ".sample", ".template", ".dist"):
        if (inputs.root / f"{path}{ending}").is_file():
            return f"cp {path}{ending} {path}"
    return f'make it, or write env_file = [{{ path = "{path}", required = false }}]'


def _templates(profile: Profile, inputs: Inputs, missing: Set[str]) -> Iterator[tuple[str, str]]:
    for path, declared in profile.files.items():
        if declared.template is None:
            continue
        content = inputs.content(inputs.template(declared.template))
        if content is None and path not in missing:
            # made once, and nothing is left to follow
            continue
        if content is None:
            raise UsageError(
                "template-missing", f"{path} can't be made", why=f"its template {declared.template} is not there",
                fix=f'template = "…" below [files."{path}"]',
            )
        text = content.decode(errors="surrogateescape")
        ensure_defined(profile, declared.template, text, fields())
        yield path, text


def _digests(profile: Profile, inputs: Inputs) -> Iterator[tuple[str, str]]:
    for path, declared in profile.files.items():
        place = inputs.target(path)
        if declared.directory or not place.is_file():
            continue
        # a link is somebody else's doing, and nothing that devstack wrote is so big
        is_ours = not place.is_symlink() and place.stat().st_size <= MAX_BYTES
        content = inputs.content(place, fresh=True) if is_ours else None
        yield path, digest(content.decode(errors="surrogateescape")) if content is not None else "other"
