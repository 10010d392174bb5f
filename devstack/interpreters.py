"""Which Python a project gets: the interpreters of this machine, each run once, and the choice among them.

Not the library python-discovery: it runs every candidate itself, up to twice for 15 s, outside of `System` (no cancel),
prints what a candidate prints, and a Python 2 among the candidates ends its search. What was learnt is remembered per
file (real path, time, size); nothing inside the project is ever run. docs/decisions/0003-which-python.md has the rule.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from devstack import evidence
from devstack.detect import scrub
from devstack.errors import DevstackError, PrerequisiteError, UsageError
from devstack.system import System

#: asked of a project that asks for nothing
ANY = ">=3.9"
_DEADLINE = 10.0
_NAME = re.compile(r"python(3(\.\d+)?)?")
_REAL_NAME = re.compile(r"python[\d.]*m?")
_PROBE = (
    "import json, sys; print(json.dumps(['%d.%d.%d' % sys.version_info[:3], sys.version_info[3], "
    "sys.implementation.name, 't' in getattr(sys, 'abiflags', ''), sys.prefix == sys.base_prefix]))"
)
_RELEASED = tuple(f"3.{minor}" for minor in range(9, 15))


@dataclass(frozen=True)
class Interpreter:
    """A Python that ran. path: real path of its binary. stamp: the file's time and size when it was asked."""

    path: str
    version: str
    implementation: str
    stamp: str

    @property
    def numbers(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self.version.split("."))

    @property
    def minor(self) -> str:
        return ".".join(self.version.split(".")[:2])

    def is_unchanged(self) -> bool:
        """Is the file still the one that was asked?"""
        return stamp(self.path) == self.stamp and os.path.realpath(self.path) == self.path


def stamp(path: str | Path) -> str:
    """Time (ns) and size of a file or folder, "" where there is none."""
    evidence.timed(str(path))
    try:
        info = Path(path).stat()
    except OSError:
        return ""
    return f"{info.st_mtime_ns}:{info.st_size}"


def satisfies(version: str, wanted: str) -> bool:
    """Does `3.11.7` satisfy `3`, `3.11`, `3.11.7` or a PEP 440 specifier? A comparison with a bare minor means all its
    patches, as people mean it. Raises UsageError for anything else."""
    if re.fullmatch(r"\d+(\.\d+){0,2}", wanted.strip()):
        return f"{version}.".startswith(f"{wanted.strip()}.")
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    whole_minor = re.sub(r"(?<![=!<>~])(==|!=)\s*(\d+\.\d+)\s*(?=,|$)", r"\1\2.*", wanted)
    whole_minor = re.sub(
        r"<=\s*(\d+)\.(\d+)\s*(?=,|$)", lambda found: f"<{found[1]}.{int(found[2]) + 1}", whole_minor
    )
    try:
        return SpecifierSet(whole_minor).contains(version)
    except InvalidSpecifier:
        raise UsageError(
            "python-version-invalid", f"{wanted!r} isn't a Python version", fix='version = "3.12" or ">=3.11,<3.14"',
            why="a version or a PEP 440 specifier is expected",
        ) from None


def choose(found: Sequence[Interpreter], wanted: str, first: str | None) -> Interpreter | None:
    """The best that satisfies: the PATH's own python3 (`first`), else the newest patch of the lowest minor from 3.9 on,
    for which the project's pins are likeliest to have wheels."""
    fitting = [interpreter for interpreter in found if satisfies(interpreter.version, wanted)]
    for interpreter in fitting:
        if interpreter.path == first:
            return interpreter
    modern = [interpreter for interpreter in fitting if interpreter.numbers >= (3, 9)] or fitting
    return min(modern, key=lambda each: (each.numbers[:2], -each.numbers[2]), default=None)


