"""The real Postgres as a process of this machine: it comes back after the ends that leave something behind."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from devstack import services
from devstack.errors import PrerequisiteError
from devstack.runtimes.servers import Servers
from tests.runtimes.toys import Bench, spawn


@pytest.mark.fault("E1", "G6")
def test_postgres_starts_again_after_kill_9_with_a_stale_pid_file(
    bench: Bench, started: list[int], shared_servers: Path, tmp_path: Path
) -> None:
    kind, system = services.get("postgres"), bench.system
    try:
        choice = Servers(system, shared_servers).choose("postgres", kind, "", frozenset())
    except PrerequisiteError as error:
        pytest.skip(error.why)
    if not choice.is_fetched:
        pytest.skip("no Postgres is on this machine")
    port, sockets = system.free_port(), Path("/tmp") / f"devstack-test-{os.getpid()}"  # noqa: S108 - short, private
    sockets.mkdir(mode=0o700)
    try:
        instance = replace(
            bench.instance, name="postgres", declaration=kind.declaration(), ports={"main": port}, user="shop",
            sockets=str(sockets),
        )  # fmt: skip
        spec = kind.native(instance, choice.server)
        native, cluster = bench.native, Path(instance.data, "" if spec.prepare is None else spec.prepare.folder)
        generation = native.prepare(instance, choice.server, spec)
        for round_ in range(2):
            native.before_start(instance, choice.server, spec)
            argv = native.wrap(spec.argv)
            pid = spawn(system, argv, Path(spec.cwd), spec.env)
            started.append(pid)
            assert system.until(lambda: system.connect(port, 1) is None, 30), (tmp_path / "log").read_text()
            if not round_:
                identity = system.identity(pid)
                assert identity is not None
                system.signal(identity, signal.SIGKILL)
                # what a reused pid looks like: the file names a living stranger
                (cluster / "postmaster.pid").write_text(f"{os.getpid()}\n{cluster}\n0\n{port}\n")
        assert native.data_state(instance, choice.server, spec).generation == generation
        for squatter in native.squatters(instance, choice.server):
            system.signal(squatter, signal.SIGKILL)
        assert system.until(lambda: not native.squatters(instance, choice.server), 10)
    finally:
        shutil.rmtree(sockets)
