"""Servers from packages of the distribution, without root: downloaded and verified by apt, unpacked by dpkg-deb.

apt checks the repository's signature. Nothing is installed: no maintainer script runs, dpkg's database and the
machine's package lists stay as they are; where those lists are missing or old, private ones are made in the cache.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote

from devstack import evidence
from devstack.errors import NetworkError, PrerequisiteError
from devstack.files import storage_errors
from devstack.runtimes.servers.machine import Machine
from devstack.runtimes.servers.network import Retry, failure
from devstack.runtimes.servers.trees import locked, remove
from devstack.services import Packages
from devstack.system import System

_DEADLINE = 600.0
_LISTS = Path("/var/lib/apt/lists")
#: a package that every list of a distribution has
_ALWAYS = "base-files"
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
# the C library must be the machine's own: a second one in a process is a crash
_NEVER = re.compile(r"libc6|libc-bin|libc6-.*|libc-.*|base-files|multiarch-support")


class Apt:
    """The distribution's packages, downloaded as whoever runs this. folder: for private lists."""

    def __init__(self, system: System, machine: Machine, folder: Path) -> None:
        self._system = system
        self._machine = machine
        self._folder = folder
        self._known: dict[str, str | None] = {}
        self._has_lists = False

    def stamp(self) -> str:
        """Changes whenever the knowledge of what can be downloaded may have."""
        stamps = []
        for lists in (_LISTS, self._folder / "lists"):
            evidence.timed(str(lists))
            try:
                stamps.append(str(lists.stat().st_mtime_ns))
            except OSError:
                stamps.append("")
        return f"{self._machine.distribution}:{':'.join(stamps)}"

    def version(self, package: str, among: Iterable[str]) -> str | None:
        """Upstream version of the package that a download would bring; None where the lists don't have it, "" where
        there are no lists. among: packages that will be asked for too, so that one look suffices."""
        if package not in self._known:
            names = (package, *among, _ALWAYS)
            for options in ((), self._private()):
                argv = ("apt-cache", *options, "policy", *names)
                text = self._system.capture(argv, timeout=60, env=_plain(self._system)).stdout
                # without lists, apt still knows of what is installed
                self._has_lists = re.search(r"^ +-?\d+ \S+:/", text, re.MULTILINE) is not None
                if self._has_lists:
                    break
            found = dict(re.findall(r"^(\S+):\n  Installed: .*\n  Candidate: (\d\S*)$", text, re.MULTILINE))
            self._known.update({name: upstream(found[name]) if name in found else None for name in names})
        return self._known[package] if self._has_lists else ""

    def download(self, packages: Iterable[str], folder: Path, on_progress: Callable[[str], None]) -> tuple[Path, ...]:
        """Bring the packages' archives into an empty folder. Raises NetworkError."""
        wanted = tuple(packages)
        on_progress(f"downloading {', '.join(wanted)}")
        what = f"{wanted[0]}{' and its libraries' if len(wanted) > 1 else ''} could not be downloaded"

        def attempt() -> NetworkError | None:
            if self._get((), wanted, folder, what) is None:
                return None
            with locked(self._system, self._folder / "lock"):
                if (self._folder / "lists").exists() and self._get(self._private(), wanted, folder, what) is None:
                    return None
                self._update(on_progress)
                return self._get(self._private(), wanted, folder, what)

        self._system.private_folder(self._folder)
        Retry(self._system, on_progress).of(attempt)
        return tuple(sorted(folder.glob("*.deb")))

    def _get(
        self, options: tuple[str, ...], wanted: tuple[str, ...], folder: Path, what: str
    ) -> NetworkError | None:
        argv = ("apt-get", *options, "-q", "download", "--", *wanted)
        done = self._system.run(argv, timeout=_DEADLINE, cwd=folder, env=_plain(self._system))
        return failure("server-download", what, done) if done.returncode else None

    def _update(self, on_progress: Callable[[str], None]) -> None:
        on_progress(f"reading the package lists of {self._machine.distribution}")
        for name in ("lists/partial", "cache/archives/partial"):
            with storage_errors(self._folder):
                (self._folder / name).mkdir(parents=True, exist_ok=True)
        # one dead source among several is no reason to stop: the download tells whether what is needed is there
        argv = ("apt-get", *self._private(), "-q", "update")
        self._system.run(argv, timeout=_DEADLINE, env=_plain(self._system))

    def _private(self) -> tuple[str, ...]:
        # apt reads its configuration's words apart at spaces only in lists, not in these values
        return (
            "-o", f"Dir::State::lists={self._folder / 'lists'}", "-o", f"Dir::Cache={self._folder / 'cache'}",
            "-o", "Debug::NoLocking=1",
        )


