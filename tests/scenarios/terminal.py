"""A real pseudo-terminal with a person at it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tests.scenarios.machine import Project, until

#: a shell's job control in one line: a session whose controlling terminal this is
_LEADER = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"


@dataclass
class Terminal:
    """What a command shows on a terminal; `heard` grows while it runs."""

    child: subprocess.Popen[bytes]
    master: int
    heard: bytearray = field(default_factory=bytearray)
    _reader: threading.Thread | None = None
    _is_over: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while not self._is_over.is_set():
                if select.select([self.master], [], [], 0.05)[0]:
                    self.heard.extend(os.read(self.master, 65536))

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def resize(self, columns: int, rows: int) -> None:
        _resize(self.master, columns, rows)

    def sees(self, text: str, timeout: float = 30.0) -> bool:
        return until(lambda: text.encode() in self.heard, timeout)

    def hang_up(self) -> None:
        """The window is closed."""
        if not self._is_over.is_set():
            self._is_over.set()
            if self._reader is not None:
                self._reader.join(5)
            os.close(self.master)

    @property
    def text(self) -> str:
        return self.heard.decode(errors="replace")


@contextlib.contextmanager
def terminal(
    project: Project, *words: str, env: Mapping[str, str] | None = None, columns: int = 80, rows: int = 24
) -> Iterator[Terminal]:
    """Run `devstack WORDS` on a terminal of its own; whatever is left of it is ended."""
    master, other = pty.openpty()
    _resize(master, columns, rows)
    child = subprocess.Popen(
        [sys.executable, "-I", "-c", _LEADER, *project.machine.command, *words], cwd=project.root,
        env={**project.machine.environ, "TERM": "xterm-256color", **(env or {})}, stdin=other, stdout=other,
        stderr=other, start_new_session=True,
    )
    os.close(other)
    made = Terminal(child, master)
    made.watch()
    try:
        yield made
    finally:
        child.kill()
        child.wait()
        made.hang_up()


def _resize(master: int, columns: int, rows: int) -> None:
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
