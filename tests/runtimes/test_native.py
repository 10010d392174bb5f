"""Data folders that are whole or not there, and starts after whatever end the service had."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from devstack.errors import DataError, PrerequisiteError, ProcessError
from devstack.runtimes.native import MARKER, DataState
from devstack.runtimes.unprivileged import Unprivileged
from devstack.services import ServerFile
from devstack.system import System
from tests.runtimes.toys import PREPARE, Bench, prepare_script, spawn


def test_data_is_filled_once_per_template_and_copied_after_that(bench: Bench) -> None:
    assert bench.state() == DataState(False)
    first = bench.prepare()
    assert bench.state() == DataState(True, first, "15.3")
    assert (bench.cluster / "base/1").read_text() == "content\n"
    assert bench.cluster.stat().st_mode & 0o777 == 0o700
    other = replace(bench, instance=replace(bench.instance, data=str(bench.data.parent / "other")))
    second = other.prepare()
    assert second != first
    assert (other.cluster / "base/1").read_text() == "content\n"
    assert bench.initialised() == 1


def test_prepared_data_is_left_alone(bench: Bench) -> None:
    generation = bench.prepare()
    (bench.cluster / "rows").write_text("precious")
    bench.system.commands.clear()
    assert bench.prepare() == generation
    assert (bench.cluster / "rows").read_text() == "precious"
    assert bench.initialised() == 0


def test_a_damaged_seed_is_made_again(bench: Bench) -> None:
    bench.prepare()
    next(bench.cache.glob("*/data/base/1")).unlink()
    other = replace(bench, instance=replace(bench.instance, data=str(bench.data.parent / "other")))
    other.prepare()
    assert (other.cluster / "base/1").exists()
    assert bench.initialised() == 2


def test_a_failed_initialisation_leaves_nothing_and_shows_its_last_lines(bench: Bench) -> None:
    failing = replace(PREPARE, argv=("/bin/sh", "-c", "touch {target}/half; echo no locale; exit 3"))
    bench.spec = replace(bench.spec, prepare=failing)
    with pytest.raises(ProcessError, match="status 3") as caught:
        bench.prepare()
    assert "no locale" in caught.value.evidence
    assert not bench.cluster.exists()
    assert [entry for entry in bench.cache.iterdir() if not entry.name.endswith(".lock")] == []
    assert not bench.state().complete


@pytest.mark.parametrize(
    "killed_at", ["Seeds._make", "Seeds.copy_to", "Native._fill", "Native._mark 1", "Native._mark 2", "Native._lay_out"]
)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.fault("G4")
def test_killed_anywhere_while_preparing_the_next_run_does_the_rest(bench: Bench, killed_at: str, when: str) -> None:
    script = prepare_script(bench.data, bench.cache, killed=f"{killed_at} {when}")
    environ = {**bench.system.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = System(environ).capture((sys.executable, "-c", script), timeout=60)
    assert done.returncode == -signal.SIGKILL, done.output
    bench.prepare()
    assert bench.state().complete
    assert {entry.name for entry in bench.data.iterdir()} == {"cluster", MARKER}
    assert (bench.cluster / "base/1").read_text() == "content\n"
    assert len([entry for entry in bench.cache.iterdir() if not entry.name.endswith(".lock")]) == 1


def test_a_folder_without_any_data_in_it_is_made_anew(bench: Bench) -> None:
    bench.cluster.mkdir(parents=True)
    (bench.cluster / "VERSION").write_text("15\n")
    bench.prepare()
    assert (bench.cluster / "base/1").exists()


def test_data_without_a_record_is_a_persons_decision(bench: Bench) -> None:
    bench.prepare()
    (bench.data / MARKER).unlink()
    with pytest.raises(DataError) as caught:
        bench.prepare()
    assert caught.value.id == "data-unknown"
    assert caught.value.fix.startswith("mv -- ")
    assert (bench.cluster / "base/1").exists()


def test_data_of_another_major_version_is_refused_before_the_start_and_untouched(bench: Bench) -> None:
    bench.prepare()
    (bench.cluster / "VERSION").write_text("14\n")
    before = {path: path.stat().st_mtime_ns for path in bench.data.rglob("*")}
    for call in (bench.prepare, bench.before_start):
        with pytest.raises(DataError, match="toy 14") as caught:
            call()
        assert caught.value.id == "data-version"
        assert caught.value.fix == 'version = "14" under [services.toy] in the profile'
    assert "toy 14" in bench.state().problem
    assert not bench.state().complete
    assert {path: path.stat().st_mtime_ns for path in bench.data.rglob("*")} == before


def test_another_server_than_the_asked_one_is_not_blamed_on_the_version(bench: Bench) -> None:
    """The profile asks for the data's version already; an extension made devstack take another server."""
    bench.prepare()
    (bench.cluster / "VERSION").write_text("14\n")
    declaration = bench.instance.declaration.model_copy(update={"version": "14"})
    asking = replace(bench, instance=replace(bench.instance, declaration=declaration))
    with pytest.raises(DataError, match="toy 14") as caught:
        asking.prepare()
    assert caught.value.why == "no toy 14 here has all that the profile asks of toy"
    assert "version =" not in caught.value.fix


