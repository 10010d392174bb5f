"""Conversations with servers of this machine, as bytes: what a look at a running stack needs, and no more.

The client libraries take longer to import than a whole look may take (docs/decisions/0007-a-standing-stack.md), so
probes speak the few messages they need themselves. Nothing here knows a profile or a stack: a question is a table of
plain values, which a kind makes and `.devstack/standing.json` keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

#: `protocol`: the module of this folder that asks; `port`; and what that module says it needs
Question = Mapping[str, Any]


class Probe(NamedTuple):
    """Answer of one authenticated round trip. detail: what the server said, or why there is no answer, one line.
    missing: declared things that aren't there yet, such as databases; provisioning makes them. needs_start: only what
    the server does as it starts can mend it. is_silent: it took the connection and said nothing in time."""

    ok: bool
    detail: str
    version: str | None = None
    missing: tuple[str, ...] = ()
    needs_start: bool = False
    is_silent: bool = False


class WireError(Exception):
    """The other side refuses, or doesn't speak the protocol."""


def ask(question: Question, timeout: float) -> Probe:
    """One answer, at the latest after `timeout` seconds. Whatever goes wrong is a Probe that isn't ok."""
    try:
        probe: Probe = import_module(f"{__name__}.{question['protocol']}").probe(question, timeout)
    except OSError as error:
        is_silent = isinstance(error, TimeoutError)
        why = "no answer in time" if is_silent else error.strerror or str(error)
        return Probe(False, f"127.0.0.1:{question['port']}: {why}", is_silent=is_silent)
    except WireError as error:
        return Probe(False, " ".join(str(error).split()) or "no reason given")
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError):
        # a stranger on the port may answer anything
        return Probe(False, f"127.0.0.1:{question['port']}: what listens there speaks another protocol")
    return probe


def stranger(question: Question, name: object) -> str:
    return f"another server listens on port {question['port']} (it calls itself {name!r})"
