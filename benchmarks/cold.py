"""From nothing to a shop that ships: `bootstrap.py` against the same done by hand, both with warm download caches."""

from __future__ import annotations

import itertools
import json
import os
import shlex
import shutil
import time
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import starting
from benchmarks.measure import DEVSTACK, Bench, Row, Samples, compared, until
from devstack import programs
from devstack.profile.secret import Secret
from devstack.runtimes.native import Native
from devstack.services import kind_of
from devstack.stack import Options, Stack
from devstack.stack.observe import Seen
from devstack.stack.paths import places
from devstack.system import System

ROOT = Path(__file__).resolve().parent.parent
_BY_HAND = Path(__file__).with_name("by_hand.sh")
_BOOTSTRAP = ("python3", str(ROOT / "bootstrap.py"))
#: what `by_hand.sh` notes the end of
_PARTS = ("clone", "venv", "pip", "postgres", "redis", "rabbitmq", "migrate", "loaddata", "supervisord")
_SERVICES = ("postgres", "redis", "rabbitmq")


def measure(bench: Bench) -> list[Row]:
    repository = _repository(bench)
    bench.say("filling the caches")
    project = bootstrap(bench, repository, Samples())
    recipe = Recipe(bench, repository, Stack(System(bench.environ), project, Options()).observe())
    take_down(bench, project)
    recipe.run(Samples())
    samples, rows = Samples(), []
    for number in range(bench.rounds):
        bench.say(f"cold, {number + 1} of {bench.rounds}")
        recipe.run(samples)
        project = bootstrap(bench, repository, samples)
        if number == bench.rounds - 1:
            rows += starting.measure(bench, project)
        take_down(bench, project)
    parts = [Row("cold", f"by hand: {part}", samples.median(part)) for part in _PARTS]
    return [
        compared("cold", "bootstrap, everything ready", samples, ("ready", "by hand"), 0.25),
        compared("cold", "bootstrap, first order shipped", samples, ("shipped", "by hand, shipped"), 0.25),
        compared("cold", "bootstrap, everything ready", samples, ("ready", "critical path of its journal"), 1.15),
        *parts, *_services(bench), *rows,
    ]


# --- devstack --------------------------------------------------------------------------------------------------------


def bootstrap(bench: Bench, repository: Path, samples: Samples) -> Path:
    """What the README tells: one command. Caches are warm, the project is new."""
    project = bench.new_folder("d") / "shop"
    shutil.rmtree(_checkouts(bench), ignore_errors=True)
    began = time.monotonic()
    bench.run(*_BOOTSTRAP, str(repository), "--into", str(project), "--trust", cwd=project.parent)
    samples.add("ready", time.monotonic() - began)
    state = json.loads((project / ".devstack" / "state.json").read_text())
    _order(state["ports"]["web"])
    samples.add("shipped", time.monotonic() - began)
    journals = [*_checkouts(bench).iterdir(), *(project / ".devstack" / "journal").iterdir()]
    samples.add("critical path of its journal", sum(map(critical_path, journals)))
    return project


def take_down(bench: Bench, project: Path) -> None:
    bench.run(*_BOOTSTRAP, "down", cwd=project)


def _checkouts(bench: Bench) -> Path:
    return places(System(bench.environ)).state / "journal"


def critical_path(journal: Path) -> float:
    """Seconds of the longest chain of steps in which each needs the one before."""
    plan, *events = map(json.loads, journal.read_text().splitlines())
    took: dict[str, float] = {event["step"]: event["took"] for event in events if event.get("event") == "finished"}
    ended: dict[str, float] = {}
    # a plan's order has each step after what it needs
    for step in plan["steps"]:
        ended[step["id"]] = took[step["id"]] + max((ended[need] for need in step["needs"]), default=0.0)
    return max(ended.values(), default=0.0)


def _services(bench: Bench) -> list[Row]:
    """The three servers of the shop, each alone and all together, from no data to an answer."""
    samples = Samples()
    for _ in range(bench.rounds):
        for names in (*((name,) for name in _SERVICES), _SERVICES):
            samples.add("+".join(names), _ready(bench, names))
        slowest = max(samples.taken[name][-1] for name in _SERVICES)
        samples.add("the slowest alone", slowest)
        samples.add("one after the other", sum(samples.taken[name][-1] for name in _SERVICES))
    together = "+".join(_SERVICES)
    return [
        compared("services", "three servers ready", samples, (together, "the slowest alone"), 1.3),
        compared("services", "three servers ready", samples, (together, "one after the other")),
    ]


