"""What readers of other tools' lock files have in common: names, markers, requirement lines. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Target:
    """What markers are asked for. version: of the Python that is installed for; the rest is this machine.

    extras: of the project, for markers that mention them.
    """

    version: str
    extras: tuple[str, ...] = ()

    def with_extras(self, extras: tuple[str, ...]) -> Target:
        return replace(self, extras=extras)

    def holds(self, marker: str) -> bool:
        """Does a PEP 508 marker hold? An empty or an unreadable one does."""
        from packaging.markers import InvalidMarker, Marker, UndefinedComparison, UndefinedEnvironmentName

        if not marker.strip():
            return True
        python = {"python_full_version": self.version, "python_version": ".".join(self.version.split(".")[:2])}
        try:
            parsed = Marker(marker)
            return any(parsed.evaluate({**python, "extra": extra}) for extra in ("", *self.extras))
        except (InvalidMarker, UndefinedComparison, UndefinedEnvironmentName):
            return True


def is_marked(markers: Any, target: Target) -> bool:
    """An entry's markers: a text, or texts by group."""
    texts = markers.values() if isinstance(markers, dict) else [markers or ""]
    return any(target.holds(str(text)) for text in texts)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def strings(values: Any) -> list[str]:
    """The texts among what should be a list of texts."""
    is_list = isinstance(values, Iterable) and not isinstance(values, str | dict)
    return [value for value in values if isinstance(value, str)] if is_list else []


def git_line(name: str, url: str, commit: str, folder: Any = None) -> str:
    """A requirement from git. url: also as `git@host:path`, which isn't a URL."""
    if found := re.fullmatch(r"(?P<user>[\w.-]+)@(?P<host>[\w.-]+):(?P<path>[^/].*)", url):
        url = f"ssh://{found['user']}@{found['host']}/{found['path']}"
    place = url if url.startswith("git+") else f"git+{url}"
    return f"{name} @ {place}{'@' + commit if commit else ''}{f'#subdirectory={folder}' if folder else ''}"
