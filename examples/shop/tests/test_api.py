"""The JSON API, as a script uses it."""

import json
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks

from store.fulfilment import invoice_order, ship_order
from store.models import STOCK, Order, Product
from tests.conftest import Read, invoices_asked_for


def post(client: Client, body: Any, content_type: str = "application/json") -> Any:
    data = body if isinstance(body, (str, bytes)) else json.dumps(body)
    return client.post("/api/orders", data, content_type=content_type)


def test_an_order_is_placed_and_its_invoice_asked_for(
    mug: Product, read: Read, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    client = Client(enforce_csrf_checks=True)  # a script has no CSRF cookie
    with django_capture_on_commit_callbacks(execute=True):
        response = post(client, {"sku": "mug", "quantity": 2})
        assert invoices_asked_for(read) == []  # not before the order is committed
    order = Order.objects.get()
    assert response.status_code == 201
    assert response.json() == {"id": order.pk, "status": "placed"}
    assert response["Location"] == f"/api/orders/{order.pk}"
    assert (order.product, order.quantity, order.unit_price) == (mug, 2, mug.price)
    assert invoices_asked_for(read) == [order.pk]


def test_an_order_shows_its_way(client: Client, placed: Order) -> None:
    def look() -> Any:
        return client.get(f"/api/orders/{placed.pk}").json()

    first = look()
    assert (first["status"], first["sku"], first["quantity"], first["total"]) == ("placed", "mug", 2, "24.00")
    assert first["invoice"] is None
    invoice_order(placed.pk)
    assert look()["status"] == "invoiced"
    assert look()["invoice"].startswith("INV-")
    ship_order(placed.pk)
    assert look()["status"] == "shipped"
    assert look()["shipped_at"] > look()["invoiced_at"] > look()["placed_at"]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ("{", 400, "not valid JSON"),
        (b"\xff\xfe\x00", 400, "not valid JSON"),
        ("[" * 100_000, 400, "not valid JSON"),
        ("x" * 3_000_000, 400, "too large"),
        ("[]", 400, "must be a JSON object"),
        ({}, 400, "sku: This field is required. quantity: This field is required."),
        ({"sku": "mug"}, 400, "quantity: This field is required."),
        ({"sku": "mug", "quantity": 0}, 400, "greater than or equal to 1"),
        ({"sku": "mug", "quantity": 100}, 400, "less than or equal to 99"),
        ({"sku": "mug", "quantity": 1.5}, 400, "Enter a whole number."),
        ({"sku": "mug", "quantity": True}, 400, "Enter a whole number."),
        ({"sku": ["mug"], "quantity": 1}, 400, "letters, digits"),
        ({"sku": "m\0g", "quantity": 1}, 400, "letters, digits"),
        ({"sku": "unicorn", "quantity": 1}, 404, "There is no product 'unicorn'."),
        ({"sku": "print", "quantity": 13}, 409, "Only 12 of Art print left."),
    ],
)
def test_a_mistake_is_explained(client: Client, demo: None, body: Any, status: int, words: str) -> None:
    response = post(client, body)
    assert response.status_code == status
    assert words in response.json()["error"]
    assert not Order.objects.exists()


def test_the_last_piece_is_sold_once(client: Client, demo: None) -> None:
    assert post(client, {"sku": "print", "quantity": 12}).status_code == 201
    response = post(client, {"sku": "print", "quantity": 1})
    assert response.status_code == 409
    assert response.json()["error"] == "Art print is sold out."


def test_another_content_type_is_refused(client: Client, demo: None) -> None:
    response = post(client, {"sku": "mug", "quantity": 1}, content_type="text/plain")
    assert response.status_code == 415
    assert "application/json" in response.json()["error"]


@pytest.mark.parametrize("number", ["4711", "99999999999999999999999"])
def test_an_unknown_order_is_a_404(client: Client, db: None, number: str) -> None:
    response = client.get(f"/api/orders/{number}")
    assert response.status_code == 404
    assert response.json()["error"] == f"There is no order {number}."


def test_other_addresses_and_methods_answer_in_json(client: Client) -> None:
    lost = client.get("/api/orders/abc")
    assert lost.status_code == 404
    assert "/api/orders/abc" in lost.json()["error"]
    for response, allowed in ((client.get("/api/orders"), "POST"), (client.delete("/api/orders/1"), "GET")):
        assert response.status_code == 405
        assert response["Allow"] == allowed
        assert allowed in response.json()["error"]


def test_loading_the_demo_again_keeps_orders_and_stock(client: Client, demo: None, placed: Order) -> None:
    call_command("loaddata", "demo", verbosity=0)
    assert Order.objects.get() == placed
    mug = Product.objects.annotate(stock=STOCK).get(sku="mug")
    assert mug.stock == mug.received - placed.quantity
