"""One stream and what it can show: its width, colours, and whether it has more than ASCII."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TextIO

from devstack.errors import StorageError
from devstack.output.text import ascii_of, clean

#: yellow and cyan can't be read on a white background, blue not on a black one
Style = Literal["", "bold", "dim", "red", "green", "magenta"]
_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "magenta": "35"}
#: lines of text are no longer than this however wide the terminal is: the eye loses its place
_READABLE = 100


@dataclass(frozen=True)
class Look:
    """What a renderer has to know. width: columns, None where nobody cuts (a file, a pipe)."""

    width: int | None = None
    has_colour: bool = False

    @property
    def text_width(self) -> int:
        """Columns for running text."""
        return min(self.width or _READABLE, _READABLE)

    def paint(self, text: str, style: Style) -> str:
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if style and text and self.has_colour else text


class Terminal:
    """A stream to write to. is_result: what reads it wants a result, so it must learn when that can't be written."""

    def __init__(self, stream: TextIO, *, is_result: bool) -> None:
        self._stream = stream
        self._is_result = is_result
        self._is_gone = False
        self.has_unicode = _has_unicode(stream)
        self.is_plain = not is_terminal(stream) or _wants_plain()

    @property
    def look(self) -> Look:
        return Look(self._width(), has_colour=not self.is_plain)

    def write_exactly(self, text: str) -> None:
        """What another program reads, byte for byte; on a terminal, where nobody does, as anything else."""
        buffer = getattr(self._stream, "buffer", None)
        if is_terminal(self._stream) or buffer is None:
            self.write("".join(f"{clean(line)}\n" for line in text.splitlines()))
            return
        self._deliver(lambda: buffer.write(text.encode(errors="surrogateescape")))

    def write(self, text: str) -> None:
        """A run goes on when nobody looks at it any more.

        Where a result can't be written: raises BrokenPipeError when its reader has gone, else StorageError.
        """
        encoding = self._stream.encoding or "ascii"
        shown = text if self.has_unicode else ascii_of(text)
        self._deliver(lambda: self._stream.write(shown.encode(encoding, "replace").decode(encoding)))

    def _deliver(self, write: Callable[[], object]) -> None:
        if self._is_gone:
            return
        try:
            write()
            self._stream.flush()
        except OSError as error:
            self._is_gone = True
            if isinstance(error, BrokenPipeError) and self._is_result:
                raise
            if self._is_result:
                raise StorageError(
                    "output-not-written", "the result can't be written", why=error.strerror or str(error),
                    fix="df -h",
                ) from None

    def _width(self) -> int | None:
        if not is_terminal(self._stream):
            return None
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or None
        except OSError:
            return None


def is_interactive() -> bool:
    """Somebody is there to look at a moving picture and to answer."""
    return is_terminal(sys.stdin) and is_terminal(sys.stderr) and not _wants_plain()


def _wants_plain() -> bool:
    environ = os.environ
    return bool(environ.get("NO_COLOR")) or environ.get("CI") == "true" or environ.get("TERM") == "dumb"


def is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def _has_unicode(stream: TextIO) -> bool:
    """Python speaks UTF-8 in the C locale too; whoever sets that has a terminal that doesn't."""
    environ = os.environ
    locale = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or ""
    # Python itself sets LC_CTYPE to C.UTF-8 when it is started with the C locale
    coerced = environ.get("LC_CTYPE") == "C.UTF-8" and not environ.get("LC_ALL") and environ.get("LANG") == "C"
    return "utf" in (stream.encoding or "").lower() and locale not in ("C", "POSIX") and not coerced