@pytest.mark.fault("G5")
def test_damaged_data_is_kept_and_named(bench: Bench) -> None:
    bench.prepare()
    (bench.cluster / "base/1").write_text("")
    with pytest.raises(DataError, match="base/1") as caught:
        bench.prepare()
    assert caught.value.id == "data-damaged"
    assert bench.cluster.exists()


def test_data_that_vanished_is_made_anew_with_another_generation(bench: Bench) -> None:
    generation = bench.prepare()
    shutil.rmtree(bench.cluster)
    assert "is gone" in bench.state().problem
    assert bench.prepare() != generation
    assert bench.state().complete


def test_a_kind_without_preparation_refuses_only_an_older_server(bench: Bench) -> None:
    bench.spec = replace(bench.spec, prepare=None)
    bench.prepare()
    bench.server = replace(bench.server, version="16.1")
    bench.before_start()
    assert bench.state().version == "16.1"
    bench.server = replace(bench.server, version="15.3")
    with pytest.raises(DataError, match="toy 16"):
        bench.before_start()


def test_files_folders_and_links_are_made_private_and_only_when_they_change(bench: Bench, tmp_path: Path) -> None:
    target = tmp_path / "toy/bin"
    bench.spec = replace(
        bench.spec, files=(ServerFile("etc/toy.conf", "port=1\n"), ServerFile(".cookie", "c", 0o400)),
        folders=("log/old",), links={"plugins/bin": str(target), "plugins/gone": str(tmp_path / "no")},
    )  # fmt: skip
    umask = os.umask(0o000)
    try:
        bench.prepare()
    finally:
        os.umask(umask)
    conf = bench.data / "etc/toy.conf"
    assert conf.stat().st_mode & 0o777 == 0o600
    assert (bench.data / ".cookie").stat().st_mode & 0o777 == 0o400
    assert (bench.data / "log/old").stat().st_mode & 0o777 == 0o700
    assert (bench.data / "plugins/bin").resolve() == target
    assert not os.path.lexists(bench.data / "plugins/gone")
    written = conf.stat().st_mtime_ns
    bench.before_start()
    assert conf.stat().st_mtime_ns == written
    conf.write_text("edited\n")
    bench.before_start()
    assert conf.read_text() == "port=1\n"


@pytest.mark.fault("C11")
def test_data_that_others_may_read_is_made_private_again(bench: Bench) -> None:
    bench.prepare()
    bench.cluster.chmod(0o755)
    bench.before_start()
    assert bench.cluster.stat().st_mode & 0o777 == 0o700


# --- what an earlier end left -----------------------------------------------------------------------------------------


def test_a_process_left_in_the_data_folder_is_ended_and_its_pid_file_removed(
    bench: Bench, started: list[int]
) -> None:
    bench.spec = replace(bench.spec, pid_files=("cluster/toy.pid",))
    bench.prepare()
    started.append(spawn(bench.system, (bench.server.program, "600"), bench.cluster))
    (bench.cluster / "toy.pid").write_text(str(started[0]))
    cleared = bench.before_start()
    assert bench.system.identity(started[0]) is None
    assert not (bench.cluster / "toy.pid").exists()
    assert len(cleared) == 2


