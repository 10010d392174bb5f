"""Does anybody listen on a port? Asked so that an engine's proxy, which accepts for a server that isn't there, is told
from a server: it hangs up as soon as it has found nobody."""

from __future__ import annotations

from devstack.wire import Probe, Question
from devstack.wire.stream import Stream, after

#: seconds in which a proxy has found out that nobody listens behind it
_HANGS_UP = 0.3


def probe(question: Question, timeout: float) -> Probe:
    """One connection. Raises OSError where it is refused."""
    with Stream(question["port"], after(timeout)) as stream:
        stream.limit(_HANGS_UP)
        try:
            has_more = stream.more()
        except TimeoutError:
            # a server that waits to be spoken to
            return Probe(True, "")
    return Probe(has_more, "" if has_more else f"127.0.0.1:{question['port']}: it closes every connection at once")