def find(system: System, wanted: str | None, *, asker: str = "", root: Path) -> Interpreter:
    """The interpreter for a project in `root`. asker: who wants this version, for the error. Raises PrerequisiteError
    `python-missing` with what is there and one command."""
    paths, first = _candidates(system, root)
    found = _asked(system, paths)
    chosen = choose(found, wanted or ANY, first)
    if chosen is None and wanted and asker == ".python-version":
        # that file pins the patch one person happened to have; another patch of the minor serves as well
        chosen = choose(found, ".".join(wanted.split(".")[:2]), first)
    if chosen is None:
        raise _missing(system, wanted or ANY, asker, found)
    return chosen


# --- candidates -----------------------------------------------------------------------------------------------------


def _candidates(system: System, root: Path) -> tuple[tuple[str, ...], str | None]:
    """Real paths of what may be an interpreter, and the one that `python3` means on PATH."""
    found: dict[str, None] = {}
    first: str | None = None
    on_path = scrub.plain(system.environ)["PATH"].split(":")
    for folder in (*on_path, *_known_folders(system)):
        # shims ask their manager what to run and often fail; the real interpreters are looked up beside them
        if Path(folder).name == "shims" or _is_inside(folder, root):
            continue
        for name, path in _pythons(folder):
            found.setdefault(path)
            if first is None and name == "python3" and folder in on_path:
                first = path
    # where bootstrap found the tool its own Python may be a place that nothing else names
    found.setdefault(os.path.realpath(sys.executable))
    return tuple(found), first


def _known_folders(system: System) -> Iterator[str]:
    environ = system.environ
    home = environ.get("HOME", "")
    yield from ("/usr/local/bin", "/usr/bin", "/opt/homebrew/bin")
    data = environ.get("XDG_DATA_HOME") or (f"{home}/.local/share" if home else "")
    places = (
        (environ.get("PYENV_ROOT") or (f"{home}/.pyenv" if home else ""), "versions/*/bin"),
        (environ.get("UV_PYTHON_INSTALL_DIR") or (f"{data}/uv/python" if data else ""), "*/bin"),
        (environ.get("MISE_DATA_DIR") or (f"{data}/mise" if data else ""), "installs/python/*/bin"),
        (environ.get("ASDF_DATA_DIR") or (f"{home}/.asdf" if home else ""), "installs/python/*/bin"),
        ("/Library/Frameworks/Python.framework", "Versions/*/bin"),
    )
    for base, pattern in places:
        if base.startswith("/"):
            with contextlib.suppress(OSError):
                yield from sorted(str(folder) for folder in Path(base).glob(pattern))


