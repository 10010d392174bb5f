"""Installers' own last lines, and the errors made of them."""

from __future__ import annotations

import pytest

from devstack.detect import install_failure
from devstack.detect.install_failure import Context
from devstack.detect.system_needs import NEEDS, Machine
from devstack.errors import NetworkError, ProcessError, StorageError

DEBIAN = Context(Machine("debian"), "3.11")
UNREACHABLE = """error: Request failed after 3 retries in 10.9s
  cause: Failed to fetch: https://index.example/simple/idna/
  cause: error sending request for url (https://index.example/simple/idna/)
  cause: client error (Connect)
  cause: dns error
  cause: failed to lookup address information: Temporary failure in name resolution"""
NOT_CACHED = """error: No solution found when resolving dependencies
  cause: Because six was not found in the cache and you require six==1.15.0, we can conclude that this is unsatisfiable.

hint: Packages were unavailable because the network was disabled."""
HASH = """error: Failed to download `six==1.16.0`
  cause: Hash mismatch for `six==1.16.0`

         Expected:
           sha256:0000
         Computed:
           sha256:8abb"""
CERTIFICATE = """error: Failed to fetch: https://index.example/simple/idna/
  cause: error sending request for url (https://index.example/simple/idna/)
  cause: invalid peer certificate: UnknownIssuer"""
CONFLICT = """error: No solution found when resolving dependencies
  cause: Because you require django==5.2 and django<4, we can conclude that your requirements are unsatisfiable."""
UVS_PYTHON = """Using Python 3.11.7 environment at: .devstack/venvs/0f
error: No solution found when resolving dependencies
  cause: Because the current Python version (3.11.7) does not satisfy Python>=3.12 and you require django==6.1, we can conclude that your requirements are unsatisfiable."""  # noqa: E501
PIPS_PYTHON = "ERROR: Package 'shop' requires a different Python: 3.11.7 not in '<3.11,>=3.8'"
PG_CONFIG = """  × Failed to build `psycopg2==2.9.9`
  ├─▶ The build backend returned an error
         Error: pg_config executable not found."""
NO_COMPILER = """  × Failed to build `thing==1.0`
      error: command 'gcc' failed: No such file or directory"""
NO_BUILD_TOOL = """error: Failed to build `shop @ file:///src/shop`
  cause: Failed to resolve requirements from `build-system.requires`
  cause: No solution found when resolving: `hatchling`
  cause: Because hatchling was not found in the cache and you require hatchling, we can conclude that ...
hint: Packages were unavailable because the network was disabled."""
PIPS_BUILD_TOOL = """  × installing build dependencies did not run successfully.
      WARNING: Retrying (Retry(total=0)) after connection broken by 'NameResolutionError
      ERROR: No matching distribution found for hatchling
ERROR: Failed to build 'file:///src/shop' when installing build dependencies"""
GIT_GONE = """error: Failed to download and build `foo @ git+https://h.example/a/foo.git@v9`
  cause: Git operation failed
  cause: failed to find branch, tag, or commit `v9`
         fatal: couldn't find remote ref refs/tags/v9"""
GIT_PRIVATE = """error: Failed to download and build `foo @ git+https://h.example/a/foo.git`
  cause: Git operation failed
         fatal: could not read Username for 'https://h.example': terminal prompts disabled"""
REFUSED = """error: Failed to fetch: `https://private.example/simple/acme/`
  cause: HTTP status client error (401 Unauthorized) for url (https://private.example/simple/acme/)"""


