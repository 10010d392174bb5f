"""Asking devstack to stop always ends it, however often and however fast somebody asks."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import devstack

_WAITING = """
from devstack.cli.context import Context
from devstack.cli.main import _listen_to_signals
from devstack.errors import InterruptedRunError
from devstack.output import Output

context = Context(Output())
received = _listen_to_signals(context)
print("listening", flush=True)
try:
    while True:
        context.system.pause(0.0001)
except InterruptedRunError:
    print("interrupted", flush=True)
"""


def _waiting(environ: Mapping[str, str]) -> subprocess.Popen[str]:
    root = Path(devstack.__file__).resolve().parent.parent
    child = subprocess.Popen(
        [sys.executable, "-c", _WAITING], env={**environ, "PYTHONPATH": str(root)}, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == "listening\n"
    return child


def _end(child: subprocess.Popen[str]) -> str:
    try:
        return child.communicate(timeout=20)[0]
    finally:
        child.kill()
        child.wait()


@pytest.mark.fault("I8")
def test_a_terminal_that_hangs_up_many_times_over_does_not_lock_it_up(private_environ: dict[str, str]) -> None:
    """The shell and the kernel both send SIGHUP when a terminal is closed: one handler interrupts the other."""
    child = _waiting(private_environ)
    for _ in range(500):
        child.send_signal(signal.SIGHUP)
    assert _end(child) == "interrupted\n"


@pytest.mark.fault("I7")
def test_asking_once_ends_it_in_order(private_environ: dict[str, str]) -> None:
    child = _waiting(private_environ)
    child.send_signal(signal.SIGTERM)
    assert _end(child) == "interrupted\n"
    assert child.returncode == 0


@pytest.mark.fault("I7")
def test_asking_twice_ends_it_at_once(private_environ: dict[str, str]) -> None:
    child = _waiting(private_environ)
    child.send_signal(signal.SIGSTOP)
    child.send_signal(signal.SIGINT)
    child.send_signal(signal.SIGTERM)
    child.send_signal(signal.SIGCONT)
    _end(child)
    assert child.returncode in (130, 143)
