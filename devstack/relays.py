"""This terminal, or these streams, joined to a command that runs elsewhere, for `system.py`."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import struct
import termios
import threading
import tty
from collections.abc import Iterator
from typing import Protocol

from devstack.errors import InterruptedRunError

#: seconds between two looks at whether the run was cancelled
_SLICE = 0.2
_CHUNK = 65536
#: of a frame: whose it is, three empty bytes, how long it is
_HEAD = struct.Struct(">BxxxI")


class Stream(Protocol):
    """A command elsewhere (`runtimes.execs.Session`). channel: descriptor of its streams. early: what has come already.
    is_framed: its two outputs come in frames, each with a head; else they are one."""

    channel: int
    early: bytes
    is_framed: bool

    def end_input(self) -> None: ...

    def resize(self, rows: int, columns: int) -> None: ...


class Relays:
    """What `System` can do with somebody else's streams."""

    cancelled: threading.Event

    def is_terminal(self) -> bool:
        """Do both stdin and stdout belong to one?"""
        return all(_is_terminal(descriptor) for descriptor in (0, 1))

    def relay(self, stream: Stream) -> None:
        """Pass stdin on, and what comes back to stdout and stderr, until the other side ends. On a terminal every key
        is passed on as it is, Ctrl-C too, and its size with every change. Raises InterruptedRunError on cancel."""
        with contextlib.ExitStack() as kept:
            size = kept.enter_context(_raw()) if not stream.is_framed else None
            outputs = _Outputs(is_framed=stream.is_framed)
            outputs.take(stream.early)
            sources = [0, stream.channel]
            while True:
                if self.cancelled.is_set():
                    raise InterruptedRunError("interrupted", "stopped on request", fix="devstack status")
                if size is not None and size.has_changed():
                    stream.resize(*size.now())
                try:
                    ready = select.select(sources, [], [], _SLICE)[0]
                except (OSError, ValueError):
                    # stdin was closed
                    sources, ready = [stream.channel], []
                if 0 in ready and not _pass_on(stream):
                    sources = [stream.channel]
                    stream.end_input()
                if stream.channel in ready:
                    data = _read(stream.channel)
                    if data == b"":
                        return
                    outputs.take(data or b"")


class _Outputs:
    """Where what comes goes to."""

    def __init__(self, *, is_framed: bool) -> None:
        self._is_framed = is_framed
        self._rest = b""

    def take(self, data: bytes) -> None:
        if not self._is_framed:
            _write(1, data)
            return
        self._rest += data
        while len(self._rest) >= _HEAD.size:
            whose, length = _HEAD.unpack_from(self._rest)
            if len(self._rest) < _HEAD.size + length:
                return
            _write(2 if whose == 2 else 1, self._rest[_HEAD.size : _HEAD.size + length])
            self._rest = self._rest[_HEAD.size + length :]


class _Size:
    """The terminal's size, and whether it has changed since it was asked last."""

    def __init__(self) -> None:
        self._changed = True

    def note(self, *_: object) -> None:
        self._changed = True

    def has_changed(self) -> bool:
        return self._changed

    def now(self) -> tuple[int, int]:
        """Rows and columns."""
        self._changed = False
        columns, rows = os.get_terminal_size(0)
        return rows, columns


@contextlib.contextmanager
def _raw() -> Iterator[_Size]:
    """A terminal that hands over every key at once and shows none itself."""
    before, size = termios.tcgetattr(0), _Size()
    previous = signal.signal(signal.SIGWINCH, size.note)
    try:
        tty.setraw(0)
        yield size
    finally:
        termios.tcsetattr(0, termios.TCSAFLUSH, before)
        signal.signal(signal.SIGWINCH, previous)


def _is_terminal(descriptor: int) -> bool:
    with contextlib.suppress(OSError):
        return os.isatty(descriptor)
    return False


def _pass_on(stream: Stream) -> bool:
    """False at the end of stdin."""
    try:
        data = os.read(0, _CHUNK)
    except OSError:
        return False
    _write(stream.channel, data)
    return bool(data)


def _read(channel: int) -> bytes | None:
    """b"" at the end, None where nothing is there after all."""
    try:
        return os.read(channel, _CHUNK)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _write(descriptor: int, data: bytes) -> None:
    """All of it; what nobody reads any more is dropped."""
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            select.select([], [descriptor], [], _SLICE)
        except OSError:
            return
