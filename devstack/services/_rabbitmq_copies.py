"""A RabbitMQ's topology as its own definitions, and the messages of its queues, read and put back over AMQP.

Messages are read without being taken: they are in their queue again when the reader's channel is closed.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from devstack.errors import ProcessError
from devstack.services import Instance, Runner
from devstack.services._rabbitmq_model import session
from devstack.wire import WireError
from devstack.wire.erlang import Node, binary, content, is_atom

_DEFINITIONS = "definitions.json"
_MESSAGES = "messages.jsonl"
#: of the definitions, what is one stack's own
_OWN = ("users", "global_parameters")
#: seconds for one answer of the server
_EACH = 10.0
#: seconds without a message after which no more are expected
_SILENCE = 1.0


#: inside of a container: Erlang's own little program has the node do it, where the image brings one
_SAVE = """f=$1; rm -f "$f"
printf 'file:write_file("%s", rabbit_json:encode(rabbit_definitions:all_definitions())).' "$f" > "$f.erl"
erl_call -sname "$2" -a "file eval [\\"$f.erl\\"]" > /dev/null 2>&1; rm -f "$f.erl"
[ -s "$f" ] || exec rabbitmqctl --quiet export_definitions "$f"
"""
_FEED = """f=$1; chown rabbitmq "$f" 2> /dev/null
printf '{ok, B} = file:read_file("%s"), ok = rabbit_definitions:import_raw(B).' "$f" > "$f.erl"
said=$(erl_call -sname "$2" -a "file eval [\\"$f.erl\\"]" 2> /dev/null); rm -f "$f.erl"
[ "$said" = ok ] || exec rabbitmqctl --quiet import_definitions "$f"
"""


@dataclass(frozen=True)
class Control:
    """Ways to a node's definitions. saving, feeding: commands that write, and read, `{file}`. dist, cookie: the node's
    own port for other nodes; 0 where it can't be reached. By it an answer takes a hundredth of a second, by
    rabbitmqctl, which boots an Erlang of its own, two."""

    saving: tuple[str, ...]
    feeding: tuple[str, ...]
    env: Mapping[str, str]
    dist: int = 0
    cookie: str = ""

    @classmethod
    def inside(cls, node: str) -> Control:
        """Of a container. node: its name."""
        return cls(("sh", "-c", _SAVE, "sh", "{file}", node), ("sh", "-c", _FEED, "sh", "{file}", node), {})

    @classmethod
    def beside(cls, control: tuple[str, ...], env: Mapping[str, str], dist: int, cookie: str) -> Control:
        """Of a process of this machine. control, env: rabbitmqctl."""
        words = (*control, "--quiet")
        return cls(
            (*words, "export_definitions", "{file}"), (*words, "import_definitions", "{file}"), env, dist, cookie
        )

    def save(self, runner: Runner) -> None:
        """Raises ProcessError."""
        if self.dist:
            with contextlib.suppress(OSError, WireError, ValueError), Node(self.dist, self.cookie, _EACH) as node:
                found = node.call("rabbit_json", "encode", node.call("rabbit_definitions", "all_definitions"))
                runner.write(_DEFINITIONS, content(found))
                return
        # in its own words, if it can't either
        runner.save(_DEFINITIONS, self.saving, self.env)

    def feed(self, runner: Runner) -> None:
        """Raises ProcessError."""
        if self.dist:
            with contextlib.suppress(OSError, WireError, ValueError), Node(self.dist, self.cookie, _EACH) as node:
                said = node.call("rabbit_definitions", "import_raw", binary(runner.read(_DEFINITIONS)))
                if is_atom(said, "ok"):
                    return
        runner.feed(_DEFINITIONS, self.feeding, self.env)


def dump(instance: Instance, runner: Runner, control: Control) -> None:
    """Raises ProcessError."""
    control.save(runner)
    found = json.loads(runner.read(_DEFINITIONS))
    lines = []
    for vhost in [one["name"] for one in found["vhosts"]]:
        names = [one["name"] for one in found["queues"] if one["vhost"] == vhost and one.get("type") != "stream"]
        if not names:
            continue
        with session(instance, vhost, _EACH) as opened:
            for name in names:
                lines += [json.dumps({"vhost": vhost, "queue": name, **one}) for one in _messages(opened, name)]
    # never empty: an empty file would look like none
    runner.write(_MESSAGES, "\n".join([*lines, "\n"]).encode())


def recall(instance: Instance, kept: Runner, before: Runner, control: Control) -> None:
    """Exchange all queues and messages for those of a dump; `before` gets those that were there."""
    if not before.read(_MESSAGES):
        # a run that was cut short has written it already
        dump(instance, before, control)
    wanted = {_of(one) for one in _queues(kept)}
    _empty_all(instance, [(_of(one), _of(one) in wanted) for one in _queues(before)])
    load(instance, kept, control)


def seed(instance: Instance, runner: Runner, control: Control) -> None:
    """As `dump`, without what is this stack's own: users and their passwords, the server's name."""
    dump(instance, runner, control)
    found = {name: value for name, value in json.loads(runner.read(_DEFINITIONS)).items() if name not in _OWN}
    for name in ("permissions", "topic_permissions"):
        found[name] = [one for one in found.get(name, ()) if one["user"] == instance.user]
    runner.write(_DEFINITIONS, json.dumps(found).encode())


def plant(instance: Instance, runner: Runner | None, scratch: Runner, control: Control) -> None:
    """Hold just the queues of a seed, None for none. scratch: for what is there now."""
    control.save(scratch)
    _empty_all(instance, [(_of(one), False) for one in _queues(scratch)])
    if runner is not None:
        load(instance, runner, control)


def clear(instance: Instance, before: Runner, control: Control, *, only_messages: bool) -> None:
    """Remove every queue, or what waits in it; `before` gets what was there."""
    if not before.read(_MESSAGES):
        dump(instance, before, control)
    # nobody takes what is in a stream, and a broker purges none
    there = [one for one in _queues(before) if not only_messages or one.get("type") != "stream"]
    _empty_all(instance, [(_of(one), only_messages) for one in there])


def _queues(runner: Runner) -> list[dict[str, Any]]:
    """Those of a dump's definitions."""
    found: list[dict[str, Any]] = json.loads(runner.read(_DEFINITIONS))["queues"]
    return found


