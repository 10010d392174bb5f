"""What the tests of checkouts share."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from devstack.system import System

GIT = shutil.which("git") or ""
Run = Callable[..., str]


class Hasty(System):
    """The real machine, whose pauses between two tries are only noted."""

    def __init__(self, environ: dict[str, str]) -> None:
        super().__init__(environ)
        self.pauses: list[float] = []

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


def quiet(line: str) -> None:
    pass


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
