"""Where a value of the profile comes from: what each layer says of a key, from the lowest to the highest. Pure."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from devstack.errors import UsageError
from devstack.profile.load import Loaded
from devstack.profile.locate import line_of
from devstack.profile.meanings import meanings
from devstack.profile.merge import merge
from devstack.profile.mistakes import near_key
from devstack.profile.model import Profile
from devstack.profile.source import Path, key_text, printable
from devstack.profile.wanted import known_keys, step

MASK = "***"
_ABSENT = object()
#: a password of a URL that is written out; one that is filled in later is no secret yet
_LOGIN = re.compile(r"(?<=://)([^/@\s:$]*):(?!\$\{)[^/@\s]+@")


@dataclass(frozen=True)
class Said:
    """What one layer says. line: 0 where there is none. wins: it is, or is a part of, the value in force. is_removed:
    the layer says nothing of the key itself and takes out, or replaces, the table around it."""

    layer: str
    line: int
    value: Any
    wins: bool
    is_removed: bool = False


@dataclass(frozen=True)
class Explanation:
    """value: in force; None where nobody says anything and there is no default. default: None where there is none.
    meaning: what the key is for."""

    key: str
    value: Any
    default: Any
    said: tuple[Said, ...]
    meaning: str = ""


def explain(loaded: Loaded, key: str) -> Explanation:
    """Raises UsageError for a key that no profile has, or this one doesn't."""
    path = _path(key)
    value, default, meaning = _in_force(loaded.profile, path)
    merged = loaded.merged
    winners = {index for known, index in merged.origins.items() if known[: len(path)] == path}
    secret = _secret_names(loaded)
    said: list[Said] = []
    before: Any = _ABSENT
    for index, (layer, table) in enumerate(zip(merged.files, loaded.tables, strict=True)):
        own = _at(table, path)
        after = _at(merge(merged.files[: index + 1], loaded.tables[: index + 1]).values, path)
        if own is not _ABSENT or (before is not _ABSENT and after is _ABSENT):
            is_removed = own is _ABSENT
            shown = None if is_removed else _masked(own, path, secret)
            said.append(Said(layer.name, line_of(layer, path), shown, not is_removed and index in winners, is_removed))
        before = after
    plain = _plain(value)
    default = plain if not winners and default is None else _plain(default)
    return Explanation(key_text(path), _masked(plain, path, secret), default, tuple(said), meaning)


def resolved(loaded: Loaded, *, whole: bool) -> dict[str, Any]:
    """The profile as values of TOML, secrets masked. whole: with the defaults of what nobody sets."""
    values = loaded.profile.model_dump(exclude={"extends"}, exclude_unset=not whole)
    values["name"] = loaded.profile.name
    shown = _masked(_plain(values), (), _secret_names(loaded))
    for name, check in shown.get("checks", {}).items():
        shown["checks"][name] = check["run"] if set(check) == {"run"} else check
    return {"name": shown.pop("name"), **shown}


def origins(loaded: Loaded) -> dict[Path, tuple[str, int]]:
    """Name and line of the layer that wrote each key path last."""
    files = loaded.merged.files
    return {
        path: (files[index].name, line_of(files[index], path)) for path, index in loaded.merged.origins.items()
    }


def _path(key: str) -> tuple[str, ...]:
    """The parts of a dotted key, quoted as in TOML where a part has a dot."""
    try:
        table: Any = tomllib.loads(f"{key} = 0") if "\n" not in key else None
    except (tomllib.TOMLDecodeError, RecursionError):
        table = None
    path: list[str] = []
    while isinstance(table, dict) and len(table) == 1:
        ((name, table),) = table.items()
        path.append(name)
    if table != 0:
        raise UsageError(
            "unknown-key", f"{printable(key)!r} is no key", why='a key is dotted: processes.web.run, files."a.b".mode',
            fix="devstack config",
        )
    return tuple(path)


def _in_force(profile: Profile, path: tuple[str, ...]) -> tuple[Any, Any, str]:
    """The value, its default, and what the key is for."""
    node: Any = profile
    annotation: Any = Profile
    default: Any = None
    meaning = ""
    for depth, part in enumerate(path):
        default, meaning = None, ""
        if isinstance(node, BaseModel):
            # the kind of a service, the shape of a check: its own keys, else those of another shape
            keys = tuple(dict.fromkeys((*type(node).model_fields, *known_keys(annotation))))
            info = type(node).model_fields.get(part)
            if info is not None:
                found = info.get_default(call_default_factory=True)
                default = None if found is PydanticUndefined else found
                meaning = meanings(type(node)).get(part, "")
            annotation = step(type(node) if info is not None else annotation, part)
            node = getattr(node, part) if info is not None else None
        elif isinstance(node, Mapping):
            keys = tuple(node)
            annotation, node = step(annotation, part), node.get(part)
        else:
            keys = known_keys(annotation) if node is None else ()
            annotation, node = step(annotation, part), None
        if part not in keys:
            raise _unknown(path, depth, keys)
    return node, default, meaning


def _unknown(path: tuple[str, ...], depth: int, keys: tuple[str, ...]) -> UsageError:
    around = key_text(path[:depth])
    hint = near_key(path[depth], keys)
    near = re.match(r"did you mean `(.+)`\?", hint)
    nearest = key_text((*path[:depth], near[1], *path[depth + 1 :])) if near else around
    return UsageError(
        "unknown-key", f"the profile has no key {key_text(path)}",
        why=hint or (f"{around} holds nothing" if around else ""),
        fix=f"devstack config --explain {nearest}" if nearest else "devstack config",
    )


def _at(table: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        if not isinstance(table, Mapping) or part not in table:
            return _ABSENT
        table = table[part]
    return table


def _plain(value: Any) -> Any:
    """Models and tuples as tables and lists."""
    if isinstance(value, BaseModel):
        value = value.model_dump()
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _secret_names(loaded: Loaded) -> frozenset[str]:
    """Variables that some layer declares to be secret: then no layer's text for them is shown."""
    found = set()
    for table in loaded.tables:
        env = table.get("env")
        for name, value in env.items() if isinstance(env, Mapping) else ():
            if isinstance(value, Mapping) and ("generate" in value or value.get("secret")):
                found.add(name)
    return frozenset(found)


def _masked(value: Any, path: Path, secret: frozenset[str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _masked(item, (*path, key), secret) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked(item, path, secret) for item in value]
    if not isinstance(value, str):
        return value
    above, last = path[:-1], path[-1:]
    is_secret = (last[:1] and last[0] in secret and above[-1:] == ("env",)) or (
        last == ("default",) and above[:1] == ("env",) and above[-1] in secret
    )
    if is_secret and value and "${" not in value:
        return MASK
    return _LOGIN.sub(rf"\1:{MASK}@", value)
