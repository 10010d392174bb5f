"""AMQP 0-9-1, as it is spoken on the wire (rabbitmq.com/resources/specs/amqp0-9-1.pdf; field types as RabbitMQ's).

A question holds `port`, `user`, `password`, `vhosts` (the first is the application's), `exchanges` (lists of vhost,
name and type) and `identity`.
"""

from __future__ import annotations

import struct
from typing import Any

from devstack.wire import Probe, Question, WireError, stranger
from devstack.wire.stream import Stream, after

_START, _START_OK, _TUNE, _TUNE_OK = (10, 10), (10, 11), (10, 30), (10, 31)
_OPEN, _OPEN_OK, _CLOSE, _CLOSE_OK = (10, 40), (10, 41), (10, 50), (10, 51)
_CHANNEL_OPEN, _CHANNEL_OPEN_OK, _CHANNEL_CLOSE = (20, 10), (20, 11), (20, 40)
_DECLARE, _DECLARE_OK = (40, 10), (40, 11)
#: RabbitMQ's own: rabbitmq.com/docs/connection-blocked
_BLOCKED = (10, 60)
_CHANNEL_CLOSE_OK, _PUBLISH = (20, 41), (60, 40)
_NOT_FOUND, _NOT_ALLOWED = 404, 530
#: of a field table: sizes of the values that are read over, by type
_SIZES = {"t": 1, "b": 1, "B": 1, "s": 2, "u": 2, "I": 4, "i": 4, "f": 4, "l": 8, "d": 8, "T": 8, "D": 5, "V": 0}


def probe(question: Question, timeout: float) -> Probe:
    """Log in to every vhost, look for the declared exchanges, and see whether messages are taken."""
    missing: list[str] = []
    version = None
    deadline = after(timeout)
    for vhost in question["vhosts"]:
        with Stream(question["port"], deadline) as stream:
            server = _greet(stream)
            version, name = server.get("version"), server.get("cluster_name", "")
            if name != question["identity"]:
                # known before anything is said: a stranger isn't told the password
                return Probe(False, stranger(question, name), version)
            try:
                is_there = _log_in(stream, question["user"], question["password"], vhost)
            except WireError as error:
                # accounts and their rights are made as it starts
                return Probe(False, " ".join(str(error).split()), version, needs_start=True)
            if not is_there:
                missing.append(f"vhost {vhost}")
                continue
            wanted = [(name, kind) for place, name, kind in question["exchanges"] if place == vhost]
            for number, (name, kind) in enumerate(wanted, 1):
                if not _has_exchange(stream, number, name, kind):
                    missing.append(f"exchange {name} in {vhost}")
            if refusal := _refusal(stream, len(wanted) + 1):
                return refusal._replace(version=version, missing=tuple(missing))
            _send(stream, 0, _CLOSE, struct.pack("!H", 200) + _short("") + bytes(4))
            _receive(stream, _CLOSE_OK)
    first = question["vhosts"][0]
    if f"vhost {first}" in missing:
        return Probe(False, f"there is no vhost {first}", version, tuple(missing), needs_start=True)
    is_short = any(one.startswith("vhost ") for one in missing)
    return Probe(True, f"logged in to {first} as {question['user']}", version, tuple(missing), is_short)


def _greet(stream: Stream) -> dict[str, Any]:
    """The server's own properties."""
    stream.send(b"AMQP\0\0\x09\x01")
    _, body = _receive(stream, _START)
    (size,) = struct.unpack_from("!I", body, 2)
    return _table(body[6 : 6 + size])


def _log_in(stream: Stream, user: str, password: str, vhost: str) -> bool:
    """False where there is no such vhost. Raises WireError where the server refuses otherwise."""
    # else it would just close the connection on a wrong password
    able = (_short(name) + b"t\1" for name in ("authentication_failure_close", "connection.blocked"))
    told = _short("capabilities") + b"F" + _long(b"".join(able))
    login = _long(told) + _short("PLAIN") + _long(f"\0{user}\0{password}".encode()) + _short("en_US")
    _send(stream, 0, _START_OK, login)
    _, body = _receive(stream, _TUNE)
    channels, frame, _ = struct.unpack("!HIH", body)
    _send(stream, 0, _TUNE_OK, struct.pack("!HIH", channels, frame, 0))
    _send(stream, 0, _OPEN, _short(vhost) + _short("") + b"\0")
    method, body = _receive(stream, _OPEN_OK, _CLOSE)
    if method == _CLOSE and struct.unpack_from("!H", body) != (_NOT_ALLOWED,):
        raise WireError(_reason(body))
    return method == _OPEN_OK


