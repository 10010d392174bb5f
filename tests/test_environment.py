"""Which value wins, and where each comes from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from devstack import services
from devstack.environment import explain
from devstack.profile.load import Loaded, load
from devstack.profile.secret import Secret
from devstack.profile.source import SourceFile
from devstack.programs import command, free_command, process_program
from devstack.state import State

TEXT = """\
name = "shop"
env_file = [".env", { path = "more.env", required = false }]
[env]
LEVEL = "profile"
KEY = { generate = 20 }
ANSWER = { ask = "What?" }
[processes.web]
role = "web"
run = "web"
env_file = "web.env"
env = { OWN = "${port}" }
[checks]
test = "pytest"
"""
FILES = {
    ".env": {"LEVEL": "file", "ONE": "1", "TWO": "1", "PORT": "80", "TERM": "dumb", "DEVSTACK_STACK": "x"},
    "more.env": {"TWO": "2"},
    "web.env": {"LEVEL": "web", "OWN": "file", "PORT": "81", "VIRTUAL_ENV": "/elsewhere"},
}

Make = Callable[..., State]


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    return load([SourceFile("devstack.toml", TEXT, "project")], services.declarations())


@pytest.fixture(scope="module")
def state(loaded: Loaded, make_state: Make) -> State:
    files = {path: {name: Secret(text) for name, text in values.items()} for path, values in FILES.items()}
    decided: dict[str, Any] = {"KEY": Secret("made"), "ANSWER": "42"}
    base = {"PATH": "/usr/bin", "HOME": "/home/ann", "TERM": "xterm"}
    return make_state(loaded.profile, env_files=files, decided=decided, base=base)


def test_what_is_nearer_to_the_command_wins(loaded: Loaded, state: State) -> None:
    """The person's shell, devstack, the profile's files in order, [env], the command's files, its env; a lease wins
    over every file, and nothing over what is devstack's own."""
    profile = loaded.profile
    web = process_program(profile, state, "web", "web", 1)
    check = command(profile, state, profile.checks["test"]).revealed()
    revealed = {name: value.reveal() if isinstance(value, Secret) else value for name, value in web.env.items()}
    names = ("LEVEL", "ONE", "TWO", "OWN", "PORT", "TERM", "VIRTUAL_ENV")
    assert [revealed[name] for name in names] == ["web", "1", "2", "8000", "8000", "dumb", state.venv]
    assert [check.get(name) for name in names] == ["profile", "1", "2", None, "80", "dumb", state.venv]
    assert "DEVSTACK_STACK" not in revealed
    assert isinstance(web.env["ONE"], Secret)


def test_each_value_says_where_it_is_from(loaded: Loaded, state: State) -> None:
    found = explain(loaded.profile, state, loaded.place, ("processes", "web"))
    assert list(found) == sorted(found)
    folders = {"HOME", "XDG_RUNTIME_DIR"}
    assert {name: (one.origin, one.hidden) for name, one in found.items() if name not in folders} == {
        "ANSWER": ("asked (devstack.toml:6 [env])", ()),
        "KEY": ("generated (devstack.toml:5 [env])", ()),
        "LEVEL": ("web.env", ("devstack.toml:4 [env]", ".env")),
        "ONE": (".env", ()),
        "OWN": ("devstack.toml:11 [processes.web] env", ("web.env",)),
        "PATH": ("devstack", ("machine",)),
        "PORT": ("devstack", ()),
        "PYTHONUNBUFFERED": ("devstack", ()),
        "TERM": (".env", ("machine",)),
        "TWO": ("more.env", (".env",)),
        "VIRTUAL_ENV": ("devstack", ()),
    }  # fmt: skip


@pytest.mark.parametrize("of", [None, ("processes", "web"), ("checks", "test")])
def test_what_is_explained_is_what_commands_get(
    loaded: Loaded, state: State, of: tuple[str, str] | None
) -> None:
    profile = loaded.profile
    if of is None:
        real = free_command(profile, state, ("env",), "/").env
    elif of[0] == "checks":
        real = command(profile, state, profile.checks[of[1]]).env
    else:
        real = process_program(profile, state, of[1], of[1], 1).env
    assert {name: one.value for name, one in explain(profile, state, loaded.place, of).items()} == dict(real)


def test_a_replica_that_is_not_there(loaded: Loaded, state: State) -> None:
    with pytest.raises(KeyError):
        explain(loaded.profile, state, loaded.place, ("processes", "web"), replica=2)
