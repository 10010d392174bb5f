"""PostgreSQL, as it is spoken on the wire (protocol 3.0: postgresql.org/docs/current/protocol.html; SCRAM: RFC 7677).

A question holds `port`, `user`, `password`, `databases` (the first is the application's), `roles`, `extensions` (wanted
in every database) and `identity`.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import json
import math
import os
import struct
from collections.abc import Mapping
from typing import Any

from devstack.wire import Probe, Question, WireError, stranger
from devstack.wire.stream import Stream, after

_SURVEY = """
    SELECT json_build_array(
        current_setting('cluster_name'), current_setting('server_version'), ARRAY(SELECT datname FROM pg_database),
        ARRAY(SELECT rolname FROM pg_roles), ARRAY(SELECT extname FROM pg_extension))
"""
_OK, _SASL, _CONTINUE, _FINAL = 0, 10, 11, 12
#: more rounds than any server asks for would only keep this processor busy
_ROUNDS = 1_000_000


def probe(question: Question, timeout: float) -> Probe:
    """Log in to the first database as the application would, and ask who the server is and what it has."""
    first, *others = question["databases"]
    deadline = after(timeout)
    limit = f"-c statement_timeout={math.ceil(timeout * 1000)}"
    login = ("user", question["user"], "application_name", "devstack", "client_encoding", "UTF8", "options", limit)

    def survey(database: str) -> Any:
        with Stream(question["port"], deadline) as stream:
            _log_in(stream, (*login, "database", database), question["password"])
            return _answer(stream, _SURVEY)

    try:
        identity, version, databases, roles, extensions = survey(first)
    except WireError as error:
        # the server is told to speak English
        is_absent = f'database "{first}" does not exist' in str(error)
        absent = (f"database {first}",) if is_absent else ()
        # who may come is a file that is written before each start
        is_shut = "no pg_hba.conf entry" in str(error)
        return Probe(False, " ".join(str(error).split()), missing=absent, needs_start=is_shut)
    if identity != question["identity"]:
        return Probe(False, stranger(question, identity), version)
    missing = [f"role {role}" for role in question["roles"] if role not in roles]
    missing += [f"extension {name} in {first}" for name in question["extensions"] if name not in extensions]
    for database in others:
        if database not in databases:
            missing.append(f"database {database}")
        elif question["extensions"]:
            *_, extensions = survey(database)
            missing += [f"extension {name} in {database}" for name in question["extensions"] if name not in extensions]
    return Probe(True, f"logged in to {first} as {question['user']}", version.partition(" ")[0], tuple(missing))


class RefusedError(WireError):
    """The server refuses a statement. code: SQLSTATE."""

    def __init__(self, text: str, code: str) -> None:
        super().__init__(text)
        self.code = code


class Session:
    """Statements one after the other, each a text of its own. address: a Unix socket, whose server trusts who gets at
    it, or a port. settings: `user`, `database` and what else a session begins with. timeout: seconds for all of it.

    Raises OSError, WireError, ValueError for what isn't PostgreSQL.
    """

    def __init__(self, address: int | str, settings: Mapping[str, str], password: str | None, timeout: float) -> None:
        self._stream = Stream(address, after(timeout))
        try:
            _log_in(self._stream, tuple(word for pair in settings.items() for word in pair), password)
        except BaseException:
            self._stream.__exit__()
            raise

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.__exit__()

    def rows(self, statement: str) -> list[tuple[str, ...]]:
        """Its rows as texts, "" for NULL. Raises RefusedError; the session goes on then."""
        _send(self._stream, b"Q", statement.encode() + b"\0")
        found: list[tuple[str, ...]] = []
        refused = None
        while True:
            try:
                kind, body = _message(self._stream)
            except RefusedError as error:
                refused = error
                continue
            if kind == b"D":
                found.append(_row(body))
            if kind == b"Z":
                if refused is not None:
                    raise refused
                return found

    def leave(self, statement: str) -> None:
        """The last statement: the server goes on with it by itself, and nobody waits for its end."""
        _send(self._stream, b"Q", statement.encode() + b"\0")


def name(text: str) -> str:
    """An identifier as it stands in a statement."""
    return '"' + text.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as it stands in a statement, with `standard_conforming_strings`."""
    return "'" + text.replace("'", "''") + "'"


