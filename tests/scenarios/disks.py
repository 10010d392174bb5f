"""Disks of one's own for a project: mounted in a name space that only its commands are in."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.scenarios.machine import Machine

#: the folder is the name space's own root otherwise
_THERE = 'cd "$0" && exec "$@"'


@contextlib.contextmanager
def mounted(machine: Machine, root: Path, script: str) -> Iterator[tuple[str, ...]]:
    """Run a shell script in a name space of its own, and every command of the machine there too; yields the words that
    run another one there. script: may mount; its folder is `root`."""
    with subprocess.Popen(
        ["/usr/bin/unshare", "-m", "sh", "-c", f"set -e\n{script}\necho there\nread -r _", "sh"], cwd=root, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "there\n", "the disk can't be mounted"
        enter = ("nsenter", f"--target={holder.pid}", "--mount", "sh", "-c", _THERE, str(root))
        before, machine.prefix = machine.prefix, enter
        try:
            yield enter
        finally:
            machine.prefix = before
            holder.kill()


def tmpfs(place: str, options: str) -> str:
    """A line of a script that mounts an empty disk."""
    return f"mkdir -p -m 700 {place} && mount -t tmpfs -o mode=700,{options} tmpfs {place}"


def inside(enter: tuple[str, ...], script: str) -> None:
    subprocess.run([*enter, "sh", "-c", script], check=True, timeout=60)
