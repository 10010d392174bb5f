"""Which address answers what."""

from django.urls import path

from store import api, health, pages

urlpatterns = [
    path("", pages.catalogue, name="catalogue"),
    path("orders", pages.place, name="place"),
    path("orders/<int:order_id>", pages.order, name="order"),
    path("api/orders", api.orders, name="api-orders"),
    path("api/orders/<int:order_id>", api.order, name="api-order"),
    path("api/<path:rest>", api.unknown),
    path("health/", health.health, name="health"),
]
