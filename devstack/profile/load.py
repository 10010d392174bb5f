"""From the texts of profile files to one validated Profile, or to all mistakes at once.

Pure: whoever calls has read the files. Line numbers are looked up only when there is a mistake to tell.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from pydantic import ValidationError

from devstack.errors import Mistake, ProfileError
from devstack.profile import references, rules
from devstack.profile.locate import line_of
from devstack.profile.merge import Merged, merge
from devstack.profile.mistakes import MAX_SHOWN, Finding, findings_of, in_file_order, listed, near, place_of
from devstack.profile.model import Profile, Service
from devstack.profile.references import BASIC, Fields, Names
from devstack.profile.rules import Declared
from devstack.profile.source import Path, SourceFile, key_text, parse, printable


@dataclass(frozen=True)
class Loaded:
    """sources: file name by key path (`services.cache.port`) of everything that a file sets. digest: SHA-256 of the
    files; of `[tool.devstack]` alone, where the profile is a part of pyproject.toml. What is no file doesn't count.
    merged: how; its files are the layers, the lowest first. tables: what each of them says."""

    profile: Profile
    sources: Mapping[str, str]
    digest: str
    merged: Merged = field(repr=False, compare=False)
    tables: tuple[dict[str, Any], ...] = field(repr=False, compare=False)

    @property
    def files(self) -> tuple[SourceFile, ...]:
        """The files that the profile was read from, the lowest first."""
        return tuple(file for file in self.merged.files if file.is_file)

    def place(self, path: Path) -> str:
        """`devstack.toml:12`, where the key path was set last."""
        return place_of(self.merged, path)


def load(
    files: Sequence[SourceFile], services: Mapping[str, type[Service]], *,
    fields: Mapping[str, Fields] | None = None, default_name: str | None = None,
) -> Loaded:  # fmt: skip
    """Merges the layers, lowest precedence first (the bases, devstack.toml, devstack.local.toml, what `devstack scale`
    has kept, variables, flags), and validates once.

    services: declaration models by kind. fields: what a kind's `${services.NAME.…}` offers, where it is more than url,
    host, port, user and password. default_name: the stack's name where no file gives one. Raises ProfileError.
    """
    tables, mistakes = _parsed(files)
    if mistakes or not files:
        raise _error(mistakes)
    tables = [_known_only(file, tables[: index + 1]) for index, file in enumerate(files)]
    merged = merge(files, tables, default_name)
    profile, found = _validated(merged.values, services)
    profile = _scaled(profile, files, tables) if profile else None
    kept = profile or _partial(merged.values, found, services)
    declared = _declared(merged, frozenset(finding.path for finding in found))
    names = Names(kept, declared, _fields(services, fields or {}))
    findings = chain(found, rules.check(kept, declared), references.check(names))
    mistakes = in_file_order(merged, findings, _misplaced(merged, tables))
    if mistakes or profile is None:
        raise _error(mistakes)
    return Loaded(profile, _sources(merged), _digest(files, tables), merged, tuple(tables))


def _known_only(file: SourceFile, tables: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The last of the tables. What `devstack scale` has kept for a process that is gone waits until it is back."""
    *below, table = tables
    if file.origin != "scale":
        return table
    known: dict[str, Any] = {}
    for lower in below:
        processes = lower.get("processes")
        known |= processes if isinstance(processes, dict) else {}
    return {"processes": {name: said for name, said in table["processes"].items() if isinstance(known.get(name), dict)}}


def _scaled(profile: Profile, files: Sequence[SourceFile], tables: Sequence[dict[str, Any]]) -> Profile:
    """The profile, its scaled processes knowing how many the files want."""
    pairs = list(zip(files, tables, strict=True))
    scaled = [name for file, table in pairs if file.origin == "scale" for name in table["processes"]]
    if not scaled:
        return profile
    below = merge(files, [table if file.is_file else {} for file, table in pairs])
    declared = {name: below.values["processes"][name].get("replicas", 1) for name in scaled}
    processes = {
        name: process.scaled_from(declared[name]) if name in declared else process
        for name, process in profile.processes.items()
    }
    return profile.model_copy(update={"processes": processes})


def _fields(services: Mapping[str, type[Service]], given: Mapping[str, Fields]) -> dict[str, Fields]:
    """A kind that says nothing offers the basic fields and what it lets a profile declare, such as a Redis's `db`."""
    own = {kind: frozenset(model.model_fields) - frozenset(Service.model_fields) for kind, model in services.items()}
    return {kind: Fields(BASIC.names | names) for kind, names in own.items()} | dict(given)


def _parsed(files: Sequence[SourceFile]) -> tuple[list[dict[str, Any]], tuple[Mistake, ...]]:
    tables: list[dict[str, Any]] = []
    mistakes: list[Mistake] = []
    for file in files:
        try:
            tables.append(parse(file))
        except ProfileError as error:
            mistakes += error.mistakes
    return tables, tuple(mistakes)


