"""What is remembered of a person's trust, and how a change of it is told."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from devstack.system import System
from devstack.trust import Change, Item, Material, TrustStore, changes, item

FILES = (
    item("devstack.toml", "profile", b"a\nb\n"), item(".env", "env file", b"KEY=canary\n"), item("x", "script", b"\0"),
)


@pytest.fixture
def store(system: System, tmp_path: Path) -> TrustStore:
    return TrustStore(system, tmp_path / "state")


def test_trust_is_bound_to_a_place(store: TrustStore) -> None:
    one = Material("/src/one", 1000, FILES)
    assert store.known("/src/one") is None
    store.trust(one)
    store.trust(replace(one, root="/src/two", items=()))
    assert (store.known("/src/one"), store.known("/src/three")) == (one, None)
    store.forget("/src/one")
    assert store.known("/src/one") is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"root": "/src", "owner": 0, "items": [{"name": 1}]}', "[" * 9999]
)
def test_damaged_trust_is_no_trust(store: TrustStore, tmp_path: Path, text: str) -> None:
    store.trust(Material("/src", 0, FILES))
    (file,) = (tmp_path / "state" / "trust").iterdir()
    file.write_text(text)
    assert store.known("/src") is None
    # nor is that of another place
    store.trust(Material("/other", 0, FILES))
    (other,) = [path for path in (tmp_path / "state" / "trust").iterdir() if path != file]
    file.write_text(other.read_text())
    assert store.known("/src") is None


def test_it_is_private_and_holds_no_secret(store: TrustStore, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store.trust(Material("/src", 0, FILES))
    finally:
        os.umask(before)
    (file,) = (tmp_path / "state" / "trust").iterdir()
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert "canary" not in file.read_text()
    assert [one["text"] for one in json.loads(file.read_text())["items"]] == ["a\nb\n", None, None]


def test_what_changed_is_named_with_its_lines() -> None:
    before = Material("/src", 1000, (*FILES, item("gone.sh", "script", b"x")))
    now = Material("/src", 1001, (
        item("devstack.toml", "profile", b"a\nc\n"), item(".env", "env file", b"KEY=other\n"),
        item("x", "script", b"\0"), item("new.in", "template", b"y"),
    ))  # fmt: skip
    found = changes(before, now)
    assert [(one.name, one.kind, one.how) for one in found[1:]] == [
        ("devstack.toml", "profile", "changed"), (".env", "env file", "changed"), ("gone.sh", "script", "gone"),
        ("new.in", "template", "new"),
    ]
    assert "another user" in str(found[0])
    assert found[1].diff[2:] == ("@@ -1,2 +1,2 @@", " a", "-b", "+c")
    assert found[2].diff == ()
    assert changes(before, before) == ()


def test_a_long_diff_is_cut() -> None:
    one = Material("/src", 0, (item("p", "profile", b"\n".join(b"a%d" % n for n in range(500))),))
    two = Material("/src", 0, (item("p", "profile", b"\n".join(b"b%d" % n for n in range(500))),))
    (change,) = changes(one, two)
    assert len(change.diff) == 41
    assert change.diff[-1].endswith("more lines")


def test_a_change_in_words() -> None:
    words = {str(Change("a", "script", how)) for how in ("changed", "new", "gone")}
    assert words == {"a (script) changed", "a (script) is new", "a (script) is gone"}
    assert Item("a", "script", "1").text is None
