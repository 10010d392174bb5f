"""A supervisord that was killed, cut off, forged or interrupted: nothing is lost, and no stranger is touched."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack import orphans
from devstack.errors import ProcessError
from devstack.processes import Identity
from devstack.supervisor_rpc import Rpc
from devstack.system import System
from tests.supervisor_bench import Bench, base, running_bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with running_bench(tmp_path) as bench:
        yield bench


@pytest.fixture
def stranger() -> Iterator[Identity]:
    """A process that has nothing to do with the stack."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    identity = System().identity(child.pid)
    assert identity
    yield identity
    child.kill()
    child.wait()


def note(bench: Bench, program: str, identity: Identity, run: str = "old") -> None:
    path = Path(bench.layout.record(program))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_text(f"{identity.pid} {identity.start} {run} 0123456789abcdef 0\n")


@pytest.mark.fault("I5", "I6")
def test_killing_supervisord_leaves_orphans_that_are_found_and_reaped(bench: Bench, stranger: Identity) -> None:
    worker = bench.shell("worker-1", "setsid sh -c 'echo left $$; exec sleep 600' & wait")
    bench.up(bench.program("web", "sleep", "600"), worker)
    left = bench.child("worker-1", "left")
    bench.kill(bench.daemon())
    state = bench.supervisor.observe()
    assert not state.is_running
    assert {orphan.program for orphan in state.orphans} == {"web", "worker-1"}
    assert left.pid in {orphan.pid for orphan in state.orphans}
    note(bench, "db", Identity(stranger.pid, "1"))
    assert bench.supervisor.reap(bench.supervisor.observe().orphans, {}) == ()
    assert bench.supervisor.observe().orphans == ()
    assert bench.system.is_alive(stranger)
    bench.supervisor.start(base())
    bench.supervisor.start_program("web")
    assert bench.state("web").is_running


def test_orphans_are_ended_by_their_own_signal_and_killed_after_their_grace(bench: Bench, tmp_path: Path) -> None:
    polite = f"trap 'echo bye >{tmp_path}/bye; exit' INT; echo ready; while :; do sleep 0.1; done"
    bench.up(bench.shell("db", polite), bench.shell("deaf", "trap '' INT; echo ready; sleep 600"))
    for name in ("db", "deaf"):
        bench.said(name, "ready")
    bench.kill(bench.daemon())
    killed = bench.supervisor.reap(bench.supervisor.observe().orphans, {"db": ("INT", 10), "deaf": ("INT", 0.3)})
    assert (tmp_path / "bye").exists()
    assert {orphan.program for orphan in killed} == {"deaf"}


def test_a_process_that_hid_its_environment_is_found_by_its_record(bench: Bench) -> None:
    """Some servers write their title over their environment: `env -i` stands for them."""
    bench.up(bench.program("db", "env", "-i", "sleep", "600"))
    bench.until(lambda: b"sleep" in Path(f"/proc/{bench.state('db').pid}/cmdline").read_bytes())
    db = bench.identity(bench.state("db").pid)
    if not Path("/proc/self/stat").exists():
        pytest.skip("a shell can't know its start time without /proc")
    bench.kill(bench.daemon())
    assert [(orphan.pid, orphan.program) for orphan in bench.supervisor.observe().orphans] == [(db.pid, "db")]


@pytest.mark.fault("E1")
def test_a_record_that_names_a_living_stranger_is_not_believed(bench: Bench, stranger: Identity) -> None:
    """Same pid and start time, but an environment that is another's: a reboot can make such a pair."""
    note(bench, "web", stranger)
    assert bench.supervisor.observe().orphans == ()
    bench.supervisor.shutdown({}, 5)
    assert bench.system.is_alive(stranger)


@pytest.mark.fault("E1")
def test_a_supervisor_record_that_names_a_stranger_is_not_believed(bench: Bench, stranger: Identity) -> None:
    bench.write(bench.program("web", "sleep", "600"))
    record = {"pid": stranger.pid, "start": "1", "run": "old", "config": ""}
    Path(bench.layout.supervisor_record).write_text(json.dumps(record))
    assert not bench.supervisor.observe().is_running
    bench.supervisor.start(base())
    assert bench.daemon().pid != stranger.pid
    assert bench.system.is_alive(stranger)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}', '{"pid": null}', "\0\0"])
