"""`[files]`: what is made, made again, or left to the person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from devstack import project_files
from devstack.actions import MakePaths
from devstack.plan import Up
from devstack.planner import build
from devstack.profile.model import Profile
from devstack.profile.secret import Secret
from devstack.programs import process_program
from devstack.render import digest
from devstack.resources import shared
from devstack.state import State, Written

TEXT = """
name = "shop"
[services.postgres]
[files]
"var" = { directory = true }
"a.ini" = { template = "a.in" }
"b.ini" = { content = "port ${services.postgres.port}", mode = "0640" }
"key" = { generate = 32, format = "hex" }
[processes.web]
run = "web"
"""
B = "port 5432"
TEMPLATE = shared("Procfile.template").read_text()

Make = Callable[..., State]


@pytest.fixture(scope="module")
def profile(make_profile: Callable[[str], Profile]) -> Profile:
    return make_profile(TEXT)


@pytest.fixture(scope="module")
def state(profile: Profile, make_state: Make) -> State:
    return make_state(profile, templates={"a.ini": "root ${project.root}"}, keys={"key": Secret("k" * 64)})


def made(profile: Profile, state: State) -> dict[str, tuple[str, str, int, bool]]:
    return {
        file.path: (file.rendered.text, file.cause, file.rendered.mode, file.replaces)
        for file in project_files.wanted(profile, state)
    }


def there(state: State, **changes: Any) -> State:
    """Everything made, as devstack wrote it."""
    written = {
        "a.ini": Written(digest("root /srv/shop"), digest("root ${project.root}")),
        "b.ini": Written(digest(B), digest("port ${services.postgres.port}")),
    }
    disk = {path: one.digest for path, one in written.items()} | {"key": digest("k" * 64)}
    return replace(state, missing_paths=frozenset(), written=written, on_disk=disk, **changes)


def test_what_is_missing_is_made(profile: Profile, state: State) -> None:
    assert made(profile, state) == {
        "a.ini": ("root /srv/shop", "missing", 0o600, False), "b.ini": (B, "missing", 0o640, False),
        "key": ("k" * 64, "missing", 0o600, False),
    }
    (step,) = [step for step in build(profile, state, Up(), TEMPLATE).steps if step.id == "paths:make"]
    assert step.cause == "missing: var, a.ini, b.ini, key"
    assert isinstance(step.action, MakePaths)
    assert step.action.folders == ("var",)


def test_what_is_there_is_left(profile: Profile, state: State) -> None:
    assert made(profile, there(state)) == {}
    assert "paths:make" not in [step.id for step in build(profile, there(state), Up(), TEMPLATE).steps]


def test_a_file_follows_its_template(profile: Profile, state: State) -> None:
    """And its values: whatever it would hold by now."""
    now = there(state, templates={"a.ini": "another"})
    assert made(profile, now) == {"a.ini": ("another", "its template changed", 0o600, True)}
    assert made(profile, replace(there(state), root="/srv/elsewhere")) == {
        "a.ini": ("root /srv/elsewhere", "a value in it changed", 0o600, True)
    }


def test_an_edited_file_is_kept_with_a_note(profile: Profile, state: State) -> None:
    edited = there(state)
    edited = replace(edited, on_disk={**edited.on_disk, "a.ini": digest("mine")})
    assert made(profile, edited) == {}
    assert project_files.notes(profile, edited) == ()
    behind = replace(edited, templates={"a.ini": "another"})
    assert made(profile, behind) == {}
    (note,) = project_files.notes(profile, behind)
    assert note == "a.ini was edited and stays as it is, though its template changed"
    assert note in build(profile, behind, Up(), TEMPLATE).warnings


def test_a_file_that_was_there_before_is_the_persons(profile: Profile, state: State) -> None:
    before = replace(there(state), written={}, on_disk={"a.ini": digest("theirs"), "b.ini": digest(B)})
    assert made(profile, before) == {}
    assert list(project_files.following(profile, before)) == ["b.ini"]


def test_a_key_is_made_once(profile: Profile, state: State) -> None:
    assert made(profile, replace(there(state), keys={"key": Secret("other")})) == {}
    again = made(profile, replace(there(state), missing_paths=frozenset({"key"})))
    assert again == {"key": ("k" * 64, "missing", 0o600, False)}


def test_a_process_starts_anew_with_what_devstack_makes_anew(profile: Profile, state: State) -> None:
    """Not with what a person edits: some programs write their own settings."""
    def version(now: State) -> str:
        return project_files.version(profile, now)

    first, then = version(state), there(state)
    edited = replace(then, on_disk={**then.on_disk, "a.ini": digest("mine")})
    assert first == version(then) == version(edited)
    assert version(replace(then, templates={"a.ini": "another"})) != first
    assert version(replace(edited, templates={"a.ini": "another"})) == first
    env = process_program(profile, replace(state, files_version=first), "web", "web", 1).env
    assert env["DEVSTACK_FILES"] == first


def test_the_rest_of_a_template_is_itself(make_profile: Callable[[str], Profile], make_state: Make) -> None:
    text = "100% \"it's\" $HOME $${x} {{ y }}\r\n\udcff\n"
    profile = make_profile('name = "p"\n[files]\n"f" = { template = "t" }')
    (file,) = project_files.wanted(profile, make_state(profile, templates={"f": text}))
    assert file.rendered.content == b"100% \"it's\" $HOME ${x} {{ y }}\r\n\xff\n"
    assert text not in repr(file)
