"""Poetry's version constraints (`^1.2`, `~1.2`, `1.*`, `>=1,<2 || >2.1`) in PEP 440's words. Pure.

Source: https://python-poetry.org/docs/dependency-specification/
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_CARET = re.compile(r"\^\s*v?(?P<version>\d+(?:\.\d+)*)(?P<rest>[^,\s]*)")
_TILDE = re.compile(r"~(?!=)\s*v?(?P<version>\d+(?:\.\d+)*)(?P<rest>[^,\s]*)")
_BARE = re.compile(r"v?\d+[^,\s]*")
_WITH_OPERATOR = re.compile(r"(?:===|==|~=|!=|<=|>=|<|>|=)\s*v?\d[^,\s]*|\^\s*v?\d[^,\s]*|~\s*v?\d[^,\s]*|v?\d[^,\s]*")


def specifiers(constraint: str) -> tuple[str, ...]:
    """PEP 440 specifiers, one of which has to hold; ("",) where any version will do. Raises ValueError for what isn't a
    constraint."""
    found = []
    for alternative in re.split(r"\|\|?", constraint):
        text = alternative.strip()
        if text in ("", "*"):
            return ("",)
        parts = _WITH_OPERATOR.findall(text)
        if re.sub(r"[\s,]", "", _WITH_OPERATOR.sub("", text)):
            raise ValueError(f"{constraint!r} is no version constraint")
        found.append(",".join(word for part in parts for word in _translated(part.strip())))
    return tuple(found)


def allows(constraint: str, version: str) -> bool:
    """Does the constraint hold for this version? Raises ValueError for what isn't one."""
    from packaging.specifiers import SpecifierSet

    return any(SpecifierSet(each).contains(version, prereleases=True) for each in specifiers(constraint))


def _translated(part: str) -> Iterator[str]:
    if found := _CARET.fullmatch(part):
        numbers = [int(number) for number in found["version"].split(".")]
        # the leftmost number that isn't 0 may not grow; in ^0.0 it is the last one given
        place = next((place for place, number in enumerate(numbers) if number), len(numbers) - 1)
        yield f">={found['version']}{found['rest']}"
        yield f"<{_after(numbers, place)}"
    elif found := _TILDE.fullmatch(part):
        numbers = [int(number) for number in found["version"].split(".")]
        yield f">={found['version']}{found['rest']}"
        yield f"<{_after(numbers, min(1, len(numbers) - 1))}"
    elif _BARE.fullmatch(part):
        yield f"=={part.removeprefix('v')}"
    elif re.match(r"=\s*[^=]", part):
        yield f"={part}".replace(" ", "")
    elif re.fullmatch(r"(>=|<=|<|>)\s*\d+(\.\d+)*\.\*", part):
        yield part.removesuffix(".*").replace(" ", "")
    else:
        yield part.replace(" ", "")


def _after(numbers: list[int], place: int) -> str:
    return ".".join(map(str, [*numbers[:place], numbers[place] + 1]))
