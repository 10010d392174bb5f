"""A bounded conversation over one connection on this machine."""

from __future__ import annotations

import socket
import time

from devstack.wire import WireError

#: bytes; no answer that is asked for here comes near
_LIMIT = 1 << 20


def after(seconds: float) -> float:
    """A deadline for streams."""
    return time.monotonic() + seconds


class Stream:
    """A connection to 127.0.0.1:port, or to a Unix socket. All its waits together end at the deadline.

    Raises OSError where the other side can't be reached or ends, TimeoutError at the deadline, WireError for an answer
    without end.
    """

    def __init__(self, address: int | str, deadline: float) -> None:
        self._deadline = deadline
        self._socket = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self._rest = b""
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
        if not 0 <= count <= _LIMIT:
            raise WireError(f"it announced an answer of {count} bytes")
        while len(self._rest) < count:
            if not self.more():
                raise ConnectionResetError(0, "it closed the connection")
        found, self._rest = self._rest[:count], self._rest[count:]
        return found

    def until(self, end: bytes) -> bytes:
        """Everything up to `end`, which is taken and left out."""
        while end not in self._rest:
            if len(self._rest) > _LIMIT:
                raise WireError("its answer has no end")
            if not self.more():
                raise ConnectionResetError(0, "it closed the connection")
        found, _, self._rest = self._rest.partition(end)
        return found

    def more(self) -> bool:
        """Receive what there is, at least a byte; False where the other side has ended."""
        self._bound()
        data = self._socket.recv(65536)
        self._rest += data
        return bool(data)

    def limit(self, seconds: float) -> None:
        """From now on its waits end so soon, if not earlier."""
        self._deadline = min(self._deadline, after(seconds))

    @property
    def received(self) -> bytes:
        """What came and was not taken yet."""
        return self._rest

    def _bound(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no answer in time")
        self._socket.settimeout(left)
