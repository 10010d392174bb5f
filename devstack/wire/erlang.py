"""The distribution protocol of Erlang nodes, as far as a hidden node needs it to call functions of another one.

(erlang.org/doc/apps/erts/erl_dist_protocol, handshake of OTP 23 and later; erl_ext_dist for terms.) Terms stay bytes:
what one call answers can be handed to another one as it came.
"""

from __future__ import annotations

import hashlib
import os
import struct

from devstack.wire import WireError
from devstack.wire.stream import Stream, after

#: extended references and pids, exports, bit strings, floats, UTF-8 atoms, maps, large creations, this handshake,
#: acknowledged unlinks, new pids: what OTP 23 to 28 insist on, and nothing that would let a node send anything else
_FLAGS = 0x4_0307_0F94
_VERSION = b"\x83"
#: an answer of this size would be all queues of a much bigger machine
_MOST = 64 << 20
_KEEPALIVE = 0


class Node:
    """A connection to the node that listens on a port of this machine. cookie: its secret; it isn't sent.

    Raises OSError, WireError where it refuses, ValueError for what isn't one.
    """

    def __init__(self, port: int, cookie: str, timeout: float) -> None:
        self._stream = Stream(port, after(timeout), most=_MOST)
        self._name = f"devstack-{os.getpid()}@localhost"
        try:
            self._shake_hands(cookie.encode())
        except BaseException:
            self._stream.__exit__()
            raise

    def __enter__(self) -> Node:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.__exit__()

    def call(self, module: str, function: str, *args: bytes) -> bytes:
        """What a function answers, as a term. args: terms. Raises WireError with the node's words where it fails."""
        own = b"X" + _atom(self._name) + struct.pack("!III", 1, 0, 1)
        arguments = b"l" + struct.pack("!I", len(args)) + b"".join(args) + b"j" if args else b"j"
        request = _tuple(own, _tuple(_atom("call"), _atom(module), _atom(function), arguments, _atom("user")))
        control = _tuple(b"a\x06", own, _atom(""), _atom("rex"))
        message = b"p" + _VERSION + control + _VERSION + request
        self._stream.send(struct.pack("!I", len(message)) + message)
        answer = self._answer()
        if _starts_with_atom(answer, 2, "badrpc"):
            raise WireError(f"{module}:{function}: {words(answer)}")
        return answer

    def _answer(self) -> bytes:
        """The term in the tuple `{rex, Term}` that was sent last to this node."""
        while True:
            (size,) = struct.unpack("!I", self._stream.exactly(4))
            if size == _KEEPALIVE:
                self._stream.send(bytes(4))
                continue
            message = self._stream.exactly(size)
            for head in (b"h\x02" + _atom("rex"), b"h\x02d\x00\x03rex"):
                _, found, term = message.partition(_VERSION + head)
                if found:
                    return term

    def _shake_hands(self, cookie: bytes) -> None:
        name = self._name.encode()
        self._say(b"N" + struct.pack("!QIH", _FLAGS, 1, len(name)) + name)
        status = self._hear()
        if status not in (b"sok", b"sok_simultaneous"):
            raise WireError(f"the node says {status[1:].decode(errors='replace')!r}")
        challenge = self._hear()
        if challenge[:1] != b"N":
            raise WireError("the node is older than OTP 23")
        (theirs,) = struct.unpack_from("!I", challenge, 9)
        ours = int.from_bytes(os.urandom(4), "big")
        self._say(b"r" + struct.pack("!I", ours) + _digest(cookie, theirs))
        if self._hear() != b"a" + _digest(cookie, ours):
            raise WireError("the node has another cookie")

    def _say(self, text: bytes) -> None:
        self._stream.send(struct.pack("!H", len(text)) + text)

    def _hear(self) -> bytes:
        (size,) = struct.unpack("!H", self._stream.exactly(2))
        return self._stream.exactly(size)


def binary(content: bytes) -> bytes:
    """A term."""
    return b"m" + struct.pack("!I", len(content)) + content


def content(term: bytes) -> bytes:
    """Of a binary. Raises ValueError for another term."""
    if term[:1] != b"m" or len(term) < 5:
        raise ValueError(f"no binary: {term[:40]!r}")
    return term[5 : 5 + int.from_bytes(term[1:5], "big")]


def is_atom(term: bytes, name: str) -> bool:
    return _starts_with_atom(term, 0, name)


def _starts_with_atom(term: bytes, at: int, name: str) -> bool:
    if at and term[:1] != b"h":
        return False
    old = b"d" + struct.pack("!H", len(name)) + name.encode()
    return term[at:].startswith((_atom(name), old))


def _atom(name: str) -> bytes:
    return b"w" + bytes((len(name.encode()),)) + name.encode()


def _tuple(*terms: bytes) -> bytes:
    return b"h" + bytes((len(terms),)) + b"".join(terms)


def _digest(cookie: bytes, challenge: int) -> bytes:
    return hashlib.md5(cookie + str(challenge).encode(), usedforsecurity=False).digest()


def words(term: bytes) -> str:
    """What of a term a person can read."""
    text = "".join(chr(byte) if 32 <= byte < 127 else " " for byte in term[:400])
    return " ".join(text.split())
