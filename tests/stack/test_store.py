"""What is generated, and what of the person's shell is kept."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest

from devstack.profile.model import File, Generate
from devstack.profile.secret import Secret
from devstack.stack.paths import Project
from devstack.stack.store import SecretStore
from devstack.system import System


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def value(store: SecretStore, declared: Generate) -> str:
    found = store.value(f"{declared.format}{declared.generate}", declared, lambda _name, _question: None)
    assert isinstance(found, Secret)
    return found.reveal()


def test_the_count_is_of_characters_or_of_bytes(system: System, project: Project) -> None:
    store = SecretStore(system, project, keep=True)
    assert re.fullmatch(r"[A-Za-z0-9]{33}", value(store, Generate(generate=33)))
    assert len(bytes.fromhex(value(store, Generate(generate=33, format="hex")))) == 33
    assert len(base64.b64decode(value(store, Generate(generate=33, format="base64")), validate=True)) == 33
    fernet = value(store, Generate(generate=32, format="base64url"))
    assert (len(fernet), len(base64.urlsafe_b64decode(fernet))) == (44, 32)


def test_what_is_generated_is_kept(system: System, project: Project) -> None:
    declared = Generate(generate=8)
    first, shown = SecretStore(system, project, keep=True), SecretStore(system, project, keep=False)
    made = value(first, declared)
    assert value(shown, declared) != made
    for store in (shown, first):
        store.save()
    assert value(SecretStore(system, project, keep=True), declared) == made


def test_a_key_file_that_was_there_before_is_nobodys_to_know(system: System, project: Project) -> None:
    store, declared = SecretStore(system, project, keep=True), File(generate=16, format="hex")
    assert store.key_file("k", declared, is_missing=False) is None
    made = store.key_file("k", declared, is_missing=True)
    assert made is not None
    assert store.key_file("k", declared, is_missing=False) == made
    assert store.key_file("folder", File(directory=True), is_missing=True) is None


def test_another_terminal_changes_nothing_of_what_runs(system: System, project: Project) -> None:
    """What was let through stays as it was until the stack is started anew."""
    store = SecretStore(system, project, keep=True)
    assert store.inherited(["A", "B"], {"A": "1", "C": "3"}, again=True) == {"A": "1"}
    store.save()
    store = SecretStore(system, project, keep=True)
    assert store.inherited(["A", "B"], {"A": "2", "B": "2"}, again=False) == {"A": "1", "B": "2"}
    assert store.inherited(["A", "B"], {"B": "3"}, again=True) == {"B": "3"}
    assert store.inherited([], {"B": "3"}, again=True) == {}
