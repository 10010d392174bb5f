"""The pages a visitor sees."""

import pytest
from django.db import connection
from django.test import Client
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks

from store import catalogue
from store.models import Order, Product


def test_catalogue_lists_the_products_in_their_order(client: Client, demo: None) -> None:
    page = client.get("/").content.decode()
    positions = [page.index(f'name="sku" value="{sku}"') for sku in ("mug", "t-shirt", "notebook", "print")]
    assert positions == sorted(positions)
    assert "€12.00" in page
    assert "12 left" in page


def test_catalogue_comes_from_redis_the_second_time(
    client: Client, demo: None, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    assert client.get("/")["X-Catalogue"] == "fresh"
    with django_assert_num_queries(1):  # the latest orders; no products
        assert client.get("/")["X-Catalogue"] == "cached"


def test_an_empty_catalogue_is_not_remembered(client: Client, db: None) -> None:
    assert "shelves are empty" in client.get("/").content.decode()
    assert not catalogue.load().cached


def test_an_order_refreshes_the_stock_on_the_page(
    client: Client, demo: None, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    client.get("/")
    with django_capture_on_commit_callbacks(execute=True):
        client.post("/orders", {"sku": "print", "quantity": 11})
    page = client.get("/")
    assert page["X-Catalogue"] == "fresh"
    assert "1 left" in page.content.decode()


def test_ordering_without_javascript_leads_to_the_order(client: Client, demo: None) -> None:
    response = client.post("/orders", {"sku": "mug", "quantity": 3}, follow=True)
    order = Order.objects.get()
    assert response.redirect_chain == [(f"/orders/{order.pk}", 302)]
    page = response.content.decode()
    assert "3 × Mug" in page
    assert "€36.00" in page
    assert 'data-status="placed"' in page


def test_a_form_of_another_site_is_refused(demo: None) -> None:
    assert Client(enforce_csrf_checks=True).post("/orders", {"sku": "mug", "quantity": 1}).status_code == 403
    assert not Order.objects.exists()


@pytest.mark.parametrize(
    ("sku", "quantity", "status", "words"),
    [
        ("mug", "0", 400, "greater than or equal to 1"),
        ("mug", "many", 400, "Enter a whole number"),
        ("unicorn", "1", 404, "There is no product"),
        ("print", "13", 409, "Only 12 of Art print left"),
    ],
)
def test_a_mistake_is_explained_on_the_page(
    client: Client, demo: None, sku: str, quantity: str, status: int, words: str
) -> None:
    response = client.post("/orders", {"sku": sku, "quantity": quantity})
    assert response.status_code == status
    assert words in response.content.decode()


def test_sold_out_products_have_no_button(client: Client, mug: Product) -> None:
    mug.received = 0
    mug.save()
    page = client.get("/").content.decode()
    assert "Sold out" in page
    assert page.count("<button>") == Product.objects.count() - 1


def test_the_page_of_an_unknown_order_is_a_404(client: Client, db: None) -> None:
    response = client.get("/orders/4711")
    assert response.status_code == 404
    assert "Back to the catalogue" in response.content.decode()


def test_pages_allow_only_what_the_shop_serves_itself(client: Client, demo: None) -> None:
    response = client.get("/")
    assert "default-src 'self'" in response["Content-Security-Policy"]
    page = response.content.decode()
    assert "style=" not in page
    assert "<script>" not in page


def test_health_is_ok(client: Client, db: None) -> None:
    response = client.get("/health/")
    assert response.status_code == 200
    assert response.json() == {"status": "ok"}


@pytest.mark.django_db(transaction=True)
def test_health_names_a_postgres_that_is_away(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "PORT", "1")
    response = client.get("/health/")
    assert response.status_code == 503
    assert list(response.json()["problems"]) == ["postgres"]


@pytest.mark.django_db(transaction=True)
def test_without_postgres_visitors_get_a_503_and_no_traceback(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "PORT", "1")
    page = client.get("/")
    assert page.status_code == 503
    assert "Closed for a moment" in page.content.decode()
    answer = client.get("/api/orders/1")
    assert answer.status_code == 503
    assert "database does not answer" in answer.json()["error"]