def _error(mistakes: tuple[Mistake, ...]) -> ProfileError:
    if not mistakes:
        nothing = Mistake("devstack.toml", 0, "", "there is none")
        return ProfileError("there is no profile", (nothing,), fix="--profile FILE")
    files = " and ".join(dict.fromkeys(mistake.file for mistake in mistakes))
    return ProfileError(f"{files} can't be used as a profile", mistakes)


def _validated(
    values: dict[str, Any], services: Mapping[str, type[Service]]
) -> tuple[Profile | None, tuple[Finding, ...]]:
    """Services are validated by their kinds first; the rest takes them as they are."""
    findings: list[Finding] = []
    tables = values.get("services")
    if isinstance(tables, dict):
        made: dict[str, Any] = {}
        for name, table in tables.items():
            made[name] = table
            if isinstance(table, dict):
                made[name], found = _service(name, table, services)
                findings += found
        values = {**values, "services": made}
    try:
        profile = Profile.model_validate(values)
    except ValidationError as error:
        return None, (*findings, *findings_of(error, Profile))
    return (None if findings else profile), tuple(findings)


def _service(
    name: str, table: dict[str, Any], services: Mapping[str, type[Service]]
) -> tuple[Service, list[Finding]]:
    kind = table.get("kind", name)
    path: Path = ("services", name)
    findings: list[Finding] = []
    model = services.get(kind) if isinstance(kind, str) else Service
    if model is None:
        hint = near(kind, services) or f"there are {listed(services)}"
        text = f"no service kind is named `{printable(kind)}`"
        findings.append(Finding((*path, "kind") if "kind" in table else path, text, hint))
        model, table = Service, {key: value for key, value in table.items() if key in Service.model_fields}
    try:
        return model.model_validate(table), findings
    except ValidationError as error:
        return Service(), [*findings, *findings_of(error, model, path)]


def _partial(values: dict[str, Any], findings: Sequence[Finding], services: Mapping[str, type[Service]]) -> Profile:
    """What is left of the profile without its mistakes, so that the other rules can be checked in the same run."""
    values = deepcopy(values)
    for _round in range(8 if len(findings) < MAX_SHOWN else 0):
        for holder, key in [_spoiled(values, finding.path) for finding in findings]:
            holder.pop(key, None)
        values.setdefault("name", "unnamed")
        profile, findings = _validated(values, services)
        if profile is not None:
            return profile
    return Profile(name="unnamed")


def _spoiled(values: dict[str, Any], path: Path) -> tuple[dict[str, Any], str]:
    """The smallest entry that must go with a mistake at the path: the table it is in, and its key there."""
    holder: dict[str, Any] = values
    last = ""
    inner: Any = values
    for part in path:
        # a key that is missing spoils the table that lacks it; an item of a list, the list
        if not isinstance(inner, dict) or part not in inner:
            break
        holder, last, inner = inner, str(part), inner[part]
    return holder, last


def _declared(merged: Merged, spoiled: frozenset[Path]) -> Declared:
    names = {}
    for section in ("services", "tasks", "processes", "env"):
        table = merged.values.get(section)
        names[section] = frozenset(table) if isinstance(table, dict) else frozenset[str]()
    damaged = frozenset(path[:2] for path in spoiled)
    return Declared(names, lambda path: place_of(merged, path), damaged, spoiled)


def _misplaced(merged: Merged, tables: Sequence[dict[str, Any]]) -> list[Mistake]:
    mistakes = []
    for path, index in merged.strays:
        file = merged.files[index]
        text = "`false` removes what a profile below declares, and none declares this"
        below = [name for table in tables[:index] for name in table.get(str(path[0]), {})]
        key = key_text((*file.table, *path))
        mistakes.append(Mistake(file.name, line_of(file, path), key, text, near(str(path[1]), below)))
    for file, table in zip(merged.files, tables, strict=True):
        if file.origin == "local" and "extends" in table:
            text = "the local file is laid over the project's and extends nothing itself"
            line = line_of(file, ("extends",))
            mistakes.append(Mistake(file.name, line, "extends", text, "move it to devstack.toml"))
    return mistakes


def _sources(merged: Merged) -> dict[str, str]:
    return {key_text(path): merged.files[index].name for path, index in merged.origins.items()}


def _digest(files: Sequence[SourceFile], tables: Sequence[dict[str, Any]]) -> str:
    """Over the bytes, lengths between them, so that no two sets of files share one; names don't count."""
    digest = hashlib.sha256()
    for file, table in zip(files, tables, strict=True):
        if not file.is_file:
            continue
        text = json.dumps(table, sort_keys=True, default=str) if file.table else file.text
        content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        digest.update(f"{file.origin} {len(content)}\n".encode() + content)
    return digest.hexdigest()
