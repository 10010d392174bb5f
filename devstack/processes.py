"""Processes of the machine, for `system.py`: who lives, who is whose child, who carries a stack's mark.

A process is known by its pid and its start time together; a zombie is dead.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_HAS_PROC = Path("/proc/self/stat").exists()


@dataclass(frozen=True)
class Identity:
    """A process that can't be confused with a later one of the same pid. start: clock ticks since boot (Linux) or
    seconds since the epoch (elsewhere), as text."""

    pid: int
    start: str


class Processes:
    """What `System` knows of processes, and the signals it sends."""

    def user_id(self) -> int:
        return os.geteuid()

    def user_name(self) -> str:
        """This user's account name; its number where it has none."""
        import pwd

        try:
            return pwd.getpwuid(os.geteuid()).pw_name
        except KeyError:
            return str(os.geteuid())

    def available_memory(self) -> int | None:
        """Bytes of memory that new processes may take, the limits of this process's cgroups counted; None: unknown."""
        import psutil

        try:
            free = int(psutil.virtual_memory().available)
        except (psutil.Error, OSError, ValueError, KeyError):
            return None
        return min([free, *_left_in_cgroups()])

    def has_user(self, name: str) -> bool:
        import pwd

        try:
            pwd.getpwnam(name)
        except KeyError:
            return False
        return True

    def group_id(self, user: str) -> int:
        """Number of the group that an account belongs to first; its name needn't be the account's."""
        import pwd

        return pwd.getpwnam(user).pw_gid

    def process_id(self) -> int:
        return os.getpid()

    def identity(self, pid: int) -> Identity | None:
        """The living process of this pid, or None; a zombie is dead."""
        if _HAS_PROC:
            try:
                fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()
            except OSError:
                return None
            return None if fields[0] in (b"Z", b"X") else Identity(pid, fields[19].decode())
        import psutil

        try:
            process = psutil.Process(pid)
            return None if process.status() == psutil.STATUS_ZOMBIE else Identity(pid, f"{process.create_time():.2f}")
        except psutil.Error:
            return None

    def is_alive(self, identity: Identity) -> bool:
        return self.identity(identity.pid) == identity

    def age(self, identity: Identity) -> float:
        """Seconds since a process was started."""
        if _HAS_PROC:
            return time.clock_gettime(time.CLOCK_BOOTTIME) - int(identity.start) / os.sysconf("SC_CLK_TCK")
        return time.time() - float(identity.start)

    def signal(self, identity: Identity, sign: int) -> bool:
        """Send a signal to exactly this process; False where it is gone."""
        if not self.is_alive(identity):
            return False
        try:
            os.kill(identity.pid, sign)
        except ProcessLookupError:
            return False
        return True

    def signal_group(self, identity: Identity, sign: int) -> bool:
        """Send a signal to this process and, where it leads a process group, to all of the group."""
        if not self.is_alive(identity):
            return False
        try:
            if os.getpgid(identity.pid) == identity.pid:
                os.killpg(identity.pid, sign)
            else:
                os.kill(identity.pid, sign)
        except ProcessLookupError:
            return False
        return True

    def parent(self, identity: Identity) -> int | None:
        """Pid of a living process's parent."""
        if _HAS_PROC:
            try:
                return int(Path(f"/proc/{identity.pid}/stat").read_bytes().rpartition(b") ")[2].split()[1])
            except (OSError, IndexError):
                return None
        import psutil

        try:
            return psutil.Process(identity.pid).ppid()
        except psutil.Error:
            return None

    def variables(self, pid: int) -> Mapping[str, str]:
        """The environment a process was started with; empty where it can't be known (another user's, or overwritten by
        the process's title)."""
        if not _HAS_PROC:
            import psutil

            try:
                return psutil.Process(pid).environ()
            except (psutil.Error, OSError):
                return {}
        try:
            return _parsed(Path(f"/proc/{pid}/environ").read_bytes())
        except OSError:
            return {}

    def command_line(self, pid: int) -> str:
        """A process's command as one line; "" where it can't be known."""
        import psutil

        try:
            return " ".join(psutil.Process(pid).cmdline())
        except (psutil.Error, OSError):
            return ""

    def marked(self, name: str, value: str) -> tuple[Identity, ...]:
        """Living processes of this user whose environment holds NAME=VALUE; this process and its parents left out."""
        return tuple(identity for identity, _ in self.marked_variables(name, value))

    def marked_variables(self, name: str, value: str) -> Iterator[tuple[Identity, Mapping[str, str]]]:
        """As `marked`, with all of each process's environment."""
        own = self.ancestry()
        for pid, variables in self._all_marked(name, value):
            if pid not in own and (identity := self.identity(pid)):
                yield identity, variables

    def ancestry(self, of: int | None = None) -> set[int]:
        """Pids of a process and its parents; without one, of this process: those that nobody may end from here."""
        first = os.getpid() if of is None else of
        line, pid = {first}, self.parent(Identity(first, "")) or 0
        while pid and pid not in line:
            line.add(pid)
            pid = self.parent(Identity(pid, "")) or 0
        return line

    def _all_marked(self, name: str, value: str) -> Iterator[tuple[int, Mapping[str, str]]]:
        if not _HAS_PROC:
            import psutil

            everybody = ((pid, self.variables(pid)) for pid in psutil.pids())
            yield from ((pid, variables) for pid, variables in everybody if variables.get(name) == value)
            return
        # every no-op command looks at every process: whole environments aren't parsed
        mark = b"\0" + os.fsencode(f"{name}={value}") + b"\0"
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                with contextlib.suppress(OSError):
                    environ = (folder / "environ").read_bytes()
                    if mark in b"\0" + environ:
                        yield int(folder.name), _parsed(environ)

    def descendants(self, identity: Identity) -> tuple[Identity, ...]:
        """Living children of a process, and theirs."""
        import psutil

        try:
            children = psutil.Process(identity.pid).children(recursive=True) if self.is_alive(identity) else []
        except psutil.Error:
            return ()
        return tuple(found for child in children if (found := self.identity(child.pid)))


def _left_in_cgroups() -> Iterator[int]:
    """Bytes left below each memory limit around this process (cgroup v2, kernel's admin-guide/cgroup-v2)."""
    with contextlib.suppress(OSError, ValueError):
        (line,) = [line for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::")]
        place = PurePosixPath(line.removeprefix("0::"))
        for group in (place, *place.parents):
            folder = Path(f"/sys/fs/cgroup{group}")
            with contextlib.suppress(OSError, ValueError):
                yield int((folder / "memory.max").read_text()) - int((folder / "memory.current").read_text())


def _parsed(environ: bytes) -> dict[str, str]:
    """An environment as the kernel keeps it."""
    pairs = (os.fsdecode(entry).partition("=") for entry in environ.split(b"\0"))
    return {name: value for name, equals, value in pairs if equals}
