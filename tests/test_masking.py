"""What may be shown of a value."""

from __future__ import annotations

import pytest

from devstack.masking import shown
from devstack.profile.secret import Secret

SECRETS = ("wholesecret", "short")


@pytest.mark.parametrize(("name", "value", "wanted"), [
    ("URL", Secret("redis://:wholesecret@127.0.0.1/0"), "redis://:***@127.0.0.1/0"),
    ("ANY", Secret("wholesecret"), "***"),
    ("ANY", Secret("something else altogether"), "***"),
    ("ANY", Secret("a short one"), "***"),
    ("ANY", Secret(""), ""),
    ("PLAIN", "wholesecret is a word here", "wholesecret is a word here"),
    ("PROXY", "http://me:pass@proxy:80/", "http://me:***@proxy:80/"),
    ("STRIPE_API_KEY", "sk_live", "***"),
    ("DB_PASSWORD", "x", "***"),
    ("GITHUB_TOKEN", "x", "***"),
    ("TOKENIZER", "x", "x"),
    ("MONKEY", "x", "x"),
    ("SECRET_KEY", "", ""),
])  # fmt: skip
def test_what_is_shown(name: str, value: str | Secret, wanted: str) -> None:
    assert shown(name, value, SECRETS) == wanted
