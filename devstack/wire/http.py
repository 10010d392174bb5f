"""HTTP/1.1, as far as it takes to know whether a page is answered (RFC 9112)."""

from __future__ import annotations

from devstack.wire import Probe, Question
from devstack.wire.stream import Stream, after

#: bytes of a page that must arrive within the time
_BODY = 500


def status_line(address: int | str, path: str, timeout: float) -> tuple[int, str]:
    """Status and reason of GET on a port of this machine or a Unix socket, once the answer's head and the beginning of
    its body are there. Raises OSError, WireError or ValueError where there is none."""
    return beginning(address, path, timeout)[:2]


def beginning(address: int | str, path: str, timeout: float) -> tuple[int, str, bytes]:
    """As `status_line`, with that beginning of the body."""
    host = f"127.0.0.1:{address}" if isinstance(address, int) else "localhost"
    with Stream(address, after(timeout)) as stream:
        # word for word what http.client sends for the same question
        lines = (f"GET {path} HTTP/1.1", "Accept-Encoding: identity", f"Host: {host}", "User-Agent: devstack", "", "")
        stream.send("\r\n".join(lines).encode())
        first, *fields = stream.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, status, *reason = first.split(" ", 2)
        if not version.startswith("HTTP/1.") or not 200 <= int(status) <= 999:
            raise ValueError(first)
        names = {name.strip().lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        length = int(names.get("content-length", _BODY))
        is_chunked = names.get("transfer-encoding", "").lower() == "chunked"
        wanted = 0 if int(status) in (204, 304) else min(length, _BODY)
        while len(stream.received) < wanted and not (is_chunked and stream.received.endswith(b"0\r\n\r\n")):
            if not stream.more():
                break
        return int(status), " ".join(reason), stream.received


def probe(question: Question, timeout: float) -> Probe:
    """One page, and whether it has one of the statuses that mean ready. Raises as `status_line`."""
    port, path = question["port"], question["path"]
    status, reason = status_line(port, path, timeout)
    if status in question["status"]:
        return Probe(True, "")
    wanted = " or ".join(map(str, question["status"]))
    return Probe(False, f"GET http://127.0.0.1:{port}{path}: {status} {reason}".rstrip() + f", wanted {wanted}")
