"""How many of a service run, how they end, and what happens then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, get_args

from devstack.detect.compose.parts import Part
from devstack.profile.model import SignalName


def off(part: Part) -> str:
    return f"Only with `--profile {part.service.profiles[0]}` in compose: devstack scale {part.name}=1 starts it."


def lifetime(part: Part) -> dict[str, Any]:
    """How many run, how they end and what happens then."""
    service = part.service
    found: dict[str, Any] = {}
    if part.is_off:
        found["replicas"] = 0
    elif service.replicas != 1:
        found["replicas"] = min(service.replicas, 200)
    restart = str(service.values.get("restart") or "")
    if restart.startswith("on-failure"):
        found["restart"] = "on-failure"
    elif restart == "no":
        found["restart"] = "never"
    stop: dict[str, Any] = {}
    sign = str(service.values.get("stop_signal") or "").upper().removeprefix("SIG")
    if sign in get_args(SignalName):
        stop["signal"] = sign
    elif part.form == "process" and part.parsed.main.startswith("uwsgi") and "die-on-term" not in part.parsed.main:
        # SIGTERM only makes it load everything again
        stop["signal"] = "INT"
    if service.stop_grace:
        stop["grace"] = service.stop_grace
    elif part.role == "worker":
        # what has begun is finished
        stop["grace"] = 30.0
    return {**found, **({"stop": stop} if stop else {})}


def essential(processes: Mapping[str, Iterable[str]], here: Iterable[str]) -> frozenset[str]:
    """All that the processes of this machine wait for, and they themselves. processes: what each needs."""
    found: set[str] = set()
    waiting = list(here)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += processes.get(name, ())
    return frozenset(found)
