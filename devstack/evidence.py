"""What an observation depended on: every file, folder and listing that it looked at, noted as it looks.

Nothing lists its inputs, so none can be forgotten: while a note is being taken, whatever Python code of this process
opens, lists or asks the file system about is signed first. `changed` then says, without any of that code, whether a
later observation could see something else.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

#: a time as file systems keep it lags behind the clock by a tick of the kernel (10 ms at most)
TICK = 0.02
#: of file systems that keep whole seconds (two, FAT)
_COARSE = 2.1
_WHOLE = 1_000_000_000
#: changes with every look and says nothing: of the kernel, and what a run writes about itself below `.devstack`
_VOLATILE = ("/proc/", "/sys/", "/dev/")
_OWN = ("journal", "lock", "lock.json", "logs", "standing.json", "supervisord.pid")
#: marks of a path that is looked at again in a way that asks for more
_STRICTER = {("loose", "plain"), ("loose", "timed"), ("plain", "timed")}
#: what decides where things are and what a profile gets; a test knows if an observation asks for another one
_VARIABLES = frozenset({"HOME", "PATH", "TMPDIR", "LOGNAME", "USER", "USERNAME", "VIRTUAL_ENV"})
_FAMILIES = ("ASDF_", "CONDA_", "DEVSTACK_", "DOCKER_", "GIT_", "MISE_", "PIP_", "PYENV_", "PYTHON", "UV_", "XDG_")
# (pyenv's shims set these for themselves, another folder each time; devstack runs no shim)
_NO_VARIABLES = frozenset({"DEVSTACK_BOOTSTRAP", "PYENV_DIR", "PYENV_HOOK_PATH", "XDG_SESSION_ID"})


class Notes:
    """What was looked at. files: path → how it is (`signed`). listings: folder → names in it. walks: root and globs →
    what matched. commands: what was executed besides, whose answers nobody can sign."""

    def __init__(self, folder: str) -> None:
        """folder: the project's `.devstack`."""
        self.files: dict[str, str] = {}
        self.listings: dict[str, list[str]] = {}
        self.walks: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        self.commands: list[tuple[str, ...]] = []
        self.doubt = ""
        self._folder = folder
        # devstack's own modules are signed apart (`standing`), and the environment they run in is never changed
        packages = (place for place in sys.path if os.path.basename(place) in ("site-packages", "dist-packages"))
        libraries = (os.path.dirname(os.__file__), os.path.dirname(__file__), *packages)
        self._skipped = (*_VOLATILE, *(f"{place}/" for place in libraries))

    def include(self, other: Notes) -> None:
        """What was noted before belongs to this too."""
        self.files |= other.files
        self.listings |= other.listings
        self.walks |= other.walks
        self.commands += other.commands
        self.doubt = self.doubt or other.doubt

    def file(self, path: str, how: str) -> None:
        """how: "asked" (stat and the like), "read", or "timed": the time of a folder matters as well."""
        path = os.path.abspath(path)
        # servers write into their data all the time; who looks at it without reading wants to know if it is there
        is_loose = how == "asked" and path.startswith(f"{self._folder}/data/")
        mark = "loose" if is_loose else "timed" if how == "timed" else "plain"
        before = self.files.get(path, "")
        if self._counts(path) and (not before or (before.split(" ", 1)[0], mark) in _STRICTER):
            self.files[path] = f"{mark} {signed(path, mark)}"
            self._ensure_certain(path, mark)

    def listing(self, path: str) -> None:
        path = os.path.abspath(path)
        if self._counts(f"{path}/") and path not in self.listings:
            self.listings[path] = _names(path)

    def _counts(self, path: str) -> bool:
        if path.startswith(self._skipped):
            return False
        own = path.removeprefix(f"{self._folder}/")
        return own == path or own.partition("/")[0] not in _OWN

    def _ensure_certain(self, path: str, mark: str) -> None:
        """What is written in the same tick again would look the same."""
        try:
            info = os.stat(path)
        except OSError:
            return
        if mark == "timed" or (mark == "plain" and stat.S_ISREG(info.st_mode)):
            latest = max(info.st_mtime_ns, info.st_ctime_ns)
            if latest / 1e9 > time.time() - (TICK if latest % _WHOLE else _COARSE):
                self.doubt = f"{path} was written this very moment"


