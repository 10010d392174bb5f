"""Compose files as one value: interpolated, `extends` and `include` followed, laid over each other as compose does
(docs.docker.com/reference/compose-file/merge).
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from devstack.detect.compose.interpolation import interpolate
from devstack.detect.yaml_text import Document, parse
from devstack.errors import UsageError
from devstack.profile.source import Path, key_text, printable

#: text of a file by its path in the project, None where there is none
Read = Callable[[str], str | None]

RESET, OVERRIDE = "!reset", "!override"
#: lists that may as well be tables: `NAME=value`, or names alone
_PAIRS = frozenset({"environment", "labels", "annotations", "sysctls", "args"})
_SETS = frozenset({"depends_on", "networks"})
#: lists of which the last one counts
_REPLACED = frozenset({"command", "entrypoint", "test"})
#: lists whose items are known by where they are in the container
_BY_TARGET = frozenset({"volumes", "devices", "secrets", "configs", "tmpfs"})
_DEPTH = 20


@dataclass
class Merged:
    """value: of the whole. documents: every file that was read."""

    value: dict[str, Any]
    documents: list[Document] = field(default_factory=list)

    def place(self, path: Path) -> str:
        """File and line of a key, in the last file that has it."""
        best = max(
            self.documents, default=None,
            key=lambda one: (max((n for n in range(len(path) + 1) if path[:n] in one.lines), default=0),
                             self.documents.index(one)),
        )  # fmt: skip
        return best.place(path) if best else ""


def merged(names: Sequence[str], read: Read, values: Mapping[str, str]) -> Merged:
    """names: paths of the files, later ones laid over earlier ones; folders in them are the first one's. values: of
    variables. Raises UsageError for a file that is missing or can't be read."""
    reading = _Reading(read, values)
    whole: dict[str, Any] = {}
    for name in names:
        whole = _laid_over(whole, reading.file(name))
    home = posixpath.dirname(names[0]) if names else ""
    whole = _final(whole)
    services = {name: _rebased(one, home) for name, one in _table(whole.get("services")).items()}
    return Merged({**whole, "services": services}, reading.documents)


class _Reading:
    def __init__(self, read: Read, values: Mapping[str, str]) -> None:
        self._read = read
        self._values = values
        self.documents: list[Document] = []
        self._raw: dict[str, dict[str, Any]] = {}

    def file(self, name: str, trail: tuple[str, ...] = ()) -> dict[str, Any]:
        """One file with all that it extends and includes."""
        if name in trail or len(trail) > _DEPTH:
            raise _invalid(name, f"files include each other in a circle: {' → '.join((*trail, name))}")
        whole = dict(self._parsed(name, self.documents))
        services: dict[str, Any] = {}
        for one, values in _table(whole.get("services")).items():
            made = self._extended(name, one, ())
            services[one] = _Override(made) if isinstance(values, _Override) else made
        found: dict[str, Any] = {}
        for included in _included(whole.pop("include", None)):
            other = posixpath.normpath(posixpath.join(posixpath.dirname(name), included))
            # what is included has its own folder
            part = self.file(other, (*trail, name))
            folder = posixpath.relpath(posixpath.dirname(other) or ".", posixpath.dirname(name) or ".")
            part["services"] = {key: _rebased(one, folder) for key, one in _table(part.get("services")).items()}
            found = _laid_over(found, part)
        return _laid_over(found, {**whole, "services": services})

    def _parsed(self, name: str, documents: list[Document]) -> dict[str, Any]:
        if name not in self._raw:
            text = self._read(name)
            if text is None:
                raise UsageError(
                    "no-compose-file", f"there is no {name}", why="it was named, or another file names it",
                    fix=f"ls {name}",
                )
            document = parse(name, text, frozenset({RESET, OVERRIDE}))
            documents.append(document)
            filled = _filled(document.value, (), document, self._values)
            if not isinstance(filled, dict) or not isinstance(filled.get("services") or {}, dict):
                raise _invalid(name, "a compose file is a table with `services`")
            services = {key: _canonical_one(one) for key, one in _table(filled.get("services")).items()}
            self._raw[name] = {**filled, "services": services}
        return self._raw[name]

    def _extended(self, file: str, service: str, trail: tuple[tuple[str, str], ...]) -> dict[str, Any]:
        if (file, service) in trail or len(trail) > _DEPTH:
            raise _invalid(file, f"services extend each other in a circle: {service}")
        values = _table(self._parsed(file, self.documents).get("services")).get(service)
        own = dict(_table(values.value if isinstance(values, _Override) else values))
        base = own.pop("extends", None)
        if base is None:
            return own
        base = {"service": base} if isinstance(base, str) else _table(base)
        name = str(base.get("service") or "")
        other = file
        if base.get("file"):
            other = posixpath.normpath(posixpath.join(posixpath.dirname(file), str(base["file"])))
        if name not in _table(self._parsed(other, []).get("services")):
            raise _invalid(file, f"{service} extends {name or 'nothing'!r}, which {other} doesn't have")
        below = self._extended(other, name, (*trail, (file, service)))
        if other != file:
            below = _rebased(below, posixpath.relpath(posixpath.dirname(other) or ".", posixpath.dirname(file) or "."))
        return _table(_merge((), below, own))


def _included(value: Any) -> Iterator[str]:
    for entry in value if isinstance(value, list) else ():
        paths = entry.get("path") if isinstance(entry, dict) else entry
        yield from (path for path in (paths if isinstance(paths, list) else [paths]) if isinstance(path, str))


