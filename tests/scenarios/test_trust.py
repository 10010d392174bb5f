"""Nothing of a repository runs before a person has said that it may."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.scenarios.machine import Machine, Project, commit, make_repository

#: a package whose build leaves a mark; it needs nothing from the network
_BACKEND = """
import pathlib
import zipfile

pathlib.Path({marker!r}).touch()


def build_wheel(folder, settings=None, metadata=None):
    name = "marking-1-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder) / name, "w") as wheel:
        wheel.writestr("marking.py", "")
        wheel.writestr("marking-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: marking\\nVersion: 1\\n")
        wheel.writestr("marking-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("marking-1.dist-info/RECORD", "")
    return name
"""


@pytest.fixture
def marks(machine: Machine) -> Path:
    """A repository that notes in this folder whatever of it runs."""
    marks, origin = machine.folder / "marks", machine.folder / "origin"
    marks.mkdir()
    make_repository(origin)
    package = origin / "package"
    package.mkdir()
    (package / "backend.py").write_text(_BACKEND.format(marker=str(marks / "package")))
    (package / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "marking"\nversion = "1"\n'
    )
    (origin / "requirements.txt").write_text("./package\n")
    for name in ("seed.py", "web.py", "loop.py"):
        text = (origin / name).read_text()
        (origin / name).write_text(f"open({str(marks / name)!r}, 'w').close()\n{text}")
    profile = (origin / "devstack.toml").read_text()
    (origin / "devstack.toml").write_text(profile.replace("install = []", 'install = ["requirements.txt"]'))
    commit(origin, "Marks")
    return marks


def found(marks: Path) -> set[str]:
    return {path.name for path in marks.iterdir()}


def test_nothing_of_a_repository_runs_before_it_is_trusted(machine: Machine, marks: Path) -> None:
    project = machine.bootstrap(str(machine.folder / "origin"), into=machine.folder / "mini", code=9)

    for words in (("up",), ("restart", "web"), ("run", "seed"), ("exec", "--", "true"), ("bootstrap", ".")):
        error = project.run(*words[:1], "--json", *words[1:], code=9).error
        assert error["id"] == "not-trusted"
        assert error["fix"].startswith("devstack trust")
    assert project.status()["stack"]["state"] == "down"
    assert project.run("plan", "--json").document["steps"]
    for words in (("urls",), ("logs",), ("plan",), ("down",)):
        project.run(*words)
    assert found(marks) == set()
    assert not (project.root / ".venv").is_symlink()

    assert "python web.py" in project.run("trust").out
    project.run("up")
    assert found(marks) == {"package", "seed.py", "web.py", "loop.py"}


def test_trust_ends_with_the_first_changed_byte(mini: Project) -> None:
    mini.run("up")
    before = mini.pids()
    mini.edit("devstack.toml", "24 }", "25 }")

    error = mini.run("up", "--json", code=9).error

    assert "changed" in error["why"]
    mini.run("exec", "--", "true", code=9)
    assert mini.pids() == before
    mini.edit("devstack.toml", "25 }", "24 }")
    mini.run("up")


def test_trust_belongs_to_a_place(mini: Project) -> None:
    other = mini.machine.project(mini.machine.folder / "other")
    shutil.copytree(mini.root, other.root)

    other.run("up", code=9)


def test_a_profile_that_the_person_gives_needs_no_other_trust(mini: Project) -> None:
    profile = mini.machine.folder / "mine.toml"
    (mini.root / "devstack.toml").rename(profile)

    mini.run("bootstrap", ".", "--profile", str(profile))

    mini.assert_up()
