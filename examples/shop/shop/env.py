"""Reads the environment for the settings; a mistake in it ends the program with one line, not a traceback."""

import os
import sys
from collections.abc import Callable
from typing import NoReturn, TypeVar

T = TypeVar("T")


def stop(message: str) -> NoReturn:
    sys.exit(f"shop: {message}")


def required(*names: str) -> tuple[str, ...]:
    """The values of `names`; all that are missing are reported together."""
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        stop(f"not set in the environment: {', '.join(missing)} (devstack.toml lists what the shop needs)")
    return tuple(os.environ[name] for name in names)


def flag(name: str) -> bool:
    return os.environ.get(name, "").lower() in {"1", "true", "yes", "on"}


def parsed(name: str, value: str, parse: Callable[[str], T]) -> T:
    """`parse(value)`; the value is not repeated in the message, because it may hold a password."""
    try:
        return parse(value)
    except ValueError:
        stop(f"{name} is not a URL the shop understands")
