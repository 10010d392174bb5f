"""What an engine tells while it works, one JSON object a line: read so that a wait for the next one can be given up."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from devstack.errors import InterruptedRunError
from devstack.system import System

if TYPE_CHECKING:
    from requests import Response

Event = dict[str, Any]


def events(
    system: System, ask: Callable[[], Response], silence: float, counts: Callable[[Event], bool] = lambda event: True
) -> Iterator[Event]:
    """The events of an answer as they come. ask: begins it, in a thread of its own. silence: seconds without one that
    `counts` after which TimeoutError is raised. Raises InterruptedRunError, and whatever `ask` and reading raise.
    However it ends, the connection is closed: an engine gives up what nobody listens to."""
    from docker.types import CancellableStream

    lines, opened = SimpleQueue[bytes | Exception | None](), list["Response"]()
    threading.Thread(target=_read, args=(ask, lines, opened), daemon=True).start()
    heard = system.monotonic()
    try:
        while system.monotonic() - heard < silence:
            if system.cancelled.is_set():
                raise InterruptedRunError("interrupted", "stopped on request", fix="devstack up")
            try:
                line = lines.get(timeout=0.2)
            except Empty:
                continue
            if line is None:
                return
            if isinstance(line, Exception):
                raise line
            event = parsed(line)
            if counts(event):
                heard = system.monotonic()
            yield event
        raise TimeoutError(f"nothing came for {silence:.0f} s")
    finally:
        # a plain close() would wait for the thread that reads
        for response in opened:
            CancellableStream(iter(()), response).close()


def _read(
    ask: Callable[[], Response], lines: SimpleQueue[bytes | Exception | None], opened: list[Response]
) -> None:
    """Hand over each line of the answer, then None, or what went wrong."""
    try:
        response = ask()
        opened.append(response)
        if response.status_code != 200:
            lines.put(json.dumps({"error": message(response)}).encode())
        else:
            for line in response.iter_lines():
                lines.put(line)
        lines.put(None)
    except Exception as error:  # told by whoever waits
        lines.put(error)


def parsed(line: bytes) -> Event:
    """A line as an object; an empty one for what is none."""
    try:
        found = json.loads(line or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def message(response: Response) -> str:
    """What an engine says of a refusal, one line."""
    said = parsed(response.content).get("message") or response.reason
    return " ".join(str(said).split())
