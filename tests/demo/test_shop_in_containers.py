"""The demo with its services in containers, then with some of them: nobody who uses it can tell."""

from __future__ import annotations

from typing import Any

from tests.demo.shop import Shop
from tests.scenarios.machine import until

_PATIENCE = 60.0
#: what differs from one stack, or one start, to another
_CHANCE = {"port", "url", "pid", "uptime_s", "version", "restarts", "runtime"}


def _rows(status: Any) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in row.items() if key not in _CHANCE}
        for row in (*status["services"], *status["processes"])
    ]


def test_an_order_ships_and_status_is_the_native_one_but_for_the_runtime(contained: Shop, shop: Shop) -> None:
    assert until(contained.is_ready, _PATIENCE)
    order = contained.order("mug", 2)
    assert contained.ships(order, _PATIENCE), contained.status_of(order)

    here, native = contained.project.assert_up(), shop.project.assert_up()

    assert {row["runtime"] for row in here["services"]} == {"docker"}
    assert [set(row) for row in here["services"]] == [set(row) for row in native["services"]]
    assert _rows(here) == _rows(native)


def test_a_second_up_changes_nothing(contained: Shop) -> None:
    pids, journals = contained.project.pids(), contained.project.journals()

    assert contained.project.run("plan", "--exit-code", "--json").document["steps"] == []
    contained.project.run("up")

    assert contained.project.pids() == pids
    assert contained.project.journals() == journals


def test_the_database_in_a_container_and_the_rest_native_ships_too(contained: Shop) -> None:
    """The last one: it leaves the shop so."""
    project = contained.project
    order = contained.order("mug", 1)
    assert contained.ships(order, _PATIENCE)
    project.write(
        "devstack.local.toml", "".join(f'[services.{name}]\nruntime = "native"\n' for name in ("redis", "rabbitmq"))
    )
    project.run("up", "--move-data", "--yes", "--trust")

    status = project.assert_up()

    assert {row["name"]: row["runtime"] for row in status["services"]} == {
        "postgres": "docker", "redis": "native", "rabbitmq": "native",
    }
    assert contained.status_of(order) == "shipped"
    another = contained.order("notebook", 1)
    assert contained.ships(another, _PATIENCE)
