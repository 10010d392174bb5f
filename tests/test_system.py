"""Commands with bounds and the network, on real processes and real sockets."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devstack.errors import InterruptedRunError, PrerequisiteError, StorageError
from devstack.system import Completed, Holder, System

Call = Callable[..., Completed]
#: a child that ignores SIGTERM, and its parent that doesn't; both pids go to a file before anything else happens
STUBBORN_FAMILY = 'sh -c \'trap "" TERM; echo $$ >"$0.child"; while :; do sleep 60; done\' "$0" & wait'


def pid_in(system: System, path: Path) -> int:
    """The pid that a command has written there by now."""
    assert system.until(lambda: path.exists() and path.read_text().endswith("\n"), 10)
    return int(path.read_text())


def is_gone(system: System, pid: int) -> bool:
    return system.until(lambda: system.identity(pid) is None, 10)


@pytest.fixture(params=["run", "capture"])
def call(request: pytest.FixtureRequest, system: System) -> Call:
    """Both ways to run a command keep the same promises."""
    found: Call = getattr(system, request.param)
    return found


def said(done: Completed) -> str:
    return done.stdout or done.output


# --- commands --------------------------------------------------------------------------------------------------------


def test_a_command_gets_its_own_environment_folder_and_no_stdin(call: Call, tmp_path: Path) -> None:
    """Nothing of this process leaks into it."""
    done = call(
        ["/bin/sh", "-c", 'cat; pwd; echo "$MINE-$HOME"'], timeout=10, env={"MINE": "1", "PATH": "/bin"}, cwd=tmp_path
    )
    assert said(done).splitlines() == [str(tmp_path), "1-"]


def test_a_status_is_an_answer(call: Call) -> None:
    done = call(["/bin/sh", "-c", "exit 7"], timeout=10)
    assert (done.returncode, done.timed_out) == (7, False)


def test_capture_keeps_stdout_apart(system: System) -> None:
    done = system.capture(["/bin/sh", "-c", "echo out; echo err >&2"], timeout=10)
    assert (done.stdout, done.output) == ("out\n", "err\n")


def test_capture_keeps_more_than_a_pipe_holds(system: System) -> None:
    done = system.capture([sys.executable, "-c", "print('x' * 3_000_000)"], timeout=30)
    assert len(done.stdout) == 3_000_001


def test_output_that_is_no_text_does_no_harm(call: Call) -> None:
    done = call(["/bin/sh", "-c", r"printf 'a\377b\n'"], timeout=10)
    assert said(done).strip() == "a\N{REPLACEMENT CHARACTER}b"


def test_the_deadline_ends_the_whole_group(call: Call, system: System, tmp_path: Path) -> None:
    """Also a grandchild that ignores SIGTERM, whose parent went at once."""
    marker = tmp_path / "family"
    began = time.monotonic()
    done = call(["/bin/sh", "-c", STUBBORN_FAMILY, str(marker)], timeout=1.5)
    assert done.timed_out
    assert time.monotonic() - began < 10
    assert is_gone(system, pid_in(system, tmp_path / "family.child"))


def test_a_leader_that_ignores_sigterm_is_killed(system: System) -> None:
    done = system.run(["/bin/sh", "-c", 'trap "" TERM; while :; do sleep 1; done'], timeout=0.5)
    assert (done.timed_out, done.returncode) == (True, -signal.SIGKILL)


def test_silence_ends_a_command_long_before_its_deadline(system: System) -> None:
    """Output so far is kept."""
    done = system.run(["/bin/sh", "-c", "echo begun; exec sleep 60"], timeout=60, stall=0.5)
    assert (done.timed_out, done.output) == (True, "begun")


def test_output_holds_the_stall_off(system: System) -> None:
    """A command that keeps talking may take longer than the silence allowed."""
    script = "for n in 1 2 3 4 5 6 7 8; do echo $n; sleep 0.3; done"
    done = system.run(["/bin/sh", "-c", script], timeout=60, stall=1.5)
    assert (done.timed_out, done.returncode) == (False, 0)


def test_cancel_ends_the_command_and_its_children(call: Call, system: System, tmp_path: Path) -> None:
    """From another thread or a signal handler, in well under a second's patience."""
    marker = tmp_path / "family"
    child = tmp_path / "family.child"

    def cancel() -> None:
        deadline = time.monotonic() + 10
        while not (child.exists() and child.read_text().endswith("\n")) and time.monotonic() < deadline:
            threading.Event().wait(0.02)
        system.cancel()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    began = time.monotonic()
    with pytest.raises(InterruptedRunError) as caught:
        call(["/bin/sh", "-c", STUBBORN_FAMILY, str(marker)], timeout=60)
    canceller.join()
    assert caught.value.exit_code == 130
    assert time.monotonic() - began < 15
    system.cancelled.clear()
    assert is_gone(system, pid_in(system, child))