def fetch(
    system: System, apt: Apt, machine: Machine, way: Packages, tree: Path, on_progress: Callable[[str], None]
) -> tuple[str, dict[str, str]]:
    """Download, verify and unpack packages and the shared libraries that this machine lacks; makes the links.

    Returns the first package's upstream version and the archives' hashes. Raises NetworkError, PrerequisiteError.
    """
    digests: dict[str, str] = {}
    depends: set[str] = set()
    wanted = list(way.debian)
    folder = tree / ".download"
    while wanted:
        with storage_errors(folder):
            folder.mkdir()
        debs = apt.download(wanted, folder, on_progress)
        digests |= {deb.name: _sha256(deb) for deb in debs}
        on_progress(f"unpacking {len(debs)} packages")
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            list(pool.map(lambda deb: _extract(system, deb, tree), debs))
        missing = missing_libraries(system, machine, tree)
        if missing:
            depends |= {name for deb in debs for name in _depends(system, deb)}
        remove(folder)
        if not missing:
            make_links(tree, way.links)
            return _versions(digests)[way.debian[0]], digests
        # each round brings at least one new package, so it ends
        wanted = sorted(set(_providers(missing, depends)) - _versions(digests).keys())
    raise PrerequisiteError(
        "library-missing", f"{way.debian[0]} lacks shared libraries on this machine", why=", ".join(sorted(missing)),
        fix=f"sudo apt-get install {way.debian[0]}",
    )


def _versions(debs: Iterable[str]) -> dict[str, str]:
    """Upstream versions by package, from the names that apt gives archives (`redis_5%3a7.0.15-1_amd64.deb`)."""
    parts = (unquote(name).split("_") for name in debs)
    return {part[0]: upstream(part[1]) for part in parts}


def library_folders(machine: Machine, tree: Path) -> tuple[str, ...]:
    """Where packages put shared libraries, whether or not there are any."""
    return str(tree / "usr/lib" / machine.triplet), str(tree / "lib" / machine.triplet)


def missing_libraries(system: System, machine: Machine, tree: Path) -> frozenset[str]:
    """Names of shared libraries (`libjemalloc.so.2`) that a binary in the tree needs and neither it nor the machine
    has, according to the dynamic linker."""
    binaries = [str(path) for path in _binaries(tree)]
    if not binaries:
        return frozenset()
    env = {**_plain(system), "LD_LIBRARY_PATH": ":".join(library_folders(machine, tree))}
    done = system.capture(("ldd", *binaries), timeout=120, env=env)
    return frozenset(re.findall(r"^\s*(\S+) => not found$", done.stdout, re.MULTILINE))


def make_links(tree: Path, links: Mapping[str, str]) -> None:
    """Make the stable names. Raises PrerequisiteError where a target isn't there exactly once."""
    for name, pattern in links.items():
        targets = sorted(tree.glob(pattern))
        if len(targets) != 1:
            raise PrerequisiteError(
                "package-changed", f"the packages of this distribution have no single {pattern}",
                why=f"found {len(targets)}", fix="devstack up --runtime docker",
            )
        link = tree / name
        with storage_errors(link):
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(os.path.relpath(targets[0], link.parent))


def upstream(version: str) -> str:
    """Debian's version without epoch and revision: `5:7.0.15-1~deb12u7` → `7.0.15`."""
    return version.partition(":")[2].rpartition("-")[0] or version.rpartition("-")[0] or version


def library_package(soname: str) -> str:
    """The package that Debian's policy names for a shared library (policy 8.1): `libfoo-1.2.so.3` → `libfoo-1.2-3`."""
    name, _, version = soname.partition(".so.")
    dash = "-" if name[-1:].isdigit() else ""
    return f"{name}{dash}{version}".lower().replace("_", "-")


def _providers(missing: Iterable[str], depends: set[str]) -> Iterator[str]:
    for soname in missing:
        name = library_package(soname)
        # the 64-bit time_t transition renamed packages, not libraries
        named = [one for one in depends if one.removesuffix("t64") == name]
        yield from named or (one for one in depends if one.startswith("lib") and not _NEVER.fullmatch(one))


def _names(field: str) -> Iterator[str]:
    """The first alternative of each dependency of a control field."""
    for dependency in field.split(","):
        found = _NAME.match(dependency.strip())
        if found and not _NEVER.fullmatch(found[0]):
            yield found[0]


def _depends(system: System, deb: Path) -> Iterator[str]:
    for field in ("Depends", "Pre-Depends"):
        done = system.capture(("dpkg-deb", "-f", str(deb), field), timeout=60, env=_plain(system))
        yield from _names(done.stdout)


def _extract(system: System, deb: Path, tree: Path) -> None:
    done = system.run(("dpkg-deb", "-x", str(deb), str(tree)), timeout=_DEADLINE, env=_plain(system))
    if done.returncode:
        raise failure("server-unpack", f"{deb.name} could not be unpacked", done)


def _binaries(tree: Path) -> Iterator[Path]:
    for folder, _folders, files in os.walk(tree):
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink() and (".so" in name or os.access(path, os.X_OK)) and _is_elf(path):
                yield path


def _is_elf(path: Path) -> bool:
    with storage_errors(path), path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def _sha256(file: Path) -> str:
    with storage_errors(file), file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _plain(system: System) -> dict[str, str]:
    return {**system.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
