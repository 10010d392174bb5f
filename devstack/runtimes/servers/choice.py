"""Which source of a server to take: pure.

Version first, then the order of the kind's sources; features are never traded for a version.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from devstack.services import Server, Source


@dataclass(frozen=True)
class Candidate:
    """A source that could be taken here. origin: where its binaries are or come from, in words. command: what would
    have to be run with the person's consent; () where none is needed."""

    source: Source
    server: Server
    is_fetched: bool
    origin: str
    command: tuple[str, ...] = ()


@dataclass(frozen=True)
class Miss:
    """A source that can't be taken here, and why, in words."""

    source: Source
    reason: str


@dataclass(frozen=True)
class Choice:
    """server: the binaries, or where they will be once fetched. warning: how they differ from what was asked, "" for
    not at all. consent: the command that only the person may run; () where nothing has to be installed."""

    server: Server
    is_fetched: bool
    source: Source
    warning: str = ""
    consent: tuple[str, ...] = ()


def satisfies(version: str, wanted: str) -> bool:
    """Is `version` what `wanted` asks for: equal in every component that it names (`16.14` for `16`)?"""
    asked = components(wanted)
    return components(version)[: len(asked)] == asked if version else not asked


def components(version: str) -> tuple[int, ...]:
    """`16.14-alpine` → (16, 14); () for `latest` and nothing."""
    found = re.match(r"\d+(?:\.\d+)*", version.strip().lstrip("vV"))
    return tuple(map(int, found[0].split("."))) if found else ()


def covers(source: Source, needs: frozenset[str]) -> bool:
    """Does this build have these features?"""
    return not needs & source.lacks and (source.only is None or needs <= source.only)


def pick(kind: str, wanted: str, needs: frozenset[str], offers: Iterable[Candidate | Miss]) -> Choice | None:
    """The best candidate, asking for no more offers than it takes; None where there is none."""
    seen: list[Candidate] = []
    for offer in offers:
        if isinstance(offer, Miss):
            continue
        if not offer.command and covers(offer.source, needs) and _serves(offer, wanted):
            return Choice(offer.server, offer.is_fetched, offer.source)
        seen.append(offer)
    fitting = [candidate for candidate in seen if covers(candidate.source, needs)]
    ready = [candidate for candidate in fitting if not candidate.command]
    if ready:
        nearest = min(ready, key=lambda candidate: _distance(candidate.server.version, wanted))
        warning = _warning(kind, wanted, needs, nearest, seen)
        return Choice(nearest.server, nearest.is_fetched, nearest.source, warning)
    for candidate in fitting:
        return Choice(candidate.server, False, candidate.source, consent=candidate.command)
    return None


def _serves(candidate: Candidate, wanted: str) -> bool:
    return any(satisfies(version, wanted) for version in (candidate.server.version, *candidate.source.serves))


def _distance(version: str, wanted: str) -> tuple[int, ...]:
    # a version that isn't known beforehand comes after every known one
    if not version:
        return (1,)
    asked, has = components(wanted), components(version)
    return (0, *(abs(one - other) for one, other in zip(asked, has, strict=False)))


def _warning(kind: str, wanted: str, needs: frozenset[str], taken: Candidate, seen: Sequence[Candidate]) -> str:
    if not taken.server.version:
        return f"{kind} {wanted} asked; {taken.origin} has a version that is known once it is fetched"
    lacking = sorted({
        need
        for candidate in seen
        if _serves(candidate, wanted)
        for need in needs
        if not covers(candidate.source, frozenset((need,)))
    })
    reason = f"no source has {wanted} with {', '.join(lacking)}" if lacking else f"no source has {wanted} here"
    return f"{kind} {wanted} asked, {taken.server.version} {taken.origin} ({reason})"
