"""Redis, as it is spoken on the wire (RESP 2: redis.io/docs/latest/develop/reference/protocol-spec).

A question holds `port`, `password` (None: no login), `db` and `identity`.
"""

from __future__ import annotations

from typing import Any

from devstack.wire import Probe, Question, WireError, stranger
from devstack.wire.stream import Stream, after

#: bytes: the biggest value that a server may hold
_BIGGEST = 512 << 20


def probe(question: Question, timeout: float) -> Probe:
    """Log in, ask who the server is and whether it can still write; touches no key."""
    with Stream(question["port"], after(timeout)) as stream:
        try:
            if question["password"] is not None:
                _call(stream, "AUTH", question["password"])
            if question["db"]:
                _call(stream, "SELECT", str(question["db"]))
        except WireError as error:
            # passwords and databases are settings, in force from the start
            return Probe(False, " ".join(str(error).split()), needs_start=not str(error).startswith("LOADING"))
        config = _call(stream, "CONFIG", "GET", "syslog-ident")
        lines = _call(stream, "INFO").splitlines()
    info = dict(line.split(":", 1) for line in lines if ":" in line)
    return _judge(question, config[1] if config else "", info)


class Session:
    """Commands whose words are bytes. timeout: seconds for all of it. Raises OSError, WireError with the server's words
    where it refuses, ValueError for what isn't Redis."""

    def __init__(self, port: int, password: str | None, timeout: float) -> None:
        self._stream = Stream(port, after(timeout), most=_BIGGEST)
        if password is not None:
            _call(self._stream, "AUTH", password)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.__exit__()

    def one(self, *command: bytes) -> Any:
        """The answer to a command: bytes, None, an integer, a list of those."""
        head = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in command)
        self._stream.send(b"*%d\r\n%s" % (len(command), head))
        return self._answer()

    def _answer(self) -> Any:
        line = self._stream.until(b"\r\n")
        kind, rest = line[:1], line[1:]
        if kind == b"-":
            raise WireError(rest.decode(errors="replace"))
        if kind == b"$":
            return None if rest == b"-1" else self._stream.exactly(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self._answer() for _ in range(int(rest))]
        if kind == b":":
            return int(rest)
        if kind != b"+":
            raise ValueError(line)
        return rest


def _judge(question: Question, identity: str, info: dict[str, str]) -> Probe:
    # Valkey speaks the protocol of the Redis that it names; a profile asks for that
    version = info.get("redis_version") or None
    if version and info.get("valkey_version"):
        version = f"{version} (valkey {info['valkey_version']})"
    if identity != question["identity"]:
        return Probe(False, stranger(question, identity), version)
    if info.get("loading", "0") != "0":
        return Probe(False, "the data is still being loaded", version)
    if info.get("role", "master") != "master":
        return Probe(False, "it copies another server and takes no writes", version, needs_start=True)
    if _is_full(info):
        limit = info.get("maxmemory_human", "")
        return Probe(False, f"its memory is full ({limit}) and it refuses writes", version, needs_start=True)
    if info.get("aof_last_write_status", "ok") != "ok":
        return Probe(False, "the last write to the append-only file failed (disk full?)", version)
    return Probe(True, f"logged in to database {question['db']}", version)


def _is_full(info: dict[str, str]) -> bool:
    limit = int(info.get("maxmemory", "0"))
    return 0 < limit <= int(info.get("used_memory", "0")) and info.get("maxmemory_policy") == "noeviction"


def _call(stream: Stream, *words: str) -> Any:
    """A command's answer. Raises WireError with the server's words where it refuses."""
    parts = [word.encode() for word in words]
    stream.send(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
    return _answer(stream)


def _answer(stream: Stream) -> Any:
    line = stream.until(b"\r\n").decode(errors="replace")
    kind, rest = line[:1], line[1:]
    if kind == "-":
        raise WireError(rest)
    if kind == "$":
        if int(rest) < 0:
            return ""
        return stream.exactly(int(rest) + 2)[:-2].decode(errors="replace")
    if kind == "*":
        if int(rest) > 1000:
            raise ValueError(rest)
        return [_answer(stream) for _ in range(int(rest))]
    if kind not in ("+", ":"):
        raise ValueError(line)
    return rest
