"""Restarts processes whose files have changed: `python -m devstack.supervised.watch CONFIG`, one for a stack.

CONFIG is made by `devstack.watching`. All replicas of a process are restarted once for a burst of changes, by its own
stop signal and grace, unless they began after the change. One that a person stopped stays stopped, and while another
devstack works on the stack nothing is touched. Ends when its supervisord has gone.
"""

from __future__ import annotations

import contextlib
import fnmatch
import json
import math
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devstack.errors import DevstackError
from devstack.globs import FOREIGN, glob_pattern
from devstack.supervisor_rpc import ALREADY_STARTED, NOT_RUNNING, FaultError, Rpc
from devstack.system import System

if TYPE_CHECKING:
    from devstack.processes import Identity

#: milliseconds of quiet that end a burst of changes, and how long a burst may last at most
_QUIET, _BURST = 200, 3000
#: milliseconds between two looks at whether supervisord still lives
_LOOK = 500
_EVERY = 0.05
_LEFT_SECONDS = 5.0
_AT_REST = ("stopped", "exited", "fatal")
#: seconds after the grace until a program that doesn't end is given up
_LATE = 10.0


@dataclass(frozen=True)
class Program:
    """One replica. record: file that is written when it starts."""

    name: str
    record: Path
    log: Path
    grace: float


@dataclass(frozen=True)
class Watched:
    """A process: what it watches, and its replicas."""

    name: str
    pattern: re.Pattern[str]
    programs: tuple[Program, ...]


@dataclass(frozen=True)
class Config:
    stack: str
    root: Path
    folder: Path
    socket: str
    globs: tuple[str, ...]
    processes: tuple[Watched, ...]


def read(path: Path) -> Config:
    """The watcher's orders, as `devstack.watching` writes them."""
    told: dict[str, Any] = json.loads(path.read_text())
    processes = tuple(
        Watched(one["name"], re.compile("|".join(map(glob_pattern, one["globs"]))), tuple(
            Program(each["name"], Path(each["record"]), Path(each["log"]), one["grace"]) for each in one["programs"]
        ))
        for one in told["processes"]
    )  # fmt: skip
    globs = tuple(dict.fromkeys(glob for one in told["processes"] for glob in one["globs"]))
    return Config(told["stack"], Path(told["root"]), Path(told["folder"]), told["socket"], globs, processes)


