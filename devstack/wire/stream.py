"""A bounded conversation over one connection on this machine."""

from __future__ import annotations

import socket
import time

from devstack.wire import WireError

#: bytes; no answer that is asked for here comes near
_LIMIT = 1 << 20
_CHUNK = 65536


def after(seconds: float) -> float:
    """A deadline for streams."""
    return time.monotonic() + seconds


class Stream:
    """A connection to 127.0.0.1:port, or to a Unix socket. All its waits together end at the deadline. most: bytes that
    are taken at once.

    Raises OSError where the other side can't be reached or ends, TimeoutError at the deadline, WireError for an answer
    without end.
    """

    def __init__(self, address: int | str, deadline: float, most: int = _LIMIT) -> None:
        self._deadline = deadline
        self._most = most
        self._socket = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self._rest = bytearray()
        #: of `_rest`, what is taken already: moving what follows forward each time would cost more than reading it
        self._at = 0
        try:
            self._bound()
            self._socket.connect(address if isinstance(address, str) else ("127.0.0.1", address))
            if not isinstance(address, str):
                # else the kernel holds a second small message back until the first one's receipt, for 40 ms
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._bound()
        self._socket.sendall(data)

    def exactly(self, count: int) -> bytes:
        if not 0 <= count <= self._most:
            raise WireError(f"it announced an answer of {count} bytes")
        while len(self._rest) - self._at < count:
            if not self.more():
                raise ConnectionResetError(0, "it closed the connection")
        found = bytes(self._rest[self._at : self._at + count])
        self._at += count
        return found

    def until(self, end: bytes) -> bytes:
        """Everything up to `end`, which is taken and left out."""
        while (found := self._rest.find(end, self._at)) < 0:
            if len(self._rest) - self._at > self._most:
                raise WireError("its answer has no end")
            if not self.more():
                raise ConnectionResetError(0, "it closed the connection")
        text = bytes(self._rest[self._at : found])
        self._at = found + len(end)
        return text

    def more(self) -> bool:
        """Receive what there is, at least a byte; False where the other side has ended."""
        self._bound()
        data = self._socket.recv(_CHUNK)
        del self._rest[: self._at]
        self._at = 0
        self._rest += data
        return bool(data)

    def limit(self, seconds: float) -> None:
        """From now on its waits end so soon, if not earlier."""
        self._deadline = min(self._deadline, after(seconds))

    @property
    def received(self) -> bytes:
        """What came and was not taken yet."""
        return bytes(self._rest[self._at :])

    def _bound(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no answer in time")
        self._socket.settimeout(left)
