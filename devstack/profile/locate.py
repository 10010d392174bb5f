"""Lines of the keys in a TOML text that tomllib has accepted.

tomllib gives values without places and tomlkit has none either, so this follows the text once more, only when there
is a mistake to tell. It accepts more than TOML; where it loses its way the nearest table's line is the answer.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from functools import lru_cache

from devstack.errors import ProfileError
from devstack.profile.source import Path, SourceFile, decoded

_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_PART = re.compile(r"""[ \t]*(?:([A-Za-z0-9_-]+)|("(?:[^"\\\n]|\\.)*"|'[^'\n]*'))[ \t]*""")
_STRING = re.compile(
    r'"""(?:[^\\"]|\\.|"(?!""))*"{3,5}|\'\'\'(?:[^\']|\'(?!\'\'))*\'{3,5}|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'', re.DOTALL
)
_PLAIN = re.compile(r"[^,\]}\n#]*")


class _LostError(Exception):
    pass


class _Scanner:
    """Walks a text once; `lines` holds the first line of each key path, array items by their index."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Path, int] = {}
        self._ends = [match.start() for match in re.finditer("\n", text)]
        self._last: dict[Path, int] = {}

    def run(self) -> dict[Path, int]:
        table: Path = ()
        try:
            while self._skip(_BLANK) < len(self.text):
                table = self._header() if self.text[self.at] == "[" else self._pair(table, table)
        except _LostError:
            pass
        return self.lines

    def _skip(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self.text, self.at)
        if match is None:
            raise _LostError
        self.at = match.end()
        return self.at

    def _take(self, mark: str) -> bool:
        found = self.text.startswith(mark, self.at)
        self.at += len(mark) if found else 0
        return found

    def _mark(self, path: Path, at: int) -> None:
        self.lines.setdefault(path, bisect_right(self._ends, at - 1) + 1)

    def _key(self) -> tuple[str, ...]:
        parts: list[str] = []
        while True:
            match = _PART.match(self.text, self.at)
            if match is None:
                raise _LostError
            self.at = match.end()
            parts.append(match.group(1) or tomllib.loads(f"key = {match.group(2)}")["key"])
            if not self._take("."):
                return tuple(parts)

    def _header(self) -> Path:
        start = self.at
        many = self._take("[[") or not self._take("[")
        key = self._key()
        if not self._take("]]" if many else "]"):
            raise _LostError
        path: Path = ()
        for depth, part in enumerate(key, 1):
            path += (part,)
            self._mark(path, start)
            if many and depth == len(key):
                self._last[path] = self._last.get(path, -1) + 1
            if path in self._last:
                path += (self._last[path],)
                self._mark(path, start)
        return path

    def _pair(self, table: Path, after: Path) -> Path:
        start = self.at
        path = table
        for part in self._key():
            path += (part,)
            self._mark(path, start)
        if not self._take("="):
            raise _LostError
        self._value(path)
        return after

    def _value(self, path: Path) -> None:
        self._skip(_SPACE)
        if self._take("["):
            self._items(path, "]")
        elif self._take("{"):
            self._items(path, "}")
        elif self.text.startswith(('"', "'"), self.at):
            self._skip(_STRING)
        else:
            self._skip(_PLAIN)

    def _items(self, path: Path, end: str) -> None:
        index = 0
        while True:
            self._skip(_BLANK)
            if self._take(end):
                return
            if end == "]":
                self._mark((*path, index), self.at)
                self._value((*path, index))
            else:
                self._pair(path, path)
            index += 1
            self._skip(_BLANK)
            if not self._take(",") and not self.text.startswith(end, self.at):
                raise _LostError


@lru_cache(maxsize=8)
def _lines(file: SourceFile) -> dict[Path, int]:
    try:
        return _Scanner(decoded(file)).run()
    except ProfileError:
        return {}


def line_of(file: SourceFile, path: Path) -> int:
    """Line (from 1) of a key path of the profile in this file, or of the nearest table around it; 0 for none."""
    if not file.is_file:
        return 0
    lines = _lines(file)
    whole = (*file.table, *path)
    return next((lines[whole[:length]] for length in range(len(whole), 0, -1) if whole[:length] in lines), 0)
