"""Servers of a stack that other machines can reach: devstack binds 127.0.0.1, a project's own command may not."""

from __future__ import annotations

from devstack.layout import Layout
from devstack.system import System


def exposed(system: System, layout: Layout) -> tuple[str, ...]:
    """A warning for each program and port that listens on more than this machine's loopback."""
    found: dict[tuple[str, int], str] = {}
    for identity in system.marked("DEVSTACK_STACK", layout.stack):
        program = system.variables(identity.pid).get("DEVSTACK_PROGRAM")
        for address, port in system.open_ports(identity.pid) if program else ():
            found.setdefault((str(program), port), address)
    return tuple(
        f"{program} listens on {address}:{port}, where other machines can reach it; make its `run` or its settings "
        f"bind 127.0.0.1"
        for (program, port), address in sorted(found.items())
    )
