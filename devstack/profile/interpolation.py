"""`${…}` in a profile's texts. A literal `${` is written `$${`; any other `$` stays as it is.

What a reference stands for is the caller's; a value that was filled in is never read for references again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from devstack.profile.secret import Secret

_TOKEN = re.compile(r"\$\$\{|\$\{([^${}\n]*)\}")
_OPEN = re.compile(r"\$\$\{|\$\{[^${}\n]*\}|(\$\{)")


def references(text: str) -> tuple[str, ...]:
    """The names in `${…}`, in order, each as often as it appears."""
    return tuple(match.group(1) for match in _TOKEN.finditer(text) if match.group(1) is not None)


def has_unclosed(text: str) -> bool:
    """Whether a `${` has no `}`; such a one stays as it is."""
    return any(match.group(1) for match in _OPEN.finditer(text))


def resolve(text: str, lookup: Callable[[str], str | Secret]) -> str | Secret:
    """The text with every reference replaced by what `lookup` answers; a Secret if any answer is one.

    `lookup` raises what it likes for a name it doesn't know.
    """
    is_secret = False

    def replacement(match: re.Match[str]) -> str:
        nonlocal is_secret
        if match.group(1) is None:
            return "${"
        value = lookup(match.group(1))
        if isinstance(value, Secret):
            is_secret = True
            return value.reveal()
        return value

    resolved = _TOKEN.sub(replacement, text)
    return Secret(resolved) if is_secret else resolved


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with these references replaced and everything else, `$${` too, left for `resolve`."""

    def replacement(match: re.Match[str]) -> str:
        return values.get(match.group(1) or "", match.group())

    return _TOKEN.sub(replacement, text)


def escape(text: str) -> str:
    """A text that resolves to this one."""
    return text.replace("${", "$${")