def signed(path: str, mark: str) -> str:
    """How a path is: of a file all that changes when it does, of anything else that it is there.

    mark: `loose` for no more than that of files too, `timed` for the time of folders too.
    """
    try:
        info = os.lstat(path)
    except OSError as error:
        return f"none {error.errno}"
    if stat.S_ISLNK(info.st_mode):
        try:
            target = os.readlink(path)
        except OSError as error:
            return f"none {error.errno}"
        there = os.path.join(os.path.dirname(path), target)
        return f"to {target} {signed(there, mark) if os.path.exists(there) else 'none'}"
    if mark == "timed" or (mark == "plain" and stat.S_ISREG(info.st_mode)):
        facts = (info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
        return f"{info.st_mode:o} {info.st_uid} {' '.join(map(str, facts))}"
    # the size of a folder means something else to every file system
    empty = " empty" if stat.S_ISREG(info.st_mode) and info.st_size == 0 else ""
    return f"{info.st_mode:o} {info.st_uid}{empty}"


def changed(files: Mapping[str, str], listings: Mapping[str, Sequence[str]]) -> str:
    """The first path that isn't as it was noted, "" where all are."""
    for path, before in files.items():
        mark, _, sign = before.partition(" ")
        if signed(path, mark) != sign:
            return path
    return next((path for path, names in listings.items() if _names(path) != names), "")


def variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Those that an observation may depend on."""
    return {
        name: value for name, value in sorted(environ.items())
        if (name in _VARIABLES or name.startswith(_FAMILIES)) and name not in _NO_VARIABLES
    }


def _names(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except OSError as error:
        return [f"none {error.errno}"]


# --- taking notes -----------------------------------------------------------------------------------------------------

class _Taking:
    """notes: being taken now. is_hooked: the interpreter tells `_hear` of what happens."""

    notes: Notes | None = None
    is_hooked = False


_taking = _Taking()
_aside = threading.local()
#: these have no audit event
_QUESTIONS = ("stat", "lstat", "access", "readlink")


@contextlib.contextmanager
def noting(notes: Notes) -> Iterator[None]:
    """Everything that is looked at meanwhile, in whatever thread, is noted."""
    if not _taking.is_hooked:
        # can't be taken back, and costs nothing while no notes are taken
        sys.addaudithook(_hear)
        _taking.is_hooked = True
    originals = {name: getattr(os, name) for name in _QUESTIONS}
    for name, original in originals.items():
        setattr(os, name, _noted(original))
    before, _taking.notes = _taking.notes, notes
    try:
        yield
    finally:
        _taking.notes = before
        for name, original in originals.items():
            setattr(os, name, original)


@contextlib.contextmanager
def walking(root: str, globs: Sequence[str]) -> Iterator[Callable[[list[str]], None]]:
    """A search that is noted as one question and its answer, which is handed to what this yields."""
    notes = _heard_by()

    def answer(found: list[str]) -> None:
        if notes is not None and globs:
            notes.walks[root, tuple(globs)] = found

    with unheard():
        yield answer


def timed(path: str) -> None:
    """This path's time matters, though it may be a folder."""
    _look(path, "timed")


@contextlib.contextmanager
def unheard() -> Iterator[None]:
    """For this thread: nothing is noted. For a question that is asked again, or whose answer can't change."""
    before = getattr(_aside, "is_on", False)
    _aside.is_on = True
    try:
        yield
    finally:
        _aside.is_on = before


def _heard_by() -> Notes | None:
    return None if getattr(_aside, "is_on", False) else _taking.notes


def _noted(original: Callable[..., Any]) -> Callable[..., Any]:
    def ask(path: Any, *args: Any, **options: Any) -> Any:
        if not isinstance(path, int) and options.get("dir_fd") is None:
            _look(path, "asked")
        return original(path, *args, **options)

    return ask


def _look(path: Any, how: str) -> None:
    notes = _heard_by()
    if notes is not None:
        with unheard():
            notes.file(os.fsdecode(path), how)


def _hear(event: str, args: tuple[Any, ...]) -> None:
    if _taking.notes is None or (notes := _heard_by()) is None:
        return
    if event == "open" and not isinstance(args[0], int):
        # what is opened to be written is no input
        if not (args[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            _look(args[0], "read")
    elif event in ("os.listdir", "os.scandir") and not isinstance(args[0], int):
        with unheard():
            notes.listing(os.fsdecode(args[0] or "."))
    elif event == "subprocess.Popen":
        notes.commands.append(tuple(map(os.fsdecode, args[1])))