@pytest.mark.fault("E1")
def test_strangers_live_whether_a_pid_file_names_them_or_they_stand_in_the_folder(
    bench: Bench, started: list[int], tmp_path: Path
) -> None:
    bench.spec = replace(bench.spec, pid_files=("cluster/toy.pid",))
    bench.prepare()
    for argv, cwd in (
        ((bench.server.program, "600"), tmp_path),
        (("/bin/sleep", "600"), bench.cluster),
    ):  # fmt: skip
        started.append(spawn(bench.system, argv, cwd))
    (bench.cluster / "toy.pid").write_text(str(started[0]))
    bench.before_start()
    assert all(bench.system.identity(pid) for pid in started)
    assert not (bench.cluster / "toy.pid").exists()


# --- rights -----------------------------------------------------------------------------------------------------------


@pytest.mark.fault("A11")
def test_servers_do_not_run_as_root(bench: Bench) -> None:
    done = bench.system.capture(bench.native.wrap(("id", "-u")), timeout=10)
    assert done.stdout.strip() == (str(os.geteuid()) if os.geteuid() else "65534")


def test_without_user_namespaces_root_hands_its_data_to_another_user(bench: Bench, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root has to become somebody else")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("setpriv", "true", "sh", "mkdir", "cp", "id", "cat"):
        (tools / name).symlink_to(shutil.which(name) or f"/usr/bin/{name}")
    (tools / "unshare").write_text("#!/bin/sh\necho 'unshare failed: Operation not permitted' >&2; exit 1\n")
    (tools / "unshare").chmod(0o755)
    bench.system.environ["PATH"] = str(tools)
    bench.prepare()
    uid = bench.cluster.stat().st_uid
    assert uid != 0
    assert {path.stat().st_uid for path in bench.cluster.rglob("*")} == {uid}
    # the project lies in a folder of root's own, and the server reaches its data all the same
    tmp_path.chmod(0o700)
    done = bench.system.capture(bench.native.wrap(("cat", str(bench.cluster / "base/1"))), timeout=10)
    assert done.stdout == "content\n"
    # and back, where a user namespace works again
    bench.system.environ["PATH"] = os.environ["PATH"]
    assert Unprivileged(bench.system).way().uid == 0
    bench.prepare()
    assert {path.stat().st_uid for path in (bench.data, *bench.data.rglob("*"))} == {0}


@pytest.mark.fault("A11")
def test_where_nothing_works_root_is_told_so(bench: Bench, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root has to become somebody else")
    bench.system.environ["PATH"] = str(tmp_path)
    with pytest.raises(PrerequisiteError) as caught:
        bench.native.wrapper()
    assert caught.value.id == "root-refused"


def prepared_by_nobody(home: Path, as_nobody: tuple[str, ...]) -> str:
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path)}
    argv = (*as_nobody, "-B", "-c", prepare_script(home / "data", home / "seeds"))
    done = System(environ).capture(argv, timeout=60, cwd=home)
    assert done.returncode == 0, done.output
    return done.stdout


def test_an_ordinary_user_prepares_data_in_a_folder_with_a_space(
    nobodys_home: Path, as_nobody: tuple[str, ...]
) -> None:
    assert prepared_by_nobody(nobodys_home, as_nobody) == "True ()\n"
    assert (nobodys_home / "data/cluster/base/1").stat().st_uid == 65534


@pytest.mark.fault("C9")
def test_data_of_another_user_is_refused_with_the_command_that_gives_it_back(
    nobodys_home: Path, as_nobody: tuple[str, ...]
) -> None:
    data = nobodys_home / "data"
    data.mkdir(0o755)
    assert prepared_by_nobody(nobodys_home, as_nobody) == f"not-yours sudo chown -R 65534:65534 -- '{data}'\n"