@pytest.mark.fault("I11")
def test_a_grandchild_that_keeps_the_pipe_open_is_not_waited_for(call: Call, system: System, tmp_path: Path) -> None:
    """A daemon in a session of its own survives its parent and holds the output for ever."""
    script = f"setsid sh -c 'echo $$ >{tmp_path}/pid; exec sleep 60' & echo done"
    began = time.monotonic()
    done = call(["/bin/sh", "-c", script], timeout=30)
    daemon = pid_in(system, tmp_path / "pid")
    os.kill(daemon, signal.SIGKILL)
    assert said(done).strip() == "done"
    assert done.returncode == 0
    assert time.monotonic() - began < 10


def test_carriage_returns_end_lines(system: System) -> None:
    """A progress bar is heard line by line; `\\r\\n` is one end of a line, even in two pieces."""
    heard: list[str] = []
    script = (
        "import os, time\n"
        "for piece in (b'10%\\r', b'20%\\r', b'\\n', b'done\\r\\n', b'last'):\n"
        "    os.write(1, piece); time.sleep(0.05)\n"
    )
    done = system.run([sys.executable, "-c", script], timeout=30, on_line=heard.append)
    assert heard == ["10%", "20%", "done", "last"]
    assert done.last_lines(2) == ("done", "last")


def test_lines_are_told_while_the_command_runs(system: System, tmp_path: Path) -> None:
    """The command goes on only when its first line has been heard."""
    go = tmp_path / "go"
    script = f"echo first; while [ ! -e {go} ]; do sleep 0.05; done"
    done = system.run(["/bin/sh", "-c", script], timeout=20, on_line=lambda line: go.touch())
    assert (done.returncode, done.timed_out) == (0, False)


def test_endless_lines_and_output_stay_bounded(system: System) -> None:
    """Ten megabytes without an end of line, then many lines: only the last ones are kept."""
    script = "import sys\nsys.stdout.write('x' * 10_000_000 + '\\n')\nfor n in range(5000): print(n)"
    done = system.run([sys.executable, "-c", script], timeout=60)
    assert done.last_lines(1) == ("4999",)
    assert len(done.output) < 1_000_000