@pytest.mark.parametrize(("output", "kind", "id", "said"), [
    (UNREACHABLE, NetworkError, "network-unreachable", "error sending request"),
    (NOT_CACHED, NetworkError, "offline-missing", "network was disabled"),
    (HASH, NetworkError, "hash-mismatch", "six==1.16.0"),
    (CERTIFICATE, NetworkError, "certificate-unknown", "authority"),
    (REFUSED, NetworkError, "index-refused", "401"),
    (NO_BUILD_TOOL, NetworkError, "offline-missing", "hatchling isn't in the cache"),
    (PIPS_BUILD_TOOL, NetworkError, "offline-missing", "hatchling isn't in the cache"),
    (GIT_GONE, NetworkError, "git-failed", "foo @ git+https://h.example/a/foo.git@v9"),
    (GIT_PRIVATE, NetworkError, "index-refused", "foo @ git+https://h.example/a/foo.git"),
    (CONFLICT, ProcessError, "install-failed", "Because you require django==5.2 and django<4"),
    (PG_CONFIG, ProcessError, "install-failed", "psycopg2==2.9.9 can't be built: pg_config"),
    (NO_COMPILER, ProcessError, "install-failed", "thing==1.0 can't be built: a C compiler"),
    ("error: Failed to install\n  cause: No space left on device (os error 28)", StorageError, "disk-full", "full"),
    ("error: failed to open /x\n  cause: Permission denied (os error 13)", StorageError, "no-permission", "written"),
    ("error: something never seen", ProcessError, "install-failed", "something never seen"),
])
def test_each_failure_gets_its_kind_its_id_and_a_way_out(
    output: str, kind: type[Exception], id: str, said: str
) -> None:
    error = install_failure.diagnose("install requirements.txt", output.splitlines(), DEBIAN)
    assert type(error) is kind
    assert error.id == id
    assert said in f"{error.what} {error.why}"
    assert error.fix
    assert error.evidence == tuple(output.splitlines())[-25:]


@pytest.mark.parametrize(("family", "command"), [
    ("debian", "sudo apt-get install -y libpq-dev"), ("fedora", "sudo dnf install -y libpq-devel"),
    ("macos", "brew install libpq"),
])
def test_a_missing_header_is_answered_with_the_familys_command(family: str, command: str) -> None:
    assert install_failure.diagnose("install", PG_CONFIG.splitlines(), Context(Machine(family))).fix == command


def test_the_patterns_of_every_need_compile_and_name_packages() -> None:
    for need in NEEDS:
        assert install_failure.diagnose("x", ["Failed to build `a`", need.thing], DEBIAN).id == "install-failed"
        assert all((need.debian, need.fedora))


@pytest.mark.parametrize(("output", "answer"), [
    (UNREACHABLE, True), (HASH, False), (CERTIFICATE, False), (CONFLICT, False),
])
def test_only_an_unreachable_network_sends_to_the_cache(output: str, answer: bool) -> None:
    assert install_failure.is_unreachable(output.splitlines()) is answer


@pytest.mark.parametrize(("line", "missing"), [
    ("src/thing.c:3:10: fatal error: acme/thing.h: No such file or directory", "acme/thing.h"),
    ("src/thing.c:3:10: fatal error: 'thing.hpp' file not found", "thing.hpp"),
    ('../meson.build:9:0: ERROR: Dependency "acme-1" not found, tried pkgconfig', "acme-1.pc"),
    ("No package 'acme-1' found", "acme-1.pc"),
])
def test_a_header_that_no_table_knows_is_named_all_the_same(line: str, missing: str) -> None:
    error = install_failure.diagnose("install", ["Failed to build `thing==1.0`", line], DEBIAN)
    assert error.what == f"thing==1.0 can't be built: {missing} is missing"
    assert f"apt-file search {missing}" in error.fix


def test_headers_are_missing_and_a_compiler_is() -> None:
    headers = install_failure.diagnose("install", ["Failed to build `a`", "fatal error: lber.h: No such file"], DEBIAN)
    compiler = install_failure.diagnose("install", NO_COMPILER.splitlines(), DEBIAN)
    assert headers.what.endswith("headers are missing")
    assert compiler.what.endswith("a C compiler is missing")


@pytest.mark.parametrize(("output", "version"), [(UVS_PYTHON, ">=3.12"), (PIPS_PYTHON, "<3.11,>=3.8")])
def test_requirements_that_exclude_the_python_are_answered_with_one_that_they_allow(output: str, version: str) -> None:
    error = install_failure.diagnose("install requirements.txt", output.splitlines(), DEBIAN)
    assert error.id == "python-excluded"
    assert "Python 3.11.7 is none that it allows" in error.what
    assert error.fix == f'version = "{version}" below [python]'


def test_what_is_being_built_is_known_by_name() -> None:
    lines = ["   Building lxml==4.9", "   Building scikit-image==0.19.3", "      Built lxml==4.9", "other"]
    assert install_failure.building(lines) == ("scikit-image==0.19.3",)
