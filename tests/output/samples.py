"""Values that renderers are tried on, and what a stranger may put into a name or a log line."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from devstack.actions import AwaitProgram, DiscardData, InstallPackages, RunTask, StartProgram
from devstack.executor import Event
from devstack.plan import Plan, Step
from devstack.stack.status import ProcessRow, ServiceRow, StackRow, Status

#: colours that these renderers may use; nothing else of a terminal's language
PAINT = re.compile(r"\x1b\[(?:0|1|2|31|32|35)m")

#: what is hidden in them must not reach a terminal: title, clipboard, link, colour, cursor, C1, direction, overwriting
HOSTILE = (
    "\x1b]0;title\x07", "\x1b]52;c;Zm9v\x07", "\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "\x1b[31;1mred\x1b[0m",
    "\x1b[2J\x1b[H", "\x1bP1$r\x1b\\", "\x9b31m", "\x9d0;title\x9c", "\x1b]0;never ended", "good\revil", "\x08\x7f\x00",
    "\u202eright to left\u202c", "\u2066isolated\u2069", "\u200b\ufeff", "\x1b", "\x1bc", "\x85\u2028",
)  # fmt: skip

WEB = ProcessRow("web", 1, "web", "running", True, 11, 8000, "http://127.0.0.1:8000", 0, 62.0, None)
WORKER = ProcessRow("worker", 1, "worker", "running", True, 12, None, None, 0, 4.0, None)
POSTGRES = ServiceRow(
    "postgres", "postgres", "16.4", "native", "running", True, 5432, "postgresql://shop:***@127.0.0.1:5432/shop", None
)
SHOP = Status(
    StackRow("s1", "shop", "/src/shop", "devstack.toml", "up"),
    (POSTGRES,),
    (WEB, WORKER, replace(WORKER, replica=2, pid=13, restarts=1)),
)
DEGRADED = Status(
    replace(SHOP.stack, state="degraded"),
    (POSTGRES,),
    (replace(WEB, ready=False, reason="GET http://127.0.0.1:8000/health/: 500, wanted 200: relation is missing " * 9),
     replace(WORKER, ready=False, state="fatal", pid=None, uptime_s=None, reason="exit status 1")),
)  # fmt: skip
DOWN = Status(
    replace(SHOP.stack, state="down"),
    (replace(POSTGRES, ready=False, state="stopped", reason="not running"),),
    (replace(WEB, ready=False, state="stopped", uptime_s=None, reason="not running"),),
)

INSTALL = Step("python", InstallPackages(), "requirements.txt has changed")
MIGRATE = Step("migrate", RunTask("migrate"), "not done yet with this data", ("python:install",))
START = Step("web", StartProgram("web"), "not running", ("migrate:run",))
AWAIT = Step("web", AwaitProgram("web", "web"), "after its start", ("web:start",))
DISCARD = Step("data", DiscardData(), "asked for", destructive=True)
PLAN = Plan("up", (INSTALL, MIGRATE, START, AWAIT), ("web gets port 8001: 8000 is taken",))


def started(step: Step, at: float) -> Event:
    return Event("started", step, at)


def finished(step: Step, at: float, took: float) -> Event:
    return Event("finished", step, at, took=took)


class Screen(io.TextIOWrapper):
    """A stream with an encoding of its own that may say it is a terminal."""

    def __init__(self, *, encoding: str = "utf-8", is_terminal: bool = False) -> None:
        self._buffer = io.BytesIO()
        super().__init__(self._buffer, encoding=encoding, write_through=True)
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal

    @property
    def text(self) -> str:
        return self._buffer.getvalue().decode(self.encoding)


@contextmanager
def closed_pipe() -> Iterator[io.TextIOWrapper]:
    """A stream whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w", encoding="utf-8")
    try:
        yield stream
    finally:
        # what could not be written must not be tried again when the stream is collected
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        stream.close()
