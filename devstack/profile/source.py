"""The text of one profile file: its tables and its syntax mistakes.

Whoever calls has read the file; nothing here opens one. Any bytes at all give tables or a ProfileError, in bounded
time: tomllib alone leaks RecursionError, ValueError and UnicodeDecodeError, and takes minutes for some texts of 1 MB.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, replace
from typing import Any, Literal, NoReturn

from devstack.errors import Mistake, ProfileError

MAX_BYTES = 1_000_000
MAX_KEYS = 20_000
MAX_DEPTH = 64

#: files, and above them what `devstack scale` has kept, a variable, a flag
Origin = Literal["project", "local", "given", "shipped", "scale", "variable", "flag"]
_FILES = frozenset({"project", "local", "given", "shipped"})
Path = tuple[str | int, ...]

# Possessive, and begun only where a part begins, so that no text makes it slow.
_PART = r"""(?:[A-Za-z0-9_-]++|"[^"\n]*+"|'[^'\n]*+')"""
_ENDLESS_KEY = re.compile(rf"(?<![A-Za-z0-9_-]){_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{MAX_DEPTH}}}")
_STRINGS_AND_BRACKETS = re.compile(
    r'"""(?:[^\\]|\\.)*?"""|\'\'\'.*?\'\'\'|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|#[^\n]*|[\[{\]}]', re.DOTALL
)
_PLACE = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)$", re.DOTALL)
_CLEARER = {
    "Expected '=' after a key in a key/value pair": "a key needs `=` and a value",
    "Invalid value": "this is no TOML value; a text needs quotes",
    "Unclosed array": "an array is not closed with `]`",
    "Unterminated string": "a text is not closed with its quote",
}


@dataclass(frozen=True)
class SourceFile:
    """One layer of a profile: a file, or something else that sets keys of it and is written as TOML here.

    name: path shown to people, or `DEVSTACK_RUNTIME`, `--runtime`. table: where in the file the profile is,
    `("tool", "devstack")` in pyproject.toml. path: absolute, links followed; "" for what is no file.
    """

    name: str
    text: str | bytes
    origin: Origin
    table: tuple[str, ...] = ()
    path: str = ""

    @property
    def is_file(self) -> bool:
        return self.origin in _FILES

    def __str__(self) -> str:
        return self.name


def key_text(path: Path) -> str:
    """`services.cache.port`, `python.install[0]`, `files."a.b"`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            shown = part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else f'"{printable(part)}"'
            text += f".{shown}" if text else shown
    return text


def printable(text: str, limit: int = 60) -> str:
    """Text of a file as it may be shown: one line, no control character that a terminal would obey."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in cut)


def decoded(file: SourceFile) -> str:
    """The file's text with `\\n` line ends and without a byte order mark. Raises ProfileError."""
    size = len(file.text)
    if size > MAX_BYTES:
        _refuse(file, 0, f"the file has {size / 1e6:.1f} MB; a profile has at most {MAX_BYTES / 1e6:.0f} MB")
    text = file.text if isinstance(file.text, str) else _from_bytes(file, file.text)
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    if "\0" in text:
        _refuse(file, text.count("\n", 0, text.index("\0")) + 1, "there is a NUL character", "save it as UTF-8 text")
    return text


