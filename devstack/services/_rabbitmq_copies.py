"""A RabbitMQ's topology as its own definitions, and the messages of its queues, read and put back over AMQP.

Messages are read without being taken: they are in their queue again when the reader's channel is closed.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

from devstack.services import Instance, Runner
from devstack.services._rabbitmq_model import session

_DEFINITIONS = "definitions.json"
_MESSAGES = "messages.jsonl"
#: seconds for one answer of the server
_EACH = 10.0


def dump(instance: Instance, runner: Runner, control: tuple[str, ...], env: dict[str, str]) -> None:
    """control: rabbitmqctl, ready for its words. Raises ProcessError."""
    runner.save(_DEFINITIONS, (*control, "--quiet", "export_definitions", "{file}"), env)
    found = json.loads(runner.read(_DEFINITIONS))
    lines = []
    for vhost in [one["name"] for one in found["vhosts"]]:
        names = [one["name"] for one in found["queues"] if one["vhost"] == vhost and one.get("type") != "stream"]
        with session(instance, vhost, _EACH) as opened:
            for name in names:
                lines += [json.dumps({"vhost": vhost, "queue": name, **one}) for one in _messages(opened, name)]
    # never empty: an empty file would look like none
    runner.write(_MESSAGES, "\n".join([*lines, "\n"]).encode())


def recall(
    instance: Instance, kept: Runner, before: Runner, control: tuple[str, ...], env: dict[str, str]
) -> None:
    """Exchange all queues and messages for those of a dump; `before` gets those that were there."""
    if not before.read(_MESSAGES):
        # a run that was cut short has written it already
        dump(instance, before, control, env)
    wanted = {(one["vhost"], one["name"]) for one in json.loads(kept.read(_DEFINITIONS))["queues"]}
    there = [(one["vhost"], one["name"]) for one in json.loads(before.read(_DEFINITIONS))["queues"]]
    for vhost in dict.fromkeys(vhost for vhost, _ in there):
        with session(instance, vhost, _EACH) as opened:
            for name in [name for of, name in there if of == vhost]:
                _empty(opened, name, is_wanted=(vhost, name) in wanted)
    load(instance, kept, control, env)


def clear(
    instance: Instance, before: Runner, control: tuple[str, ...], env: dict[str, str], *, only_messages: bool
) -> None:
    """Remove every queue, or what waits in it; `before` gets what was there."""
    if not before.read(_MESSAGES):
        dump(instance, before, control, env)
    found = json.loads(before.read(_DEFINITIONS))["queues"]
    # nobody takes what is in a stream, and a broker purges none
    there = [(one["vhost"], one["name"]) for one in found if not only_messages or one.get("type") != "stream"]
    for vhost in dict.fromkeys(vhost for vhost, _ in there):
        with session(instance, vhost, _EACH) as opened:
            for name in [name for of, name in there if of == vhost]:
                _empty(opened, name, is_wanted=only_messages)


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


def load(instance: Instance, runner: Runner, control: tuple[str, ...], env: dict[str, str]) -> None:
    """Into a server whose queues are empty. Raises ProcessError."""
    from amqp import Message

    runner.feed(_DEFINITIONS, (*control, "--quiet", "import_definitions", "{file}"), env)
    entries = [json.loads(line) for line in filter(None, runner.read(_MESSAGES).splitlines())]
    for vhost in dict.fromkeys(entry["vhost"] for entry in entries):
        with session(instance, vhost, _EACH) as opened:
            channel = opened.channel()
            channel.confirm_select()
            for entry in (entry for entry in entries if entry["vhost"] == vhost):
                message = Message(base64.b64decode(entry["body"]), channel=channel)
                message.properties.update(entry["properties"])
                # the exchange without a name leads to the queue of that name alone
                channel.basic_publish_confirm(message, exchange="", routing_key=entry["queue"])


def _messages(opened: Any, queue: str) -> Iterator[dict[str, Any]]:
    channel = opened.channel()
    while (message := channel.basic_get(queue, no_ack=False)) is not None:
        body = message.body if isinstance(message.body, bytes) else str(message.body).encode()
        properties = {name: value for name, value in message.properties.items() if _is_plain(value)}
        yield {"body": base64.b64encode(body).decode(), "properties": properties}
    channel.close()


def _is_plain(value: object) -> bool:
    """Can it be written down as it is?"""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | int | float | bool)
