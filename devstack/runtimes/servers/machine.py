"""What this machine is, as far as it decides which server binaries fit it.

Reads only; no subprocess, so that every run may ask.
"""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from devstack.system import System

_MANYLINUX = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}


@dataclass(frozen=True)
class Machine:
    """platform: `linux-x86_64`, `macos-arm64` …. glibc: () where the C library is another one. distribution:
    `debian-12`, "" where unknown. apt: its packages can be downloaded and unpacked. brew: path of Homebrew, or ""."""

    platform: str
    glibc: tuple[int, ...] = ()
    distribution: str = ""
    apt: bool = False
    brew: str = ""

    @property
    def triplet(self) -> str:
        """Debian's name of the folder for this architecture's libraries."""
        return self.platform.removeprefix("linux-") + "-linux-gnu"

    def runs(self, tags: str) -> bool:
        """Can binaries of a wheel with these platform tags (`manylinux_2_17_x86_64.manylinux2014_x86_64`) run here?
        Tags of another platform than this one aren't handed in."""
        needed = [self._needed_glibc(tag) for tag in tags.replace(",", ".").replace(" ", ".").split(".") if tag]
        if self.platform.startswith("macos"):
            return True
        return bool(self.glibc) and any(self.glibc >= least for least in needed)

    @staticmethod
    def _needed_glibc(tag: str) -> tuple[int, ...]:
        name, _, rest = tag.partition("_")
        if name in _MANYLINUX:
            return _MANYLINUX[name]
        numbers = rest.split("_")[:2]
        return tuple(map(int, numbers)) if name == "manylinux" and all(map(str.isdigit, numbers)) else ()


def observe(system: System) -> Machine:
    """The facts of the machine that this process runs on."""
    uname = os.uname()
    if sys.platform == "darwin":
        return Machine(f"macos-{uname.machine}", brew=which(system, "brew") or "")
    architecture = {"amd64": "x86_64", "arm64": "aarch64"}.get(uname.machine, uname.machine)
    release = os_release(system.read(Path("/etc/os-release")) or "")
    name, version = release.get("ID", ""), release.get("VERSION_ID", "")
    return Machine(
        f"linux-{architecture}",
        glibc=_glibc(),
        distribution=f"{name}-{version}".rstrip("-"),
        apt=all(which(system, program) for program in ("apt-get", "apt-cache", "dpkg-deb")),
        brew=which(system, "brew") or "",
    )


def which(system: System, program: str) -> str | None:
    """Absolute path of a program on this run's PATH."""
    return system.which(program, system.environ.get("PATH", os.defpath))


def os_release(text: str) -> dict[str, str]:
    """Assignments of an os-release file (os-release(5)); lines that aren't any are left out."""
    values = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith("#"):
            try:
                values[name] = "".join(shlex.split(value))
            except ValueError:
                continue
    return values


def _glibc() -> tuple[int, ...]:
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (ValueError, OSError):
        return ()
    return tuple(int(part) for part in version.split(".") if part.isdigit()) if name == "glibc" else ()
