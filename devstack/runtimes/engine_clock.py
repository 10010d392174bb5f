"""How far an engine's clock, and with it that of its containers, is from this machine's: the virtual machine that many
engines run in loses time while its host sleeps."""

from __future__ import annotations

from dataclasses import dataclass

from devstack.runtimes.docker import Engine
from devstack.runtimes.engine_answers import moment


@dataclass(frozen=True)
class Clock:
    """ahead: seconds before this machine's, at least; negative for behind. machine: the system that has it."""

    ahead: float
    machine: str


def clock(engine: Engine) -> Clock | None:
    """None where the engine doesn't say. Raises PrerequisiteError where it doesn't answer."""
    system = engine.system
    began, before = system.monotonic(), system.now()
    found = engine.info()
    took = system.monotonic() - began
    told = moment(str(found.get("SystemTime") or ""))
    if told is None:
        return None
    ahead = told.timestamp() - (before + took / 2)
    # told at some moment between question and answer
    sure = max(0.0, abs(ahead) - took / 2)
    return Clock(sure if ahead > 0 else -sure, str(found.get("OperatingSystem") or ""))
