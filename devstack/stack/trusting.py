"""What trust in one project is bound to, gathered from what was read, and what a person is shown before giving it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from devstack.errors import NotTrustedError, UsageError
from devstack.profile.executed import executed, scripts
from devstack.profile.model import Profile
from devstack.profile.source import SourceFile, parse
from devstack.render import digest
from devstack.stack.declared_files import env_files
from devstack.stack.inputs import Inputs
from devstack.stack.sources import Found
from devstack.state import Record
from devstack.system import storage_errors
from devstack.trust import Change, Item, Material, item

#: what devstack ships came with it, and a flag is the person's word
_BOUND = frozenset({"project", "given", "local"})
_MADE_HERE = frozenset({".devstack", ".venv", ".git"})


@dataclass(frozen=True)
class Request:
    """What a person is asked to trust. changes: since it was trusted last. stranger: the folder belongs to another
    user, who can change it at any time."""

    profile: Profile
    source: str
    material: Material
    changes: tuple[Change, ...]
    is_known: bool
    stranger: bool

    def refusal(self, fix: str, *, is_shown: bool = False) -> NotTrustedError:
        """The error where nobody says yes. is_shown: the person has just seen what changed, and said no."""
        if not self.is_known:
            why = "its profile names commands that would run here"
        else:
            shown = [str(change) for change in self.changes[:6]]
            more = len(self.changes) - len(shown)
            why = "since it was trusted, " + ", ".join((*shown, *[f"and {more} more"] * bool(more)))
        if self.stranger:
            why += "; its folder belongs to another user"
        error = NotTrustedError(
            "not-trusted", f"{self.material.root} is not trusted", why=why, fix=fix,
            evidence=() if is_shown else tuple(line for change in self.changes for line in change.diff),
        )
        error.changes = tuple(
            {"file": change.name, "kind": change.kind, "change": change.how} for change in self.changes
        )
        return error


def material(found: Found, inputs: Inputs, record: Record) -> Material:
    """Everything of the project that says what runs, as it was read."""
    root = os.path.realpath(inputs.root)
    with storage_errors(inputs.root):
        owner = Path(root).stat().st_uid
    items = [_profile(file, root) for file in found.loaded.files if file.origin in _BOUND]
    if not any(file.origin in ("project", "given") for file in found.loaded.files):
        items.append(Item(f"--profile {found.path}", "profile", "shipped"))
    profile = found.loaded.profile
    items += [*_templates(profile, inputs), *_env_files(profile, inputs, record), *_scripts(profile, inputs, root)]
    items += _builds(profile, inputs)
    return Material(root, owner, tuple({(one.kind, one.name): one for one in items}.values()))


def is_persons_own(found: Found, root: Path) -> bool:
    """Is all of the profile the person's, who named it: no file of it lies in the project?"""
    files = [file for file in found.loaded.files if file.origin in _BOUND]
    return found.is_given and bool(files) and not any(_is_inside(file, os.path.realpath(root)) for file in files)


def _is_inside(file: SourceFile, root: str) -> bool:
    return not file.path or Path(os.path.realpath(file.path)).is_relative_to(root)


def _profile(file: SourceFile, root: str) -> Item:
    """A file of the person's own, outside of the project, by its path alone: nobody else writes there."""
    if file.origin == "given" and not _is_inside(file, root):
        return Item(file.path, "profile", "given")
    if file.table:
        # the rest of pyproject.toml is none of devstack's business
        content = json.dumps(parse(file), indent=1, sort_keys=True, default=str).encode(errors="surrogateescape")
        return item(f"{file.name} [tool.devstack]", "profile", content)
    content = file.text.encode(errors="surrogatepass") if isinstance(file.text, str) else file.text
    return item(file.name, "profile", content)


def _templates(profile: Profile, inputs: Inputs) -> Iterator[Item]:
    for declared in profile.files.values():
        if declared.template is not None:
            path = inputs.template(declared.template)
            content = inputs.content(path)
            if content is not None and (inputs.own is None or not path.is_relative_to(inputs.own)):
                yield item(declared.template, "template", content)


def _env_files(profile: Profile, inputs: Inputs, record: Record) -> Iterator[Item]:
    """Those that devstack has made are what their template says; that is bound already."""
    for file in env_files(profile):
        content = inputs.content(inputs.inside(file.path))
        if content is None:
            continue
        written = record.written.get(file.path)
        is_ours = file.path in profile.files and written is not None
        if not is_ours or written is None or digest(content.decode(errors="surrogateescape")) != written.digest:
            yield item(file.path, "env file", content)


def _builds(profile: Profile, inputs: Inputs) -> Iterator[Item]:
    """What says how images are built; the rest of their folders is what they are built from."""
    for process in profile.processes.values():
        if process.build is not None:
            for name in (process.build.dockerfile, ".dockerignore"):
                path = os.path.normpath(f"{process.build.context}/{name}")
                content = inputs.content(inputs.inside(path))
                if content is not None:
                    yield item(path, "build", content)


def _scripts(profile: Profile, inputs: Inputs, root: str) -> Iterator[Item]:
    for command in executed(profile):
        for word in scripts(command):
            path = os.path.realpath(os.path.join(root, command.cwd, word.replace("${project.root}", root)))  # noqa: PTH118
            name = os.path.relpath(path, root)
            if name.split("/")[0] in (*_MADE_HERE, "..") or not Path(path).is_file():
                continue
            try:
                content = inputs.content(Path(path))
            except UsageError:
                # a binary of any size
                with storage_errors(Path(path)), Path(path).open("rb") as file:
                    yield Item(name, "script", hashlib.file_digest(file, "sha256").hexdigest())
            else:
                if content is not None:
                    yield item(name, "script", content)
