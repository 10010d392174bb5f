"""The standard streams at the beginning and the end of a command."""

from __future__ import annotations

import contextlib
import os
import sys


def open_streams() -> None:
    """Called with `>&-` or the like there is no stream at all: nothing is said then, and no file becomes stdout."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - until the process ends


def say(text: str) -> None:
    """Plain text of devstack's own, where loading all that `output` knows would take longer than the command."""
    with contextlib.suppress(OSError):
        sys.stdout.write(text)


def settle() -> None:
    """What could not be written is dropped, so that Python doesn't try again, and complain, at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
