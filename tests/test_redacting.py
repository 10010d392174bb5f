"""Reports for strangers: no secret in any spelling, and what isn't one stays readable."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest

from devstack.redacting import Redactor, strings, worth_hiding

SECRET = 'p"ss wörd/+&$'


@pytest.mark.fault("S29")
@pytest.mark.parametrize("text", [
    SECRET, quote(SECRET, safe=""), json.dumps(SECRET), json.dumps(SECRET, ensure_ascii=False),
    base64.b64encode(SECRET.encode()).decode(), f"a{SECRET}b\n{SECRET}",
])  # fmt: skip
def test_a_secret_is_gone_however_it_is_spelled(text: str) -> None:
    said = Redactor([SECRET])(f"before {text} after")
    assert "***" in said
    encoded = base64.b64encode(SECRET.encode()).decode()
    for spelled in (SECRET, quote(SECRET, safe=""), json.dumps(SECRET)[1:-1], encoded):
        assert spelled not in said
    assert said.startswith("before ")
    assert said.endswith(" after")


@pytest.mark.fault("S29")
@pytest.mark.parametrize(("text", "shown"), [
    ("postgresql://shop:hunter2@127.0.0.1:5432/shop", "postgresql://***:***@127.0.0.1:5432/shop"),
    ("redis://:hunter2@127.0.0.1/0", "redis://***:***@127.0.0.1/0"),
    ("PASSWORD=hunter2 other=1", "PASSWORD=*** other=1"),
    ('{"api_key": "hunter2", "port": 1}', '{"api_key": ***, "port": 1}'),
    ("SECRET_KEY = 'hunter 2'", "SECRET_KEY = ***"),
    ("Authorization: Bearer hunter2", "Authorization: ***"),
    ("key sk_live_abcdefghijklmnop.", "key ***"),
    ("eyJhbGciOi.eyJzdWIiOi.c2lnbmF0", "eyJhbGciOi.eyJzdWIiOi.c2lnbmF0"),
    ("eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0", "***"),
    ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nafter", "***\nafter"),
    ("http://127.0.0.1:8000/a@b", "http://127.0.0.1:8000/a@b"),
    ("postgres is ready on port 5432", "postgres is ready on port 5432"),
])  # fmt: skip
def test_what_looks_like_a_secret_is_gone_and_nothing_else(text: str, shown: str) -> None:
    assert Redactor([])(text) == shown


def test_words_count_where_they_stand_alone_and_places_are_nobodys() -> None:
    redact = Redactor([], ["abc"], {"/home/ann": "~", "annslaptop": "HOST"})
    assert redact("abc abcd /home/ann/shop /home/anna on annslaptop") == "*** abcd ~/shop /home/anna on HOST"


def test_of_an_env_file_everything_is_hidden_that_a_report_can_be_read_without() -> None:
    values = {
        "API_TOKEN": "abc", "STRIPE": "some-value", "DEBUG": "true", "HOST": "localhost", "DB_PASSWORD": "postgres",
        "PORT": "12345678", "NAME": "worker",
    }  # fmt: skip
    assert worth_hiding(values, ["worker", "postgres"]) == (["some-value"], ["abc", "postgres"])


def test_strings_of_a_file_that_is_damaged_are_found() -> None:
    assert strings('{"services.redis": "abcdefgh", "b": "x", "c": "unclo') == ["services.redis", "abcdefgh"]
