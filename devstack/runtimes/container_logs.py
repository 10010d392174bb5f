"""What containers print, as an engine keeps it: asked for again and again, since a stream ends whenever the engine
does."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from devstack.errors import DevstackError
from devstack.runtimes.docker import Engine

#: lines, of those that a log is searched in
_RECENT = 5000
#: `2024-05-01T10:00:00.123456789Z`; Podman writes the zone, and no digits that are zero
_STAMP = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:Z|[+-]\d\d:\d\d) ?")


@dataclass(frozen=True)
class Line:
    """stamp: when it was printed; later ones are greater, as texts."""

    stamp: str
    text: bytes


def lines(engine: Engine, container: str, *, tail: int | None = None, since: int = 0) -> tuple[Line, ...]:
    """What a container has printed, oldest first; nothing of one that isn't there. tail: so many last lines. since:
    seconds since the epoch. Raises PrerequisiteError where the engine doesn't answer."""
    from docker.errors import APIError

    with engine.asking():
        try:
            found: bytes = engine.api.logs(
                container, timestamps=True, tail="all" if tail is None else tail, since=since or None
            )
        except APIError as error:
            # gone, or going this very moment
            if error.status_code in (404, 409):
                return ()
            raise
    return tuple(_line(one) for one in found.splitlines())


def seconds(stamp: str) -> int:
    """Seconds since the epoch of a line's stamp; 0 for none."""
    return int(datetime.fromisoformat(f"{stamp[:19]}+00:00").timestamp()) if stamp else 0


def stamp(moment: int) -> str:
    """What the first line of a second could have. moment: seconds since the epoch."""
    return datetime.fromtimestamp(max(0, moment), UTC).strftime("%Y-%m-%dT%H:%M:%S")


def since_start(engine: Engine, container: str) -> str:
    """The text of what a container has printed since it was started last; "" where that can't be read."""
    from docker.errors import NotFound

    try:
        with engine.asking():
            # an engine notes a start only after it, when something may be printed already
            before = str(engine.api.inspect_container(container)["State"]["FinishedAt"])
        ended = _line(before.encode()).stamp
        found = [one.text for one in lines(engine, container, tail=_RECENT) if one.stamp > ended]
    except (DevstackError, NotFound):
        return ""
    return b"\n".join(found).decode(errors="replace")


def _line(text: bytes) -> Line:
    if found := _STAMP.match(text):
        fraction = (found[2] or b"").ljust(9, b"0")
        return Line(f"{found[1].decode()}.{fraction.decode()}", text[found.end():])
    return Line("", text)
