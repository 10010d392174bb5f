"""A copy of a RabbitMQ without what is one stack's own: users with their hashes and rights, parameters."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

from devstack.errors import DataError
from devstack.services import Instance, Runner

_DEFINITIONS, _MESSAGES = "definitions.json", "messages.jsonl"
#: of the server's definitions, what is anybody's
_SHARED = ("queues", "exchanges", "bindings", "policies")


def export(kept: Runner, target: Runner) -> None:
    found = json.loads(kept.read(_DEFINITIONS))
    vhosts = [{"name": one["name"]} for one in found["vhosts"]]
    target.write(_DEFINITIONS, json.dumps({"vhosts": vhosts, **{key: found.get(key, []) for key in _SHARED}}).encode())
    target.write(_MESSAGES, kept.read(_MESSAGES))


def adopt(instance: Instance, source: Runner, kept: Runner) -> None:
    """The stack's own user may use all of it. Raises DataError."""
    try:
        found: Any = json.loads(source.read(_DEFINITIONS))
        vhosts = [{"name": str(one["name"])} for one in found["vhosts"]]
        shared = {key: [dict(one) for one in found.get(key, [])] for key in _SHARED}
        _ = [(str(one["vhost"]), str(one["name"])) for one in shared["queues"]]
        lines = [json.dumps(one) for one in _messages(source.read(_MESSAGES))]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DataError(
            "snapshot-file-refused", f"the part of {instance.name} can't be read",
            why=" ".join(str(error).split()) or type(error).__name__, fix="get the file once more",
        ) from None
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    rights = [{"user": instance.user, "vhost": one["name"], **everything} for one in vhosts]
    definitions = {"vhosts": vhosts, "permissions": rights, **shared}
    kept.write(_DEFINITIONS, json.dumps(definitions).encode())
    kept.write(_MESSAGES, "\n".join([*lines, "\n"]).encode())


def _messages(content: bytes) -> Iterator[dict[str, Any]]:
    for line in filter(None, content.splitlines()):
        one = json.loads(line)
        texts = {key: str(one[key]) for key in ("vhost", "queue", "body")}
        base64.b64decode(texts["body"], validate=True)
        yield {**texts, "properties": dict(one["properties"])}
