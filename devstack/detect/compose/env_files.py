"""Env files as compose reads them: what devstack leaves as it stands, `${NAME}` of the same file, is filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping

from devstack.detect.compose.interpolation import interpolate, plain
from devstack.errors import UsageError
from devstack.profile.env_file import parse_env


def read_env(path: str, text: str, values: Mapping[str, str]) -> tuple[dict[str, str], frozenset[str]]:
    """Its variables, and the names of those that another value was filled into. values: of variables from elsewhere,
    which win. Raises ProfileError for a file that can't be read."""
    found: dict[str, str] = {}
    filled = set()
    for name, value in parse_env(path, text.encode()).items():
        found[name] = _filled(name, value, text, {**found, **values})
        if found[name] != value:
            filled.add(name)
    return found, frozenset(filled)


def _filled(name: str, value: str, text: str, values: Mapping[str, str]) -> str:
    # between apostrophes nothing is
    if "$" not in value or re.search(rf"^\s*(export\s+)?{re.escape(name)}\s*=\s*'", text, re.MULTILINE):
        return value
    try:
        return plain(interpolate(value, values))
    except UsageError:
        return value
