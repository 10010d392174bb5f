"""The consumer behind the shipping daemon: takes `order.invoiced` messages and marks their orders shipped."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import InterfaceError, OperationalError, close_old_connections
from kombu import Connection, Consumer, Message
from kombu.mixins import ConsumerMixin

from store.fulfilment import ship_order
from store.messages import shipper_queue

log = logging.getLogger(__name__)

PAUSE = 1.0  # seconds before trying Postgres or RabbitMQ again


class Shipper(ConsumerMixin):
    """At-least-once: a message is acknowledged only after its order is committed as shipped."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.should_stop = False
        self._shipping = False

    def run(self, *_args: Any, **_kwargs: Any) -> None:
        """Consumes until `stop()`; a lost broker is waited for."""
        broken = self.connection.connection_errors + self.connection.channel_errors
        while not self.should_stop:
            try:
                for _ in self.consume():
                    pass
            except broken as error:
                log.warning("RabbitMQ went away, connecting again: %s", error)
                time.sleep(PAUSE)

    def stop(self) -> None:
        """For signal handlers: ends at once when waiting, after the order at hand when shipping."""
        self.should_stop = True
        if not self._shipping:
            raise SystemExit(0)

    def get_consumers(self, consumer: type[Consumer], channel: Any) -> list[Consumer]:
        return [consumer([shipper_queue()], callbacks=[self.on_invoiced], accept=["json"], prefetch_count=1)]

    @contextmanager
    def establish_connection(self) -> Iterator[Connection]:
        with self.connection.clone() as connection:
            connection.ensure_connection(self.on_connection_error, interval_start=PAUSE, interval_step=0)
            yield connection

    def on_consume_ready(self, *_args: Any, **_kwargs: Any) -> None:
        print("shipper ready: waiting for invoiced orders", flush=True)

    def on_connection_error(self, error: Exception, interval: float) -> None:
        log.warning("RabbitMQ does not answer, trying again in %.0f s: %s", interval, error)

    def on_decode_error(self, message: Message, error: Exception) -> None:
        log.warning("dropped a message that is not JSON: %s", error)
        message.reject()

    def on_invoiced(self, body: Any, message: Message) -> None:
        order_id = body.get("order_id") if isinstance(body, dict) else None
        if type(order_id) is not int:
            log.warning("dropped a message without an order_id")
            message.reject()
            return
        try:
            self._ship(order_id, message)
        except (InterfaceError, OperationalError) as error:
            log.warning("order %s: Postgres does not answer, trying again: %s", order_id, error)
            time.sleep(PAUSE)
            message.requeue()

    def _ship(self, order_id: int, message: Message) -> None:
        self._shipping = True
        try:
            if ship_order(order_id):
                log.info("order %s shipped", order_id)
            message.ack()
        finally:
            self._shipping = False
            close_old_connections()
