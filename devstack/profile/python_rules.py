"""Rules of `[python]`: where packages may come from, and what pip can't do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from devstack.profile.mistakes import Finding
from devstack.profile.model import Python
from devstack.profile.source import printable

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_PROJECT_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_BINARY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*")


def check_python(python: Python) -> Iterator[Finding]:
    """Every finding about `[python]` that the types can't tell."""
    yield from _indexes(python)
    yield from _pip(python)
    if isinstance(python.only_binary, tuple):
        for index, name in enumerate(python.only_binary):
            if not _PROJECT_NAME.fullmatch(name):
                yield Finding(("python", "only_binary", index), f"`{printable(name)}` is no package's name")
    for index, name in enumerate(python.system.binaries):
        if not _BINARY.fullmatch(name):
            text = f"`{printable(name)}` is no command's name"
            yield Finding(("python", "system", "binaries", index), text, "a name looked up on PATH, not a path")


def _indexes(python: Python) -> Iterator[Finding]:
    for number, url in enumerate(python.indexes):
        place = ("python", "indexes", number)
        try:
            parts = urlsplit(url)
            host = parts.hostname or ""
        except ValueError:
            host = ""
        if not host or parts.scheme not in ("https", "http") or re.search(r"[\s\x00-\x1f]", url):
            # not shown: a text that can't be read as a URL may hold a password
            yield Finding(place, "this is no URL of a package index", "https://HOST/simple")
        elif "@" in parts.netloc:
            text = "credentials don't belong into a profile"
            yield Finding(place, text, f"put them into ~/.netrc: machine {host} login … password …")
        elif parts.scheme == "http" and host not in _LOOPBACK:
            text = f"`{printable(url)}` is not encrypted: anyone on the way can change packages"
            yield Finding(place, text, f"https://{host}")


def _pip(python: Python) -> Iterator[Finding]:
    if python.installer != "pip":
        return
    if python.exclude_newer is not None:
        yield Finding(("python", "exclude_newer"), "pip doesn't know this", 'installer = "uv"')
    if python.prerelease not in (None, "allow", "disallow"):
        text = f"pip doesn't know `{python.prerelease}`"
        yield Finding(("python", "prerelease"), text, '"allow", "disallow" or installer = "uv"')
