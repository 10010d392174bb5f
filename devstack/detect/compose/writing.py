"""The text of the profile that a compose file becomes, with what was decided and what was left out as comments."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from devstack.detect.compose.report import LeftOut
from devstack.profile import toml
from devstack.profile.source import Path, printable

_WIDTH = 116


def write(
    values: Mapping[str, Any], comments: Mapping[tuple[str, str], Sequence[str]], names: Sequence[str],
    left_out: Sequence[LeftOut],
) -> str:
    """comments: above the table of a section's name. names: of the compose files."""
    def above(path: Path) -> Sequence[str]:
        return comments.get((str(path[0]), str(path[1])), ()) if len(path) == 2 else ()

    kept = {key: value for key, value in values.items() if value not in ({}, None) or key == "python"}
    head = [f"Made from {', '.join(names)} by `devstack init`. Every key: profiles/reference.toml."]
    text = "".join(f"# {line}\n" for line in head) + "\n"
    text += toml.dump(kept, above=above)
    if left_out:
        text += "\n# Not carried over:\n"
        text += "".join(f"{line}\n" for one in left_out for line in _lines(one))
    return text


def _lines(one: LeftOut) -> Iterator[str]:
    said = printable(f"{one.key} ({one.place}): {one.why}. Instead: {one.instead}", 500)
    yield from textwrap.wrap(said, _WIDTH, initial_indent="# - ", subsequent_indent="#   ")
