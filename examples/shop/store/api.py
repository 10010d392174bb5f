"""The JSON API. Every answer is JSON; a mistake is {"error": "one line"}.

It asks for no CSRF token: it insists on `Content-Type: application/json`, which a form of another site can't send.
"""

import json
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, JsonResponse
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt

from store.models import Order
from store.ordering import OrderError, order_from


@csrf_exempt
@never_cache
def orders(request: HttpRequest) -> JsonResponse:
    """POST {"sku": "mug", "quantity": 2} → 201 {"id", "status"}."""
    if request.method != "POST":
        return _not_allowed("POST")
    if request.content_type != "application/json":
        return _error(415, "Send the order as JSON, with Content-Type: application/json.")
    try:
        order = order_from(_json_object(request))
    except OrderError as error:
        return _error(error.status, str(error))
    location = reverse("api-order", args=[order.pk])
    return JsonResponse({"id": order.pk, "status": order.status}, status=201, headers={"Location": location})


@csrf_exempt
@never_cache
def order(request: HttpRequest, order_id: int) -> JsonResponse:
    """GET → 200 {"id", "status", …}, see Order.as_json."""
    if request.method not in {"GET", "HEAD"}:
        return _not_allowed("GET")
    found = Order.objects.select_related("product", "invoice").filter(pk=order_id).first()
    if found is None:
        return _error(404, f"There is no order {order_id}.")
    return JsonResponse(found.as_json())


@csrf_exempt
def unknown(request: HttpRequest, rest: str) -> JsonResponse:
    """Any other address below /api/."""
    return _error(404, f"There is nothing at {request.path}. Try POST /api/orders or GET /api/orders/ID.")


def _json_object(request: HttpRequest) -> dict[str, Any]:
    try:
        data = json.loads(request.body)
    except RequestDataTooBig:
        raise OrderError("The body is too large.") from None
    except (ValueError, RecursionError):
        raise OrderError("The body is not valid JSON.") from None
    if not isinstance(data, dict):
        raise OrderError('The body must be a JSON object such as {"sku": "mug", "quantity": 2}.')
    return data


def _error(status: int, message: str) -> JsonResponse:
    return JsonResponse({"error": message}, status=status)


def _not_allowed(method: str) -> JsonResponse:
    return JsonResponse({"error": f"Only {method} is allowed here."}, status=405, headers={"Allow": method})
