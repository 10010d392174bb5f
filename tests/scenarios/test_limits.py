"""Limits of the machine: open files, memory, and logs that would fill it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.machine import Project, until

_FLOOD = "import sys\nprint('ready', flush=True)\nwhile True:\n    sys.stdout.write('x' * 999 + '\\n')\n"
#: never ready: whether it ends before or after a look is the kernel's to say
_HUNGRY = "kept = []\nwhile True:\n    kept.append(bytearray(10_000_000))\n"


@pytest.mark.fault("I14")
@pytest.mark.parametrize("count", [12, 200])
def test_too_few_open_files_are_named_as_that(mini: Project, count: int) -> None:
    """Both where devstack itself can't go on and where supervisord refuses."""
    error = mini.run("up", "--json", prefix=("prlimit", f"--nofile={count}:{count}"), code=3 if count < 20 else 8).error
    assert error["id"] == ("limit-reached" if count < 20 else "descriptors-limited")
    assert error["fix"] == "ulimit -n 4096"
    mini.run("up")
    mini.assert_single()


@pytest.mark.fault("I12", "C12")
def test_a_flood_of_lines_fills_no_disk_and_keeps_nobody_waiting(mini: Project) -> None:
    mini.write("flood.py", _FLOOD)
    mini.replace('role = "beat"\nrun = "python loop.py"', 'role = "beat"\nrun = "python flood.py"')
    mini.run("up")
    logs = mini.folder / "logs"
    assert until((logs / "beat.log.2").exists, 60)
    began = time.monotonic()
    for words in (("status", "--json"), ("logs", "beat")):
        mini.run(*words)
    assert time.monotonic() - began < 10
    assert sum(path.stat().st_size for path in logs.glob("beat.log*")) < 45_000_000
    mini.run("down")


@pytest.fixture
def small_group(tmp_path: Path) -> Iterator[str]:
    """Python that puts the process that runs it into a control group with little memory; where this machine has none,
    that ends it with the signal that the kernel would."""
    base, limit = Path("/sys/fs/cgroup"), "memory.max"
    if (base / "memory").is_dir():
        base, limit = base / "memory", "memory.limit_in_bytes"
    group = base / f"devstack-{tmp_path.name}"
    try:
        group.mkdir()
        (group / limit).write_text("60000000")
    except OSError:
        with contextlib.suppress(OSError):
            group.rmdir()
        yield "import os\nos.kill(os.getpid(), 9)\n"
        return
    yield f"import os\nwith open('{group}/cgroup.procs', 'w') as file:\n    file.write(str(os.getpid()))\n"
    assert until(lambda: not (group / "cgroup.procs").read_text())
    group.rmdir()


@pytest.mark.fault("I10")
def test_a_process_that_the_kernel_ends_for_its_memory_is_told_as_one(mini: Project, small_group: str) -> None:
    mini.write("loop.py", f"{small_group}{_HUNGRY}")
    error = mini.run("up", "--json", code=8).error
    assert error["id"] == "process-died"
    assert "SIGKILL (the machine may be out of memory)" in error["why"]
    mini.run("down")
