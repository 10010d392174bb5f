"""Finding interpreters: real ones of this machine beside scripts that answer as one."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from devstack import interpreters
from devstack.errors import PrerequisiteError, UsageError
from devstack.interpreters import Interpreter
from devstack.system import System


def fake(
    folder: Path, name: str, version: str, *, level: str = "final", threaded: bool = False, base: bool = True
) -> Path:
    """A script that answers the probe, and notes that it ran."""
    folder.mkdir(parents=True, exist_ok=True)
    answer = json.dumps([version, level, "cpython", threaded, base])
    path = folder / name
    path.write_text(f"#!/bin/sh\necho ran >> '{folder}/ran'\necho '{answer}'\n")
    path.chmod(0o755)
    return path


def machine(tmp_path: Path, *path: Path | str, **variables: str) -> System:
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    return System({"PATH": ":".join(map(str, path)), "HOME": str(home), **variables})


def find(system: System, wanted: str | None, tmp_path: Path, asker: str = "") -> Interpreter:
    return interpreters.find(system, wanted, asker=asker, root=tmp_path / "project")


def test_a_real_interpreter_is_found_and_is_the_file_that_runs(tmp_path: Path) -> None:
    wanted = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = find(machine(tmp_path, "/usr/bin"), wanted, tmp_path)
    assert found.version.startswith(f"{wanted}.")
    assert found.path == os.path.realpath(found.path)
    assert found.is_unchanged()


@pytest.mark.parametrize(("wanted", "expected"), [
    (None, "3.91.2"),           # the PATH's own python3
    (">=3.91", "3.91.2"),
    ("3.90", "3.90.11"),        # the newest patch
    ("3.90.4", "3.90.4"),
    (">=3.92,<3.99", "3.92.0"),  # the lowest minor of an open range
    ("~=3.92", "3.92.0"),
    ("==3.93", "3.93.5"),        # as people mean it
    (">3.91,<=3.92", "3.91.2"),
])
def test_the_choice_follows_the_written_rule(wanted: str | None, expected: str, tmp_path: Path) -> None:
    bin_folder = tmp_path / "bin"
    for name, version in (("python3", "3.91.2"), ("python3.92", "3.92.0"), ("python3.93", "3.93.5")):
        fake(bin_folder, name, version)
    pyenv = tmp_path / "pyenv"
    for version in ("3.90.4", "3.90.11"):
        fake(pyenv / "versions" / version / "bin", "python3.90", version)
    assert find(machine(tmp_path, bin_folder, PYENV_ROOT=str(pyenv)), wanted, tmp_path).version == expected


def test_each_candidate_runs_once_until_its_file_changes(tmp_path: Path) -> None:
    script = fake(tmp_path / "bin", "python3.91", "3.91.0")
    system = machine(tmp_path, tmp_path / "bin")
    for _ in range(3):
        assert find(system, "3.91", tmp_path).version == "3.91.0"
    assert (tmp_path / "bin" / "ran").read_text().splitlines() == ["ran"]
    script.unlink()
    fake(tmp_path / "bin", "python3.91", "3.91.10")
    assert find(system, "3.91", tmp_path).version == "3.91.10"


def test_a_damaged_memory_is_forgotten(tmp_path: Path) -> None:
    fake(tmp_path / "bin", "python3.91", "3.91.0")
    system = machine(tmp_path, tmp_path / "bin", XDG_CACHE_HOME=str(tmp_path / "cache"))
    file = tmp_path / "cache" / "devstack" / "interpreters.json"
    file.parent.mkdir(parents=True)
    for text in ("", "{", '[{"path": 1}]', '[{"path": 1, "version": 2, "implementation": 3, "stamp": 4}]', "[" * 9999):
        file.write_text(text)
        assert find(system, "3.91", tmp_path).version == "3.91.0"


@pytest.mark.parametrize("answer", [
    "#!/bin/sh\nexit 1\n", "#!/bin/sh\necho pyenv: command not found\n", "#!/nonexistent\n", "",
    "#!/bin/sh\necho '[1'\n",
])
def test_a_broken_candidate_is_passed_over(answer: str, tmp_path: Path) -> None:
    fake(tmp_path / "good", "python3.91", "3.91.0")
    broken = tmp_path / "bad" / "python3"
    broken.parent.mkdir()
    broken.write_text(answer)
    broken.chmod(0o755)
    assert find(machine(tmp_path, tmp_path / "bad", tmp_path / "good"), ">=3.91", tmp_path).version == "3.91.0"


def test_previews_free_threaded_builds_and_copies_in_environments_are_passed_over(tmp_path: Path) -> None:
    fake(tmp_path / "a", "python3.91", "3.91.0", level="candidate")
    fake(tmp_path / "b", "python3.92", "3.92.0", threaded=True)
    fake(tmp_path / "c", "python3.93", "3.93.0", base=False)
    with pytest.raises(PrerequisiteError):
        find(machine(tmp_path, tmp_path / "a", tmp_path / "b", tmp_path / "c"), ">=3.91", tmp_path)


def test_nothing_inside_the_project_no_relative_entry_and_no_shim_is_ever_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault J10: a clone that carries a `python3` must not be asked what it is."""
    project = tmp_path / "project"
    traps = (project / "bin", project / "deep" / "bin", tmp_path / "pyenv" / "shims")
    for folder in traps:
        fake(folder, "python3", "3.91.0")
    (tmp_path / "link").symlink_to(project / "bin")
    monkeypatch.chdir(project)
    with pytest.raises(PrerequisiteError):
        find(machine(tmp_path, *traps, tmp_path / "link", "bin", "."), "3.91", tmp_path)
    assert not list(tmp_path.rglob("ran"))