def _pythons(folder: str) -> Iterator[tuple[str, str]]:
    """(name, real path) of a folder's executables that are called like a Python and lead to one."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if _NAME.fullmatch(entry.name))
    except OSError:
        return
    for name in names:
        path = os.path.realpath(f"{folder}/{name}")
        # Apple's stub opens a window that offers to install a compiler
        is_stub = sys.platform == "darwin" and path == "/usr/bin/python3"
        if _REAL_NAME.fullmatch(Path(path).name) and os.access(path, os.X_OK) and Path(path).is_file() and not is_stub:
            yield name, path


def _is_inside(folder: str, root: Path) -> bool:
    real_root = os.path.realpath(root)
    return f"{os.path.realpath(folder)}/".startswith(f"{real_root}/")


# --- asking ---------------------------------------------------------------------------------------------------------


def _asked(system: System, paths: Iterable[str]) -> tuple[Interpreter, ...]:
    """What each candidate answered, now or before; the unusable ones left out."""
    file = _memory(system)
    known = _read_memory(system, file)
    fresh = dict(known)
    found = []
    for path in paths:
        entry = known.get(path)
        if entry is None or entry.stamp != stamp(path):
            entry = _ask(system, path)
            if entry is not None:
                fresh[path] = entry
        # an empty version is a remembered failure
        if entry is not None and entry.version:
            found.append(entry)
    if fresh != known and file is not None:
        # only a memory: without it the next search takes longer
        with contextlib.suppress(DevstackError, OSError):
            system.private_folder(file.parent)
            system.write(file, json.dumps([asdict(entry) for entry in fresh.values()]))
    return tuple(found)


def _ask(system: System, path: str) -> Interpreter | None:
    """Run a candidate; None where it doesn't answer in time, which isn't remembered."""
    before = stamp(path)
    unusable = Interpreter(path, "", "", before)
    try:
        # -I and -S: neither the folder it is started in nor anybody's site-packages may run code
        answer = system.capture(
            [path, "-I", "-S", "-c", _PROBE], timeout=_DEADLINE, env=scrub.plain(system.environ), cwd=Path("/")
        )
    except PrerequisiteError:
        return unusable
    if answer.timed_out:
        return None
    try:
        version, level, implementation, is_free_threaded, is_base = json.loads(answer.stdout)
    except (ValueError, TypeError):
        return unusable
    # a free-threaded build or a preview has few wheels; an environment's copy goes away with its environment
    if implementation != "cpython" or level != "final" or is_free_threaded or not is_base:
        return unusable
    return Interpreter(path, str(version), str(implementation), before)


def _memory(system: System) -> Path | None:
    base = system.environ.get("XDG_CACHE_HOME", "")
    if not base.startswith("/"):
        base = f"{system.environ['HOME']}/.cache" if system.environ.get("HOME") else ""
    return Path(base, "devstack", "interpreters.json") if base else None


def _read_memory(system: System, file: Path | None) -> dict[str, Interpreter]:
    try:
        entries = json.loads((system.read(file) if file else None) or "[]")
        found = [Interpreter(**entry) for entry in entries]
        return {entry.path: entry for entry in found if all(isinstance(value, str) for value in asdict(entry).values())}
    except (ValueError, TypeError, OSError, RecursionError):
        return {}


# --- nothing fits ---------------------------------------------------------------------------------------------------


def _missing(system: System, wanted: str, asker: str, found: Sequence[Interpreter]) -> PrerequisiteError:
    there = ", ".join(f"{each.version} ({each.path})" for each in sorted(found, key=lambda each: each.numbers))
    minor = next((each for each in _RELEASED if satisfies(f"{each}.99", wanted) or satisfies(f"{each}.0", wanted)), "")
    exact = re.fullmatch(r"\d+\.\d+\.\d+", wanted)
    return PrerequisiteError(
        "python-missing", f"no Python on this machine satisfies {wanted}",
        why=f"{asker or 'the project'} asks for it; found: {there or 'none'}",
        fix=_way_to_get(system, exact[0] if exact else minor),
    )


def _way_to_get(system: System, version: str) -> str:
    """One command that brings this version, from what the machine has."""
    if not version:
        return "correct [python] version in devstack.toml"
    package = f"python{'.'.join(version.split('.')[:2])}"
    if Path("/usr/bin/apt-cache").exists() and version.count(".") == 1:
        known = system.capture(["/usr/bin/apt-cache", "show", "--no-all-versions", package], timeout=_DEADLINE)
        if known.returncode == 0 and known.stdout.strip():
            return f"sudo apt install {package} {package}-venv"
    if Path("/opt/homebrew/bin/brew").exists() and version.count(".") == 1:
        return f"brew install {package.replace('python', 'python@')}"
    pyenv = Path(system.environ.get("PYENV_ROOT") or f"{system.environ.get('HOME', '')}/.pyenv")
    # an old pyenv knows only the releases of its day
    if any(pyenv.glob(f"plugins/python-build/share/python-build/{version}*")):
        return f"{pyenv}/bin/pyenv install {version}"
    return f"{uv_program()} python install {version}"


def uv_program() -> str:
    """Absolute path of the uv that came with devstack."""
    import uv

    try:
        return str(uv.find_uv_bin())
    except FileNotFoundError:
        raise PrerequisiteError(
            "uv-missing", "devstack's own uv isn't there", why="its installation is damaged",
            fix=f"{sys.executable} -m pip install --force-reinstall uv",
        ) from None