def _from_bytes(file: SourceFile, content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        _refuse(file, 1, "the file is UTF-16", "save it as UTF-8")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        _refuse(file, line, f"byte 0x{content[error.start]:02x} is not UTF-8", "save the file as UTF-8")


def parse(file: SourceFile) -> dict[str, Any]:
    """The profile's tables in this file. Raises ProfileError with the syntax mistake."""
    text = decoded(file)
    if max(text.count("="), text.count("\n["), text.count(",") // 2) > MAX_KEYS:
        _refuse(file, 0, _TOO_MANY)
    if endless := _ENDLESS_KEY.search(text):
        _refuse(file, text.count("\n", 0, endless.start()) + 1, _TOO_DEEP)
    try:
        values = tomllib.loads(text)
    except RecursionError:
        _refuse(file, _deep_line(text), _TOO_DEEP)
    except tomllib.TOMLDecodeError as error:
        raise _syntax_error(file, text, str(error)) from None
    except ValueError as error:
        number = re.search(r"[0-9_]{4000,}", text)
        line = text.count("\n", 0, number.start()) + 1 if number else 0
        _refuse(file, line, "the number is too long" if number else str(error))
    _bounded(file, text, values)
    return _section(file, values)


_TOO_DEEP = f"tables or arrays are nested more than {MAX_DEPTH} deep"

_TOO_MANY = f"a profile has at most {MAX_KEYS:,} keys and list items"


def _section(file: SourceFile, values: dict[str, Any]) -> dict[str, Any]:
    for depth, part in enumerate(file.table, 1):
        inner = values.get(part)
        if not isinstance(inner, dict):
            _refuse(file, 0, f"`{key_text(file.table[:depth])}` is not a table")
        values = inner
    return values


def _bounded(file: SourceFile, text: str, values: dict[str, Any]) -> None:
    entries = 0
    level: list[Any] = [values]
    for _depth in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for container in level:
            inside = container.values() if isinstance(container, dict) else container
            entries += len(container)
            below += [value for value in inside if isinstance(value, dict | list)]
            if any("\0" in value for value in (*container, *inside) if isinstance(value, str)):
                escape = re.search(r"\\u0000|\\U00000000", text)
                line = text.count("\n", 0, escape.start()) + 1 if escape else 0
                _refuse(file, line, "there is a NUL character")
        if not below:
            break
        level = below
    else:
        _refuse(file, _deep_line(text), _TOO_DEEP)
    if entries > MAX_KEYS:
        _refuse(file, 0, _TOO_MANY)


def _deep_line(text: str) -> int:
    depth = 0
    for token in _STRINGS_AND_BRACKETS.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token.group(), 0)
        if depth > MAX_DEPTH:
            return text.count("\n", 0, token.start()) + 1
    return 0


def _syntax_error(file: SourceFile, text: str, message: str) -> ProfileError:
    lines = text.split("\n")
    match = _PLACE.match(message)
    if match and match.group(2):
        said, line, column = match.group(1), int(match.group(2)), int(match.group(3))
    else:
        lines = text.rstrip().split("\n")
        said = match.group(1) if match else message
        said = said if said.startswith(("Cannot", "Duplicate")) else "the file ends too early"
        line, column = len(lines), len(lines[-1]) + 1
    if re.match(r"Cannot (overwrite|declare|mutate|redefine)", said):
        said = f"this {'table' if 'declare' in said else 'key'} is given twice"
        column = len(lines[line - 1]) - len(lines[line - 1].lstrip()) + 1
    said = _CLEARER.get(said, said[:1].lower() + said[1:])
    first = max(0, column - 70)  # a line of a thousand characters is shown around the mistake
    shown = printable(lines[line - 1][first : first + 100], 100)
    where = f"column {column}\n    {shown}\n    {' ' * (column - 1 - first)}^"
    mistake = Mistake(file.name, line, "", f"{printable(said)}, {where}")
    return ProfileError(f"{file.name} is not valid TOML", (mistake,))


def _refuse(file: SourceFile, line: int, text: str, hint: str = "") -> NoReturn:
    raise ProfileError(f"{file.name} can't be read as a profile", (Mistake(file.name, line, "", text, hint),))


def from_pyproject(file: SourceFile) -> SourceFile | None:
    """The profile in `[tool.devstack]` of a pyproject.toml, lines counted in that file; None where there is none.

    Raises ProfileError where the file is not TOML or `tool.devstack` no table.
    """
    tool = parse(replace(file, table=())).get("tool")
    if not isinstance(tool, dict) or "devstack" not in tool:
        return None
    found = replace(file, table=("tool", "devstack"))
    parse(found)
    return found
