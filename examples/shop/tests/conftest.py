"""What the tests share: products in the database, empty queues, and a look into them."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import call_command
from kombu import Connection, Queue

from shop.celery import app
from store import catalogue
from store.messages import shipper_queue
from store.models import Order, Product, Status

Read = Callable[[Queue], list[Any]]


@pytest.fixture(scope="session")
def broker() -> Iterator[Connection]:
    """A connection to RabbitMQ with the queues of the tests declared; they are gone afterwards."""
    queues = [shipper_queue(), task_queue()]
    with app.connection_for_write() as connection:
        for queue in queues:
            queue.bind(connection.default_channel).declare()
        yield connection
        for queue in queues:
            queue.bind(connection.default_channel).delete()


@pytest.fixture(autouse=True)
def _clean(broker: Connection) -> Iterator[None]:
    yield
    cache.delete(catalogue.KEY)
    for queue in (shipper_queue(), task_queue()):
        queue.bind(broker.default_channel).purge()


@pytest.fixture
def read(broker: Connection) -> Read:
    """Takes all messages out of a queue and returns their bodies, oldest first."""

    def take(queue: Queue) -> list[Any]:
        bound = queue.bind(broker.default_channel)
        return [message.payload for message in iter(lambda: bound.get(no_ack=True), None)]

    return take


@pytest.fixture
def demo(db: None) -> None:
    call_command("loaddata", "demo", verbosity=0)


@pytest.fixture
def mug(demo: None) -> Product:
    return Product.objects.get(sku="mug")


@pytest.fixture
def placed(mug: Product) -> Order:
    return Order.objects.create(product=mug, quantity=2, unit_price=mug.price)


@pytest.fixture
def invoiced(placed: Order) -> Order:
    placed.status = Status.INVOICED
    placed.save()
    return placed


def task_queue() -> Queue:
    queue: Queue = app.amqp.queues[app.conf.task_default_queue]
    return queue


def invoices_asked_for(read: Read) -> list[int]:
    """The orders for which the queue of the workers holds a make_invoice task."""
    return [args[0] for args, _kwargs, _embed in read(task_queue())]


def announced(read: Read) -> list[int]:
    """The orders that were announced to the shipper."""
    return [body["order_id"] for body in read(shipper_queue())]
