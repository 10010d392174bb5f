"""A project's first profile: drafted from what the repository is, or from its compose file, then written."""

from __future__ import annotations

import contextlib
import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from devstack.detect import procfile
from devstack.detect.compose.convert import NAMES, OVERRIDES, Became, convert
from devstack.detect.compose.report import LeftOut
from devstack.detect.framework import Detected
from devstack.errors import ProfileError, UsageError
from devstack.profile import toml
from devstack.profile.model import Ask, Profile, name_from
from devstack.registry import Registry
from devstack.stack.paths import PROFILE, Project, places
from devstack.stack.sources import profile_of, shipped_profile
from devstack.stack.store import RecordStore, held, make_private
from devstack.stack.suggestion import code, detected
from devstack.stack.undoing import retire_profile
from devstack.system import System, storage_errors

#: more than any compose file has
_LIMIT = 1_000_000


@dataclass(frozen=True)
class Draft:
    """A profile that isn't written yet. root: of the project, where it will lie. source: what it was made from. found:
    of a repository, in words. became, left_out: of a compose file."""

    root: Path
    text: str
    source: str
    found: tuple[str, ...] = ()
    became: tuple[Became, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    profile: Profile = field(default_factory=lambda: Profile(name="stack"))

    @property
    def path(self) -> Path:
        return self.root / PROFILE


#: a value of `[env]` that the repository doesn't tell, None where nobody can be asked
Asker = Callable[[str, Ask], str | None]


def from_compose(root: Path, files: Sequence[str], environ: Mapping[str, str]) -> Draft:
    """files: paths in the project; a folder stands for the files that compose itself reads there. environ: of the
    person. Raises UsageError for files that can't be read."""
    names = [name for file in files for name in _files(root, file)]
    made = convert(names, lambda name: _read(root, name), environ, root.resolve().name, code(root))
    return _checked(Draft(root, made.text, ", ".join(names), became=made.became, left_out=made.left_out))


def from_repository(root: Path, choose: Callable[[Detected], str | None], ask: Asker) -> Draft:
    """choose: names a shipped profile where nothing was recognised, None for none."""
    found = detected(root)
    name = found.profile if found.found else choose(found) or found.profile
    shipped = shipped_profile(name)
    env = {key: value for key, value in found.answers.items() if isinstance(shipped.env.get(key), Ask)}
    for key, question in shipped.env.items():
        if isinstance(question, Ask) and key not in env and question.default is None and (said := ask(key, question)):
            env[key] = said
    inside = root if found.folder == "." else root / found.folder
    roles = {one: process.role for one, process in shipped.processes.items()}
    processes = procfile.processes(found.procfile, roles)
    values = {"name": name_from(root.resolve().name), "extends": name, "env": env, "processes": processes}
    what = ", ".join(found.found) or "nothing that is known"
    head = f"# By `devstack init`, which found: {what}.\n# Every key is shown in profiles/reference.toml.\n\n"
    text = head + toml.dump({key: value for key, value in values.items() if value})
    return _checked(Draft(inside, text, name, found=found.found))


def compose_file(root: Path) -> str:
    """The compose file that is at the project's root, "" for none."""
    return next((name for name in NAMES if (root / name).is_file()), "")


def write(system: System, draft: Draft) -> Path | None:
    """Write the profile. What was there before goes to the trash: answers where to. Raises BusyError."""
    trashed, project = None, Project(draft.root)
    with held(system, project) if project.record.exists() else contextlib.nullcontext():
        if draft.path.exists():
            make_private(system, project, places(system))
            trashed = retire_profile(system, project)
        system.write(draft.path, draft.text, 0o644)
        if project.record.exists():
            # what `--profile` named at an earlier run counts no longer
            store = RecordStore(system, project, Registry(system, places(system).state))
            store.update(lambda record: replace(record, profile=""))
    return trashed


def _checked(draft: Draft) -> Draft:
    """With the profile that its text is. Raises UsageError where it is none: that is devstack's fault, and told so."""
    try:
        profile = profile_of(draft.root, draft.text)
    except ProfileError as error:
        raise UsageError(
            "init-failed", f"no profile could be made from {draft.source}", why=f"{error.mistakes[0]}",
            fix="devstack init", evidence=tuple(map(str, error.mistakes)),
        ) from None
    return Draft(**{**vars(draft), "profile": profile})


def _files(root: Path, file: str) -> list[str]:
    """A file as compose reads it: one that it would find by itself brings its override along."""
    path = root / file
    if not path.is_dir():
        return [posixpath.normpath(file)]
    found = [name for name in NAMES if (path / name).is_file()][:1]
    if not found:
        raise UsageError(
            "no-compose-file", f"there is no compose file in {file}", why=f"none of {', '.join(NAMES)} is there",
            fix="devstack init --from FILE",
        )
    found += [name for name in OVERRIDES if (path / name).is_file()][:1]
    return [posixpath.normpath(posixpath.join(file, name)) for name in found]


def _read(root: Path, name: str) -> str | None:
    """A file of the project; links that lead out of it are no files of it."""
    if "\0" in name:
        return None
    path = (root / name).resolve()
    if not path.is_relative_to(root.resolve()) or not path.is_file():
        return None
    with storage_errors(path), path.open("rb") as file:
        return file.read(_LIMIT).decode(errors="replace")
