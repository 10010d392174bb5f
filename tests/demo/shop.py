"""The running demo, as its customers and its developers deal with it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

import psutil

from tests.scenarios.machine import Project, until


@dataclass(frozen=True)
class Span:
    """When a target began and was done, in seconds since its run began."""

    began: float
    ended: float

    def overlaps(self, other: Span) -> bool:
        return self.began < other.ended and other.began < self.ended


@dataclass(frozen=True)
class Shop:
    project: Project

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.project.state['ports']['web']}"

    def is_ready(self) -> bool:
        status = self.project.status()
        return all(row["ready"] for row in (*status["services"], *status["processes"]))

    def order(self, sku: str, quantity: int) -> int:
        """Place an order through the API; its number."""
        body = json.dumps({"sku": sku, "quantity": quantity}).encode()
        answer = self._ask("POST", "/api/orders", body)
        assert answer["status"] == "placed"
        return int(answer["id"])

    def status_of(self, order: int) -> str:
        return str(self._ask("GET", f"/api/orders/{order}")["status"])

    def ships(self, order: int, within: float) -> bool:
        return until(lambda: self.status_of(order) == "shipped", within)

    @contextmanager
    def shipper_held(self) -> Iterator[None]:
        """Nothing is shipped meanwhile, so that what comes before can be seen however fast the machine is."""
        pid = next(row["pid"] for row in self.project.status()["processes"] if row["name"] == "shipper")
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def workers(self) -> list[psutil.Process]:
        """Every process of every replica, parents first."""
        rows = [row for row in self.project.status()["processes"] if row["name"] == "worker"]
        parents = [psutil.Process(row["pid"]) for row in rows]
        return [*parents, *(child for parent in parents for child in parent.children(recursive=True))]

    def spans(self) -> dict[str, Span]:
        """From the journal of the bootstrap, by target."""
        journal = next(path for path in self.project.journals() if "bootstrap" in path.name)
        events = [json.loads(line) for line in journal.read_text().splitlines()]
        targets: dict[str, list[dict[str, Any]]] = {}
        for event in events:
            if "step" in event:
                targets.setdefault(event["step"].rpartition(":")[0], []).append(event)
        return {target: _span(of_target) for target, of_target in targets.items()}

    def _ask(self, method: str, path: str, body: bytes | None = None) -> Any:
        connection = HTTPConnection("127.0.0.1", self.project.state["ports"]["web"], timeout=10)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = json.loads(response.read())
            assert response.status < 300, answer
            return answer
        finally:
            connection.close()


def _span(events: Iterable[dict[str, Any]]) -> Span:
    times = [event["at"] for event in events]
    return Span(min(times), max(times))
