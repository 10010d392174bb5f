"""Which source is taken: version first, then order; features always."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from devstack.runtimes.servers.choice import Candidate, Miss, pick, satisfies
from devstack.runtimes.servers.machine import Machine, os_release
from devstack.runtimes.servers.packages import library_package, upstream
from devstack.services import Installed, Server, Source

HERE = Installed("postgres", ())


def offer(name: str, version: str, *, only: tuple[str, ...] | None = None, serves: tuple[str, ...] = (),
          lacks: tuple[str, ...] = (), command: tuple[str, ...] = ()) -> Candidate:
    source = Source(name, HERE, version, serves, frozenset(lacks), None if only is None else frozenset(only))
    return Candidate(source, Server("postgres", name, version, "/h", "/h/p"), True, f"from {name}", command)


INSTALLED = offer("installed", "15.18")
WHEEL_18 = offer("wheel-18", "18.6", only=("pg_trgm", "vector"))
WHEEL_16 = offer("wheel-16", "16.14", only=("vector",))
VALKEY = offer("valkey", "9.1.2", serves=("7.2.4",))
CONSENT = offer("system", "", command=("sudo", "apt-get", "install", "postgresql"))


@pytest.mark.parametrize(
    ("version", "wanted", "yes"),
    [
        ("16.14", "16", True), ("16", "16", True), ("3.10.8", "3.13", False), ("3.10.8", "3", True),
        ("16.14", "16.1", False), ("160.1", "16", False), ("7.0.15", "", True), ("7.0.15", "latest", True),
        ("16.14", "16-alpine", True), ("", "16", False), ("", "", True), ("7", "7.2", False), ("18.6", "v18", True),
    ],
)  # fmt: skip
def test_a_version_satisfies_what_it_agrees_with_in_every_named_component(
    version: str, wanted: str, yes: bool
) -> None:
    assert satisfies(version, wanted) is yes


@pytest.mark.parametrize(
    ("wanted", "needs", "offers", "taken", "warned"),
    [
        ("15", (), (INSTALLED, WHEEL_18), "installed", ""),
        ("16", (), (INSTALLED, WHEEL_18, WHEEL_16), "wheel-16", ""),
        ("18", ("pg_trgm",), (INSTALLED, WHEEL_18), "wheel-18", ""),
        ("16", ("pg_trgm",), (INSTALLED, WHEEL_18, WHEEL_16), "installed",
         "postgres 16 asked, 15.18 from installed (no source has 16 with pg_trgm)"),
        ("17", ("vector",), (offer("old", "13.2"), WHEEL_18, WHEEL_16), "wheel-18",
         "postgres 17 asked, 18.6 from wheel-18 (no source has 17 here)"),
        ("7", (), (VALKEY,), "valkey", ""),
        ("3.13", (), (offer("far", "4.0.1"), offer("near", "3.10.8")), "near",
         "postgres 3.13 asked, 3.10.8 from near (no source has 3.13 here)"),
        ("16", ("sslinfo",), (offer("a", "16.1", lacks=("sslinfo",)), offer("b", "15.2")), "b",
         "postgres 16 asked, 15.2 from b (no source has 16 with sslinfo)"),
        ("16", (), (offer("packages", ""),), "packages",
         "postgres 16 asked; from packages has a version that is known once it is fetched"),
        ("16", ("pgcrypto",), (WHEEL_18, WHEEL_16, CONSENT), "system", ""),
        ("16", (), (CONSENT, WHEEL_18), "wheel-18", "postgres 16 asked, 18.6 from wheel-18 (no source has 16 here)"),
    ],
)  # fmt: skip
def test_the_source_taken_and_the_warning_given(
    wanted: str, needs: tuple[str, ...], offers: tuple[Candidate, ...], taken: str, warned: str
) -> None:
    choice = pick("postgres", wanted, frozenset(needs), offers)
    assert choice is not None
    assert (choice.source.name, choice.warning) == (taken, warned)


def test_what_only_the_person_may_install_comes_last_and_with_its_command() -> None:
    choice = pick("postgres", "16", frozenset(("pgcrypto",)), (WHEEL_16, CONSENT))
    assert choice is not None
    assert choice.consent == ("sudo", "apt-get", "install", "postgresql")
    assert not choice.is_fetched


def test_nothing_is_taken_without_the_features() -> None:
    offers = (WHEEL_16, Miss(Source("gone", HERE), "no postgres on PATH"))
    assert pick("postgres", "16", frozenset(("pgcrypto",)), offers) is None


def test_a_satisfying_source_spares_the_look_at_the_others() -> None:
    def offers() -> Iterator[Candidate]:
        yield INSTALLED
        raise AssertionError("the next source was asked for")

    choice = pick("postgres", "15", frozenset(), offers())
    assert choice is not None
    assert choice.source.name == "installed"


@pytest.mark.parametrize(
    ("glibc", "tags", "runs"),
    [
        ((2, 36), "manylinux_2_28_x86_64", True), ((2, 17), "manylinux_2_28_x86_64", False),
        ((2, 17), "manylinux_2_28_x86_64.manylinux2014_x86_64", True), ((), "manylinux_2_17_x86_64", False),
    ],
)  # fmt: skip
def test_a_wheel_is_only_offered_where_its_c_library_is_there(glibc: tuple[int, ...], tags: str, runs: bool) -> None:
    assert Machine("linux-x86_64", glibc).runs(tags) is runs


def test_os_release_is_read_as_a_shell_would() -> None:
    text = '# comment\nID=debian\nVERSION_ID="12"\nPRETTY_NAME=\'Debian "12"\'\nbroken="\nnonsense\n'
    assert os_release(text) == {"ID": "debian", "VERSION_ID": "12", "PRETTY_NAME": 'Debian "12"'}


@pytest.mark.parametrize(
    ("debian", "plain"),
    [("5:7.0.15-1~deb12u7", "7.0.15"), ("3.10.8-1.1+deb12u1", "3.10.8"), ("15.18-0+deb12u1", "15.18"), ("2.0", "2.0")],
)
def test_upstream_version_of_a_package(debian: str, plain: str) -> None:
    assert upstream(debian) == plain


@pytest.mark.parametrize(
    ("soname", "package"),
    [
        ("libjemalloc.so.2", "libjemalloc2"), ("liblua5.3.so.0", "liblua5.3-0"), ("liblzf.so.1", "liblzf1"),
        ("libopentracing-c-wrapper.so.0", "libopentracing-c-wrapper0"), ("libfoo_bar.so.1.2", "libfoo-bar1.2"),
    ],
)  # fmt: skip
def test_the_package_of_a_shared_library_by_policy(soname: str, package: str) -> None:
    assert library_package(soname) == package
