"""The pages: the catalogue with the latest orders, and one page per order. They work without JavaScript too."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from store import catalogue as products
from store.models import Order
from store.ordering import MOST_AT_ONCE, OrderError, order_from

LATEST = 5
POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"


@never_cache
@require_safe
def catalogue(request: HttpRequest) -> HttpResponse:
    return _catalogue(request)


@require_POST
def place(request: HttpRequest) -> HttpResponse:
    """The form of the catalogue, for browsers without JavaScript."""
    try:
        order = order_from(request.POST)
    except OrderError as error:
        return _catalogue(request, problem=str(error), status=error.status)
    return redirect("order", order.pk)


@never_cache
@require_safe
def order(request: HttpRequest, order_id: int) -> HttpResponse:
    found = get_object_or_404(Order.objects.select_related("product", "invoice"), pk=order_id)
    return _page(request, "store/order.html", {"order": found})


def _catalogue(request: HttpRequest, problem: str = "", status: int = 200) -> HttpResponse:
    shown = products.load()
    context = {
        "catalogue": shown,
        "orders": Order.objects.select_related("product", "invoice")[:LATEST],
        "latest": LATEST,
        "most": MOST_AT_ONCE,
        "problem": problem,
    }
    response = _page(request, "store/catalogue.html", context, status)
    response["X-Catalogue"] = "cached" if shown.cached else "fresh"
    return response


def _page(request: HttpRequest, template: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
    response = render(request, template, context, status=status)
    response["Content-Security-Policy"] = POLICY
    return response
