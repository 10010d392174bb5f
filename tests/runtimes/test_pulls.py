"""Getting images with a real engine from a registry on the loopback interface that fails as it is told to."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from docker.errors import ImageNotFound

from devstack.errors import DevstackError, InterruptedRunError, NetworkError, UsageError
from devstack.runtimes import pulls
from devstack.runtimes.docker import Engine
from tests.engine_bench import this_machines_engine
from tests.stub_registry import StubRegistry, serve

_MB = 1_000_000


@dataclass
class Desk:
    """said: how far it was; told: what everybody reads."""

    engine: Engine
    registry: StubRegistry
    said: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def pull(self) -> None:
        pulls.pull(self.engine, self.registry.image, self.said.append, self.told.append)

    def fails(self, kind: type[DevstackError]) -> DevstackError:
        with pytest.raises(kind) as caught:
            self.pull()
        assert caught.value.fix
        assert self.registry.image in caught.value.what
        assert not self.engine.image(self.registry.image)
        return caught.value


@pytest.fixture
def desk() -> Iterator[Desk]:
    engine = this_machines_engine()
    with serve(layers=2, size=3 * _MB) as registry:
        yield Desk(engine, registry)
        with contextlib.suppress(ImageNotFound):
            engine.api.remove_image(registry.image)


def test_an_image_comes_with_its_progress_by_all_its_layers(desk: Desk) -> None:
    assert pulls.reachable(desk.engine, desk.registry.image) == ""

    desk.pull()

    assert desk.engine.image(desk.registry.image).startswith("sha256:")
    assert any("6 of 6 MB" in line or "unpacking" in line for line in desk.said), desk.said
    assert desk.told == []


def test_an_image_that_nobody_has_is_the_profiles_mistake(desk: Desk) -> None:
    desk.registry.status = 404

    assert "manifest unknown" in pulls.reachable(desk.engine, desk.registry.image)
    assert desk.fails(UsageError).id == "image-unknown"
    assert desk.told == []


@pytest.mark.fault("B7")
def test_too_many_pulls_are_told_at_once_with_the_way_out(desk: Desk) -> None:
    desk.registry.status = 429

    error = desk.fails(NetworkError)

    assert (error.id, error.fix) == ("rate-limited", f"docker login {desk.registry.host}")
    assert "pull rate limit" in error.why
    assert desk.told == []


def test_a_registry_that_wants_a_login_is_named(desk: Desk) -> None:
    desk.registry.status = 401

    error = desk.fails(NetworkError)

    assert (error.id, error.fix) == ("image-refused", f"docker login {desk.registry.host}")


@pytest.mark.fault("B8")
def test_a_registry_that_fails_for_a_moment_is_asked_again(desk: Desk) -> None:
    # an engine asks for the description twice
    desk.registry.faults = [503, 503]

    desk.pull()

    assert len(desk.told) == 1
    assert "503" in desk.told[0]


def test_a_registry_that_goes_on_failing_is_given_up(desk: Desk) -> None:
    desk.registry.status = 503

    error = desk.fails(NetworkError)

    assert error.id == "pull-failed"
    assert len(desk.told) == 2


@pytest.mark.fault("B6")
def test_a_connection_that_is_cut_again_and_again_still_brings_the_image(desk: Desk) -> None:
    desk.registry.cut = 2 * _MB

    desk.pull()

    assert desk.engine.image(desk.registry.image)
    assert desk.registry.sent < 10 * _MB, "what had come was fetched again"


@pytest.mark.fault("B5")
def test_a_link_that_stalls_is_given_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulls, "_SILENCE", 1.0)
    desk.registry.stall = _MB

    error = desk.fails(NetworkError)

    assert (error.id, error.why) == ("pull-failed", "nothing came for 1 s")
    assert len(desk.told) == 2


def test_a_registry_that_never_answers_costs_a_question_its_deadline_only(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulls, "_ASKING", 1.0)
    desk.registry.mute = True

    assert pulls.reachable(desk.engine, desk.registry.image) == "its registry doesn't answer"


def test_a_pull_is_interrupted_where_nothing_comes(desk: Desk) -> None:
    desk.registry.stall = _MB
    caught: list[Exception] = []

    def pull() -> None:
        try:
            desk.pull()
        except Exception as error:
            caught.append(error)

    thread = threading.Thread(target=pull)
    thread.start()
    assert desk.registry.flowing.wait(60)
    desk.engine.system.cancelled.set()
    thread.join(30)
    desk.engine.system.cancelled.clear()

    assert [type(error) for error in caught] == [InterruptedRunError]
    assert not desk.engine.image(desk.registry.image)
