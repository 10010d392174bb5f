"""Where each service runs, and why: what is asked for, where its data is, what an engine has. The engine is real."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devstack.errors import DataError, PrerequisiteError
from devstack.profile.model import Profile
from devstack.runtimes.engine_answers import Look, Volume
from devstack.stack.containers import UNUSED, Containers, Placing, token_of
from devstack.stack.paths import Project
from devstack.state import Record
from devstack.system import System
from tests.engine_bench import close, ensure_image, this_machines_engine
from tests.stub_registry import serve

#: the SDK forgets to close a socket that couldn't be connected
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
MakeProfile = Callable[[str], Profile]
NOWHERE = "unix:///srv/nobody.sock"


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """No other test has to do with such sockets."""
    yield
    gc.collect()


def placing(make_profile: MakeProfile, folder: Path, text: str, host: str = "", *, offline: bool = False) -> Placing:
    """host: of the engine; "" for this machine's."""
    system = System({"HOME": str(folder), "DOCKER_HOST": host or this_machines_engine().address.url})
    return Placing(make_profile(f'name = "shop"\n{text}'), Project(folder), Containers(system), offline=offline)


def only(found: Placing, record: Record | None = None) -> tuple[str, str]:
    """Runtime and reason of the one service."""
    [place] = found.places(record or Record("abc", "/srv/shop"), light=False).values()
    if found._containers.problem == "":
        close(found._containers.engine)
    return place.runtime, place.why


def test_auto_takes_an_engine_that_has_the_image(make_profile: MakeProfile, tmp_path: Path) -> None:
    ensure_image(this_machines_engine(), "redis:7")

    runtime, why = only(placing(make_profile, tmp_path, "[services.redis]"))

    assert (runtime, why) == ("docker", f"{this_machines_engine().title} answers")


def test_auto_takes_an_engine_that_can_get_the_image(make_profile: MakeProfile, tmp_path: Path) -> None:
    with serve() as registry:
        text = f'[services.redis]\nimage = "{registry.image}"'
        assert only(placing(make_profile, tmp_path, text))[0] == "docker"
        assert only(placing(make_profile, tmp_path, text, offline=True)) == (
            "native", f"{this_machines_engine().title} has no {registry.image}: offline",
        )
        registry.status = 404
        runtime, why = only(placing(make_profile, tmp_path, text))
    assert runtime == "native"
    assert "manifest unknown" in why


def test_a_registry_for_all_images_is_asked_in_their_place(make_profile: MakeProfile, tmp_path: Path) -> None:
    with serve() as registry:
        registry.status = 404
        runtime, why = only(placing(make_profile, tmp_path, f'registry = "{registry.host}"\n[services.redis]'))
    assert runtime == "native"
    assert f"{registry.host}/redis:7" in why


def test_auto_without_an_engine_is_native_and_says_why(make_profile: MakeProfile, tmp_path: Path) -> None:
    found = placing(make_profile, tmp_path, "[services.redis]", NOWHERE)

    [place] = found.places(Record("abc", "/srv/shop"), light=False).values()

    assert (place.runtime, place.why) == ("native", f"{NOWHERE}: no such file or directory")


def test_docker_without_an_engine_is_refused(make_profile: MakeProfile, tmp_path: Path) -> None:
    found = placing(make_profile, tmp_path, '[services.redis]\nruntime = "docker"', NOWHERE)
    with pytest.raises(PrerequisiteError) as caught:
        found.ensure(Record("abc", "/srv/shop"))
    assert caught.value.id == "engine-unavailable"


def test_data_stays_where_it_is(make_profile: MakeProfile, tmp_path: Path) -> None:
    """Native data is known by its folder, a container's by the record; without an engine too."""
    there = Record("abc", "/srv/shop", runtimes={"redis": "docker"}, volumes={"redis": "t1"})
    auto = placing(make_profile, tmp_path, "[services.redis]", NOWHERE)
    assert [place.runtime for place in auto.places(there, light=False).values()] == ["docker"]

    native = placing(make_profile, tmp_path, '[services.redis]\nruntime = "native"', NOWHERE)
    with pytest.raises(DataError) as caught:
        native.ensure(there)

    assert (caught.value.id, caught.value.fix) == ("data-elsewhere", "devstack up --runtime native --move-data")
    assert "docker" in caught.value.what


def test_a_quick_look_asks_no_engine(make_profile: MakeProfile, tmp_path: Path) -> None:
    found = placing(make_profile, tmp_path, "[services.redis]", NOWHERE)
    for known in ("docker", "native"):
        [place] = found.places(Record("abc", "/srv/shop", runtimes={"redis": known}), light=True).values()
        assert place.runtime == known


VOLUMES = (Volume("a-t1", "redis", "t1", "2026-01-01"), Volume("a-t2", "redis", "t2", "2026-01-02"))


@pytest.mark.parametrize(("known", "volumes", "trashed", "token"), [
    ("t1", VOLUMES, (), "t1"), ("", VOLUMES, (), "t2"), ("", VOLUMES, ("a-t2",), "t1"),
    (f"t3{UNUSED}", VOLUMES, (), f"t3{UNUSED}"),
])
def test_the_record_says_which_data_counts_else_the_newest(
    known: str, volumes: tuple[Volume, ...], trashed: tuple[str, ...], token: str
) -> None:
    record = Record("abc", "/srv/shop", volumes={"redis": known} if known else {})
    assert token_of(record, Look(volumes=volumes), "redis", frozenset(trashed)) == token


@pytest.mark.parametrize(("known", "volumes"), [("", ()), ("t9", ()), ("t9", VOLUMES), ("", (VOLUMES[0],))])
def test_other_data_is_another_generation_that_nobody_was_let_at(known: str, volumes: tuple[Volume, ...]) -> None:
    record = Record("abc", "/srv/shop", volumes={"redis": known} if known else {})
    token = token_of(record, Look(volumes=volumes), "redis", frozenset({"a-t1"}))
    assert token.endswith(UNUSED)
    assert token.removesuffix(UNUSED) not in ("t1", "t2", "t9", "")
