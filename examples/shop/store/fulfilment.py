"""The two steps of an order after it was placed, and the sweep for orders that got stuck between them.

Every message may arrive late, twice or after a crash, so each step looks at the locked row first
and does nothing when it is done already.
"""

import logging
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from store import messages
from store.models import Invoice, Order, Status

log = logging.getLogger(__name__)

SWEEP_AT_MOST = 200


def invoice_order(order_id: int) -> None:
    """placed → invoiced, then announce it; an order invoiced before is only announced again."""
    with transaction.atomic():
        order = _locked(order_id)
        if order is None or order.status == Status.SHIPPED:
            return
        if order.status == Status.PLACED:
            Invoice.objects.get_or_create(order=order, defaults={"total": order.total})
            order.status = Status.INVOICED
            order.invoiced_at = order.queued_at = timezone.now()
            order.save(update_fields=["status", "invoiced_at", "queued_at"])
        transaction.on_commit(lambda: messages.announce_invoiced(order_id))


def ship_order(order_id: int) -> bool:
    """invoiced → shipped; True if it was this call that shipped it."""
    with transaction.atomic():
        order = _locked(order_id)
        if order is None or order.status != Status.INVOICED:
            return False
        order.status = Status.SHIPPED
        order.shipped_at = timezone.now()
        order.save(update_fields=["status", "shipped_at"])
    return True


def resend_stuck() -> int:
    """Sends again what was sent long ago for orders still under way; returns how many."""
    now = timezone.now()
    with transaction.atomic():
        stuck = (
            Order.objects.select_for_update(skip_locked=True)
            .exclude(status=Status.SHIPPED)
            .filter(queued_at__lt=now - timedelta(seconds=settings.SHOP_STUCK_AFTER))
            .order_by("queued_at")[:SWEEP_AT_MOST]
        )
        found = list(stuck.values_list("pk", "status"))
        Order.objects.filter(pk__in=[order_id for order_id, _ in found]).update(queued_at=now)
    for order_id, status in found:
        log.info("order %s is stuck as %s: sending it again", order_id, status)
        send = messages.request_invoice if status == Status.PLACED else messages.announce_invoiced
        send(order_id)
    return len(found)


def _locked(order_id: int) -> Order | None:
    order = Order.objects.select_for_update().filter(pk=order_id).first()
    if order is None:
        log.warning("there is no order %s (was the database reset?)", order_id)
    return order
