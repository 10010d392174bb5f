"""Where values come from, as lines for people and as JSON values: the profile's keys, the environment. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from devstack.output.tables import Cell, table
from devstack.output.terminal import Look
from devstack.output.text import one_line, wrap
from devstack.profile import toml
from devstack.profile.source import Path, key_text

if TYPE_CHECKING:
    from devstack.profile.explain import Explanation, Said

Origins = Mapping[Path, tuple[str, int]]


def profile(values: Mapping[str, Any], origins: Origins, *, verbose: bool) -> list[str]:
    """The profile as TOML that means the same; verbose: each line with its origin."""
    text = toml.dump(values, lambda path: _origin(origins, path) if verbose else "")
    return text.rstrip("\n").split("\n")


def profile_document(values: Mapping[str, Any], origins: Origins) -> Any:
    return {
        "profile": values,
        "origins": {key_text(path): {"layer": name, "line": line or None} for path, (name, line) in origins.items()},
    }


def explanation(look: Look, found: Explanation) -> list[str]:
    """Each layer's value, the lowest first, an arrow before the ones in force."""
    is_default = not any(said.wins for said in found.said)
    rows: list[Sequence[Cell]] = []
    if found.default is not None or is_default:
        rows.append((_mark(wins=is_default), "default", _value(found.default)))
    rows += [(_mark(wins=said.wins), place(said.layer, said.line), _said(said)) for said in found.said]
    lines = [f"{look.paint(one_line(found.key), 'bold')} = {one_line(_value(found.value))}", ""]
    lines += table(look, (), rows)
    if found.meaning:
        lines += ["", *(look.paint(part, "dim") for part in wrap(one_line(found.meaning), look.text_width))]
    return lines


def explanation_document(found: Explanation) -> Any:
    return {
        "key": found.key, "value": found.value, "default": found.default,
        "layers": [
            {"layer": said.layer, "line": said.line or None, "value": said.value, "wins": said.wins,
             "removed": said.is_removed}
            for said in found.said
        ],
        "meaning": found.meaning,
    }  # fmt: skip


def place(name: str, line: int) -> str:
    return f"{name}:{line}" if line else name


def _origin(origins: Origins, path: Path) -> str:
    return place(*origins[path]) if path in origins else "default"


def _mark(*, wins: bool) -> Cell:
    return ("→", "green") if wins else ""


def _said(said: Said) -> str:
    return "takes it out" if said.is_removed else _value(said.value)


def _value(value: Any) -> str:
    return "not set" if value is None else toml.inline(value)
