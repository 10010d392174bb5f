"""All keys of a Redis, read and written with plain commands: a copy that any Redis or Valkey takes, whatever version.

The server's own dump is refused by older ones, and a native Valkey is newer than the Redis of an image.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from devstack.errors import DataError
from devstack.services import Instance, Runner

_FILE = "keys.jsonl"
#: entries of a collection in one command
_MANY = 500
_MOST_DATABASES = 1024
#: key under which a dumped value is read, and milliseconds after which the server drops it whatever happens
_READ_AS, _READ_MS = b"devstack:exported", 60_000
#: a client of one database, by its number
Connect = Callable[[int], Any]


def dump(instance: Instance, runner: Runner, connect: Connect) -> None:
    """Raises DataError for a key of a type that only a module knows."""
    lines = []
    for number in _databases(connect):
        client = connect(number)
        for key in client.scan_iter(count=1000):
            entry = _entry(client, key)
            if entry is None:
                raise _unmovable(instance, f"{key!r} in database {number} has the type {_text(client.type(key))}")
            if entry["value"]:
                lines.append(json.dumps({"db": number, "key": _packed(key), **entry}))
    # never empty: an empty file would look like none
    runner.write(_FILE, "\n".join([*lines, "\n"]).encode())


def _unmovable(instance: Instance, why: str) -> DataError:
    return DataError(
        "data-unmovable", f"a key of {instance.name} can't be copied", why=why, fix=f"devstack shell {instance.name}"
    )


def recall(instance: Instance, kept: Runner, before: Runner, connect: Connect) -> None:
    """Exchange all keys for those of a dump; `before` gets those that were there."""
    if not before.read(_FILE):
        # a run that was cut short has written it already
        dump(instance, before, connect)
    connect(0).execute_command("FLUSHALL")
    load(kept, connect)


def clear(instance: Instance, before: Runner, connect: Connect, databases: Collection[int] | None = None) -> None:
    """Remove all keys, or those of these databases; `before` gets all that were there."""
    if not before.read(_FILE):
        dump(instance, before, connect)
    if databases is None:
        connect(0).execute_command("FLUSHALL")
    for number in databases or ():
        connect(number).execute_command("FLUSHDB")


def adopt(instance: Instance, source: Runner, kept: Runner) -> None:
    """Take a dump that comes from elsewhere. Raises DataError for what is none."""
    try:
        for line in filter(None, source.read(_FILE).splitlines()):
            _ensure_entry(json.loads(line))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise DataError(
            "snapshot-file-refused", f"the part of {instance.name} can't be read",
            why=" ".join(str(error).split()) or type(error).__name__, fix="get the file once more",
        ) from None
    kept.write(_FILE, source.read(_FILE))


def _ensure_entry(entry: Mapping[str, Any]) -> None:
    """Raises one of many errors for what isn't as `dump` writes it."""
    value = [_unpacked(item) for item in entry["value"]]
    if not list(_commands(_unpacked(entry["key"]), entry["type"], value, entry)):
        raise ValueError(f"{entry['type']!r} is no type of a key")
    if not (0 <= int(entry["db"]) < _MOST_DATABASES and isinstance(entry["expires"], int)):
        raise ValueError(f"{entry['db']} is no database")


def export(kept: Runner, target: Runner) -> None:
    """What is kept can be read by anybody as it is."""
    target.write(_FILE, kept.read(_FILE))


def export_dumped(
    instance: Instance, entries: Iterable[tuple[int, bytes, int, bytes]], target: Runner, connect: Connect
) -> None:
    """entries: database, key, when it expires, and the server's own dump of it: only the server reads that, so each is
    there for a moment under a name of ours. Raises DataError as `dump` does."""
    lines = []
    clients: dict[int, Any] = {}
    for number, key, expires, value in entries:
        client = clients[number] = clients.get(number) or connect(number)
        client.execute_command("RESTORE", _READ_AS, _READ_MS, value, "REPLACE")
        entry = _entry(client, _READ_AS)
        client.execute_command("DEL", _READ_AS)
        if entry is None:
            raise _unmovable(instance, f"{key!r} in database {number} has a type that only a module knows")
        if entry["value"]:
            entry["expires"] = expires or -1
            lines.append(json.dumps({"db": number, "key": _packed(key), **entry}))
    target.write(_FILE, "\n".join([*lines, "\n"]).encode())


