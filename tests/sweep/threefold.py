"""The sweep with all three servers: rows of PostgreSQL, keys of Redis, messages of RabbitMQ."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable
from typing import Any

import amqp
import psycopg
import redis

from tests.scenarios import trio
from tests.scenarios.machine import Machine
from tests.scenarios.trio import Trio
from tests.sweep.sweeping import Result, decoys, differs, killed_at, orphans, tapped
from tests.sweep.taps import Tap

VERBS: dict[str, tuple[str, ...]] = {
    "three servers: up": ("up",),
    "three servers: snapshot save": ("snapshot", "save", "mine"),
    "three servers: snapshot restore": ("snapshot", "restore", "first", "--yes"),
    "three servers: down": ("down",),
}


def sweep_three(machine: Machine, name: str, numbers: Callable[[int], Iterable[int]]) -> Result:
    """As `sweeping.sweep`, for a project without processes of its own."""
    words, result = VERBS[name], Result(name)
    stack = trio.make(machine)
    stack.project.run("up")
    stack.fill()
    first = _plain(stack)
    stack.project.run("snapshot", "save", "first")
    _arrange(stack, words)
    tap = Tap()
    tapped(stack.project, words, tap)
    result.points = len(tap.points)
    with decoys(machine) as strangers:
        for number in numbers(result.points):
            stack.project.run("up")
            _write(stack, number)
            before = _plain(stack)
            _arrange(stack, words)
            point = killed_at(stack.project, words, number)
            if point is None:
                break
            result.killed += 1
            found = _recover(stack, words, first if "restore" in words else before, result)
            if "restore" in words and not found and not _is_kept(stack, before, number):
                result.lost += 1
                found.append("what was there before is lost")
            result.decoys += len(strangers.dead())
            result.recovered += not found
            result.wrong += [f"at {number}, {point}: {one}" for one in found]
    return result


def _arrange(stack: Trio, words: tuple[str, ...]) -> None:
    if words == ("up",):
        stack.project.run("down")


def _recover(stack: Trio, words: tuple[str, ...], wanted: dict[str, Any], result: Result) -> list[str]:
    began = time.monotonic()
    try:
        stack.project.run(*words)
        stack.project.run("up")
    except AssertionError as error:
        return [str(error)]
    result.slowest = max(result.slowest, time.monotonic() - began)
    left = orphans(stack.project)
    result.orphans += len(left)
    found = [f"an orphan: {one}" for one in left]
    if difference := differs(_plain(stack), wanted):
        result.lost += 1
        found.append(f"the data isn't as it was:\n{difference}")
    return found


def _is_kept(stack: Trio, before: dict[str, Any], number: int) -> bool:
    """Is what was there before a restore in the snapshot that it made of it, or in the one before?"""
    mark = re.compile(rb"point %d(?!\d)" % number)
    for path in stack.project.folder.glob("snapshots/*/manifest.json"):
        name = json.loads(path.read_text())["name"]
        if name.startswith("before-restore") and mark.search((path.parent / "redis/keys.dump").read_bytes()):
            stack.project.run("snapshot", "restore", name, "--yes")
            return _plain(stack) == before
    return False


def _plain(stack: Trio) -> dict[str, Any]:
    """What the servers hold, as text, in an order."""
    found = stack.digest()
    return {name: sorted(map(str, value)) if isinstance(value, list) else str(value) for name, value in found.items()
            if name != "keys"} | {"keys": {key: _sorted(value) for key, value in found["keys"].items()}}  # fmt: skip


def _sorted(value: Any) -> str:
    return str(sorted(map(str, value))) if isinstance(value, set) else str(value)


def _write(stack: Trio, number: int) -> None:
    """Something new into each of the servers, committed, confirmed, and on disk."""
    urls = stack.urls()
    with psycopg.connect(urls["PG"], autocommit=True) as session:
        session.execute("INSERT INTO t (words) VALUES (%s)", (f"point {number}",))
    with redis.Redis.from_url(urls["REDIS"]) as client:
        client.rpush("list", f"point {number}")
        # long values are compressed in a dump, where nobody would find it
        client.set("point", f"point {number}")
    with stack.broker(urls["AMQP"]) as connection:
        channel = connection.channel()
        channel.confirm_select()
        message = amqp.Message(f"point {number}", delivery_mode=2, content_type="text/plain",
                               application_headers={"n": number})  # fmt: skip
        channel.basic_publish_confirm(message, routing_key="jobs")
