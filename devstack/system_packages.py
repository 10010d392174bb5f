"""Which of the operating system's packages and commands that a profile names are missing; nothing is ever installed."""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from devstack.detect import scrub
from devstack.detect.system_needs import Machine, family_of, package_of
from devstack.errors import PrerequisiteError
from devstack.profile.model import SystemNeeds
from devstack.state import PythonState
from devstack.system import System

_DEADLINE = 20.0


@dataclass(frozen=True)
class Lacks:
    """packages: not installed. commands: not on PATH. fix: the one command that brings them. note: for the person."""

    packages: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    fix: str = ""
    note: str = ""

    def __str__(self) -> str:
        """In words, "" where nothing is missing."""
        return ", ".join((*self.packages, *(f"{name} (not on PATH)" for name in self.commands)))


def machine(system: System) -> Machine:
    """This machine's family of systems."""
    if sys.platform == "darwin":
        return Machine("macos")
    return Machine(family_of(system.read(Path("/etc/os-release")) or ""), is_root=system.user_id() == 0)


def look(system: System, needs: SystemNeeds) -> Lacks:
    """What is missing here. A family's list counts on that family; commands count everywhere."""
    here = machine(system)
    packages = {"debian": needs.debian, "fedora": needs.fedora, "macos": needs.macos}.get(here.family, ())
    path = scrub.plain(system.environ)["PATH"]
    commands = tuple(name for name in needs.binaries if shutil.which(name, path=path) is None)
    missing, note = _missing(system, here.family, packages) if packages else ((), "")
    if not here.family and (needs.debian or needs.fedora or needs.macos):
        note = "[python.system] packages aren't checked: this is neither Debian's nor Fedora's family nor macOS"
    wanted = (*missing, *(package_of(name, here.family) for name in commands))
    fix = here.command(wanted) if wanted else ""
    return Lacks(missing, commands, fix or "install them with this system's package manager", note)


def ensure(python: PythonState | None) -> None:
    """Raises PrerequisiteError for what a build would lack, before anything is done."""
    if python is not None and python.lacks:
        raise PrerequisiteError(
            "system-packages-missing", f"this machine lacks {python.lacks}", why="[python.system] of the profile",
            fix=python.remedy,
        )


def _missing(system: System, family: str, packages: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    try:
        have = {"debian": _debian, "fedora": _fedora, "macos": _brew}[family](system, packages)
    except PrerequisiteError as error:
        return (), f"[python.system] packages aren't checked: {error.why or error.what}"
    return tuple(name for name in packages if name.partition(":")[0] not in have), ""


def _debian(system: System, packages: tuple[str, ...]) -> set[str]:
    # all of them, since a name may be provided by a package of another one
    asked = ("dpkg-query", "-W", "-f", "${db:Status-Status}\t${Package}\t${Provides}\n")
    done = system.capture(asked, timeout=_DEADLINE)
    have = set[str]()
    for line in done.stdout.splitlines():
        status, name, provided = line.split("\t", 2)
        if status == "installed":
            have |= {name, *re.findall(r"(?:^|,)\s*([^\s,(]+)", provided)}
    return have


def _fedora(system: System, packages: tuple[str, ...]) -> set[str]:
    # without `--qf` an installed one is answered with its full name, a missing one with words that hold its own
    done = system.capture(("rpm", "-q", "--whatprovides", "--", *packages), timeout=_DEADLINE)
    absent = set(re.findall(r"^no package provides (\S+)$", done.stdout, re.M))
    return set(packages) - absent


def _brew(system: System, packages: tuple[str, ...]) -> set[str]:
    done = system.capture(("brew", "list", "--versions", "--", *packages), timeout=_DEADLINE)
    found = {line.split()[0] for line in done.stdout.splitlines() if line.strip()}
    return {name for name in packages if name in found or name.partition("@")[0] in found}
