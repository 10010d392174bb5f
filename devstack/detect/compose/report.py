"""What of a compose file could not be carried over, each with its place, why, and what to do instead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from devstack.profile.source import Path, key_text


@dataclass(frozen=True)
class LeftOut:
    """key: `services.web.deploy`. place: `compose.yaml:12`."""

    key: str
    place: str
    why: str
    instead: str


@dataclass
class Report:
    """Collects them, each key and reason once."""

    place: Callable[[Path], str]
    found: list[LeftOut] = field(default_factory=list)

    def drop(self, path: Path, why: str, instead: str) -> None:
        """path: of the key below `services`."""
        self.drop_at(("services", *path), why, instead)

    def drop_at(self, path: Path, why: str, instead: str) -> None:
        """path: of the key in the file."""
        one = LeftOut(key_text(path), self.place(path), why, instead)
        if not any(other.key == one.key and other.why == why for other in self.found):
            self.found.append(one)
