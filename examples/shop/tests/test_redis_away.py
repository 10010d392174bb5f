"""A shop whose Redis is away: slower and unhealthy, but open."""

import pytest
from django.core.cache import caches
from django.test import Client
from pytest_django import Settings


@pytest.fixture(autouse=True)
def _no_redis(settings: Settings) -> None:
    nowhere = {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}
    settings.CACHES = {"default": nowhere}
    assert caches.settings["default"]["LOCATION"].endswith(":1/0")


def test_the_catalogue_is_read_from_postgres(client: Client, demo: None) -> None:
    for _ in range(2):
        response = client.get("/")
        assert response.status_code == 200
        assert response["X-Catalogue"] == "fresh"


def test_health_names_redis(client: Client, db: None) -> None:
    response = client.get("/health/")
    assert response.status_code == 503
    assert list(response.json()["problems"]) == ["redis"]
