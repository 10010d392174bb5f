"""What the Celery workers do."""

from django.db import InterfaceError, OperationalError

from shop.celery import app
from store import fulfilment

# Expected when Postgres restarts: logged in one line, and the sweep tries again.
POSTGRES_AWAY = (InterfaceError, OperationalError)


@app.task(throws=POSTGRES_AWAY)
def make_invoice(order_id: int) -> None:
    fulfilment.invoice_order(order_id)


@app.task(throws=POSTGRES_AWAY)
def sweep_orders() -> None:
    fulfilment.resend_stuck()