def test_a_candidates_environment_is_scrubbed_and_it_runs_outside_the_project(tmp_path: Path) -> None:
    script = fake(tmp_path / "bin", "python3.91", "3.91.0")
    note = f"env > '{tmp_path}/env'; pwd > '{tmp_path}/cwd'"
    script.write_text(script.read_text().replace("#!/bin/sh\n", f"#!/bin/sh\n{note}\n"))
    find(machine(tmp_path, tmp_path / "bin", PYTHONPATH="/evil", SECRET="x"), "3.91", tmp_path)
    names = {line.partition("=")[0] for line in (tmp_path / "env").read_text().splitlines()}
    assert not names & {"PYTHONPATH", "SECRET"}
    assert (tmp_path / "cwd").read_text() == "/\n"


def test_a_missing_version_lists_what_is_there_and_gives_one_command(tmp_path: Path) -> None:
    """Fault A8."""
    fake(tmp_path / "bin", "python3.91", "3.91.0")
    with pytest.raises(PrerequisiteError) as caught:
        find(machine(tmp_path, tmp_path / "bin"), "3.99", tmp_path, asker="[python] version")
    assert caught.value.id == "python-missing"
    assert f"3.91.0 ({tmp_path}/bin/python3.91)" in caught.value.why
    assert "[python] version asks for it" in caught.value.why
    assert caught.value.fix == "correct [python] version in devstack.toml"


def test_a_released_version_that_is_missing_can_be_got_with_a_command_that_exists(tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError) as caught:
        find(machine(tmp_path, "/nonexistent"), "3.9.99", tmp_path)
    program, *_ = caught.value.fix.split()
    assert program == "sudo" or os.access(program, os.X_OK)


def test_a_pinned_patch_is_a_wish_in_the_pin_file_and_a_demand_in_the_profile(tmp_path: Path) -> None:
    fake(tmp_path / "bin", "python3.91", "3.91.4")
    system = machine(tmp_path, tmp_path / "bin")
    assert find(system, "3.91.2", tmp_path, asker=".python-version").version == "3.91.4"
    with pytest.raises(PrerequisiteError):
        find(system, "3.91.2", tmp_path, asker="[python] version")


@pytest.mark.parametrize("text", ["latest", "3.x", ">=", "^3.11"])
def test_what_is_no_version_is_the_profiles_mistake(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        interpreters.satisfies("3.11.7", text)
    assert caught.value.id == "python-version-invalid"


def test_three_one_is_not_three_eleven() -> None:
    assert not interpreters.satisfies("3.11.7", "3.1")
    assert interpreters.satisfies("3.1.0", "3.1")
