"""Values as TOML, the way people write profiles: a table for each service, task and process, the rest on one line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from devstack.profile.source import Path

#: tables of named tables, each with a header of its own
_NAMED = frozenset({"services", "tasks", "processes", "files"})
_SHORT = {"\n": "\\n", "\t": "\\t", '"': '\\"', "\\": "\\\\"}
_ESCAPED = re.compile(r'[\x00-\x1f"\\\x7f]')


def text(value: str) -> str:
    """A basic string; what isn't Unicode shows as a replacement character."""
    plain = value.encode(errors="surrogateescape").decode(errors="replace")
    return '"' + _ESCAPED.sub(lambda found: _SHORT.get(found[0], f"\\u{ord(found[0]):04x}"), plain) + '"'


def key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else text(name)


def inline(value: Any) -> str:
    """A value on one line; what is None is left out of tables and lists."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return text(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, Mapping):
        inner = ", ".join(f"{key(name)} = {inline(item)}" for name, item in value.items() if item is not None)
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, Sequence):
        return f"[{', '.join(inline(item) for item in value if item is not None)}]"
    return str(value)


def dump(
    values: Mapping[str, Any], comment: Callable[[Path], str] = lambda path: "",
    above: Callable[[Path], Sequence[str]] = lambda path: (),
) -> str:
    """A profile's text. comment: what to say behind the line of a key path, "" for nothing. above: lines to say above
    the header of a table."""
    return "".join(_table((), values, comment, above)).lstrip("\n")


def _table(
    path: Path, values: Mapping[str, Any], comment: Callable[[Path], str], above: Callable[[Path], Sequence[str]]
) -> Iterator[str]:
    is_parent = len(path) == 1 and path[0] in _NAMED
    tables = {name: value for name, value in values.items() if isinstance(value, Mapping) and (not path or is_parent)}
    has_own = len(path) > 1 or any(value is not None for name, value in values.items() if name not in tables)
    if path and not is_parent and has_own:
        said = "".join(f"# {line}\n" for line in above(path))
        yield f"\n{said}[{'.'.join(key(str(part)) for part in path)}]\n"
    for name, value in values.items():
        if value is not None and name not in tables:
            behind = comment((*path, name))
            yield f"{key(name)} = {inline(value)}{f'  # {behind}' if behind else ''}\n"
    for name, value in tables.items():
        if value or is_parent:
            yield from _table((*path, name), value, comment, above)
