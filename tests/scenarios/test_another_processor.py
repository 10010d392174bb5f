"""Images for another kind of processor: refused before the start where this machine is sure not to run them, else by
what their end says."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Iterator

import pytest

from devstack.runtimes import image_facts
from tests.engine_bench import this_machines_engine
from tests.scenarios.boxed import Boxed
from tests.stub_registry import StubRegistry, serve


@pytest.fixture
def foreign(boxed: Boxed) -> Iterator[StubRegistry]:
    with foreign_image(boxed) as registry:
        yield registry


@contextlib.contextmanager
def foreign_image(boxed: Boxed) -> Iterator[StubRegistry]:
    """The project's Redis as an image for another processor, which nobody here emulates."""
    other = "arm64" if boxed.engine.processor == "amd64" else "amd64"
    if image_facts.runs(boxed.engine, other):
        pytest.skip(f"this machine runs programs for {other}")
    with serve() as registry:
        registry.fill(1, 100_000, architecture=other, program="usr/bin/redis-server")
        boxed.project.replace("[services.redis]", f'[services.redis]\nimage = "{registry.image}"')
        try:
            yield registry
        finally:
            boxed.project.run("down")
            boxed.engine.api.remove_image(registry.image, force=True)


@pytest.mark.fault("B15")
def test_an_image_for_another_processor_is_refused_before_the_start(boxed: Boxed, foreign: StubRegistry) -> None:
    project, engine = boxed.project, boxed.engine
    for _ in ("pulled by this very run", "at hand"):
        error = project.run("up", "--json", code=3).error

        assert error["id"] == "image-platform"
        assert error["what"] == "the image of redis is made for another kind of processor"
        other = engine.api.inspect_image(foreign.image)["Architecture"]
        assert error["why"] == f"{foreign.image} is for {other}, and this engine's machine is {engine.processor}"
        assert error["fix"] == f"docker pull --platform linux/{engine.processor} {foreign.image}"
        assert boxed.containers() == []
    assert "in the profile" in project.run("up", code=3).text


@pytest.mark.fault("B15")
def test_what_runs_stays_when_its_next_image_turns_out_to_be_for_another_processor(boxed: Boxed) -> None:
    boxed.project.run("up")
    before = boxed.container
    with foreign_image(boxed):
        assert boxed.project.run("up", "--json", code=3).error["id"] == "image-platform"
        assert boxed.container == before
        assert boxed.engine.api.inspect_container(before)["State"]["Running"]


@pytest.mark.fault("B15")
def test_where_nobody_can_know_the_end_of_the_container_tells(boxed: Boxed, foreign: StubRegistry) -> None:
    """An engine in a machine of its own, here one whose kernel is another one than this one says it is, may emulate."""
    if platform.system() != "Linux":
        pytest.skip("only Linux can claim to be an older one")
    boxed.project.machine.prefix = ("setarch", platform.machine(), "--uname-2.6")

    error = boxed.project.run("up", "--json", code=3).error

    assert error["id"] == "image-platform"
    assert f"this engine's machine is {boxed.engine.processor}" in error["why"]
    assert boxed.containers() != []


def test_the_processors_of_the_family_run_and_unknown_ones_are_tried() -> None:
    engine = this_machines_engine()
    assert image_facts.runs(engine, engine.processor)
    assert image_facts.runs(engine, "")
    assert image_facts.runs(engine, "z80") is None
