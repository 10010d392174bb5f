"""What an image says of itself, and whether programs of its kind of processor run on the engine's machine."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from devstack.errors import PrerequisiteError
from devstack.runtimes.docker import Engine
from devstack.system import System

#: processors that run the programs of older ones too
_FAMILY = {"amd64": ("386",), "arm64": ("arm",)}
#: by processor as engines call it: bits, byte order, and number in the head of a program (elf.h, EM_…)
_PROGRAMS: Mapping[str, tuple[int, Literal["little", "big"], int]] = {
    "386": (32, "little", 3), "amd64": (64, "little", 62), "arm": (32, "little", 40), "arm64": (64, "little", 183),
    "ppc64le": (64, "little", 21), "riscv64": (64, "little", 243), "s390x": (64, "big", 22),
}  # fmt: skip
#: seconds for a program that is nothing but a head
_TRIAL = 2.0
#: seconds until nobody else's child has it open any more
_BUSY = 1.0


@dataclass(frozen=True)
class ImageFacts:
    """processor: as engines call it, "" where nobody says. variables: those that every container of it begins with."""

    processor: str
    variables: Mapping[str, str]


def facts(engine: Engine, image: str) -> ImageFacts:
    """Of an image that is at hand. Raises ProcessError for one that isn't."""
    with engine.asking():
        found = engine.api.inspect_image(image)
    pairs = (text.partition("=") for text in (found.get("Config") or {}).get("Env") or ())
    return ImageFacts(str(found.get("Architecture") or ""), {name: value for name, _, value in pairs})


def is_own(engine: Engine, processor: str) -> bool:
    """Is it the processor of the engine's machine, or one whose programs that runs too?"""
    return processor in ("", engine.processor, *_FAMILY.get(engine.processor, ()))


def runs(engine: Engine, processor: str) -> bool | None:
    """Does the engine's machine run programs for this processor, its own or with something that emulates it?

    None where only a try can tell: the engine is in a machine of its own, or the processor is one that nobody here
    knows.
    """
    if is_own(engine, processor):
        return True
    if engine.info().get("KernelVersion") != os.uname().release:
        return None
    return _is_emulated(engine.system, processor)


def _is_emulated(system: System, processor: str) -> bool | None:
    """Does this kernel hand programs for that processor to something? Tried with the head of one: where handlers are
    listed, containers and many machines don't see it."""
    if processor not in _PROGRAMS:
        return None
    with tempfile.TemporaryDirectory(prefix="devstack-") as folder:
        program = Path(folder, processor)
        system.write(program, _head(*_PROGRAMS[processor]), 0o700)
        why = ""

        def is_settled() -> bool:
            nonlocal why
            try:
                system.run((str(program),), timeout=_TRIAL)
            except PrerequisiteError as error:
                why = error.why
            # a child that another thread has just begun may have inherited what it was written by
            return why != os.strerror(errno.ETXTBSY)

        system.until(is_settled, _BUSY)
    if why:
        return False if why == os.strerror(errno.ENOEXEC) else None
    return True


def _head(bits: int, order: Literal["little", "big"], number: int) -> bytes:
    """The head of a program without any content (elf(5))."""
    ident = b"\x7fELF" + bytes([1 if bits == 32 else 2, 1 if order == "little" else 2, 1]) + bytes(9)
    executable = 2
    kind = executable.to_bytes(2, order) + number.to_bytes(2, order)
    return (ident + kind).ljust(52 if bits == 32 else 64, b"\0")
