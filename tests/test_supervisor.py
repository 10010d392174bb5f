"""supervisord as it is: real daemons and real processes, from the first start to the last log line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from devstack import orphans
from devstack.errors import ProcessError, UsageError
from devstack.layout import Layout
from devstack.render import Program, render
from tests.supervisor_bench import TEMPLATE, Bench, base, running_bench

#: a folder's name with everything that a shell, an INI file or a format string may stumble on
NASTY = "it's 100% é $HOME #1 ;x"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with running_bench(tmp_path) as bench:
        yield bench


# --- life of a program -----------------------------------------------------------------------------------------------


def test_nothing_runs_before_the_first_start(bench: Bench) -> None:
    state = bench.supervisor.observe()
    assert not state.is_running
    assert (state.programs, state.orphans) == ({}, ())


def test_a_started_program_is_observed_with_its_digest(bench: Bench) -> None:
    program = bench.program("web", "sleep", "600")
    bench.up(program)
    state = bench.supervisor.observe()
    web = state.programs["web"]
    assert web.is_running
    assert (web.digest, web.restarts) == (program.digest, 0)
    assert (state.is_running, state.orphans) == (True, ())
    assert state.run == bench.supervisor.run


def test_start_is_idempotent(bench: Bench) -> None:
    bench.write(bench.program("web", "sleep", "600"))
    first = bench.supervisor.start(base())
    daemon = bench.daemon()
    assert bench.supervisor.start(base()) == first
    assert bench.daemon() == daemon


def test_programs_get_their_own_environment_and_nothing_of_the_callers(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/leaked")
    show = "import os, json, time; print(json.dumps(dict(os.environ)), flush=True); time.sleep(600)"
    bench.up(bench.python("web", show))
    bench.said("web", "}")
    (line,) = [line for line in bench.supervisor.log_since_start("web").splitlines() if line.startswith("{")]
    names = {name for name in json.loads(line) if not name.startswith("DEVSTACK_")}
    assert names - {"LC_CTYPE"} == {"PATH", "PWD"}


def test_a_program_has_three_streams_a_group_and_a_umask_of_its_own(bench: Bench) -> None:
    show = "import json, os, time; fds = [f for f in os.listdir('/dev/fd') if os.path.exists(f'/dev/fd/{f}')]; "
    show += "print(json.dumps([sorted(map(int, fds)), os.getpgrp() == os.getpid(), os.umask(0)]), flush=True); "
    bench.up(bench.python("web", f"{show}time.sleep(600)"))
    bench.said("web", "[[")
    (line,) = [line for line in bench.supervisor.log_since_start("web").splitlines() if line.startswith("[[")]
    assert json.loads(line) == [[0, 1, 2], True, 0o022]


def test_an_unused_way_to_make_a_process_still_works(bench: Bench) -> None:
    """A program with a folder of its own is forked, as plain supervisord does."""
    bench.write(bench.program("web", "sleep", "600"))
    config = Path(bench.layout.config)
    config.write_text(config.read_text().replace("autostart=false", "autostart=false\ndirectory=/"))
    bench.supervisor.start(base())
    bench.supervisor.start_program("web")
    assert bench.state("web").is_running


def test_what_many_threads_ask_goes_together(bench: Bench) -> None:
    """Each gets its own answer, and its own error, though supervisord gets few requests."""
    names = [f"w{number}" for number in range(40)]
    bench.write(*(bench.program(name, "sleep", "600") for name in names))
    bench.supervisor.start(base())
    asked = [*names, "unknown"]
    with ThreadPoolExecutor(len(asked)) as pool:
        done = {name: pool.submit(bench.supervisor.start_program, name) for name in asked}
    assert isinstance(done.pop("unknown").exception(), ProcessError)
    assert [one.exception() for one in done.values()] == [None] * len(names)
    pids = {bench.state(name).pid for name in names}
    assert len(pids) == len(names)
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(lambda name: bench.supervisor.stop_program(name, 10), names))
    assert {state.phase for state in bench.supervisor.programs(0).values()} == {"stopped"}


def test_a_restarted_program_counts_its_restarts_and_start_forgets_them(bench: Bench) -> None:
    bench.up(bench.program("web", "sleep", "600"))
    for count in (1, 2):
        bench.until(lambda: bench.state("web").phase == "running")
        bench.kill(bench.identity(bench.state("web").pid))
        bench.until(lambda count=count: bench.state("web").restarts == count)  # type: ignore[misc]
    bench.supervisor.stop_program("web", 10)
    bench.supervisor.start_program("web")
    assert bench.state("web").restarts == 0


def test_a_program_that_supervisord_starts_again_has_come_back(bench: Bench) -> None:
    """Its process is no leftover that a start would have to clear away."""
    bench.up(bench.program("web", "sleep", "600"))
    first = bench.state("web").pid
    bench.kill(bench.identity(first))
    bench.until(lambda: bench.supervisor.has_come_back("web"))
    assert bench.state("web").pid != first
    bench.supervisor.stop_program("web", 10)
    assert not bench.supervisor.has_come_back("web")


@pytest.mark.parametrize(
    ("script", "status", "reason"),
    [
        ("echo no database; exit 3", 3, "status 3"),
        ("exit 0", 0, "background"),
        ("PATH=/usr/bin:/bin; exec no-such-command", 127, "wasn't found"),
        ("kill -SEGV $$", None, "SIGSEGV"),
    ],
)
@pytest.mark.fault("I1")
def test_a_crash_loop_ends_as_fatal_and_says_why(bench: Bench, script: str, status: int | None, reason: str) -> None:
    bench.up(bench.shell("web", script))
    bench.until(lambda: bench.state("web").phase == "backoff")
    assert reason in bench.state("web").reason
    bench.until(lambda: bench.state("web").phase == "fatal")
    web = bench.state("web")
    assert (web.exit_status, web.restarts, web.pid) == (status, 3, None)
    assert reason in web.reason


@pytest.mark.fault("I2")
def test_a_missing_folder_is_named_as_the_reason(bench: Bench) -> None:
    bench.up(Program("web", ("sleep", "1"), {}, f"{bench.layout.root}/nowhere"))
    bench.until(lambda: bench.state("web").phase == "backoff")
    assert bench.state("web").reason == "the folder it runs in is missing"


def test_a_missing_script_fails_the_start_at_once(bench: Bench) -> None:
    bench.write(bench.program("web", "sleep", "600"))
    bench.supervisor.start(base())
    Path(bench.layout.script("web")).unlink()
    with pytest.raises(ProcessError, match="missing") as caught:
        bench.supervisor.start_program("web")
    assert caught.value.id == "program-failed"


def test_an_unknown_program_is_an_error(bench: Bench) -> None:
    bench.write(bench.program("web", "sleep", "600"))
    bench.supervisor.start(base())
    with pytest.raises(ProcessError, match="no program ghost"):
        bench.supervisor.start_program("ghost")


@pytest.mark.fault("I4")
def test_a_program_that_ignores_its_signal_is_killed_at_the_end_of_its_grace(bench: Bench) -> None:
    bench.up(bench.shell("web", "trap '' TERM; echo ready; while :; do sleep 1; done", stop_grace=1.0))
    bench.said("web", "ready")
    web = bench.identity(bench.state("web").pid)
    bench.supervisor.stop_program("web", 10)
    assert not bench.system.is_alive(web)
    assert bench.state("web").phase == "stopped"


def test_a_program_is_stopped_by_its_own_signal(bench: Bench) -> None:
    bench.up(bench.shell("web", "trap 'echo got INT; exit 0' INT; echo ready; while :; do sleep 0.1; done",
                         stop_signal="INT"))
    bench.said("web", "ready")
    bench.supervisor.stop_program("web", 10)
    bench.said("web", "got INT")


@pytest.mark.fault("I6")
def test_stopping_a_program_ends_the_daemons_it_left(bench: Bench) -> None:
    bench.up(bench.shell("web", "setsid sh -c 'echo left $$; exec sleep 600' & wait"))
    left = bench.child("web", "left")
    bench.supervisor.stop_program("web", 10)
    assert not bench.system.is_alive(left)


def test_a_program_that_exits_during_its_stop_is_not_started_again(bench: Bench) -> None:
    """`exited` is a moment before the restart: a stop that falls into it must hold."""
    bench.up(bench.shell("web", "sleep 1.1; exit 1"))
    bench.until(lambda: bench.state("web").phase == "running")
    bench.kill(bench.identity(bench.state("web").pid))
    bench.supervisor.stop_program("web", 10)
    assert bench.system.until(lambda: bench.state("web").is_running, 1.5) is False


# --- reload ----------------------------------------------------------------------------------------------------------


@pytest.mark.fault("I17")
def test_reload_touches_only_what_changed(bench: Bench) -> None:
    kept, changed, gone = (bench.program(name, "sleep", "600") for name in ("kept", "changed", "gone"))
    bench.up(kept, changed, gone)
    before = bench.supervisor.observe()
    after, new = bench.program("changed", "sleep", "601"), bench.program("new", "sleep", "600")
    bench.write(kept, after, new)
    bench.supervisor.reload()
    state = bench.supervisor.observe()
    assert {name: program.phase in ("running", "starting") for name, program in state.programs.items()} == {
        "kept": True, "changed": False, "new": False,
    }
    assert state.programs["kept"].pid == before.programs["kept"].pid
    assert state.run == before.run
    assert state.config != before.config
    bench.supervisor.start_program("changed")
    assert bench.state("changed").digest == after.digest


def test_a_new_environment_counts_as_a_change(bench: Bench) -> None:
    bench.up(Program("web", ("sleep", "600"), {"A": "1"}, bench.layout.root))
    changed = Program("web", ("sleep", "600"), {"A": "2"}, bench.layout.root)
    bench.write(changed)
    bench.supervisor.reload()
    bench.supervisor.start_program("web")
    assert bench.state("web").digest == changed.digest


def test_a_program_restarted_from_files_it_was_not_loaded_with_has_no_known_digest(bench: Bench) -> None:
    bench.up(Program("web", ("sleep", "600"), {"A": "1"}, bench.layout.root))
    changed = Program("web", ("sleep", "601"), {"A": "2"}, bench.layout.root)
    bench.write(changed)
    bench.kill(bench.identity(bench.state("web").pid))
    bench.until(lambda: bench.state("web").restarts == 1)
    bench.until(lambda: bench.state("web").digest == "mixed")


def test_a_broken_configuration_is_refused_and_nothing_stops(bench: Bench) -> None:
    bench.up(bench.program("web", "sleep", "600"))
    config = Path(bench.layout.config)
    config.write_text(config.read_text().replace("startsecs=1", "startsecs=soon"))
    with pytest.raises(ProcessError, match="soon"):
        bench.supervisor.reload()
    assert bench.state("web").is_running


# --- logs ------------------------------------------------------------------------------------------------------------


def test_one_runs_lines_are_told_from_the_last_ones(bench: Bench) -> None:
    bench.up(bench.shell("web", "echo ready $$; exec sleep 600"))
    bench.said("web", "ready")
    first = bench.supervisor.log_since_start("web")
    bench.supervisor.stop_program("web", 10)
    assert bench.supervisor.log_since_start("web") == ""
    bench.supervisor.start_program("web")
    bench.until(lambda: "ready" in bench.supervisor.log_since_start("web"))
    assert bench.supervisor.log_since_start("web") != first
    assert len(bench.supervisor.log_since_start("web").splitlines()) == 1


@pytest.mark.fault("C13")
def test_a_removed_log_is_made_again(bench: Bench) -> None:
    bench.up(bench.shell("web", "while :; do echo tick; sleep 0.05; done"))
    bench.said("web", "tick").unlink()
    bench.said("web", "tick")
    assert "tick" in bench.supervisor.log_since_start("web")


@pytest.mark.fault("I13")
def test_hostile_output_does_no_harm(bench: Bench) -> None:
    zeros = "head -c 3000000 /dev/zero"
    bench.up(bench.shell("web", rf"printf 'a\000b\377\033[31mc\n'; {zeros}; printf '\nend\n'; exec sleep 600"))
    bench.said("web", "end")
    assert bench.supervisor.last_lines("web", 1) == ("end",)


# --- places, numbers, by hand ----------------------------------------------------------------------------------------


def test_a_project_may_live_in_a_folder_of_any_name(tmp_path: Path) -> None:
    with running_bench(tmp_path / NASTY) as bench:
        bench.up(bench.shell("web", "pwd; exec sleep 600"))
        bench.said("web", NASTY)
        assert bench.state("web").digest


def test_a_socket_address_that_is_too_long_is_refused_by_name(bench: Bench, tmp_path: Path) -> None:
    layout = Layout("x", str(tmp_path), str(tmp_path / ".devstack"), f"/tmp/{'x' * 90}")  # noqa: S108 - never made
    with pytest.raises(UsageError, match="Unix socket"):
        render((bench.program("web", "sleep"),), layout, TEMPLATE)


def test_many_programs_and_many_waiters_share_few_questions(bench: Bench) -> None:
    programs = [bench.program(f"p-{number}", "sleep", "600") for number in range(30)]
    bench.write(*programs)
    bench.supervisor.start(base())
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda program: bench.supervisor.start_program(program.name), programs))
    state = bench.supervisor.observe()
    assert all(state.programs[program.name].digest == program.digest for program in programs)
    killed = bench.supervisor.shutdown({}, 20)
    assert killed == ()


def test_supervisord_by_hand_is_adopted(bench: Bench) -> None:
    """`supervisord -c .devstack/supervisord.conf` works without devstack, and devstack takes over what it finds."""
    program = bench.program("web", "sleep", "600")
    bench.write(program)
    for folder in bench.layout.folders:
        bench.system.private_folder(Path(folder))
    argv = [sys.executable, "-m", "supervisor.supervisord", "-c", bench.layout.config]
    child = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=base())
    try:
        bench.until(lambda: bench.supervisor.observe().is_running)
        state = bench.supervisor.observe()
        assert (state.pid, state.run, state.orphans) == (child.pid, orphans.BY_HAND, ())
        assert bench.supervisor.start(base()) == orphans.BY_HAND
        bench.supervisor.reload()
        bench.supervisor.start_program("web")
        state = bench.supervisor.observe()
        assert (state.programs["web"].digest, state.orphans) == (program.digest, ())
        bench.supervisor.shutdown({}, 10)
    finally:
        child.kill()
        child.wait()


def test_honcho_runs_the_procfile_by_hand(bench: Bench) -> None:
    """honcho ends when a program does: one waits until the other has spoken."""
    spoken = f"{bench.layout.root}/spoken"
    wait = f"import os, time\nwhile not os.path.exists({spoken!r}): time.sleep(0.02)\nprint('in', os.environ['PWD'])"
    two = bench.shell("two", f"echo one\necho two\ntouch {spoken}\nexec sleep 600")
    bench.write(bench.python("web", wait), two)
    argv = [sys.executable, "-m", "honcho", "start", "-f", bench.layout.procfile]
    done = subprocess.run(argv, capture_output=True, text=True, env=base(), check=False, timeout=30)
    for said in ("[devstack] web pid", f"in {bench.layout.root}", "one", "two"):
        assert f"| {said}" in done.stdout
    assert not Path(bench.layout.record("web")).exists()
