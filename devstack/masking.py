"""Values as they may be shown: what is secret in them is `***`. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from devstack.profile.secret import Secret
from devstack.state import State

MASK = "***"
#: the password of a URL that somebody wrote out
_LOGIN = re.compile(r"(?<=://)([^/@\s:]*):[^/@\s]+@")
#: names that hold a secret, whoever set them: an env file says of no value that it is one
_TELLING = re.compile(
    r"(^|_)(SECRET|SECRETS|PASSWORD|PASSWD|PASSPHRASE|TOKEN|CREDENTIALS?|(API|ACCESS|PRIVATE|SIGNING)_?KEY|KEY)$"
    r"|(^|_)(SECRET|PASSWORD|TOKEN)_",
    re.IGNORECASE,
)
#: a shorter one is found by chance in any text
_SHORTEST = 6


def secrets_of(state: State) -> tuple[str, ...]:
    """Every text that is secret by itself, the longest first."""
    found = {value.reveal() for value in _secrets(state)}
    return tuple(sorted(found, key=len, reverse=True))


def _secrets(state: State) -> Iterator[Secret]:
    yield from (service.instance.password for service in state.services.values())
    yield from (value for value in state.decided.values() if isinstance(value, Secret))


def is_telling(name: str) -> bool:
    """Does a variable of this name hold a secret, whoever set it?"""
    return _TELLING.search(name) is not None


def shown(name: str, value: str | Secret, secrets: Iterable[str]) -> str:
    """A variable's value. Of one that is made from secrets, such as a URL, the rest can be read."""
    if isinstance(value, Secret):
        text = hidden = value.reveal()
        for secret in secrets:
            if len(secret) < _SHORTEST and secret and secret in text:
                return MASK
            hidden = hidden.replace(secret, MASK) if secret else hidden
        return MASK if hidden == text and text else hidden
    if value and is_telling(name):
        return MASK
    return _LOGIN.sub(rf"\1:{MASK}@", value)
