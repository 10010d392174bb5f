"""Taking an order: check it, put it into Postgres, and tell the workers once it is there."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.db import transaction
from django.db.models import Sum

from store import catalogue, messages
from store.models import Order, Product

MOST_AT_ONCE = 99


class OrderForm(forms.Form):
    """What a customer may ask for; the page and the API share it."""

    sku = forms.SlugField(max_length=40, error_messages={"invalid": "A SKU has letters, digits, - and _ only."})
    quantity = forms.IntegerField(min_value=1, max_value=MOST_AT_ONCE)


class OrderError(Exception):
    """An order that can't be taken; the text is for the customer, the status for HTTP."""

    status = 400


class UnknownProductError(OrderError):
    status = 404

    def __init__(self, sku: str) -> None:
        super().__init__(f"There is no product {sku!r}.")


class OutOfStockError(OrderError):
    status = 409

    def __init__(self, product: Product, left: int) -> None:
        super().__init__(f"Only {left} of {product.name} left." if left else f"{product.name} is sold out.")


def order_from(data: Mapping[str, Any]) -> Order:
    """The order that somebody typed or sent, placed. Raises OrderError."""
    form = OrderForm(data)
    if not form.is_valid():
        raise OrderError(" ".join(f"{field}: {' '.join(map(str, errors))}" for field, errors in form.errors.items()))
    return place_order(form.cleaned_data["sku"], form.cleaned_data["quantity"])


def place_order(sku: str, quantity: int) -> Order:
    """A new order, already committed unless the caller has a transaction open.

    Raises UnknownProductError or OutOfStockError.
    """
    with transaction.atomic():
        # The lock makes two customers after the last piece queue up.
        product = Product.objects.select_for_update().filter(sku=sku).first()
        if product is None:
            raise UnknownProductError(sku)
        ordered = Order.objects.filter(product=product).aggregate(pieces=Sum("quantity"))["pieces"] or 0
        left = max(0, product.received - ordered)
        if quantity > left:
            raise OutOfStockError(product, left)
        order = Order.objects.create(product=product, quantity=quantity, unit_price=product.price)
        transaction.on_commit(catalogue.forget)
        transaction.on_commit(lambda: messages.request_invoice(order.pk))
    return order
