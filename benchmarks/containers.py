"""The three services as containers of images at hand: devstack against `docker compose up --wait` and each alone."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from benchmarks.measure import DEVSTACK, Bench, Row, Samples, compared
from devstack.system import System

_COMPOSE = Path(__file__).with_name("compose.yaml")
_SERVICES = ("postgres", "redis", "rabbitmq")
_DOCKER = {"DEVSTACK_RUNTIME": "docker"}


def measure(bench: Bench) -> list[Row]:
    """Nothing where no engine or no compose answers."""
    compose = _compose()
    if not compose:
        bench.say("no `docker compose` answers: containers are left out")
        return []
    samples = Samples()
    for number in range(bench.rounds):
        bench.say(f"containers, {number + 1} of {bench.rounds}")
        _by_compose(bench, compose, samples)
        _devstack(bench, _SERVICES, samples)
        alone = [_devstack(bench, (name,), Samples()) for name in _SERVICES]
        samples.add("the slowest alone", max(alone))
    part = "containers"
    return [
        compared(part, "three servers ready", samples, ("up", "compose up --wait"), 0.8),
        compared(part, "three servers ready, by the journal", samples, ("journal", "the slowest alone"), 1.25),
        compared(part, "`up` again, nothing to do", samples, ("no-op up", "compose up --wait again"), 0.1),
        compared(part, "`down`, data kept", samples, ("down", "compose down"), 0.1),
    ]


def _compose() -> tuple[str, ...]:
    for words in (("docker", "compose"), ("docker-compose",)):
        if shutil.which(words[0]):
            asked = (*words, "version", "--short")
            done = subprocess.run(asked, check=False, capture_output=True, text=True, timeout=30)
            # the first one, in Python, knows no --wait
            if done.returncode == 0 and not done.stdout.strip().lstrip("v").startswith("1."):
                return words
    return ()


def _devstack(bench: Bench, names: Iterable[str], samples: Samples) -> float:
    """Seconds until all of these answer, by the run's journal: what is devstack's own apart."""
    project = bench.new_folder("c")
    (project / "devstack.toml").write_text('name = "servers"\n' + "".join(f"[services.{name}]\n" for name in names))
    bench.run(*DEVSTACK, "trust", cwd=project, env=_DOCKER)
    try:
        samples.add("up", bench.run(*DEVSTACK, "up", cwd=project, env=_DOCKER).took)
        samples.add("no-op up", bench.run(*DEVSTACK, "up", cwd=project, env=_DOCKER).took)
        (journal,) = (project / ".devstack" / "journal").iterdir()
        took = float(json.loads(journal.read_text().splitlines()[-1])["took"])
        samples.add("journal", took)
    finally:
        samples.add("down", bench.run(*DEVSTACK, "down", cwd=project, env=_DOCKER).took)
        bench.run(*DEVSTACK, "down", "--volumes", "--yes", cwd=project, env=_DOCKER)
        bench.run(*DEVSTACK, "gc", "--trash", "--yes", cwd=project, env=_DOCKER)
    return took


def _by_compose(bench: Bench, compose: tuple[str, ...], samples: Samples) -> None:
    system = System(bench.environ)
    project = bench.new_folder("compose")
    ports = {name: str(system.free_port()) for name in ("PG_PORT", "REDIS_PORT", "AMQP_PORT")}
    words = (*compose, "-p", f"bench{time.monotonic_ns()}", "-f", str(_COMPOSE))
    try:
        samples.add("compose up --wait", bench.run(*words, "up", "--wait", "--quiet-pull", cwd=project, env=ports).took)
        samples.add("compose up --wait again", bench.run(*words, "up", "--wait", cwd=project, env=ports).took)
        samples.add("compose down", bench.run(*words, "down", cwd=project, env=ports).took)
    finally:
        bench.run(*words, "down", "--volumes", cwd=project, env=ports)
