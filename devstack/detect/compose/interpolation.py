"""`${VAR:-x}` in a compose file, as compose fills it in (docs.docker.com/reference/compose-file/interpolation).

A variable that has neither a value nor a default would be an empty text. Here its name is kept between two marks, so
that what becomes of it can still be decided: `unset` reads them, `plain` takes them out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from devstack.errors import UsageError
from devstack.profile.source import printable

#: of the private use area: no text of people has them
_OPEN, _CLOSE = "\ue0f0", "\ue0f1"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-?+]")
_UNSET = re.compile(f"{_OPEN}([^{_CLOSE}]*){_CLOSE}")
_DEPTH = 20


def unset(text: str) -> tuple[str, ...]:
    """Names of the variables in an interpolated text that have no value."""
    return tuple(dict.fromkeys(_UNSET.findall(text)))


def plain(text: str) -> str:
    """An interpolated text as compose takes it: what has no value is empty."""
    return _UNSET.sub("", text)


def replaced(text: str, form: str) -> str:
    """form: what stands for a variable without a value, with `{0}` for its name."""
    return _UNSET.sub(lambda found: form.format(found[1]), text)


def interpolate(text: str, values: Mapping[str, str], place: str = "") -> str:
    """The text with its variables filled in; `$$` is `$`. Raises UsageError for what compose refuses too."""
    text = text.replace(_OPEN, "").replace(_CLOSE, "")
    return _Text(text, values, place).filled()[0] if "$" in text else text


class _Text:
    def __init__(self, text: str, values: Mapping[str, str], place: str) -> None:
        self._text = text
        self._values = values
        self._place = place

    def filled(self, at: int = 0, end: str = "", depth: int = 0) -> tuple[str, int]:
        """From `at` to the end, or to the brace that closes what is around; the text and where it ends."""
        text, made = self._text, []
        while at < len(text) and text[at] != end:
            if text[at] != "$":
                made.append(text[at])
                at += 1
            elif text.startswith("$$", at):
                made.append("$")
                at += 2
            elif text.startswith("${", at):
                part, at = self._braced(at + 2, depth + 1)
                made.append(part)
            elif found := _NAME.match(text, at + 1):
                made.append(self._value(found[0]))
                at = found.end()
            else:
                raise self._refused("a `$` that begins no variable is written `$$`")
        return "".join(made), at

    def _braced(self, at: int, depth: int) -> tuple[str, int]:
        found = _NAME.match(self._text, at)
        if found is None or depth > _DEPTH:
            raise self._refused("`${` wants a variable's name")
        name, at = found[0], found.end()
        operator = _OPERATOR.match(self._text, at)
        other = ""
        if operator is not None:
            other, at = self.filled(operator.end(), "}", depth)
        if not self._text.startswith("}", at):
            raise self._refused("a `${` has no `}`")
        return self._chosen(name, operator[0] if operator else "", other), at + 1

    def _chosen(self, name: str, operator: str, other: str) -> str:
        has_value = bool(self._values.get(name)) if operator.startswith(":") else name in self._values
        kind = operator[-1:]
        if kind == "-":
            return self._values[name] if has_value else other
        if kind == "+":
            return other if has_value else ""
        return self._value(name)

    def _value(self, name: str) -> str:
        return self._values.get(name, f"{_OPEN}{name}{_CLOSE}")

    def _refused(self, why: str) -> UsageError:
        return UsageError(
            "compose-invalid", f"{printable(self._text)!r} can't be filled in", why=f"{self._place}: {why}",
            fix=f"correct {self._place}",
        )