def _has_exchange(stream: Stream, channel: int, name: str, kind: str) -> bool:
    """Asked on a channel of its own: the server closes one on which it refused something."""
    _send(stream, channel, _CHANNEL_OPEN, _short(""))
    _receive(stream, _CHANNEL_OPEN_OK)
    _send(stream, channel, _DECLARE, bytes(2) + _short(name) + _short(kind) + b"\1" + _long(b""))
    method, body = _receive(stream, _DECLARE_OK, _CHANNEL_CLOSE)
    if method == _CHANNEL_CLOSE and struct.unpack_from("!H", body) != (_NOT_FOUND,):
        raise WireError(_reason(body))
    return method == _DECLARE_OK


def _refusal(stream: Stream, channel: int) -> Probe | None:
    """Why messages aren't taken, None where they are: asked with one that no queue gets. A server that is short of disk
    or memory lets everybody in, and then leaves them waiting."""
    _send(stream, channel, _CHANNEL_OPEN, _short(""))
    _receive(stream, _CHANNEL_OPEN_OK)
    _send(stream, channel, _PUBLISH, bytes(2) + _short("") + _short("devstack.nobody") + b"\0")
    head = struct.pack("!HHQH", 60, 0, 0, 0)
    stream.send(struct.pack("!BHI", 2, channel, len(head)) + head + b"\xce")
    _send(stream, channel, _CHANNEL_CLOSE, struct.pack("!H", 200) + _short("") + bytes(4))
    method, body = _receive(stream, _CHANNEL_CLOSE_OK, _CHANNEL_CLOSE, _BLOCKED)
    if method == _BLOCKED:
        reason = body[1 : 1 + body[0]].decode(errors="replace")
        return Probe(False, f"it takes no messages for now: {reason}")
    return Probe(False, _reason(body), needs_start=True) if method == _CHANNEL_CLOSE else None


def _send(stream: Stream, channel: int, method: tuple[int, int], arguments: bytes) -> None:
    payload = struct.pack("!HH", *method) + arguments
    stream.send(struct.pack("!BHI", 1, channel, len(payload)) + payload + b"\xce")


def _receive(stream: Stream, *wanted: tuple[int, int]) -> tuple[tuple[int, int], bytes]:
    """The next method and its arguments. Raises WireError where it is another one than those wanted."""
    while True:
        kind, _, size = struct.unpack("!BHI", stream.exactly(7))
        payload = stream.exactly(size + 1)
        if payload[-1:] != b"\xce":
            raise ValueError("no end of a frame")
        if kind == 1:
            first, second = struct.unpack_from("!HH", payload)
            if (first, second) in wanted:
                return (first, second), payload[4:-1]
            if (first, second) == _CLOSE:
                raise WireError(_reason(payload[4:]))
            raise ValueError(f"method {first}.{second}")


def _reason(body: bytes) -> str:
    return body[3 : 3 + body[2]].decode(errors="replace")


def _short(text: str) -> bytes:
    return struct.pack("!B", len(text.encode())) + text.encode()


def _long(data: bytes) -> bytes:
    return struct.pack("!I", len(data)) + data


def _table(data: bytes) -> dict[str, Any]:
    """Texts and tables of a field table; values of other types are read over."""
    found: dict[str, Any] = {}
    at = 0
    while at < len(data):
        name = data[at + 1 : at + 1 + data[at]].decode()
        at += 1 + data[at]
        kind, at = chr(data[at]), at + 1
        size = _SIZES.get(kind)
        if size is None:
            (size,) = struct.unpack_from("!I", data, at)
            at += 4
            if kind == "S":
                found[name] = data[at : at + size].decode(errors="replace")
        at += size
    return found
