"""The variables of an env file (`.env`): what python-dotenv reads, with nothing filled in and nothing passed over."""

from __future__ import annotations

import re

from devstack.errors import Mistake, ProfileError
from devstack.profile.source import MAX_BYTES, printable

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EXAMPLE = re.compile(r"(.*[._-])?(example|sample|template|dist|tpl)([._-].*)?")


def parse_env(name: str, content: bytes) -> dict[str, str]:
    """Variables by name, the last of several winning. name: of the file, as shown.

    Values are as they stand: `$` and `${…}` mean nothing, bytes that aren't UTF-8 come back from `surrogateescape`. A
    name alone (`NAME`, no `=`) says nothing. In an example (`.env.example`) an empty value means "fill me in" and says
    nothing either. Raises ProfileError with every line that can't be read.
    """
    import io

    from dotenv.parser import parse_stream

    if len(content) > MAX_BYTES:
        raise _unreadable(name, [Mistake(name, 0, "", f"the file has {len(content) / 1e6:.1f} MB")])
    text = content.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    found: dict[str, str] = {}
    mistakes = []
    for binding in parse_stream(io.StringIO(text, newline="")):
        line = binding.original.line + _blank_lines(binding.original.string)
        if binding.error:
            mistakes.append(Mistake(name, line, "", "this is no `NAME=value`", "quote a value of several lines"))
        elif binding.key is None or binding.value is None:
            continue
        elif not _NAME.fullmatch(binding.key):
            fault = f"`{printable(binding.key)}` is no environment variable's name"
            mistakes.append(Mistake(name, line, "", fault, "letters, digits and `_`, no digit first"))
        elif "\0" in binding.value:
            mistakes.append(Mistake(name, line, binding.key, "there is a NUL character"))
        elif binding.value or not is_example(name):
            found[binding.key] = binding.value
    if mistakes:
        raise _unreadable(name, mistakes)
    return found


def is_example(path: str) -> bool:
    """Is the file a pattern for people to fill in, by its name?"""
    return _EXAMPLE.fullmatch(path.rpartition("/")[2].lower()) is not None


def _blank_lines(statement: str) -> int:
    """A statement begins with the blank lines before it."""
    return len(re.findall(r"\r\n|\n|\r", statement[: len(statement) - len(statement.lstrip())]))


def _unreadable(name: str, mistakes: list[Mistake]) -> ProfileError:
    first = mistakes[0]
    place = f"{first.file}:{first.line}" if first.line else first.file
    return ProfileError(f"{name} can't be read as an env file", tuple(mistakes), fix=f"correct {place}")
