"""Strings as a terminal shows them: nothing in them that it would obey, as wide as they look, cut, wrapped. Pure."""

from __future__ import annotations

import re
import unicodedata

#: ECMA-48: strings (OSC, DCS, SOS, PM, APC) up to their end, then CSI and the shorter escapes
_SEQUENCE = re.compile(
    r"(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|\x1b[!-/]*[0-~]?"
)
#: C0 but tab and newline, C1, and what turns the direction of writing or has no width at all
_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
#: typographic characters in words of our own, for a terminal that has ASCII only
_ASCII = str.maketrans({
    "…": "~", "·": "-", "•": "*", "→": "->", "—": "-", "–": "-", "’": "'", "‘": "'", "“": '"', "”": '"', "×": "x",
    "✓": "+", "✗": "x", "█": "#", "▒": "=",
})  # fmt: skip


def clean(text: str) -> str:
    """Text of a stranger (a log line, a name, a probe's answer) without anything that a terminal would obey."""
    text = _SEQUENCE.sub("", text).rstrip("\r")
    # a carriage return would let the second half of a line hide the first
    return _INVISIBLE.sub("", text.replace("\r\n", "\n").replace("\r", " "))


def one_line(text: str) -> str:
    """Clean text with its line ends and tabs as spaces."""
    return " ".join(clean(text).split())


def ascii_of(text: str) -> str:
    """The same in ASCII: signs of our own as their plain relatives, a stranger's as question marks.

    A text that was cut stays as wide as it is.
    """
    return text.replace(" …", " ...").translate(_ASCII).encode("ascii", "replace").decode("ascii")


def cells(text: str) -> int:
    """How many columns a terminal gives it."""
    if text.isascii():
        return len(text)
    return sum(_cell(character) for character in text)


def cut(text: str, width: int) -> str:
    """At most `width` columns; what was cut off shows as `…`."""
    if cells(text) <= width:
        return text
    kept, used = [], 1
    for character in text:
        used += _cell(character)
        if used > width:
            break
        kept.append(character)
    return f"{''.join(kept).rstrip()}…" if width > 0 else ""


def pad(text: str, width: int) -> str:
    return text + " " * (width - cells(text))


def wrap(text: str, width: int, most: int = 0) -> list[str]:
    """Lines of at most `width` columns, broken at spaces; words that are longer are broken too. most: lines, 0: all."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        rest = word
        if line and cells(line) + 1 + cells(rest) > width:
            lines.append(line)
            line = ""
        if cells(rest) > width:
            *broken, rest = pieces(rest, width)
            lines += broken
        line = f"{line} {rest}" if line else rest
    if line or not lines:
        lines.append(line)
    if most and len(lines) > most:
        lines = [*lines[: most - 1], cut(f"{lines[most - 1]} {lines[most]}", width)]
    return lines


def pieces(text: str, width: int) -> list[str]:
    """The text as it is, in pieces of at most `width` columns."""
    found = [_first(text, width)]
    while rest := text[sum(map(len, found)) :]:
        found.append(_first(rest, width))
    return found


def _first(text: str, width: int) -> str:
    used = 0
    for index, character in enumerate(text):
        used += _cell(character)
        if used > width:
            space = text.rfind(" ", index // 2, index)
            return text[: space + 1] if space > 0 else text[: max(1, index)]
    return text


def _cell(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
