"""The steps from placed to shipped: each once, whatever arrives twice, late or broken."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone
from kombu import Connection
from pytest_django import DjangoCaptureOnCommitCallbacks

from shop.celery import app
from store.fulfilment import resend_stuck
from store.messages import ORDER_INVOICED, announce_invoiced, shipper_queue
from store.models import Invoice, Order, Product, Status
from store.ordering import place_order
from store.shipping import Shipper
from store.tasks import make_invoice, sweep_orders
from tests.conftest import Read, announced, invoices_asked_for


def ship_one(broker: Connection) -> None:
    """Lets the real consumer handle one message."""
    next(Shipper(broker).consume(limit=1, timeout=5))


def send(broker: Connection, body: Any, **options: Any) -> None:
    exchange = shipper_queue().exchange
    broker.Producer().publish(body, exchange=exchange.name, routing_key=ORDER_INVOICED, **options)


def test_a_task_invoices_and_announces_after_the_commit(
    placed: Order, read: Read, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        make_invoice(placed.pk)
        assert announced(read) == []
    placed.refresh_from_db()
    assert placed.status == Status.INVOICED
    assert placed.invoice.total == 2 * placed.product.price
    assert announced(read) == [placed.pk]


def test_the_same_task_twice_makes_one_invoice_but_announces_again(
    placed: Order, read: Read, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    for _ in range(2):  # the second run may be the one whose first announcement was lost
        with django_capture_on_commit_callbacks(execute=True):
            make_invoice(placed.pk)
    assert Invoice.objects.count() == 1
    assert announced(read) == [placed.pk, placed.pk]


def test_a_task_for_an_order_that_is_gone_does_nothing(db: None, read: Read) -> None:
    make_invoice(4711)
    assert not Invoice.objects.exists()
    assert announced(read) == []


def test_a_price_change_does_not_touch_an_order(placed: Order) -> None:
    Product.objects.filter(sku="mug").update(price=99)
    make_invoice(placed.pk)
    assert Invoice.objects.get().total == 24


@pytest.mark.django_db(transaction=True)
def test_the_shipper_ships_what_was_announced(invoiced: Order, broker: Connection, read: Read) -> None:
    announce_invoiced(invoiced.pk)
    ship_one(broker)
    invoiced.refresh_from_db()
    assert invoiced.status == Status.SHIPPED
    assert invoiced.shipped_at is not None
    assert read(shipper_queue()) == []  # acknowledged


@pytest.mark.django_db(transaction=True)
def test_an_announcement_twice_ships_once(invoiced: Order, broker: Connection) -> None:
    shipped_at = []
    for _ in range(2):
        announce_invoiced(invoiced.pk)
        ship_one(broker)
        invoiced.refresh_from_db()
        shipped_at.append(invoiced.shipped_at)
    assert shipped_at[0] == shipped_at[1] is not None


@pytest.mark.django_db(transaction=True)
def test_the_shipper_does_not_ship_before_the_invoice(placed: Order, broker: Connection) -> None:
    announce_invoiced(placed.pk)
    ship_one(broker)
    placed.refresh_from_db()
    assert placed.status == Status.PLACED


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("body", "options"),
    [
        ({"order_id": "1; drop table"}, {}),
        ({"order_id": True}, {}),
        ({}, {}),
        ([1], {}),
        (b"{", {"content_type": "application/json", "content_encoding": "utf-8"}),
        (b"\x80\x04.", {"content_type": "application/x-python-serialize", "content_encoding": "binary"}),
        ({"order_id": 4711}, {}),
    ],
)
def test_the_shipper_drops_messages_it_cannot_use_and_goes_on(
    invoiced: Order, broker: Connection, read: Read, body: Any, options: dict[str, Any]
) -> None:
    send(broker, body, **options)
    announce_invoiced(invoiced.pk)
    consuming = Shipper(broker).consume(limit=2, timeout=5)
    next(consuming)
    next(consuming)
    consuming.close()
    invoiced.refresh_from_db()
    assert invoiced.status == Status.SHIPPED
    assert read(shipper_queue()) == []


def test_the_sweep_sends_stuck_orders_again(mug: Product, read: Read) -> None:
    long_ago = timezone.now() - timedelta(seconds=settings.SHOP_STUCK_AFTER + 1)

    def order(status: Status, queued_at: Any = long_ago) -> int:
        fields = {"product": mug, "quantity": 1, "unit_price": mug.price, "status": status, "queued_at": queued_at}
        return int(Order.objects.create(**fields).pk)

    stuck_placed, stuck_invoiced = order(Status.PLACED), order(Status.INVOICED)
    order(Status.SHIPPED)
    order(Status.PLACED, timezone.now())
    sweep_orders()
    assert invoices_asked_for(read) == [stuck_placed]
    assert announced(read) == [stuck_invoiced]
    assert resend_stuck() == 0  # they have just been sent


@pytest.mark.django_db(transaction=True)
def test_an_order_is_taken_while_rabbitmq_is_away(
    mug: Product, read: Read, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(*_args: Any, **_options: Any) -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    with monkeypatch.context() as away:
        away.setattr(app, "send_task", refused)
        order = place_order("mug", 1)
    assert Order.objects.get(pk=order.pk).status == Status.PLACED
    assert "waits for the sweep" in caplog.text
    Order.objects.update(queued_at=timezone.now() - timedelta(minutes=1))
    sweep_orders()
    assert invoices_asked_for(read) == [order.pk]
