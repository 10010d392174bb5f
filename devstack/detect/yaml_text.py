"""YAML 1.2 as plain values: tables, lists and texts, with the line of every key.

A document is read as a graph of nodes and never constructed: no tag executes or imports anything. Bounded in bytes,
depth and in nodes after aliases are followed, so that a small file can't become a big value.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from devstack.errors import UsageError
from devstack.profile.source import Path, printable

if TYPE_CHECKING:
    from ruamel.yaml.nodes import MappingNode, Node

MAX_CHARACTERS = 500_000
MAX_NODES = 50_000
MAX_DEPTH = 50

_CORE = "tag:yaml.org,2002:"
_PLAIN = frozenset(
    f"{_CORE}{name}" for name in ("str", "int", "float", "bool", "null", "timestamp", "seq", "map", "merge")
)


@dataclass(frozen=True)
class Document:
    """value: dict, list, str or None; numbers and the like are the text that stands there, `True` is `true`. lines: of
    keys and items, by their path. tags: of values that have one of their own, such as `!reset`."""

    name: str
    value: Any
    lines: Mapping[Path, int] = field(default_factory=dict)
    tags: Mapping[Path, str] = field(default_factory=dict)

    def place(self, path: Path) -> str:
        """`compose.yaml:12`, of the path or of what is nearest around it."""
        found = next((self.lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self.lines), 0)
        return f"{self.name}:{found}" if found else self.name


def parse(name: str, text: str, tags: frozenset[str] = frozenset()) -> Document:
    """name: path as shown. tags: those of an application's own that are accepted. Raises UsageError with the line."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError

    if len(text) > MAX_CHARACTERS:
        raise _invalid(name, 0, f"it has more than {MAX_CHARACTERS:,} characters")
    if bad := re.search(r"[\0\ud800-\udfff]", text):
        raise _invalid(name, text.count("\n", 0, bad.start()) + 1, "there is a character that no text has")
    reader = YAML(typ="safe", pure=True)
    try:
        with warnings.catch_warnings():
            # an anchor that is set anew is YAML: an alias means the last one before it
            warnings.simplefilter("ignore", ReusedAnchorWarning)
            root = reader.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _invalid(name, mark.line + 1 if mark else 0, error.problem or "not YAML") from None
    except RecursionError:
        raise _invalid(name, 0, f"it is nested more than {MAX_DEPTH} deep") from None
    # ruamel leaks these for text that is no YAML
    except (YAMLError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise _invalid(name, 0, str(error).splitlines()[0] if str(error) else "not YAML") from None
    reading = _Reading(name, tags)
    value = reading.value(root, ()) if root is not None else None
    return Document(name, value, reading.lines, reading.tags)


class _Reading:
    """One walk over the graph; an alias is walked each time that it is met, and counted."""

    def __init__(self, name: str, known: frozenset[str]) -> None:
        self.name = name
        self.known = known
        self.lines: dict[Path, int] = {}
        self.tags: dict[Path, str] = {}
        self._nodes = 0

    def value(self, node: Node, path: Path, depth: int = 0) -> Any:
        from ruamel.yaml.nodes import MappingNode, SequenceNode

        self._nodes += 1
        if self._nodes > MAX_NODES or depth > MAX_DEPTH:
            what = f"nested more than {MAX_DEPTH} deep" if depth > MAX_DEPTH else f"more than {MAX_NODES:,} values"
            raise self._refused(node, f"its aliases stand for a value that is {what}")
        self._note_tag(node, path)
        if isinstance(node, MappingNode):
            return self._table(node, path, depth)
        if isinstance(node, SequenceNode):
            found = []
            for index, item in enumerate(node.value):
                self.lines.setdefault((*path, index), item.start_mark.line + 1)
                found.append(self.value(item, (*path, index), depth + 1))
            return found
        return self._scalar(node)

    def _table(self, node: MappingNode, path: Path, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key, item in node.value:
            if self._tag(key) == f"{_CORE}merge":
                for base in self._bases(item):
                    # what is nearer wins, and of several bases the first
                    merged = {**self.value(base, path, depth + 1), **merged}
                continue
            name = self._scalar(key) if isinstance(key.value, str) else None
            if name is None:
                raise self._refused(key, "a key is no text")
            if name in found:
                raise self._refused(key, f"the key {printable(name)!r} is given twice")
            self.lines[(*path, name)] = key.start_mark.line + 1
            found[name] = self.value(item, (*path, name), depth + 1)
        return {**{name: value for name, value in merged.items() if name not in found}, **found}

    def _bases(self, node: Node) -> Iterator[Node]:
        from ruamel.yaml.nodes import MappingNode, SequenceNode

        bases = node.value if isinstance(node, SequenceNode) else [node]
        for base in bases:
            if not isinstance(base, MappingNode):
                raise self._refused(base, "what `<<` names is no table")
            yield base

    def _scalar(self, node: Node) -> str | None:
        tag = self._tag(node)
        if tag == f"{_CORE}null":
            return None
        text = str(node.value)
        return text.lower() if tag == f"{_CORE}bool" else text

    def _note_tag(self, node: Node, path: Path) -> None:
        tag = self._tag(node)
        if tag in self.known:
            self.tags[path] = tag
        elif tag not in _PLAIN:
            raise self._refused(node, f"the tag {printable(tag)} isn't known here")

    @staticmethod
    def _tag(node: Node) -> str:
        return str(node.tag)

    def _refused(self, node: Node, why: str) -> UsageError:
        return _invalid(self.name, node.start_mark.line + 1, why)


def _invalid(name: str, line: int, why: str) -> UsageError:
    place = f"{name}:{line}" if line else name
    return UsageError("yaml-invalid", f"{name} can't be read", why=f"{place}: {printable(why, 200)}",
                      fix=f"correct {place}")  # fmt: skip
