"""A stack as a compose file: what each part of the profile becomes, and how its text is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstack.composing import compose
from devstack.detect.yaml_text import parse
from devstack.output.exports import yaml
from devstack.profile.model import Profile
from devstack.state import State

MakeProfile = Callable[[str], Profile]
MakeState = Callable[..., State]

TEXT = """name = "shop"
registry = "mirror.example.org"
[services.postgres]
databases = ["shop", "other"]
extensions = ["pg_trgm"]
[services.redis]
memory = "64m"
[services.search]
kind = "container"
image = "search:1"
ports = { main = 9200 }
environment = { A = "$x", B = "${services.redis.password}" }
volumes = { data = "/data" }
ready = { http = "/" }
[env]
KEY = { generate = 10 }
[tasks.migrate]
run = "true"
[processes.web]
role = "web"
run = "serve ${port}"
[processes.assets]
image = "node:20"
run = "vite --port ${port} $HOME"
cwd = "/app"
container_port = 5173
needs = ["postgres", "search"]
env = { URL = "${services.postgres.url}" }
volumes = [".:/app:ro", "modules:/app/node_modules"]
ready = { command = "curl -f http://localhost:5173" }
stop = { signal = "INT", grace = 3 }
restart = "on-failure"
"""


@pytest.fixture
def shop(make_profile: MakeProfile, make_state: MakeState) -> tuple[Profile, State]:
    profile = make_profile(TEXT)
    return profile, make_state(profile, volumes="v1")


def service(shop: tuple[Profile, State], name: str, *volumes: str) -> Any:
    return compose(*shop, frozenset(volumes)).document["services"][name]


def test_a_service_has_its_image_port_and_name(shop: tuple[Profile, State]) -> None:
    redis = service(shop, "redis")
    assert redis["image"] == "mirror.example.org/redis:7"
    assert redis["container_name"] == "devstack-abc-redis"
    assert redis["ports"] == ["127.0.0.1:6379:6379"]
    assert redis["mem_limit"] == "64m"
    assert redis["healthcheck"]["test"] == ["CMD", "redis-cli", "ping"]


def test_two_checkouts_are_two_projects(shop: tuple[Profile, State]) -> None:
    profile, state = shop
    names = {compose(profile, replace(state, stack=stack), frozenset()).document["name"] for stack in ("abc", "def")}
    assert names == {"shop-abc", "shop-def"}


def test_a_process_in_a_container_is_there_and_one_of_the_machine_is_named(shop: tuple[Profile, State]) -> None:
    found = compose(*shop, frozenset())
    assets = found.document["services"]["assets"]
    assert assets["command"] == ["vite", "--port", "5173", "$$HOME"]
    assert assets["working_dir"] == "/app"
    assert assets["ports"] == [f"127.0.0.1:{shop[1].ports['assets']}:5173"]
    assert assets["depends_on"] == {
        "postgres": {"condition": "service_healthy"}, "search": {"condition": "service_started"},
    }  # fmt: skip
    assert assets["healthcheck"]["test"] == ["CMD", "curl", "-f", "http://localhost:5173"]
    assert (assets["restart"], assets["stop_signal"], assets["stop_grace_period"]) == ("on-failure", "SIGINT", "3s")
    assert assets["volumes"] == [
        {"type": "volume", "source": "volume-modules", "target": "/app/node_modules"},
        {"type": "bind", "source": "/srv/shop", "target": "/app", "read_only": True},
    ]
    assert "web" not in found.document["services"]
    said = "\n".join(found.notes)
    assert "run on this machine: web" in said
    assert "no task is run: migrate" in said
    assert "isn't checked: search" in said


def test_secrets_are_in_files_alone(shop: tuple[Profile, State]) -> None:
    found = compose(*shop, frozenset())
    search = found.document["services"]["search"]
    assert search["environment"] == {"A": "$$x"}
    assert search["env_file"] == ["/srv/shop/.devstack/compose/search.env"]
    files = {file.path: file for file in found.files}
    assert files[search["env_file"][0]].text == "B='redis-Pass'\n"
    assert files[search["env_file"][0]].mode == 0o600
    assert "-Pass" not in yaml(found.document, ())
    assert all(path.startswith("/srv/shop/.devstack/compose/") for path in files)


def test_an_empty_volume_gets_what_devstack_would_make(shop: tuple[Profile, State]) -> None:
    found = compose(*shop, frozenset())
    (file,) = [file for file in found.files if file.path.endswith("devstack.sql")]
    lines = [line for line in file.text.splitlines() if "ROLE" not in line]
    assert lines == [
        'CREATE DATABASE "shop" OWNER "shop" ENCODING \'UTF8\' TEMPLATE template0;',
        'CREATE DATABASE "other" OWNER "shop" ENCODING \'UTF8\' TEMPLATE template0;',
        '\\connect "shop"', 'CREATE EXTENSION IF NOT EXISTS "pg_trgm" CASCADE;',
        '\\connect "other"', 'CREATE EXTENSION IF NOT EXISTS "pg_trgm" CASCADE;',
    ]  # fmt: skip
    assert "postgres-Pass" not in file.text
    assert found.document["volumes"]["postgres-data"] is None


def test_devstacks_own_volumes_are_used_where_they_hold_data(make_profile: MakeProfile, make_state: MakeState) -> None:
    profile = make_profile(TEXT)
    state = make_state(profile, volumes="v1")
    used = {name: replace(one, runtime="docker", has_data=name == "postgres") for name, one in state.services.items()}
    state = replace(state, services=used)
    there = frozenset({"devstack-abc-postgres-data-g1", "devstack-abc-redis-data-g1", "devstack-abc-volume-modules-v1"})
    found = compose(profile, state, there)
    own = {name: one for name, one in found.document["volumes"].items() if one}
    assert own == {
        "postgres-data": {"name": "devstack-abc-postgres-data-g1", "external": True},
        "volume-modules": {"name": "devstack-abc-volume-modules-v1", "external": True},
    }
    assert not [file for file in found.files if file.path.endswith("devstack.sql")]
    gone = compose(profile, state, frozenset()).document["volumes"]
    assert gone["postgres-data"] is None


_TEXTS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\ue0f0\ue0f1"), max_size=20)
_VALUES = st.recursive(
    _TEXTS | st.none() | st.booleans() | st.integers(0, 99),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3), max_leaves=10,
)


@given(st.dictionaries(_TEXTS, _VALUES, max_size=4))
def test_what_is_written_is_what_is_read(value: dict[str, Any]) -> None:
    text = yaml(value, ("a comment",))
    assert parse("f", text).value == (_texts(value) or None)


def _texts(value: Any) -> Any:
    """As the reader gives values: numbers and the like as texts."""
    if isinstance(value, dict):
        return {key: _texts(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_texts(item) for item in value]
    return str(value).lower() if isinstance(value, bool) else str(value) if isinstance(value, int) else value
