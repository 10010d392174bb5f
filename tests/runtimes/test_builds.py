"""Images that are built from a folder: what belongs to it, what makes another one necessary, what a failure says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from devstack.errors import DevstackError, InterruptedRunError, ProcessError, UsageError
from devstack.profile.model import Build
from devstack.runtimes import builds
from devstack.runtimes.docker import Engine
from devstack.runtimes.engine_answers import IMAGE_STACK, Owner
from devstack.stack.inputs import Inputs
from tests.engine_bench import ensure_image, new_stack, this_machines_engine

DOCKERFILE = """FROM busybox:latest
ARG WORD=none
RUN echo "made with $WORD" > /made
FROM busybox:latest AS other
COPY . /all
"""


@dataclass
class Yard:
    """A folder that is built from. said: what the builder has told."""

    root: Path
    engine: Engine
    stack: str
    said: list[str]

    def key(self, build: Build | None = None, **args: str) -> str:
        return builds.key(Inputs(self.root), build or Build(), args)

    def make(self, build: Build | None = None, **args: str) -> str:
        name = f"devstack-{self.stack[:12]}:{self.key(build, **args)}"
        wanted = builds.Wanted(name, "web", build or Build(), args, Owner(self.stack, str(self.root), 0))
        builds.build(self.engine, Inputs(self.root), wanted, self.said.append)
        return name

    def read(self, image: str, *argv: str) -> str:
        """What a command in a container of the image prints."""
        made = self.engine.api.create_container(image, list(argv))["Id"]
        try:
            self.engine.api.start(made)
            self.engine.api.wait(made, timeout=30)
            output: bytes = self.engine.api.logs(made)
        finally:
            self.engine.api.remove_container(made, v=True, force=True)
        return output.decode()

    def names(self) -> set[str]:
        found = self.engine.api.images(filters={"label": [f"{IMAGE_STACK}={self.stack}"]})
        return {name for one in found for name in one["RepoTags"] or ()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "app.py").write_text("print(1)\n")
    (tmp_path / ".devstack").mkdir()
    (tmp_path / ".devstack" / "secrets.json").write_text("{}")
    return tmp_path


@pytest.fixture
def yard(folder: Path) -> Iterator[Yard]:
    engine = this_machines_engine()
    ensure_image(engine, "busybox:latest")
    made = Yard(folder, engine, new_stack(), [])
    yield made
    for one in engine.api.images(filters={"label": [f"{IMAGE_STACK}={made.stack}"]}):
        # by its names: another one may be built upon it
        for name in one["RepoTags"] or (one["Id"],):
            engine.api.remove_image(name, force=True)


def _key(folder: Path) -> str:
    return builds.key(Inputs(folder), Build(), {})


Change = Callable[[Path], object]
CHANGES: dict[str, Change] = {
    "a file's content": lambda folder: (folder / "app.py").write_text("print(2)\n"),
    "a new file": lambda folder: (folder / "new.py").touch(),
    "a file's name": lambda folder: (folder / "app.py").rename(folder / "main.py"),
    "a program's mark": lambda folder: (folder / "app.py").chmod(0o755),
    "a link": lambda folder: (folder / "link").symlink_to("app.py"),
    "an empty folder": lambda folder: (folder / "empty").mkdir(),
    "the Dockerfile": lambda folder: (folder / "Dockerfile").write_text("FROM busybox\n"),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_the_key_follows_everything_in_the_folder(folder: Path, change: Change) -> None:
    before = _key(folder)
    assert _key(folder) == before
    change(folder)
    assert _key(folder) != before


def test_the_key_follows_the_profile(folder: Path) -> None:
    (folder / "Other").write_text(DOCKERFILE)
    keys = [builds.key(Inputs(folder), build, args) for build, args in (
        (Build(), {}), (Build(), {"WORD": "x"}), (Build(), {"WORD": "y"}), (Build(target="other"), {}),
        (Build(dockerfile="Other"), {}),
    )]  # fmt: skip
    assert len(set(keys)) == 5


def test_what_is_ignored_and_what_is_devstacks_own_changes_nothing(folder: Path) -> None:
    (folder / ".dockerignore").write_text("# not these\n*.log\nnode_modules\n!keep.log\n")
    before = _key(folder)
    (folder / ".devstack" / "secrets.json").write_text('{"a": 1}')
    (folder / "x.log").write_text("x")
    (folder / "node_modules").mkdir()
    (folder / "node_modules" / "big.js").write_text("x")
    (folder / ".venv").symlink_to("/nowhere")
    assert _key(folder) == before
    (folder / "keep.log").write_text("x")
    assert _key(folder) != before


@pytest.mark.parametrize(("build", "id"), [
    (Build(context="none"), "context-missing"), (Build(dockerfile="none"), "dockerfile-missing"),
])  # fmt: skip
def test_what_is_not_there_is_told_before_anything_begins(folder: Path, build: Build, id: str) -> None:
    with pytest.raises(UsageError) as caught:
        builds.key(Inputs(folder), build, {})
    assert caught.value.id == id


def test_arguments_and_stage_are_the_builders(yard: Yard) -> None:
    (yard.root / ".dockerignore").write_text("secret.txt\n")
    (yard.root / "secret.txt").write_text("x")
    whole = yard.make(Build(target="other"), WORD="care")
    assert yard.read(whole, "ls", "-A", "/all").split() == [".dockerignore", "Dockerfile", "app.py"]
    assert any(line.startswith("step 1/") for line in yard.said)
    first = "\n".join(DOCKERFILE.splitlines()[:3]) + "\n"
    (yard.root / "Dockerfile").write_text(first)
    assert yard.read(yard.make(WORD="care"), "cat", "/made") == "made with care\n"


def test_a_failing_step_is_named_with_its_last_lines(yard: Yard) -> None:
    (yard.root / "Dockerfile").write_text(
        "FROM busybox:latest\nRUN echo fine\nRUN echo looking; echo no compiler here >&2; exit 7\n"
    )
    with pytest.raises(ProcessError) as caught:
        yard.make()
    error = caught.value
    assert (error.id, error.what) == ("build-failed", "the image of web can't be built")
    # the labels are a step of the engine's own
    assert error.why.startswith("step 3/6 `RUN echo looking; echo no compiler here >&2; exit 7`:")
    assert error.why.endswith(" 7")
    # two streams of the engine's: in whatever order
    assert set(error.evidence[-2:]) == {"looking", "no compiler here"}
    assert error.fix == "correct Dockerfile, then: devstack up"
    assert yard.names() == set()


def test_a_dockerfile_that_cannot_be_read_is_no_crash(yard: Yard) -> None:
    (yard.root / "Dockerfile").write_text("FORM busybox\n")
    with pytest.raises(DevstackError) as caught:
        yard.make()
    assert "FORM" in caught.value.why


def test_a_base_that_nobody_has_is_told(yard: Yard) -> None:
    # what this engine can be asked for without a network: a registry that isn't there
    (yard.root / "Dockerfile").write_text("FROM 127.0.0.1:9/none:1\n")
    with pytest.raises(DevstackError) as caught:
        yard.make()
    assert caught.value.id == "pull-failed"


def test_a_run_that_is_cancelled_ends_the_build(yard: Yard) -> None:
    (yard.root / "Dockerfile").write_text("FROM busybox:latest\nRUN echo begun; sleep 600\n")

    def hear(line: str) -> None:
        if line == "begun":
            yard.engine.system.cancel()

    wanted = builds.Wanted(f"devstack-{yard.stack[:12]}:x", "web", Build(), {}, Owner(yard.stack, str(yard.root), 0))
    try:
        with pytest.raises(InterruptedRunError):
            builds.build(yard.engine, Inputs(yard.root), wanted, hear)
    finally:
        # other tests ask the same engine
        yard.engine.system.cancelled.clear()
    assert yard.names() == set()


def test_images_of_before_are_kept_for_a_while_and_then_removed(yard: Yard) -> None:
    names = []
    for number in range(4):
        (yard.root / "Dockerfile").write_text(f"FROM busybox:latest\nENV N={number}\n")
        names.append(yard.make())
    builds.discard(yard.engine, yard.stack, kept=frozenset({names[0]}), spare=1)
    assert yard.names() == {names[0], names[3]} or len(yard.names()) == 2
    assert names[0] in yard.names()
    builds.discard(yard.engine, yard.stack, kept=frozenset(), spare=0)
    assert yard.names() == set()


def test_what_a_stranger_made_of_an_image_stays(yard: Yard) -> None:
    """A name that somebody else gave it, and an image that somebody else built on it: that has its labels too."""
    own, other = yard.make(Build(target="other")), f"stranger-{yard.stack}"
    yard.engine.api.tag(own, other, "mine")
    (yard.root / "Dockerfile").write_text(f"FROM {own}\nENV A=1\n")
    list(yard.engine.api.build(path=str(yard.root), tag=f"{other}:upon", rm=True, decode=True))

    builds.discard(yard.engine, yard.stack, kept=frozenset(), spare=0)

    assert yard.names() == {f"{other}:mine", f"{other}:upon"}
