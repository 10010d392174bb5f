"""An environment as lines for people, as JSON values, and in forms that shells and python-dotenv read back. Pure."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from devstack.output.tables import Cell, table
from devstack.output.terminal import Look
from devstack.output.text import one_line
from devstack.render import SHELL_OWN

if TYPE_CHECKING:
    from devstack.environment import Variable

#: name → what may be shown of the value
Shown = Mapping[str, str]
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r"}


def table_of(look: Look, variables: Iterable[Variable], shown: Shown) -> list[str]:
    rows: list[Sequence[Cell]] = [
        (one.name, (one.origin, "dim"), one_line(shown[one.name])) for one in variables
    ]
    return table(look, ("NAME", "FROM", "VALUE"), rows, indent="") or ["No variables."]


def explanation(look: Look, variable: Variable, shown: str) -> list[str]:
    """Where it comes from, and what it wins over."""
    rows: list[Sequence[Cell]] = [(("→", "green"), variable.origin)]
    rows += [("", (origin, "dim")) for origin in variable.hidden]
    return [f"{look.paint(variable.name, 'bold')} = {one_line(shown)}", "", *table(look, (), reversed(rows))]


def document(variables: Iterable[Variable], shown: Shown) -> Any:
    return {"variables": [
        {"name": one.name, "value": shown[one.name], "origin": one.origin, "overrides": list(one.hidden)}
        for one in variables
    ]}  # fmt: skip


def formatted(form: str, values: Shown) -> str:
    """form: `dotenv`, `shell`, `json`."""
    if form == "json":
        return json.dumps(dict(values), indent=2) + "\n"
    return "".join(f"{(dotenv if form == 'dotenv' else shell)(name, value)}\n" for name, value in values.items())


def shell(name: str, value: str) -> str:
    """For `eval` in any POSIX shell."""
    if name in SHELL_OWN:
        return f"# {name} is a variable of the shell's own"
    return f"export {name}={shlex.quote(value)}"


def dotenv(name: str, value: str) -> str:
    """One line that python-dotenv reads back as it is, with and without interpolation of `${…}` but where the value
    has one itself: that is written as the default of a variable without a name, which only interpolation takes out."""
    if _PLAIN.fullmatch(value):
        return f"{name}={value}"
    if not re.search(r"['\\\r\n]|\$\{", value):
        return f"{name}='{value}'"
    escaped = re.sub(r'[\\"\n\r]', lambda found: _ESCAPES[found[0]], value).replace("${", "${:-$}{")
    # python-dotenv takes a backslash before the closing quote for the quote's own
    end = "${:-}" if escaped.endswith("\\") else ""
    return f'{name}="{escaped}{end}"'