def _row(body: bytes) -> tuple[str, ...]:
    (count,), at = struct.unpack_from("!h", body), 2
    values = []
    for _ in range(count):
        (size,) = struct.unpack_from("!i", body, at)
        values.append(body[at + 4 : at + 4 + max(size, 0)].decode())
        at += 4 + max(size, 0)
    return tuple(values)


def _answer(stream: Stream, query: str) -> Any:
    """The one value of a query, which is JSON."""
    _send(stream, b"Q", query.encode() + b"\0")
    while True:
        kind, body = _message(stream)
        if kind == b"D":
            (size,) = struct.unpack_from("!i", body, 2)
            _send(stream, b"X", b"")
            return json.loads(body[6 : 6 + size])


def _log_in(stream: Stream, settings: tuple[str, ...], password: str | None) -> None:
    """SCRAM-SHA-256 and nothing else: a stranger on the port may ask for the plain password; it won't get it. None: the
    server has to trust without one."""
    _send(stream, b"", struct.pack("!i", 196608) + b"".join(text.encode() + b"\0" for text in settings) + b"\0")
    nonce = _encoded(os.urandom(18)).decode()
    first = f"n=,r={nonce}"
    signature = b""
    is_proved = password is None
    while True:
        kind, body = _message(stream)
        if kind == b"Z" and is_proved:
            return
        if kind != b"R":
            continue
        (method,), text = struct.unpack_from("!i", body), body[4:]
        if method == _SASL and password is not None and b"SCRAM-SHA-256" in text.split(b"\0"):
            opening = f"n,,{first}".encode()
            _send(stream, b"p", b"SCRAM-SHA-256\0" + struct.pack("!i", len(opening)) + opening)
        elif method == _CONTINUE and password is not None:
            answer, signature = _proof(password, first, text.decode(), nonce)
            _send(stream, b"p", answer)
        elif method == _FINAL and signature:
            is_proved = hmac.compare_digest(text, b"v=" + _encoded(signature))
        elif method != _OK or not is_proved:
            raise WireError("it asks for the password in another way than SCRAM-SHA-256")


def _proof(password: str, first: str, challenge: str, nonce: str) -> tuple[bytes, bytes]:
    """The client's last message, and the signature that proves that the server knows the password too."""
    said = dict(part.split("=", 1) for part in challenge.split(","))
    rounds = int(said["i"])
    if not said["r"].startswith(nonce) or not 0 < rounds <= _ROUNDS:
        raise ValueError(challenge)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), binascii.a2b_base64(said["s"]), rounds)
    last = f"c=biws,r={said['r']}"
    signed = f"{first},{challenge},{last}".encode()
    key = hmac.digest(salted, b"Client Key", "sha256")
    mask = hmac.digest(hashlib.sha256(key).digest(), signed, "sha256")
    proof = bytes(one ^ other for one, other in zip(key, mask, strict=True))
    signature = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), signed, "sha256")
    return f"{last},p={_encoded(proof).decode()}".encode(), signature


def _encoded(data: bytes) -> bytes:
    return binascii.b2a_base64(data, newline=False)


def _send(stream: Stream, kind: bytes, body: bytes) -> None:
    stream.send(kind + struct.pack("!i", len(body) + 4) + body)


def _message(stream: Stream) -> tuple[bytes, bytes]:
    """The next message. Raises WireError with the server's words where it is an error."""
    kind, size = struct.unpack("!ci", stream.exactly(5))
    body = stream.exactly(size - 4)
    if kind == b"E":
        fields = {part[:1]: part[1:].decode(errors="replace") for part in body.split(b"\0")}
        raise RefusedError(f"{fields.get(b'S', 'ERROR')}: {fields[b'M']}", fields.get(b"C", ""))
    return kind, body
