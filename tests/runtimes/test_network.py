"""What a download's own words make of its failure."""

from __future__ import annotations

import pytest

from devstack.runtimes.servers.network import LastingError, failure
from devstack.system import Completed

_NOTHING = "ERROR: Could not find a version that satisfies x\nERROR: No matching distribution found for x==1\n"


@pytest.mark.parametrize(("broken", "why"), [
    ("NewConnectionError('<pip.C object at 0x7f>: Failed to connect: [Errno 101] Network is unreachable')",
     "Network is unreachable"),
    ("ProtocolError('Connection aborted.', RemoteDisconnected('Remote end closed connection'))",
     "Remote end closed connection"),
    ("ReadTimeoutError(\"HTTPSConnectionPool(host='x', port=443): Read timed out.\")", "Read timed out."),
])  # fmt: skip
def test_a_connection_that_broke_is_told_rather_than_that_nothing_was_found(broken: str, why: str) -> None:
    said = f"WARNING: Retrying (Retry(total=0)) after connection broken by '{broken}': /simple/x/\n{_NOTHING}"
    error = failure("server-download", "x could not be downloaded", Completed(1, said))
    assert (error.why, isinstance(error, LastingError)) == (why, False)
    assert error.evidence


def test_what_an_index_does_not_have_is_told_at_once() -> None:
    error = failure("server-download", "x could not be downloaded", Completed(1, _NOTHING))
    assert (error.why, isinstance(error, LastingError)) == ("No matching distribution found for x==1", True)
