"""A process's output as it comes, in pieces that may end anywhere: made harmless, and whole lines where lines count."""

from __future__ import annotations

import re
from collections.abc import Callable

from devstack.output.text import clean

#: the beginning of something that a terminal would obey, whose end is still to come
_UNFINISHED = re.compile(r"(?:\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b\n]{0,500}|[!-/]*)?|\r)$")


class Cleaned:
    """Passes pieces on without anything that a terminal would obey, also where two pieces have one half each."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._kept = ""
        self._is_line_open = False

    def __call__(self, text: str) -> None:
        text = self._kept + text
        found = _UNFINISHED.search(text)
        self._kept = text[found.start() :] if found else ""
        self._pass(clean(text.removesuffix(self._kept)))

    def end(self) -> None:
        """The next word of somebody else begins on a line of its own."""
        self._pass(clean(self._kept))
        if self._is_line_open:
            self._pass("\n")

    def _pass(self, text: str) -> None:
        if text:
            self._is_line_open = not text.endswith("\n")
            self._write(text)


class Lines:
    """Hands on whole lines, cleaned; at the end also one that wasn't ended."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take = take
        self._rest = ""

    def __call__(self, text: str) -> None:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._take(clean(line))

    def end(self) -> None:
        if self._rest:
            self._take(clean(self._rest))
