"""Where a value comes from: layer by layer, the default, the nearest key."""

from __future__ import annotations

import pytest

from devstack.errors import UsageError
from devstack.profile import Loaded, SourceFile
from devstack.profile.explain import Explanation, explain, resolved
from devstack.profile.source import Origin
from devstack.profile.toml import dump
from devstack.stack.sources import scale_layer, setting_layers
from tests.profile.loading import PROFILES, loaded, project

BASE = """
name = "shop"
[processes.web]
role = "web"
run = "python web.py"
ready = { http = "/health" }
[processes.worker]
run = "celery"
replicas = 2
[env]
KEY = { ask = "Key", secret = true, default = "abc" }
"""
LOCAL = """
[processes.worker]
replicas = 3
[processes.web]
ready = { tcp = true }
[env]
KEY = "sk_live"
"""


def layers(*texts: tuple[str, str, Origin], scale: dict[str, int] | None = None) -> Loaded:
    files = [SourceFile(name, text, origin) for name, text, origin in texts]
    return loaded(*files, *scale_layer(scale or {}), *setting_layers({"DEVSTACK_RUNTIME": "auto"}, "native"))


def both(scale: dict[str, int] | None = None) -> Loaded:
    return layers(("devstack.toml", BASE, "project"), ("devstack.local.toml", LOCAL, "local"), scale=scale)


def told(found: Explanation) -> list[str]:
    return [
        f"{'> ' if said.wins else ''}{said.layer}:{said.line} {'removed' if said.is_removed else said.value}"
        for said in found.said
    ]


def test_every_layer_is_told_from_the_lowest_to_the_highest() -> None:
    found = explain(both({"worker": 4}), "processes.worker.replicas")
    assert (found.value, found.default) == (4, 1)
    assert told(found) == ["devstack.toml:9 2", "devstack.local.toml:3 3", "> devstack scale:0 4"]
    assert found.meaning.startswith("How many")


def test_a_flag_wins_over_its_variable() -> None:
    found = explain(both(), "runtime")
    assert found.value == "native"
    assert told(found) == ["DEVSTACK_RUNTIME:0 auto", "> --runtime:0 native"]


def test_what_nobody_says_is_the_default() -> None:
    found = explain(both(), "processes.web.settle")
    assert (found.value, found.default, found.said) == (None, None, ())
    assert explain(both(), "python.version").value is None


def test_what_replaces_a_table_whole_takes_its_keys_out() -> None:
    assert told(explain(both(), "processes.web.ready.http")) == [
        "devstack.toml:6 /health", "devstack.local.toml:5 removed"
    ]
    assert told(explain(both(), "processes.web.ready")) == [
        "devstack.toml:6 {'http': '/health'}", "> devstack.local.toml:5 {'tcp': True}"
    ]


def test_a_value_declared_secret_is_masked_in_every_layer() -> None:
    found = explain(both(), "env.KEY")
    assert "sk_live" not in repr(found)
    assert "abc" not in repr(found)
    assert resolved(both(), whole=True)["env"] == {"KEY": "***"}


def test_a_password_in_a_url_is_masked_and_a_reference_is_not() -> None:
    texts = '[env]\nA = "http://u:secret@h/"\nB = "http://u:${env.C}@h/"\nC = "x"\n[project]\nrepo = "https://me:tok@h/r"'
    shown = resolved(loaded(project(f'name = "shop"\n{texts}')), whole=False)
    assert shown["env"]["A"] == "http://u:***@h/"
    assert shown["env"]["B"] == "http://u:${env.C}@h/"
    assert shown["project"]["repo"] == "https://me:***@h/r"


@pytest.mark.parametrize(("key", "fix"), [
    ("processes.wrker.replicas", "devstack config --explain processes.worker.replicas"),
    ("processes.web.command", "devstack config --explain processes.web.run"),
    ("runtme", "devstack config --explain runtime"),
    ("runtime.x", "devstack config --explain runtime"),
    ("a b", "devstack config"), ("", "devstack config"), ("a = 1\nb", "devstack config"),
])  # fmt: skip
def test_an_unknown_key_is_answered_with_the_nearest(key: str, fix: str) -> None:
    with pytest.raises(UsageError) as caught:
        explain(both(), key)
    assert (caught.value.id, caught.value.fix) == ("unknown-key", fix)


def test_what_scale_has_kept_is_no_part_of_what_is_trusted() -> None:
    assert both({"worker": 4}).digest == both().digest


def test_scale_kept_for_a_process_that_is_gone_does_no_harm() -> None:
    found = both({"gone": 2, "worker": 5}).profile
    assert set(found.processes) == {"web", "worker"}
    assert found.processes["worker"].declared_replicas == 3


@pytest.mark.parametrize("name", ["reference.toml", "django-celery.toml"])
@pytest.mark.parametrize("whole", [True, False])
def test_what_is_printed_is_a_profile_that_means_the_same(name: str, whole: bool) -> None:
    files = [SourceFile(one, (PROFILES / one).read_bytes(), "shipped") for one in ("minimal.toml", name)]
    first = loaded(*files, SourceFile("devstack.toml", 'name = "shop"', "project"))
    again = loaded(project(dump(resolved(first, whole=whole))))
    assert again.profile.model_dump(exclude={"extends"}) == first.profile.model_dump(exclude={"extends"})
