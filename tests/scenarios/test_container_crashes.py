"""devstack killed while it deals with an engine, then run again: it converges; nothing is left over or there twice."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

import pytest
from docker.errors import ImageNotFound

from tests.engine_bench import sweep
from tests.scenarios.boxed import Boxed
from tests.scenarios.machine import Project, finish, until
from tests.stub_registry import StubRegistry, serve

#: after so many lines of the journal about the service: in each of prepare, start, provision and await, and between two
_LINES = (1, 3, 4, 5, 7)


def lines(project: Project) -> int:
    """Of all journals, about the service."""
    return sum(path.read_bytes().count(b'"redis:') for path in project.journals())


def kill_at(project: Project, line: int) -> bool:
    """Run `up` and kill it as soon as the journals have so many lines more; False where it was done before."""
    wanted, child = lines(project) + line, project.popen("up")
    assert until(lambda: lines(project) >= wanted or child.poll() is not None, 60)
    was_alive = child.poll() is None
    child.kill()
    finish(child)
    return was_alive


@pytest.fixture
def registry(boxed: Boxed) -> Iterator[StubRegistry]:
    """The real Redis under a name that no engine has yet, which the project asks for."""
    archive = b"".join(boxed.engine.api.get_image("redis:7"))
    with serve() as registry:
        registry.fill_from(archive, 4_000_000)
        boxed.project.replace("[services.redis]", f'[services.redis]\nimage = "{registry.image}"')
        yield registry
        if (boxed.project.folder / "state.json").exists():
            boxed.project.run("down")
        with contextlib.suppress(ImageNotFound):
            boxed.engine.api.remove_image(registry.image, force=True)


@pytest.mark.fault("E13")
def test_up_killed_at_any_point_converges(boxed: Boxed) -> None:
    """The environment is made once; from then on each round begins without any container, volume or network."""
    project = boxed.project
    project.run("up")
    killed = 0
    for line in _LINES:
        project.run("down", "--volumes", "--yes")
        assert boxed.containers() == []
        sweep(boxed.engine, boxed.stack)
        killed += kill_at(project, line)

        project.run("up")

        boxed.assert_whole()
        assert {name: len(found) for name, found in project.programs().items()} == dict.fromkeys(
            ("supervisord", "web", "worker-1", "worker-2", "beat"), 1
        )
        assert project.redis("GET", "goods") == b"mug,bowl"
    assert killed == len(_LINES)


def test_a_first_start_that_was_cut_short_begins_with_an_empty_volume(boxed: Boxed) -> None:
    """Half a database looks like a whole one to its server; nobody was let at it yet."""
    project = boxed.project
    project.replace("[services.redis]", '[services.redis]\nimage = "busybox:latest"')
    project.run("up", code=8)
    [volume] = boxed.look.volumes
    boxed.in_volume(volume.name, "touch", "/data/half")
    project.replace('\nimage = "busybox:latest"', "")

    project.run("up")

    status, files = boxed.engine.execute(boxed.container, ("ls", "/data"))
    assert (status, "half" in files) == (0, False)


def test_a_pull_that_was_killed_is_taken_up_by_the_next(boxed: Boxed, registry: StubRegistry) -> None:
    project = boxed.project
    registry.stall = 1_000_000
    child = project.popen("up")
    assert registry.flowing.wait(90)
    child.kill()
    finish(child)
    assert boxed.containers() == []
    registry.stall = 0
    registry.over.set()

    project.run("up")

    boxed.assert_whole()


def test_ctrl_c_ends_a_pull_that_stands_still(boxed: Boxed, registry: StubRegistry) -> None:
    project = boxed.project
    registry.stall = 1_000_000
    child = project.popen("up")
    assert registry.flowing.wait(90)

    child.send_signal(signal.SIGINT)

    assert finish(child).code == 130
    assert boxed.containers() == []


def test_what_runs_is_left_alone_where_its_next_image_cannot_be_had(boxed: Boxed) -> None:
    project = boxed.project
    project.run("up")
    project.redis("SET", "mine", "kept")
    container = boxed.container
    with serve() as registry:
        registry.status = 404
        project.replace("[services.redis]", f'[services.redis]\nimage = "{registry.image}"')
        error = project.run("up", "--json", code=2).error

    assert error["id"] == "image-unknown"
    assert boxed.container == container
    assert project.redis("GET", "mine") == b"kept"


@pytest.mark.fault("B7", "B8")
def test_auto_runs_natively_where_the_image_cannot_be_had_and_says_why(boxed: Boxed) -> None:
    project = boxed.project
    with serve() as registry:
        registry.status = 429
        project.replace("[services.redis]", f'[services.redis]\nimage = "{registry.image}"')
        project.machine.environ["DEVSTACK_RUNTIME"] = "auto"
        project.run("up")

    assert boxed.row()["runtime"] == "native"
    project.assert_up()
