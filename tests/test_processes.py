"""Who lives, who is whose child, and that a signal never reaches anybody else."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devstack.system import Identity, System

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
#: a child whose pid is in the file `$0`, complete as soon as it is there
FAMILY = 'sleep 60 & echo $! >"$0.new"; mv "$0.new" "$0"; wait'
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts processes (by default one that waits) that are gone at the end, with their whole group."""
    children = []

    def begin(*argv: str, **options: object) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(  # type: ignore[call-overload]  # options are Popen's own
            argv or ("sleep", "60"), start_new_session=True, stdout=subprocess.PIPE, **options
        )
        children.append(child)
        return child  # type: ignore[no-any-return]  # as above

    yield begin
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait(10)
        child.stdout.close()


def living(system: System, pid: int) -> Identity:
    found = system.identity(pid)
    assert found is not None
    return found


def test_a_living_process_has_one_identity(system: System, start: Start) -> None:
    child = start()
    one = living(system, child.pid)
    assert one == living(system, child.pid)
    assert system.is_alive(one)


def test_the_dead_and_the_impossible_have_none(system: System) -> None:
    for pid in (-1, 0, 2**22 + 1):
        assert system.identity(pid) is None
        assert not system.is_alive(Identity(pid, "1"))


@pytest.mark.fault("E2")
def test_a_zombie_is_dead(system: System, start: Start) -> None:
    """Its pid is still there, but it runs nothing and holds nothing."""
    child = start()
    identity = living(system, child.pid)
    os.kill(child.pid, signal.SIGKILL)
    # ended but not waited for: WNOWAIT leaves it a zombie
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert os.path.lexists(f"/proc/{child.pid}") or sys.platform != "linux"
    assert system.identity(child.pid) is None
    assert not system.is_alive(identity)
    assert not system.signal(identity, signal.SIGTERM)


def test_a_later_process_of_the_same_pid_is_a_stranger(system: System, start: Start) -> None:
    """An identity remembered from before a reboot or a wrap of pids is never signalled."""
    child = start()
    stranger = Identity(child.pid, "1")
    assert not system.is_alive(stranger)
    assert not system.signal(stranger, signal.SIGKILL)
    assert not system.signal_group(stranger, signal.SIGKILL)
    assert system.descendants(stranger) == ()
    assert child.poll() is None


@needs_proc
def test_a_name_made_to_mislead_is_read_right(system: System, start: Start, tmp_path: Path) -> None:
    """A program may be called `a) Z 1 (b`: the line of /proc is read from its end."""
    program = tmp_path / "a) Z 1 1"
    program.symlink_to("/bin/sleep")
    child = start(str(program), "60")
    assert system.until(lambda: b"a) Z 1 1" in Path(f"/proc/{child.pid}/stat").read_bytes(), 10)
    identity = living(system, child.pid)
    assert identity.start.isdigit()
    assert system.parent(identity) == os.getpid()


def test_signal_reaches_exactly_one(system: System, start: Start) -> None:
    child = start()
    assert system.signal(living(system, child.pid), signal.SIGTERM)
    assert child.wait(10) == -signal.SIGTERM


def test_a_group_is_signalled_whole(system: System, start: Start, tmp_path: Path) -> None:
    child = start("/bin/sh", "-c", FAMILY, str(tmp_path / "pid"))
    assert system.until((tmp_path / "pid").exists, 10)
    grandchild = living(system, int((tmp_path / "pid").read_text()))
    assert system.signal_group(living(system, child.pid), signal.SIGTERM)
    child.wait(10)
    assert system.until(lambda: not system.is_alive(grandchild), 10)


def test_who_leads_no_group_is_signalled_alone(system: System, start: Start, tmp_path: Path) -> None:
    """Else this test itself would end."""
    child = start("/bin/sh", "-c", FAMILY, str(tmp_path / "pid"))
    assert system.until((tmp_path / "pid").exists, 10)
    assert system.signal_group(living(system, int((tmp_path / "pid").read_text())), signal.SIGKILL)
    assert child.wait(10) == 0


def test_parents_and_descendants(system: System, start: Start, tmp_path: Path) -> None:
    child = start("/bin/sh", "-c", 'sh -c "$1" "$0" & wait', str(tmp_path / "pid"), FAMILY)
    assert system.until((tmp_path / "pid").exists, 10)
    identity = living(system, child.pid)
    family = system.descendants(identity)
    assert int((tmp_path / "pid").read_text()) in [one.pid for one in family]
    assert len(family) == 2
    assert system.parent(identity) == os.getpid()
    assert {os.getpid(), os.getppid()} <= system.ancestry()


def test_marked_finds_exactly_those_that_carry_the_mark(system: System, start: Start) -> None:
    """Not a longer or a shorter value, another name that ends the same, or the words in another place."""
    name, value = "DEVSTACK_TEST", uuid.uuid4().hex

    def with_variable(variable: str, text: str) -> int:
        return start(env={"PATH": os.environ["PATH"], "FIRST": "1", variable: text, "LAST": "1"}).pid

    mine = {with_variable(name, value), with_variable(name, value)}
    for variable, text in (
        (name, f"{value}0"), (name, value[1:]), (f"X{name}", value), ("OTHER", f"{name}={value}"), (name, ""),
    ):
        with_variable(variable, text)
    start("sh", "-c", "sleep 60; true", f"{name}={value}")
    assert system.until(lambda: {one.pid for one in system.marked(name, value)} == mine, 10)


@needs_proc
def test_this_process_and_its_parents_are_never_among_the_marked() -> None:
    """A command typed in a shell that a stack's own program has started."""
    value = uuid.uuid4().hex
    code = (
        "from devstack.system import System; import os; s = System(); "
        f"print(os.environ['DEVSTACK_TEST'] == '{value}', s.marked('DEVSTACK_TEST', '{value}'))"
    )
    done = subprocess.run(
        ["/bin/sh", "-c", '"$0" -c "$1"; true', sys.executable, code], capture_output=True, text=True, check=True,
        timeout=60, cwd=Path(__file__).parent.parent, env={**os.environ, "DEVSTACK_TEST": value},
    )
    assert done.stdout == "True ()\n"


def test_what_a_process_was_started_with(system: System, start: Start) -> None:
    child = start(env={"A": "x=y", "B": "", "PATH": os.environ["PATH"]})
    assert system.until(lambda: system.command_line(child.pid) == "sleep 60", 10)
    found = system.variables(child.pid)
    assert (found["A"], found["B"]) == ("x=y", "")
    assert system.variables(2**22 + 1) == {}
    assert system.command_line(2**22 + 1) == ""


def test_accounts(system: System) -> None:
    assert system.user_id() == os.geteuid()
    assert system.has_user("root")
    assert system.group_id("root") == 0
    assert not system.has_user("no-such-account")
    assert system.user_name()
