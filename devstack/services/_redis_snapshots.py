"""All keys of a Redis as the server itself dumps them: made and put back by scripts inside of it, so that no key
crosses the wire by itself. Only the same server, or a newer one, takes such a copy.

Measured: 20 000 keys in 0.1 s, where asking for each takes 5 s.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

from devstack.errors import DataError
from devstack.services import Instance, Runner
from devstack.wire import WireError
from devstack.wire.redis import Session

FILE = "keys.dump"
_MAGIC = b"devstack redis 1\n"
#: database, and bytes of what follows of it
_HEAD = struct.Struct("!IQ")
#: keys that the server dumps at once: nobody else is served meanwhile
_MANY = b"1000"
_DUMP = b"""
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
local found = redis.call('SCAN', ARGV[1], 'COUNT', ARGV[2])
local out = {}
for _, key in ipairs(found[2]) do
    local left, value = redis.call('PTTL', key), redis.call('DUMP', key)
    if value then
        out[#out + 1] = key
        out[#out + 1] = left < 0 and '0' or string.format('%.0f', now + left)
        out[#out + 1] = value
    end
end
return {found[1], #out > 0 and cmsgpack.pack(out) or ''}
"""
_RESTORE = b"""
local all = cmsgpack.unpack(ARGV[1])
for at = 1, #all, 3 do
    redis.call('RESTORE', all[at], all[at + 1], all[at + 2], 'REPLACE', 'ABSTTL')
end
return #all / 3
"""
_TRY = b"""
local all = cmsgpack.unpack(ARGV[1])
local answer = redis.pcall('RESTORE', 'devstack:tried', '1', all[3], 'REPLACE')
return answer.err or ''
"""
_UNPACK = b"return cmsgpack.unpack(ARGV[1])"
Connect = Callable[[], AbstractContextManager[Session]]


def keep(runner: Runner, connect: Connect) -> None:
    with connect() as session:
        runner.write(FILE, b"".join((_MAGIC, *_dumped(session))))


def recall(instance: Instance, kept: Runner, before: Runner, connect: Connect) -> None:
    """Exchange all keys for those that are kept; `before` gets those that were there. Raises DataError where the server
    can't read them: nothing is changed then."""
    found = list(parts(kept.read(FILE)))
    with connect() as session:
        for _, part in found[:1]:
            if refusal := session.one(b"EVAL", _TRY, b"0", part):
                raise DataError(
                    "snapshot-unreadable", f"{instance.name} can't read its snapshot", why=refusal.decode(),
                    fix="devstack snapshot list",
                )
        if not before.read(FILE):
            # else a run that was cut short has written it already
            before.write(FILE, b"".join((_MAGIC, *_dumped(session))))
        _put(session, found)


def put(kept: Runner | None, connect: Connect) -> None:
    """Hold just the keys that are kept, None for none."""
    found = list(parts(kept.read(FILE))) if kept else []
    with connect() as session:
        _put(session, found)


def entries(kept: Runner, session: Session) -> Iterator[tuple[int, bytes, int, bytes]]:
    """Database, key, when it expires (milliseconds since the epoch, 0 for never) and content, as the server dumped it.
    Raises WireError."""
    for database, part in parts(kept.read(FILE)):
        found = session.one(b"EVAL", _UNPACK, b"0", part)
        for key, expires, value in zip(found[::3], found[1::3], found[2::3], strict=True):
            yield database, key, int(expires), value


def _put(session: Session, found: Sequence[tuple[int, bytes]]) -> None:
    session.one(b"FLUSHALL", b"ASYNC")
    for database, part in found:
        session.one(b"SELECT", b"%d" % database)
        session.one(b"EVAL", _RESTORE, b"0", part)


def _dumped(session: Session) -> Iterator[bytes]:
    """Heads and what follows each."""
    for line in bytes(session.one(b"INFO", b"keyspace")).splitlines():
        if not line.startswith(b"db"):
            continue
        database = line[2:].partition(b":")[0]
        session.one(b"SELECT", database)
        cursor = b"0"
        while True:
            cursor, part = session.one(b"EVAL", _DUMP, b"0", cursor, _MANY)
            if part:
                yield _HEAD.pack(int(database), len(part))
                yield part
            if cursor == b"0":
                break


def parts(text: bytes) -> Iterator[tuple[int, bytes]]:
    """Database, and what a script of the server packs, of each part. Raises WireError for what is no whole copy."""
    if not text.startswith(_MAGIC):
        raise WireError("its copy is damaged")
    at = len(_MAGIC)
    while at < len(text):
        database, size = _HEAD.unpack_from(text, at)
        at += _HEAD.size
        if at + size > len(text):
            raise WireError("its copy is damaged")
        yield database, text[at : at + size]
        at += size