def test_a_damaged_supervisor_record_loses_nothing(bench: Bench, text: str) -> None:
    bench.up(bench.program("web", "sleep", "600"))
    before = bench.supervisor.observe()
    Path(bench.layout.supervisor_record).write_text(text)
    state = bench.supervisor.observe()
    assert (state.run, state.pid, state.orphans) == (before.run, before.pid, ())
    assert state.programs["web"].digest == before.programs["web"].digest
    assert bench.supervisor.start(base()) == before.run


@pytest.mark.fault("E4")
def test_a_removed_socket_never_leads_to_a_second_daemon(bench: Bench) -> None:
    bench.up(bench.program("web", "sleep", "600"))
    old, web = bench.daemon(), bench.identity(bench.state("web").pid)
    shutil.rmtree(bench.layout.sockets)
    state = bench.supervisor.observe()
    assert not state.is_running
    assert {old.pid, web.pid} <= {orphan.pid for orphan in state.orphans}
    bench.supervisor.start(base())
    assert not bench.system.is_alive(old)
    assert not bench.system.is_alive(web)
    assert bench.daemon() != old


def test_a_daemon_on_its_way_out_is_waited_for(bench: Bench) -> None:
    bench.up(bench.shell("web", "trap 'sleep 1; exit' TERM; echo ready; while :; do sleep 0.1; done", stop_grace=5.0))
    bench.said("web", "ready")
    old = bench.daemon()
    Rpc(bench.system, bench.layout.socket).call("supervisor.shutdown")
    assert not bench.supervisor.observe().is_running
    bench.supervisor.start(base())
    assert not bench.system.is_alive(old)


@pytest.mark.parametrize(
    "moment", ["logs/supervisord.out", "supervisor.json", "logs/supervisord.log", "supervisord.pid"]
)
def test_devstack_killed_while_it_starts_supervisord_leaves_one_daemon(bench: Bench, moment: str) -> None:
    bench.write(bench.program("web", "sleep", "600"))
    layout = bench.layout
    script = (
        "import sys; from devstack.layout import Layout; from devstack.supervisor import Supervisor;"
        "from devstack.system import System;"
        f"Supervisor(System(), {layout!r}, sys.executable).start({base()!r})"
    )
    child = subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).parent.parent)
    bench.system.until(Path(layout.folder, moment).exists, 20, 0.001)
    child.kill()
    child.wait()
    orphaned = bench.supervisor.observe().orphans
    assert {orphan.program for orphan in orphaned} <= {orphans.SUPERVISORD}
    bench.supervisor.start(base())
    bench.supervisor.start_program("web")
    marked = bench.system.marked("DEVSTACK_STACK", layout.stack)
    daemons = [one for one in marked if "DEVSTACK_PROGRAM" not in bench.system.variables(one.pid)]
    assert daemons == [bench.daemon()]
    assert bench.supervisor.observe().orphans == ()


@pytest.mark.fault("I4", "I6")
def test_shutdown_leaves_nothing_not_even_sessions_of_their_own(bench: Bench, stranger: Identity) -> None:
    bench.up(
        bench.shell("web", "setsid sh -c 'trap \"\" TERM; echo left $$; while :; do sleep 1; done' & wait"),
        bench.program("worker", "sleep", "600"),
    )
    left, daemon = bench.child("web", "left"), bench.daemon()
    killed = bench.supervisor.shutdown({"web": ("TERM", 0.5)}, 10)
    assert left.pid in {orphan.pid for orphan in killed}
    assert not any(map(bench.system.is_alive, (left, daemon)))
    assert bench.system.is_alive(stranger)
    assert not bench.supervisor.observe().is_running


def test_another_stack_is_left_alone(bench: Bench, tmp_path: Path) -> None:
    """Even where one's id begins with the other's."""
    with running_bench(tmp_path / f"{tmp_path.name}x") as other:
        assert other.layout.stack.startswith(bench.layout.stack)
        other.up(other.program("web", "sleep", "600"))
        bench.up(bench.program("web", "sleep", "600"))
        bench.supervisor.shutdown({}, 10)
        assert other.state("web").is_running


def test_a_config_that_supervisord_refuses_is_told_with_its_words(bench: Bench) -> None:
    bench.write(bench.program("web", "sleep", "600"))
    config = Path(bench.layout.config)
    config.write_text(config.read_text().replace("startsecs=1", "startsecs=soon"))
    with pytest.raises(ProcessError, match="soon") as caught:
        bench.supervisor.start(base())
    assert caught.value.id == "supervisor-not-started"
