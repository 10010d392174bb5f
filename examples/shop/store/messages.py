"""All that the shop sends through RabbitMQ. If it can't be sent, the sweep sends it later: nothing is raised."""

import logging
from collections.abc import Callable

from django.conf import settings
from kombu import Exchange, Queue
from kombu.exceptions import OperationalError

from shop.celery import app

log = logging.getLogger(__name__)

ORDER_INVOICED = "order.invoiced"


def shipper_queue() -> Queue:
    """The durable queue of the shipper on the topic exchange; declared by whoever needs it first."""
    expires = settings.SHOP_QUEUE_EXPIRES
    exchange = Exchange(settings.SHOP_EXCHANGE, type="topic", durable=True, auto_delete=expires is not None)
    name = f"{settings.SHOP_EXCHANGE}.shipper"
    return Queue(name, exchange, routing_key=ORDER_INVOICED, durable=True, expires=expires)


def request_invoice(order_id: int) -> None:
    """Asks a Celery worker for the invoice (by task name: the web process need not import tasks)."""
    _try("the request for an invoice", order_id, lambda: app.send_task("store.tasks.make_invoice", [order_id]))


def announce_invoiced(order_id: int) -> None:
    """Publishes `order.invoiced` with {"order_id": …}."""

    def publish() -> None:
        queue = shipper_queue()
        with app.producer_or_acquire() as producer:
            producer.publish(
                {"order_id": order_id},
                exchange=queue.exchange,
                routing_key=ORDER_INVOICED,
                declare=[queue],
                retry=True,
                retry_policy=settings.CELERY_TASK_PUBLISH_RETRY_POLICY,
                # The sweep repeats it, so copies may go: they would pile up while no shipper runs.
                expiration=2 * settings.SHOP_STUCK_AFTER,
            )

    _try("the announcement", order_id, publish)


def _try(what: str, order_id: int, send: Callable[[], object]) -> None:
    try:
        send()
    except (OperationalError, OSError) as error:
        log.warning("order %s: %s waits for the sweep, RabbitMQ does not answer: %s", order_id, what, error)
