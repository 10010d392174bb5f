"""What a profile names of the operating system is looked for on this machine, and nothing is installed."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from devstack import planner, system_packages
from devstack.detect.system_needs import NEEDS, Machine, family_of, package_of
from devstack.plan import Up
from devstack.profile.model import Profile, SystemNeeds
from devstack.state import PythonState, State
from devstack.system import System

SUDO = "" if os.geteuid() == 0 else "sudo "


def script(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


class Elsewhere(System):
    """A machine of another family."""

    os_release = ""

    def read(self, path: Path) -> str | None:
        return self.os_release if path == Path("/etc/os-release") else super().read(path)


class Debian(Elsewhere):
    os_release = 'ID=ubuntu\nID_LIKE="debian"\n'


class Fedora(Elsewhere):
    os_release = 'ID="rocky"\nID_LIKE="rhel centos fedora"\n'


class Arch(Elsewhere):
    os_release = "ID=arch\n"


def test_on_debian_one_command_brings_what_is_missing(tmp_path: Path) -> None:
    """A package that only has its files left isn't installed; one may be provided by another."""
    listing = "installed\\tlibpq-dev\\t\\nconfig-files\\tgone\\t\\ninstalled\\tmawk\\tawk, other (= 1)\\n"
    script(tmp_path / "bin", "dpkg-query", f"printf '{listing}'")
    debian, binaries = ("libpq-dev", "gone", "awk", "libxml2-dev:amd64"), ("sh", "msgfmt", "frobnicate")
    needs = SystemNeeds(debian=debian, binaries=binaries)
    shutil.copy("/bin/sh", tmp_path / "bin" / "sh")
    lacks = system_packages.look(Debian({"PATH": str(tmp_path / "bin")}), needs)
    assert (lacks.packages, lacks.commands) == (("gone", "libxml2-dev:amd64"), ("msgfmt", "frobnicate"))
    assert lacks.fix == f"{SUDO}apt-get install -y gone libxml2-dev:amd64 gettext frobnicate"
    assert str(lacks) == "gone, libxml2-dev:amd64, msgfmt (not on PATH), frobnicate (not on PATH)"


def test_on_fedora_rpm_is_asked(tmp_path: Path) -> None:
    script(tmp_path / "bin", "rpm", "echo libpq-devel-16.1-1.x86_64; echo no package provides xmlsec1-devel; exit 1")
    lacks = system_packages.look(
        Fedora({"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}), SystemNeeds(fedora=("libpq-devel", "xmlsec1-devel"))
    )
    assert lacks.packages == ("xmlsec1-devel",)
    assert lacks.fix == f"{SUDO}dnf install -y xmlsec1-devel"


def test_elsewhere_commands_are_looked_for_and_packages_are_said_not_to_be() -> None:
    needs = SystemNeeds(debian=("libpq-dev",), binaries=("frobnicate",))
    lacks = system_packages.look(Arch({"PATH": "/usr/bin:/bin"}), needs)
    assert (lacks.packages, lacks.commands) == ((), ("frobnicate",))
    assert "aren't checked" in lacks.note
    assert lacks.fix


def test_where_the_package_manager_isn_t_there_it_is_said() -> None:
    lacks = system_packages.look(Debian({"PATH": "/nonexistent"}), SystemNeeds(debian=("libpq-dev",)))
    assert (lacks.packages, "aren't checked" in lacks.note) == ((), True)


def test_nothing_is_asked_where_nothing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(System, "_popen", lambda *_a, **_k: pytest.fail("a process was started"))
    lacks = system_packages.look(System({"PATH": "/usr/bin:/bin"}), SystemNeeds(fedora=("x",), macos=("y",)))
    assert str(lacks) == ""


def test_a_plan_tells_what_would_stop_it(
    make_profile: Callable[[str], Profile], make_state: Callable[..., State]
) -> None:
    profile = make_profile('name = "shop"')
    python = PythonState(wanted="k", version="3.11.7", lacks="libpq-dev", remedy="sudo apt-get install -y libpq-dev")
    made = planner.build(profile, make_state(profile, python=python), Up(), "")
    assert "this machine lacks libpq-dev: sudo apt-get install -y libpq-dev" in made.warnings


@pytest.mark.parametrize(("text", "family"), [
    ("ID=debian\n", "debian"), ('ID=linuxmint\nID_LIKE="ubuntu debian"\n', "debian"), ("ID=fedora\n", "fedora"),
    ('ID="rhel"\n', "fedora"), ("ID=alpine\n", ""), ("", ""),
])
def test_families_are_known_by_their_own_words(text: str, family: str) -> None:
    assert family_of(text) == family


@pytest.mark.parametrize(("said", "thing", "debian"), [
    ("./foo.h:1:10: fatal error: Python.h: No such file", "Python's own headers", "python3.11-dev"),
    ("fatal error: libpq-fe.h", "pg_config and libpq's headers", "libpq-dev"),
    ("fatal error: ffi.h: No such file", "libffi's headers", "libffi-dev"),
    ("fatal error: openssl/opensslv.h", "OpenSSL's headers", "libssl-dev"),
    ("fatal error: lber.h", "OpenLDAP's headers", "libldap-dev"),
    ("fatal error: libxml/xmlversion.h", "libxml2's", "libxml2-dev"), ("xmlsec/xmlsec.h", "xmlsec1", "libxmlsec1-dev"),
    ("fatal error: curl/curl.h", "libcurl", "libcurl4-openssl-dev"),
    ("fatal error: mysql.h", "MySQL", "default-libmysql"),
    ("fatal error: sqlite3.h", "SQLite", "libsqlite3-dev"), ("fatal error: zlib.h: No such", "zlib's", "zlib1g-dev"),
    ("The headers or library files could not be found for jpeg", "libjpeg", "libjpeg-dev"),
    ("error: can't find Rust compiler", "Rust", "cargo"),
    ("FileNotFoundError: No such file or directory: 'cmake'", "CMake", "cmake"),
    ("error: command 'swig' failed: No such file or directory", "SWIG", "swig"),
    ("error: command 'x86_64-linux-gnu-gcc' failed: No such file or directory", "a C compiler", "build-essential"),
    ("error: [Errno 2] No such file or directory: 'git'", "git", "git"),
])  # fmt: skip
def test_a_builds_own_words_lead_to_a_package(said: str, thing: str, debian: str) -> None:
    need = next(need for need in NEEDS if re.search(need.pattern, said))
    assert need.thing.startswith(thing)
    assert debian in need.command(Machine("debian"), "3.11")
    assert need.command(Machine("debian", is_root=True)).startswith("apt-get install -y ")
    assert need.command(Machine("fedora")).startswith("sudo dnf install -y ")
    assert need.command(Machine("macos"), "3.11").partition(" ")[0] in ("brew", "xcode-select")
    assert thing.partition(" ")[0] in need.command(Machine(""))


def test_most_packages_are_called_like_their_command() -> None:
    assert [package_of("msgfmt", family) for family in ("debian", "macos", "")] == ["gettext", "gettext", "msgfmt"]
    assert package_of("git", "debian") == "git"
