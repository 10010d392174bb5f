"""The list of products as the catalogue page shows it: read from Postgres, kept in Redis."""

import logging
from collections.abc import Callable
from typing import Any, NamedTuple, TypedDict

from django.core.cache import cache
from redis.exceptions import RedisError

from store.models import STOCK, Product

log = logging.getLogger(__name__)

KEY = "catalogue"
SECONDS = 30


class Item(TypedDict):
    sku: str
    name: str
    description: str
    price: str
    stock: int


class Catalogue(NamedTuple):
    items: list[Item]
    cached: bool


def load() -> Catalogue:
    """The products, from the cache if it has them; without Redis the shop is slower, not closed."""
    if items := _ask(cache.get, KEY):  # an empty list is asked for again: somebody is about to fill the shop
        return Catalogue(items, cached=True)
    items = _read()
    _ask(cache.set, KEY, items, SECONDS)
    return Catalogue(items, cached=False)


def forget() -> None:
    """Makes the next visitor see the stock of now."""
    _ask(cache.delete, KEY)


def _ask(command: Callable[..., Any], *args: Any) -> Any:
    try:
        return command(*args)
    except RedisError as error:
        log.warning("the cache does not answer: %s", error)
        return None


def _read() -> list[Item]:
    products = Product.objects.annotate(stock=STOCK).order_by("position", "sku")  # grouping drops the default order
    return [
        Item(sku=p.sku, name=p.name, description=p.description, price=str(p.price), stock=p.stock) for p in products
    ]