class Watcher:
    """Looks, and restarts."""

    def __init__(self, system: System, config: Config) -> None:
        self._system = system
        self._config = config
        self._rpc = Rpc(system, config.socket)
        self._parent = os.getppid()
        self._is_polling = False
        self.ending = threading.Event()

    def run(self) -> None:
        """Until it is told to end, or its supervisord has gone."""
        while not self.ending.is_set() and os.getppid() == self._parent:
            try:
                self._look(tuple(folders(self._config.root, self._config.globs)))
            except DevstackError as error:
                say(f"[devstack] nothing was restarted: {error}\n")

    def _look(self, places: tuple[Path, ...]) -> None:
        """Watch these folders until there is another one to watch."""
        is_first = True
        for changes in self._changes(places):
            if os.getppid() != self._parent:
                return
            paths = {Path(path) for _, path in changes}
            if is_first:
                # what changed before anybody looked, or between two looks
                paths |= set(self._system.matching(self._config.root, self._config.globs))
                say(f"[devstack] watching {', '.join(self._config.globs)} in {len(places)} folders\n")
                is_first = False
            self._handle(paths)
            if any(path.is_dir() and path not in places and path.name not in FOREIGN for path in paths):
                return

    def _changes(self, places: tuple[Path, ...]) -> Iterator[set[tuple[Any, str]]]:
        import watchfiles

        # not what editors keep beside a file; folders of the whole path aren't judged by name
        chosen = watchfiles.DefaultFilter(ignore_dirs=())
        try:
            yield from watchfiles.watch(
                *places, watch_filter=chosen, debounce=_BURST, step=_QUIET, stop_event=self.ending, rust_timeout=_LOOK,
                yield_on_timeout=True, raise_interrupt=False, recursive=False, force_polling=self._is_polling,
                ignore_permission_denied=True,
            )
        except (OSError, RuntimeError) as error:
            if self._is_polling:
                raise
            # a system gives out only so many watches
            say(f"[devstack] looking for changes a few times a second, since the system doesn't tell them: {error}\n")
            self._is_polling = True

    # --- restarting --------------------------------------------------------------------------------------------------

    def _handle(self, paths: set[Path]) -> None:
        changed = {relative(path, self._config.root): path for path in paths if not path.is_dir()}
        hits = {
            process: found for process in self._config.processes
            if (found := {name: changed_at(path) for name, path in changed.items() if process.pattern.fullmatch(name)})
        }
        if not hits:
            return
        self._system.until(self._is_free, math.inf, 0.2)
        due = [program for process, found in hits.items() for program in self._due(process, found)]
        waiting = {program: self._system.monotonic() + program.grace + _LATE for program in due}
        while waiting:
            for program, deadline in tuple(waiting.items()):
                if self._has_begun_anew(program):
                    del waiting[program]
                elif self._system.monotonic() > deadline:
                    del waiting[program]
                    say(f"[devstack] {program.name} doesn't stop\n")
            self._system.pause(_EVERY)

    def _due(self, process: Watched, hits: Mapping[str, float]) -> list[Program]:
        """The replicas to restart for these files and the times of their change; the reason is told."""
        newest = max(hits, key=lambda name: hits[name])
        due = [program for program in process.programs if self._is_older(program, hits[newest])]
        if due:
            more = f" and {len(hits) - 1} more" if len(hits) > 1 else ""
            why = f"[devstack] {process.name} is restarted: {newest}{more} changed\n"
            say(why)
            for program in due:
                self._system.append(program.log, why)
        return due

    def _is_free(self) -> bool:
        """Does no other devstack work on this stack? Its lock is tried only where its holder may live."""
        try:
            holder = int(json.loads(self._system.read(self._config.folder / "lock.json") or "{}").get("pid", 0))
        except (ValueError, TypeError, AttributeError):
            return True
        if not holder or self._system.identity(holder) is None or self.ending.is_set():
            return True
        with self._system.lock(self._config.folder / "lock", timeout=0) as is_held:
            return is_held

    def _is_older(self, program: Program, changed: float) -> bool:
        """Did it begin before the change, and may it be restarted?"""
        try:
            began = program.record.stat().st_mtime
        except OSError:
            return False
        return began <= changed and self._phase(program) != "stopped"

    def _has_begun_anew(self, program: Program) -> bool:
        """One step on the way from the old process to the new one."""
        phase = self._phase(program)
        if phase in _AT_REST:
            self._clear(program)
            # its restarts are counted from here
            program.record.unlink(missing_ok=True)
            self._order("startProcess", program)
            return True
        if phase != "stopping":
            self._order("stopProcess", program)
        return False

    def _order(self, method: str, program: Program) -> None:
        try:
            self._rpc.call(f"supervisor.{method}", program.name, False)
        except FaultError as fault:
            # supervisord, or a person, has done it this very moment
            if fault.code not in (ALREADY_STARTED, NOT_RUNNING):
                raise

    def _phase(self, program: Program) -> str:
        return str(self._rpc.call("supervisor.getProcessInfo", program.name)["statename"]).lower()

    def _clear(self, program: Program) -> None:
        """End what the old process left behind: it may hold the port that the new one needs."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            left = self._left(program)
            for one in left:
                self._system.signal(one, number)
            self._system.until(lambda: not any(map(self._system.is_alive, left)), _LEFT_SECONDS, _EVERY)  # noqa: B023

    def _left(self, program: Program) -> tuple[Identity, ...]:
        return tuple(
            one for one in self._system.marked("DEVSTACK_PROGRAM", program.name)
            if self._system.variables(one.pid).get("DEVSTACK_STACK") == self._config.stack
        )


def folders(root: Path, globs: Sequence[str]) -> Iterator[Path]:
    """The folders in which a file may match, and those on the way to them, foreign ones left out."""
    wanted = [tuple(part for part in glob.split("/") if part != ".") for glob in globs]
    for folder, names, _ in os.walk(root):
        yield Path(folder)
        inside = Path(folder).relative_to(root).parts
        names[:] = [
            name for name in names
            if name not in FOREIGN and any(_may_hold((*inside, name), glob) for glob in wanted)
        ]


def _may_hold(folder: tuple[str, ...], glob: tuple[str, ...]) -> bool:
    """Can a file match that lies in this folder, or further down?"""
    for index, name in enumerate(folder):
        if glob[index] == "**":
            return True
        if index == len(glob) - 1 or not fnmatch.fnmatchcase(name, glob[index]):
            return False
    return True


def relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else ""


def changed_at(path: Path) -> float:
    """When a file was changed, moved or removed, by the clock that also times a program's start."""
    for place in (path, *path.parents):
        with contextlib.suppress(OSError):
            return place.lstat().st_ctime
    return 0.0


def say(text: str) -> None:
    """To the log, unless its reader has gone."""
    with contextlib.suppress(OSError):
        os.write(1, text.encode())


def main(words: Sequence[str]) -> None:
    """words: path of the file with the orders."""
    try:
        config = read(Path(words[0]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        say(f"[devstack] {words[0]} can't be read: {error}\n")
        return
    watcher = Watcher(System(), config)
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: watcher.ending.set())
    watcher.run()


if __name__ == "__main__":
    main(sys.argv[1:])
