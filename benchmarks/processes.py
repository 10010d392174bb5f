"""What a process costs: 10, 50 and 200 that do nothing, under devstack, plain supervisord and honcho."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from benchmarks.measure import DEVSTACK, TIMEOUT, Bench, Row, Samples, compared, until

SIZES = (10, 50, 200)
_SUPERVISORD = (sys.executable, "-m", "supervisor.supervisord")
_SUPERVISORCTL = (sys.executable, "-m", "supervisor.supervisorctl")
_HONCHO = (sys.executable, "-m", "honcho.command", "start")
_IDLE = "sleep 1000000"


def measure(bench: Bench, sizes: tuple[int, ...] = SIZES) -> list[Row]:
    rows = []
    for size in sizes:
        samples = Samples()
        for number in range(bench.rounds):
            bench.say(f"{size} processes, {number + 1} of {bench.rounds}")
            devstack(bench, size, samples)
            supervisord(bench, size, samples)
            honcho(bench, size, samples)
        part = f"{size} processes"
        rows += [
            compared(part, "`up`, all seen running", samples, ("up", "supervisord, all RUNNING"), 0.5),
            compared(part, "`up`, all seen running", samples, ("up", "honcho, all spawned")),
            Row(part, "`up` again, nothing to do", samples.median("no-op up")),
            compared(part, "`status`", samples, ("status", "supervisorctl status"), 1.0),
            compared(part, "`down`", samples, ("down", "supervisorctl stop all"), 1.0),
        ]
    return rows


def devstack(bench: Bench, size: int, samples: Samples) -> None:
    project = bench.new_folder("many")
    profile = f'name = "many"\n[processes.idle]\nrun = "{_IDLE}"\nreplicas = {size}\n'
    (project / "devstack.toml").write_text(profile)
    try:
        samples.add("up", bench.run(*DEVSTACK, "up", "--trust", cwd=project).took)
        samples.add("no-op up", bench.run(*DEVSTACK, "up", cwd=project).took)
        samples.add("status", bench.run(*DEVSTACK, "status", cwd=project).took)
    finally:
        samples.add("down", bench.run(*DEVSTACK, "down", cwd=project).took)


def supervisord(bench: Bench, size: int, samples: Samples) -> None:
    """The configuration that people write: default start seconds, everything else left out."""
    folder = bench.new_folder("supervisor")
    config = folder / "supervisord.conf"
    config.write_text(
        f"[unix_http_server]\nfile={folder}/s.sock\n"
        f"[supervisord]\nlogfile={folder}/s.log\npidfile={folder}/s.pid\nchildlogdir={folder}\n"
        "[rpcinterface:supervisor]\n"
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
        f"[supervisorctl]\nserverurl=unix://{folder}/s.sock\n"
        + "".join(f"[program:idle-{number}]\ncommand={_IDLE}\n" for number in range(size))
    )
    control = (*_SUPERVISORCTL, "-c", str(config))

    def all_running() -> bool:
        done = subprocess.run((*control, "status"), check=False, capture_output=True, text=True, timeout=TIMEOUT)
        return done.stdout.count("RUNNING") == size

    began = time.monotonic()
    bench.run(*_SUPERVISORD, "-c", str(config))
    try:
        until(all_running, 0.05)
        samples.add("supervisord, all RUNNING", time.monotonic() - began)
        samples.add("supervisorctl status", bench.run(*control, "status").took)
        samples.add("supervisorctl stop all", bench.run(*control, "stop", "all").took)
    finally:
        bench.run(*control, "shutdown")
        until(lambda: not (folder / "s.pid").exists())


def honcho(bench: Bench, size: int, samples: Samples) -> None:
    """It knows no state but `started`: the time is that of the last one."""
    folder = bench.new_folder("honcho")
    (folder / "Procfile").write_text("".join(f"idle{number}: {_IDLE}\n" for number in range(size)))
    began = time.monotonic()
    with subprocess.Popen(
        _HONCHO, cwd=folder, env=bench.environ, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, start_new_session=True,
    ) as child:
        try:
            started = 0
            while started < size and child.stdout and (line := child.stdout.readline()):
                started += b"started (pid=" in line
            samples.add("honcho, all spawned", time.monotonic() - began)
        finally:
            os.killpg(child.pid, signal.SIGTERM)
            child.wait(TIMEOUT)
    if started < size:
        raise SystemExit(f"honcho started {started} of {size}")