def _ready(bench: Bench, names: Iterable[str]) -> float:
    project = bench.new_folder("s")
    (project / "devstack.toml").write_text('name = "servers"\n' + "".join(f"[services.{name}]\n" for name in names))
    try:
        bench.run(*DEVSTACK, "up", "--trust", cwd=project)
        (journal,) = (project / ".devstack" / "journal").iterdir()
        return float(json.loads(journal.read_text().splitlines()[-1])["took"])
    finally:
        bench.run(*DEVSTACK, "down", cwd=project)


# --- by hand ---------------------------------------------------------------------------------------------------------


@dataclass
class Recipe:
    """The four commands, with the interpreter and the servers that devstack chose. seen: of the shop's stack."""

    bench: Bench
    repository: Path
    seen: Seen

    def run(self, samples: Samples) -> None:
        folder = self.bench.new_folder("h")
        system = System(self.bench.environ)
        web = system.free_port()
        environ = self._environ(system, folder, web)
        try:
            began = time.monotonic()
            self.bench.run("bash", str(_BY_HAND), "up", cwd=folder, env=environ)
            samples.add("by hand", time.monotonic() - began)
            _order(web)
            samples.add("by hand, shipped", time.monotonic() - began)
            marks = [line.split() for line in (folder / "times").read_text().splitlines()]
            for (before, _), (after, part) in itertools.pairwise(marks):
                samples.add(part, float(after) - float(before))
        finally:
            self.bench.run("bash", str(_BY_HAND), "down", cwd=folder, env=environ)

    def _environ(self, system: System, folder: Path, web: int) -> dict[str, str]:
        services, python = self.seen.state.services, self.seen.state.python
        tools = Path(DEVSTACK[0]).parent
        broker, url = self._broker(system, folder)
        return {
            "REPO": str(self.repository), "PYTHON": python.interpreter if python else "python3",
            "POSTGRES_BIN": str(Path(services["postgres"].server.program).parent),
            "REDIS_SERVER": services["redis"].server.program, "RABBITMQ_SERVER": str(broker), "BROKER_URL": url,
            "SUPERVISOR_BIN": str(tools), "AS": " ".join(self.seen.state.wrapper), "WEB_PORT": str(web),
            "PG_PORT": str(system.free_port()), "REDIS_PORT": str(system.free_port()),
            "AMQP_PORT": url.rpartition(":")[2].partition("/")[0],
        }

    def _broker(self, system: System, folder: Path) -> tuple[Path, str]:
        """A program that is RabbitMQ, as a package would have installed it, and the URL of it."""
        service = self.seen.state.services["rabbitmq"]
        ports = {name: system.free_port() for name in service.instance.ports}
        instance = replace(service.instance, data=str(folder / "rabbitmq"), ports=ports)
        kind = kind_of("rabbitmq", instance.declaration)
        form = programs.native_form(replace(service, instance=instance))
        native = Native(system, places(system).cache / "seeds")
        native.prepare(instance, service.server, form)
        native.before_start(instance, service.server, form)
        environ = {"PATH": os.defpath, "HOME": instance.data, **service.server.env, **form.env}
        words = ["env", "-i", *(f"{name}={value}" for name, value in environ.items()), *self.seen.state.wrapper]
        program = folder / "rabbitmq-server"
        command = shlex.join([*words, *form.argv])
        program.write_text(f"#!/bin/sh\ncd {shlex.quote(form.cwd)} || exit 1\nexec {command}\n")
        program.chmod(0o700)
        url = kind.url(instance)
        return program, url.reveal() if isinstance(url, Secret) else url


# --- both ------------------------------------------------------------------------------------------------------------


def _repository(bench: Bench) -> Path:
    """The demo as a git repository of its own."""
    repository = bench.folder / "shop"
    ignored = shutil.ignore_patterns("__pycache__", ".devstack", ".venv", "*.pyc", ".*_cache")
    shutil.copytree(ROOT / "examples" / "shop", repository, ignore=ignored)
    identity = ("-c", "user.name=shop", "-c", "user.email=shop@localhost")
    for words in (("init", "-q", "-b", "main"), ("add", "-A"), (*identity, "commit", "-q", "-m", "The shop")):
        bench.run("git", *words, cwd=repository)
    return repository


def _order(port: int) -> None:
    """Order a mug and wait until it is shipped: every part of the stack has done its work then."""
    place = f"http://127.0.0.1:{port}/api/orders"
    body = json.dumps({"sku": "mug", "quantity": 1}).encode()
    order = _json(urllib.request.Request(place, body, {"Content-Type": "application/json"}))
    until(lambda: _json(urllib.request.Request(f"{place}/{order['id']}"))["status"] == "shipped")  # noqa: S310


def _json(request: urllib.request.Request) -> Any:
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - loopback
        return json.load(answer)