def load(runner: Runner, connect: Connect) -> None:
    """Into a server without keys."""
    clients: dict[int, Any] = {}
    for line in filter(None, runner.read(_FILE).splitlines()):
        entry = json.loads(line)
        number, key = entry["db"], _unpacked(entry["key"])
        client = clients[number] = clients.get(number) or connect(number)
        for command in _commands(key, entry["type"], [_unpacked(item) for item in entry["value"]], entry):
            client.execute_command(*command)
        if entry["expires"] >= 0:
            client.execute_command("PEXPIREAT", key, entry["expires"])


def _databases(connect: Connect) -> Iterator[int]:
    """Numbers of the databases that hold something."""
    for name in connect(0).info("keyspace"):
        yield int(name.removeprefix("db"))


def _entry(client: Any, key: bytes) -> dict[str, Any] | None:
    """A key's type, its content as one flat list, and when it expires (milliseconds since the epoch; -1: never)."""
    kind = _text(client.type(key))
    more: dict[str, Any] = {}
    match kind:
        case "none":
            # it has expired meanwhile
            value: list[Any] = []
        case "string":
            value = [client.execute_command("GET", key)]
        case "list":
            value = client.execute_command("LRANGE", key, 0, -1)
        case "set":
            value = list(client.execute_command("SMEMBERS", key))
        case "hash":
            value = _flat(client.execute_command("HGETALL", key))
        case "zset":
            value = _flat(client.execute_command("ZRANGE", key, 0, -1, "WITHSCORES"))
        case "stream":
            value, more = _stream(client, key)
        case _:
            return None
    expires = client.execute_command("PEXPIRETIME", key) if value else -1
    return {"type": kind, "value": [_packed(item) for item in value], "expires": expires, **more}


def _flat(answer: Any) -> list[Any]:
    """Pairs one after the other: the client library makes tables of some answers."""
    if isinstance(answer, Mapping):
        return [part for pair in answer.items() for part in pair]
    return [part for item in answer for part in (item if isinstance(item, list | tuple) else (item,))]


def _stream(client: Any, key: bytes) -> tuple[list[Any], dict[str, Any]]:
    """Its entries as id, number of words, words; and its groups with how far each has read."""
    value: list[Any] = []
    for entry, fields in client.execute_command("XRANGE", key, "-", "+"):
        words = _flat(fields)
        value += [entry, str(len(words)), *words]
    groups = [[_text(group["name"]), _text(group["last-delivered-id"])] for group in client.xinfo_groups(key)]
    return value, {"groups": groups}


def _commands(
    key: bytes, kind: str, value: Sequence[bytes], entry: Mapping[str, Any]
) -> Iterator[tuple[bytes | str, ...]]:
    match kind:
        case "string":
            yield ("SET", key, value[0])
        case "list" | "set" | "hash":
            verb = {"list": "RPUSH", "set": "SADD", "hash": "HSET"}[kind]
            for start in range(0, len(value), _MANY):
                yield (verb, key, *value[start:start + _MANY])
        case "zset":
            turned = [part for pair in zip(value[1::2], value[::2], strict=True) for part in pair]
            for start in range(0, len(turned), _MANY):
                yield ("ZADD", key, *turned[start:start + _MANY])
        case "stream":
            position = 0
            while position < len(value):
                count = int(value[position + 1])
                yield ("XADD", key, value[position], *value[position + 2:position + 2 + count])
                position += 2 + count
            for name, last in entry["groups"]:
                yield ("XGROUP", "CREATE", key, name, last)


def _packed(item: Any) -> str:
    data = item if isinstance(item, bytes) else str(item).encode()
    return base64.b64encode(data).decode()


def _unpacked(text: str) -> bytes:
    return base64.b64decode(text)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
