"""The demo from one command to a shipped order: everything real, a browser too."""

from __future__ import annotations

import json
import signal
from itertools import combinations
from typing import TYPE_CHECKING, Any

from tests.demo.shop import Shop
from tests.scenarios.machine import until

if TYPE_CHECKING:
    from playwright.sync_api import Browser

#: seconds from an order to its shipment, on a machine with a lot else to do
_PATIENCE = 30.0
_SERVERS = ("postgres", "redis", "rabbitmq")


def test_one_command_brings_everything_up_and_ready(shop: Shop) -> None:
    status = shop.project.assert_up()

    assert [row["name"] for row in status["services"]] == list(_SERVERS)
    assert {row["role"] for row in status["processes"]} == {"web", "worker", "beat", "daemon"}
    assert sum(row["name"] == "worker" for row in status["processes"]) == 2


def test_an_order_through_the_api_is_shipped(shop: Shop) -> None:
    order = shop.order("mug", 2)

    assert shop.ships(order, _PATIENCE), shop.status_of(order)


def test_an_order_on_the_page_is_placed_invoiced_and_shipped(shop: Shop, browser: Browser) -> None:
    from playwright.sync_api import expect

    page = browser.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(shop.url)
    before = page.locator("#orders > li").count()

    with shop.shipper_held():
        with page.expect_response("**/api/orders") as answer:
            page.locator("form.buy", has_text="Quantity of Mug").get_by_role("button", name="Order").click()
        assert answer.value.json()["status"] == "placed"
        order = page.locator(f'#orders > li[data-order="{answer.value.json()["id"]}"]')
        expect(order).to_have_attribute("data-status", "invoiced", timeout=_PATIENCE * 1000)
        expect(order.locator("[aria-current]")).to_have_text("Invoiced")
    expect(order).to_have_attribute("data-status", "shipped", timeout=_PATIENCE * 1000)

    expect(order.locator("[aria-current]")).to_have_text("Shipped")
    assert page.locator("#orders > li").count() == min(before + 1, 5)
    assert not complaints


def test_servers_and_python_get_ready_at_the_same_time(shop: Shop) -> None:
    """No server waits for another: the last one is ready about when the slowest one alone would have been."""
    spans = shop.spans()

    for one, other in combinations((*_SERVERS, "python"), 2):
        assert spans[one].overlaps(spans[other]), (one, spans[one], other, spans[other])
    servers = [spans[name] for name in _SERVERS]
    slowest = max(span.ended - span.began for span in servers)
    whole = max(span.ended for span in servers) - min(span.began for span in servers)
    assert whole <= 1.3 * slowest, spans


def test_a_second_up_changes_nothing(shop: Shop) -> None:
    before, journals = shop.project.pids(), shop.project.journals()

    plan: Any = shop.project.run("plan", "--exit-code", "--json").document
    shop.project.run("up")

    assert plan["steps"] == []
    assert shop.project.pids() == before
    assert [path.name for path in shop.project.journals()] == [path.name for path in journals]


def test_an_order_survives_the_death_of_the_workers_that_had_it(shop: Shop) -> None:
    """All are held, so that the order is with one of them for certain when they are killed."""
    workers = shop.workers()
    for process in workers:
        process.send_signal(signal.SIGSTOP)
    order = shop.order("notebook", 1)
    for process in workers:
        process.kill()

    assert shop.ships(order, 2 * _PATIENCE), shop.status_of(order)
    assert until(shop.is_ready, 60)


def test_down_leaves_nothing_running_and_up_finds_the_data_again(shop: Shop) -> None:
    order = shop.order("t-shirt", 1)
    assert shop.ships(order, _PATIENCE)

    shop.project.run("down")

    shop.project.assert_gone()
    document = shop.project.run("up", "--json").document
    assert document["stack"]["state"] == "up", json.dumps(document)
    assert shop.status_of(order) == "shipped"