def _filled(value: Any, path: Path, document: Document, values: Mapping[str, str]) -> Any:
    """The value with its variables filled in; keys stay. What `!reset` stands before becomes that mark."""
    tag = document.tags.get(path)
    if tag == RESET:
        return _Reset()
    if isinstance(value, dict):
        found: Any = {key: _filled(item, (*path, key), document, values) for key, item in value.items()}
    elif isinstance(value, list):
        found = [_filled(item, (*path, index), document, values) for index, item in enumerate(value)]
    else:
        place = f"{document.place(path)}, {key_text(path)}"
        found = interpolate(value, values, place) if isinstance(value, str) else value
    return _Override(found) if tag == OVERRIDE else found


class _Reset:
    """Takes out what is below."""


@dataclass
class _Override:
    """Replaces what is below instead of being merged with it."""

    value: Any


# --- one shape -------------------------------------------------------------------------------------------------------


def _canonical_one(service: Any) -> Any:
    if isinstance(service, _Override):
        return _Override(_canonical(_table(service.value)))
    return service if isinstance(service, _Reset) else _canonical(_table(service))


def _canonical(service: Mapping[str, Any]) -> dict[str, Any]:
    """A service with tables where compose accepts lists and texts too, so that they can be merged."""
    found = dict(service)
    for key, value in service.items():
        if isinstance(value, _Override):
            found[key] = _Override(_canonical({key: value.value})[key])
        elif key in _PAIRS and isinstance(value, list):
            found[key] = dict(_pair(item) for item in value if isinstance(item, str))
        elif key in _SETS and isinstance(value, list):
            found[key] = {str(item): None for item in value}
        elif key == "build":
            build = {"context": value} if isinstance(value, str) else dict(_table(value))
            found[key] = _canonical(build) if isinstance(build.get("args"), list) else build
        elif key in ("env_file", "tmpfs", "dns", "profiles") and isinstance(value, str | dict):
            found[key] = [value]
    return found


def _pair(item: str) -> tuple[str, str | None]:
    name, equals, value = item.partition("=")
    return name, value if equals else None


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two whole files."""
    found = {**below, **{key: value for key, value in above.items() if not isinstance(value, dict)}}
    for section, table in above.items():
        if not isinstance(table, dict):
            continue
        lower = _table(below.get(section))
        if section != "services":
            found[section] = {**lower, **table}
            continue
        found[section] = dict(lower)
        for name, service in table.items():
            found[section][name] = _merge((), lower.get(name), service)
    return found


def _final(value: Any) -> Any:
    """What is left of the marks once everything lies over everything."""
    if isinstance(value, _Override):
        return _final(value.value)
    if isinstance(value, dict):
        return {key: _final(item) for key, item in value.items() if not isinstance(item, _Reset)}
    return [_final(item) for item in value if not isinstance(item, _Reset)] if isinstance(value, list) else value


def _merge(path: tuple[str, ...], below: Any, above: Any) -> Any:
    if isinstance(below, _Override) and not isinstance(above, _Override | _Reset):
        # it replaces what is below both
        return _Override(_merge(path, below.value, above))
    if isinstance(above, dict):
        lower = _table(below)
        return {**lower, **{key: _merge((*path, key), lower.get(key), value) for key, value in above.items()}}
    if isinstance(above, list) and isinstance(below, list) and path[-1:] and path[-1] not in _REPLACED:
        kept = below
        if path[-1] in _BY_TARGET:
            targets = {target_of(item) for item in above}
            kept = [item for item in below if target_of(item) not in targets]
        return [*kept, *(item for item in above if item not in kept)]
    return above


def target_of(item: Any) -> str:
    """Where in a container an entry of `volumes` and the like is."""
    if isinstance(item, dict):
        return str(item.get("target") or item.get("source") or "")
    parts = str(item).split(":")
    return parts[1] if len(parts) > 1 and parts[1].startswith("/") else parts[0]


def _rebased(service: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """A service of a file in another folder: its paths as seen from here."""
    found = dict(service)
    if folder in ("", "."):
        return found

    def moved(path: Any) -> Any:
        if not isinstance(path, str) or path.startswith(("/", "~")) or "://" in path:
            return path
        return posixpath.normpath(posixpath.join(folder, path))

    if isinstance(found.get("build"), dict):
        found["build"] = {**found["build"], "context": moved(found["build"].get("context") or ".")}
    if isinstance(found.get("env_file"), list):
        found["env_file"] = [
            {**entry, "path": moved(entry.get("path"))} if isinstance(entry, dict) else moved(entry)
            for entry in found["env_file"]
        ]
    if isinstance(found.get("volumes"), list):
        found["volumes"] = [_moved_mount(entry, moved) for entry in found["volumes"]]
    return found


def _moved_mount(entry: Any, moved: Callable[[Any], Any]) -> Any:
    if isinstance(entry, dict):
        return {**entry, "source": moved(entry.get("source"))} if entry.get("type") == "bind" else entry
    source, colon, rest = str(entry).partition(":")
    # a name alone is a volume's
    if not (colon and source.startswith(".")):
        return entry
    path = moved(source)
    return f"{path if path.startswith('.') else f'./{path}'}{colon}{rest}"


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _invalid(name: str, why: str) -> UsageError:
    return UsageError(
        "compose-invalid", f"{name} can't be read as a compose file", why=printable(why, 300), fix=f"correct {name}"
    )