def _of(queue: Mapping[str, Any]) -> tuple[str, str]:
    """Its vhost and name."""
    return queue["vhost"], queue["name"]


def _empty_all(instance: Instance, queues: Sequence[tuple[tuple[str, str], bool]]) -> None:
    """Remove queues, by vhost and name; those that are wanted only lose what waits in them."""
    for vhost in dict.fromkeys(vhost for (vhost, _), _ in queues):
        with session(instance, vhost, _EACH) as opened:
            for (of, name), is_wanted in queues:
                if of == vhost:
                    _empty(opened, name, is_wanted=is_wanted)


def _empty(opened: Any, queue: str, *, is_wanted: bool) -> None:
    from amqp.exceptions import NotFound

    channel = opened.channel()
    try:
        if is_wanted:
            channel.queue_purge(queue)
        else:
            channel.queue_delete(queue)
        channel.close()
    except NotFound:
        # gone by now; the server has closed the channel
        return


def load(instance: Instance, runner: Runner, control: Control) -> None:
    """Into a server whose queues are empty. Raises ProcessError."""
    control.feed(runner)
    entries = [json.loads(line) for line in filter(None, runner.read(_MESSAGES).splitlines())]
    for vhost in dict.fromkeys(entry["vhost"] for entry in entries):
        with session(instance, vhost, _EACH) as opened:
            _publish(opened, [entry for entry in entries if entry["vhost"] == vhost])


def _publish(opened: Any, entries: Sequence[Mapping[str, Any]]) -> None:
    """All of them, then wait until the server has taken each. Raises OSError, ProcessError."""
    from amqp import Message

    channel = opened.channel()
    unsure = set(range(1, len(entries) + 1))

    def confirmed(tag: int, multiple: bool) -> None:
        unsure.difference_update([one for one in unsure if one <= tag] if multiple else (tag,))

    def refused(tag: int, multiple: bool) -> None:
        raise ProcessError(
            "copy-failed", f"a message of {entries[tag - 1]['queue']} can't be put back",
            why="the server refuses it", fix="devstack logs",
        )

    channel.events["basic_ack"].add(confirmed)
    channel.events["basic_nack"].add(refused)
    channel.confirm_select()
    for entry in entries:
        message = Message(base64.b64decode(entry["body"]), channel=channel)
        message.properties.update(entry["properties"])
        # the exchange without a name leads to the queue of that name alone
        channel.basic_publish(message, exchange="", routing_key=entry["queue"])
    while unsure:
        opened.drain_events(timeout=_EACH)


def _messages(opened: Any, queue: str) -> Iterator[dict[str, Any]]:
    """They are in the queue again when this ends."""
    found: list[Any] = []
    channel = opened.channel()
    count = channel.queue_declare(queue, passive=True).message_count
    if count:
        channel.basic_consume(queue, callback=found.append)
        with contextlib.suppress(TimeoutError):
            while len(found) < count:
                opened.drain_events(timeout=_SILENCE)
    channel.close()
    if len(found) != count:
        # some have expired meanwhile, or it gives its messages to another consumer first
        found = list(_fetched(opened, queue))
    for message in found:
        body = message.body if isinstance(message.body, bytes) else str(message.body).encode()
        properties = {name: value for name, value in message.properties.items() if _is_plain(value)}
        yield {"body": base64.b64encode(body).decode(), "properties": properties}


def _fetched(opened: Any, queue: str) -> Iterator[Any]:
    """One by one."""
    channel = opened.channel()
    while (message := channel.basic_get(queue, no_ack=False)) is not None:
        yield message
    channel.close()


def _is_plain(value: object) -> bool:
    """Can it be written down as it is?"""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | int | float | bool)