def test_the_log_is_private_and_appended_to(system: System, tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    for word in ("one", "two"):
        system.run(["/bin/echo", word], timeout=10, log=log)
    assert log.read_text() == "one\ntwo\n"
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_log_that_cannot_be_opened_is_told_before_anything_runs(system: System, tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        system.run(["/usr/bin/touch", str(tmp_path / "ran")], timeout=10, log=tmp_path / "none" / "a.log")
    assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_log_on_a_full_disk_does_not_stop_the_command(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """/dev/full stands for the disk; its mode isn't ours to change."""
    monkeypatch.setattr(os, "fchmod", lambda descriptor, mode: None)
    done = system.run(["/bin/echo", "still here"], timeout=10, log=Path("/dev/full"))
    assert (done.returncode, done.output) == (0, "still here")


@pytest.mark.parametrize("program", ["no-such-program", "/no/such/program", ""])
def test_a_missing_program_is_a_missing_prerequisite(call: Call, program: str) -> None:
    with pytest.raises(PrerequisiteError) as caught:
        call([program], timeout=10)
    assert caught.value.id == "cannot-execute"
    assert caught.value.exit_code == 3


def test_a_file_that_is_no_program_is_told(call: Call, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no program")
    with pytest.raises(PrerequisiteError, match=r"[Pp]ermission"):
        call([str(tmp_path / "text")], timeout=10)


def test_a_missing_folder_is_named(call: Call, tmp_path: Path) -> None:
    """Not the program is what's missing."""
    with pytest.raises(PrerequisiteError) as caught:
        call(["/bin/true"], timeout=10, cwd=tmp_path / "gone")
    assert str(tmp_path / "gone") in caught.value.why


def test_spawn_outlives_its_call_and_leaves_no_zombie(system: System, tmp_path: Path) -> None:
    """A session of its own, output in a private log, and its end is seen."""
    log = tmp_path / "spawned.log"
    words = ["/bin/sh", "-c", "umask; echo up; exec sleep 60"]
    pid = system.spawn(words, env={"PATH": os.environ["PATH"]}, cwd=tmp_path, log=log)
    identity = system.identity(pid)
    assert identity
    try:
        assert os.getsid(pid) == pid
        assert system.until(lambda: log.read_text() == "0077\nup\n", 10)
        assert log.stat().st_mode & 0o777 == 0o600
    finally:
        system.signal(identity, signal.SIGKILL)
    assert is_gone(system, pid)


@pytest.mark.parametrize(("script", "status"), [("exit 3", 3), ("kill -TERM $$", 143)])
def test_foreground_answers_like_a_shell(system: System, tmp_path: Path, script: str, status: int) -> None:
    assert system.foreground(["/bin/sh", "-c", script], env=system.environ, cwd=tmp_path) == status


def test_foreground_leaves_ctrl_c_to_the_command(system: System, tmp_path: Path) -> None:
    """The child feels SIGINT although this process ignores it meanwhile, and gets its own way back afterwards."""
    before = signal.getsignal(signal.SIGINT)
    status = system.foreground(["/bin/sh", "-c", "kill -INT $$; exit 5"], env=system.environ, cwd=tmp_path)
    assert status == 130
    assert signal.getsignal(signal.SIGINT) is before


def test_as_user_is_refused_where_it_is_not_possible(system: System) -> None:
    with pytest.raises(PrerequisiteError):
        system.as_user("no-such-account", ["id"])
    assert system.as_user(None, ["id"]) == ("id",)
    assert system.as_user(system.user_name(), ["id"]) == ("id",)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_runs_a_command_as_another_user(system: System) -> None:
    done = system.capture(system.as_user("nobody", ["id", "-un"]), timeout=10)
    assert done.stdout.strip() == "nobody"


# --- waiting ---------------------------------------------------------------------------------------------------------


def test_until_asks_once_more_after_its_time(system: System) -> None:
    answers = iter([False, True])
    assert system.until(lambda: next(answers), 5, 0.001)
    assert not system.until(lambda: False, 0.0)


def test_waits_end_when_the_run_is_cancelled(system: System) -> None:
    system.cancel()
    with pytest.raises(InterruptedRunError):
        system.pause(60)
    with pytest.raises(InterruptedRunError):
        system.until(lambda: False, 60, 60)


# --- network ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def port_of(server: socket.socket) -> int:
    port: int = server.getsockname()[1]
    return port


def test_a_port_somebody_listens_on_is_not_free(system: System, listener: socket.socket) -> None:
    port = port_of(listener)
    assert not system.is_port_free(port)
    assert system.connect(port, 1) is None
    listener.close()
    assert system.is_port_free(port)
    assert "refused" in (system.connect(port, 1) or "")


def test_a_listener_on_every_address_takes_the_port(system: System) -> None:
    with socket.create_server(("0.0.0.0", 0)) as server:  # noqa: S104 - that is the case
        assert not system.is_port_free(port_of(server))


def test_a_listener_on_ipv6_alone_takes_the_port(system: System) -> None:
    """Browsers and clients try `localhost` as ::1 first and would reach the stranger."""
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError as error:
        pytest.skip(f"no IPv6 on this machine: {error}")
    with server:
        assert not system.is_port_free(port_of(server))


@pytest.mark.fault("D4")
def test_a_port_in_time_wait_is_free(system: System, listener: socket.socket) -> None:
    """A server that ended a moment ago doesn't make its port taken: the next one may listen there at once."""
    port = port_of(listener)
    client = socket.create_connection(("127.0.0.1", port))
    accepted, _ = listener.accept()
    # the side that closes first is the one that waits
    accepted.close()
    assert client.recv(1) == b""
    client.close()
    listener.close()
    with socket.socket() as strict, pytest.raises(OSError, match="in use"):
        strict.bind(("127.0.0.1", port))
    assert system.is_port_free(port)


def test_free_ports_are_free(system: System) -> None:
    assert system.is_port_free(system.free_port())


def test_the_holder_of_a_port_is_named(system: System, listener: socket.socket) -> None:
    holder = system.port_holder(port_of(listener))
    assert holder is not None
    assert holder.pid == os.getpid()
    assert f"pid {os.getpid()}" in str(holder)


def test_nobody_holds_a_free_port(system: System) -> None:
    assert system.port_holder(system.free_port()) is None


def test_a_holder_that_may_not_be_known_is_said_to_be_somebody_else(
    system: System, listener: socket.socket, ordinary_python: str
) -> None:
    """As an ordinary user, the listener of another user (here root's) has no name."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to have two users")
    code = f"from devstack.system import System; print(System().port_holder({port_of(listener)}))"
    done = system.capture(system.as_user("nobody", [ordinary_python, "-c", code]), timeout=30, cwd=Path("/"))
    assert done.stdout.strip() == str(Holder(None, "", ""))


def test_http_status_tells_the_answer_or_why_there_is_none(system: System, listener: socket.socket) -> None:
    """Status and first line of the body; else the reason, within the deadline, whatever listens there."""
    port = port_of(listener)

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 10\r\n\r\nnot yet\nno")

    server = threading.Thread(target=answer)
    server.start()
    assert system.http_status(port, "/health/", 5) == (503, "not yet")
    server.join()
    status, why = system.http_status(port, "/", 0.2)
    assert status is None
    assert why
    listener.close()
    status, why = system.http_status(port, "/", 1)
    assert status is None
    assert "refused" in why


def test_a_stranger_that_speaks_no_http_is_no_crash(system: System, listener: socket.socket) -> None:
    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(b"\x00\x01\x02 garbage\r\n\r\n")

    server = threading.Thread(target=answer)
    server.start()
    status, why = system.http_status(port_of(listener), "/", 5)
    server.join()
    assert status is None
    assert why


def test_http_over_a_unix_socket(system: System, tmp_path: Path) -> None:
    """supervisord's way to be talked to."""
    folder = tmp_path if len(str(tmp_path)) < 80 else Path(os.path.relpath(tmp_path))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "s"))
        server.listen()

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        thread = threading.Thread(target=answer)
        thread.start()
        connection = system.unix_connection(str(folder / "s"), 5)
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"ok"
        connection.close()
        thread.join()


def test_the_environment_of_this_process_is_the_default() -> None:
    assert System().environ == dict(os.environ)
    assert subprocess.run(["/bin/true"], check=False).returncode == System().run(["/bin/true"], timeout=10).returncode
