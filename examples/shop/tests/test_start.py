"""The programs of the shop as devstack.toml starts them: together, without settings, and their end."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.core.management import call_command
from django.db import connection

from store.models import Order, Product, Status
from store.ordering import place_order

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = ["manage.py check", "-m shop.shipper", "-m celery -A shop worker"]

Start = Callable[[str], subprocess.Popen[str]]


def python(program: str, **changed: str | None) -> subprocess.CompletedProcess[str]:
    settings = {"DJANGO_SETTINGS_MODULE": "shop.settings", **changed}
    env = {name: value for name, value in {**os.environ, **settings}.items() if value is not None}
    command = [sys.executable, *program.split()]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=30, check=False)


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts programs of the shop on the database of the tests."""
    database = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "shop.test_settings", "DATABASE_URL": database}
    running: list[subprocess.Popen[str]] = []

    def run(program: str) -> subprocess.Popen[str]:
        command = [sys.executable, *program.split()]
        running.append(
            subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        )
        return running[-1]

    yield run
    for process in running:
        process.kill()
        process.communicate()


def wait_for(process: subprocess.Popen[str], words: str) -> None:
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if words in line:
            return
    pytest.fail(f"never said {words!r}: {''.join(said)}")


@pytest.mark.django_db(transaction=True)
def test_an_order_travels_from_placed_to_shipped_and_all_stop_cleanly(mug: Product, start: Start) -> None:
    worker = start("-m celery -A shop worker --pool solo --loglevel INFO --without-mingle --without-gossip")
    shipper = start("-m shop.shipper")
    wait_for(shipper, "shipper ready: waiting for invoiced orders")
    wait_for(worker, "ready.")

    order = place_order("mug", 2)
    deadline = time.monotonic() + 15
    while order.status != Status.SHIPPED and time.monotonic() < deadline:
        time.sleep(0.02)
        order = Order.objects.get(pk=order.pk)
    assert order.status == Status.SHIPPED
    assert order.invoiced_at is not None
    assert order.shipped_at is not None
    assert order.placed_at < order.invoiced_at < order.shipped_at

    begun = time.monotonic()
    worker.terminate()
    shipper.terminate()
    assert shipper.wait(timeout=10) == 0
    assert time.monotonic() - begun < 3  # 0.2 s on a quiet machine
    assert worker.wait(timeout=10) == 0


@pytest.mark.parametrize("program", PROGRAMS)
def test_missing_settings_are_named_in_one_line(program: str) -> None:
    done = python(program, DATABASE_URL=None, SECRET_KEY="")
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if "SecurityWarning" not in line]
    assert lines == [
        "shop: not set in the environment: DATABASE_URL, SECRET_KEY (devstack.toml lists what the shop needs)"
    ]


def test_a_wrong_database_url_is_not_repeated() -> None:
    done = python("manage.py check", DATABASE_URL="nonsense://somebody:password@host/shop")
    assert done.returncode == 1
    assert done.stderr == "shop: DATABASE_URL is not a URL the shop understands\n"


def test_no_migration_is_missing(db: None) -> None:
    call_command("makemigrations", check=True, dry_run=True)
