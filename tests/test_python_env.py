"""Environments built with the real virtualenv and uv, from wheels made here, so that no network is needed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from devstack import interpreters
from devstack.errors import DevstackError, PrerequisiteError, StorageError, UsageError
from devstack.profile.model import Python
from devstack.python_env import MARKER
from devstack.system import System
from tests.python_bench import Bench, make_bench, wheel


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return make_bench(tmp_path)


def test_an_environment_is_built_linked_and_then_nothing_is_left_to_do(bench: Bench) -> None:
    """In a path with a space and an é."""
    before = bench.observe().state
    assert (before.is_built, before.linked, before.problem) == (False, "", "")
    after = bench.build().state
    assert (after.is_built, after.linked, after.problem) == (True, after.wanted, "")
    assert bench.run("import alpha, beta; print(alpha.VERSION)") == "1.0"
    assert (bench.root / ".venv").readlink() == Path(f".devstack/venvs/{after.wanted}")
    script = subprocess.run([bench.root / ".venv/bin/alpha"], capture_output=True, text=True, check=True, env={})
    assert script.stdout == "alpha 1.0\n"


def test_a_look_when_nothing_changed_starts_no_process(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.build()
    bench.run("import alpha")
    monkeypatch.setattr(System, "_popen", lambda *_a, **_k: pytest.fail("a process was started"))
    assert bench.observe().state.is_built


@pytest.mark.fault("F1")
def test_half_built_is_not_built_and_is_built_again_in_place(bench: Bench) -> None:
    """Fault F1: without the marker nothing else counts."""
    built = bench.build()
    (built.folder / MARKER).unlink()
    state = bench.observe().state
    assert (state.is_built, state.problem) == (False, "the environment is half-built")
    assert bench.build().state.is_built


@pytest.mark.parametrize("text", ["", "{", "[]", '{"key": "x"}', "[" * 9999])
def test_a_damaged_marker_counts_as_none(bench: Bench, text: str) -> None:
    built = bench.build()
    (built.folder / MARKER).write_text(text)
    assert not bench.observe().state.is_built


def another_minor(tmp_path: Path) -> interpreters.Interpreter:
    """A real Python of this machine whose minor isn't this one's."""
    mine = f"{sys.version_info.major}.{sys.version_info.minor}"
    try:
        return interpreters.find(System(), f">=3.9,!={mine}", root=tmp_path)
    except PrerequisiteError as error:
        pytest.skip(error.why)


def installed(folder: Path, interpreter: str) -> Path:
    """A real Python that can be taken away again: its binary, beside the library of the one it is a copy of."""
    real = Path(os.path.realpath(interpreter))
    (folder / "bin").mkdir(parents=True)
    (folder / "lib").symlink_to(real.parent.parent / "lib")
    return Path(shutil.copy2(real, folder / "bin" / real.name))


VERSION = "import alpha, sys; print('%d.%d' % sys.version_info[:2])"


@pytest.mark.parametrize("target", ["/nonexistent/python3.11", "/bin/sh"])
@pytest.mark.fault("F2", "F3")
def test_a_dangling_or_swapped_interpreter_is_noticed_and_mended(bench: Bench, target: str) -> None:
    """Faults F2 and F3."""
    built = bench.build()
    built.python.unlink()
    built.python.symlink_to(target)
    state = bench.observe().state
    assert not state.is_built
    assert "interpreter" in state.problem or "another Python" in state.problem
    assert bench.build().state.is_built
    assert bench.run("import alpha; print(1)") == "1"


@pytest.mark.fault("F3")
def test_another_minor_behind_the_environments_link_is_noticed_and_mended(bench: Bench, tmp_path: Path) -> None:
    """Fault F3: it runs, and finds none of the packages, which are in the folder of the other minor."""
    other = another_minor(tmp_path)
    built = bench.build()
    built.python.unlink()
    built.python.symlink_to(other.path)
    with pytest.raises(subprocess.CalledProcessError):
        bench.run(VERSION)
    state = bench.observe().state
    assert not state.is_built
    assert "another Python" in state.problem
    assert bench.build().state.is_built
    assert bench.run(VERSION) == ".".join(built.state.version.split(".")[:2])


@pytest.mark.fault("F2", "F3")
def test_an_upgrade_to_another_minor_builds_for_it_and_says_from_what(bench: Bench, tmp_path: Path) -> None:
    """Faults F2 and F3: the Python that `python3` meant is gone, and the name now means one of another minor."""
    other, link = another_minor(tmp_path), tmp_path / "bin" / "python3"
    link.parent.mkdir()
    old = installed(tmp_path / "old", sys.executable)
    link.symlink_to(old)
    there = Bench(bench.root, bench.environ | {"PATH": f"{link.parent}:{bench.environ['PATH']}"})
    before = there.build()
    assert (before.interpreter.path, there.run(VERSION)) == (str(old), f"3.{sys.version_info.minor}")

    new = installed(tmp_path / "new", other.path)
    link.unlink()
    link.symlink_to(new)
    shutil.rmtree(tmp_path / "old")
    with pytest.raises(OSError, match=r"\.venv"):
        there.run(VERSION)
    state = there.observe().state
    assert not state.is_built
    assert state.problem == f"Python {other.version} instead of {before.state.version} (no longer there)"
    after = there.build()
    assert (after.state.is_built, after.interpreter.path, there.run(VERSION)) == (True, str(new), other.minor)


@pytest.mark.fault("F4")
def test_changed_requirements_build_beside_and_the_way_back_is_only_a_link(bench: Bench) -> None:
    """Fault F4."""
    first = bench.build()
    wheel(bench.root / "wheels", "gamma")
    bench.require("alpha", "gamma")
    state = bench.observe().state
    assert (state.is_built, state.linked, state.problem) == (False, first.state.wanted, "requirements.txt changed")
    second = bench.build()
    assert second.state.linked != first.state.linked
    bench.require("alpha")
    back = bench.observe()
    assert (back.state.is_built, back.state.wanted) == (True, first.state.wanted)
    bench.environments().link(back)
    assert bench.observe().state.linked == first.state.wanted


def test_a_branch_that_is_switched_back_starts_no_installer(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The instant way back: nothing runs, not even to look."""
    first = bench.build()
    wheel(bench.root / "wheels", "gamma")
    bench.require("gamma")
    bench.build()
    bench.run("import gamma")
    bench.require("alpha")
    monkeypatch.setattr(System, "_popen", lambda *_a, **_k: pytest.fail("a process was started"))
    back = bench.observe()
    assert (back.state.is_built, back.state.wanted) == (True, first.state.wanted)
    bench.environments().link(back)
    monkeypatch.undo()
    assert bench.observe().state.linked == first.state.wanted
    assert bench.run("import alpha; print(1)") == "1"


def test_a_few_environments_of_before_are_kept(bench: Bench) -> None:
    """Never the linked one's turn, however old; what is half-built or was put aside goes."""
    first = bench.build()
    venvs = first.folder.parent
    for number in range(6):
        shutil.copytree(first.folder, venvs / f"used-{number}", symlinks=True)
        os.utime(venvs / f"used-{number}" / MARKER, (number + 2, number + 2))
    os.utime(first.folder / MARKER, (1, 1))
    (venvs / "half" / "bin").mkdir(parents=True)
    shutil.copytree(first.folder, venvs / "gone.old", symlinks=True)
    bench.require("beta")
    observed = bench.observe()
    environments = bench.environments()
    environments.create(observed)
    environments.install(observed)
    environments.verify(observed)
    assert environments.prune(observed) == 5
    kept = {"used-3", "used-4", "used-5", first.state.wanted, observed.state.wanted}
    assert {path.name for path in venvs.iterdir() if path.is_dir()} == kept
    assert bench.run("import alpha; print(1)") == "1"


@pytest.mark.fault("A9")
def test_debians_python_without_its_venv_package_serves(bench: Bench, tmp_path: Path) -> None:
    """Fault A9: neither ensurepip nor venv is asked for anything."""
    real = bench.observe().interpreter.path
    crippled = tmp_path / "crippled" / "python3.11"
    crippled.parent.mkdir()
    crippled.write_text(
        f'#!/bin/sh\ncase "$*" in *ensurepip*|*"-m venv"*) echo "No module named ensurepip" >&2; exit 1;; esac\n'
        f'exec {real} "$@"\n'
    )
    crippled.chmod(0o755)
    there = Bench(bench.root, bench.environ | {"PATH": f"{crippled.parent}:{bench.environ['PATH']}"})
    assert there.build().state.is_built
    assert bench.run("import alpha; print(1)") == "1"


@pytest.mark.fault("A9")
def test_a_python_that_lacks_its_library_names_debians_package(bench: Bench, tmp_path: Path) -> None:
    """Fault A9: what virtualenv needs of the standard library isn't there."""
    broken = tmp_path / "broken" / "python3.10"
    broken.parent.mkdir()
    broken.write_text(
        '#!/bin/sh\ncase "$*" in *version_info*) echo \'["3.10.99", "final", "cpython", false, true]\';;\n'
        '*) echo "ModuleNotFoundError: No module named \'sysconfig\'" >&2; exit 1;; esac\n'
    )
    broken.chmod(0o755)
    there = Bench(bench.root, bench.environ | {"PATH": f"{broken.parent}:{bench.environ['PATH']}"})
    with pytest.raises(PrerequisiteError) as caught:
        there.build(Python(version="3.10.99"))
    assert (caught.value.id, caught.value.exit_code) == ("environment-failed", 3)
    assert "3.10.99" in caught.value.what
    assert caught.value.fix
    assert caught.value.evidence


@pytest.mark.fault("B12", "F5")
def test_a_package_whose_files_never_came_is_named_and_comes_back(bench: Bench) -> None:
    """Fault B12: an installer that was killed leaves its record without the package."""
    built = bench.build()
    site = next(built.folder.glob("lib/*/site-packages"))
    (site / "beta-1.0.dist-info" / "RECORD").unlink()
    shutil.rmtree(site / "beta")
    assert bench.observe().state.problem.startswith("package beta is half-installed")
    assert bench.build().state.is_built
    assert bench.run("import beta; print(1)") == "1"


@pytest.mark.fault("F5")
def test_a_package_removed_by_hand_is_named_and_comes_back(bench: Bench) -> None:
    """Fault F5."""
    built = bench.build()
    site = next(built.folder.glob("lib/*/site-packages"))
    shutil.rmtree(site / "beta")
    assert bench.observe().state.problem == "package beta is damaged: 3 files missing"
    assert bench.build().state.is_built
    for gone in site.glob("beta*"):
        shutil.rmtree(gone)
    assert bench.observe().state.problem == "package beta is gone"


def test_damage_below_the_surface_is_found_by_the_deep_look(bench: Bench) -> None:
    """What no folder's time tells (a file inside a package) is left to `doctor`."""
    built = bench.build()
    site = next(built.folder.glob("lib/*/site-packages"))
    (site / "alpha" / "data.txt").unlink()
    (site / "beta" / "data.txt").write_text("")
    environments = bench.environments()
    assert environments.damage(environments.observe(Python())) == (
        "package alpha is damaged: 1 file missing; package beta is damaged: 1 file missing"
    )


def test_what_a_person_adds_by_hand_is_no_damage(bench: Bench) -> None:
    built = bench.build()
    site = next(built.folder.glob("lib/*/site-packages"))
    (site / "scratch.py").write_text("")
    assert bench.observe().state.is_built
    assert str(site.stat().st_mtime_ns) in (built.folder / MARKER).read_text()


@pytest.mark.fault("F6")
def test_what_the_shell_exports_doesn_t_leak_into_a_build(bench: Bench, tmp_path: Path) -> None:
    """Fault F6."""
    trap = tmp_path / "trap"
    trap.mkdir()
    (trap / "sitecustomize.py").write_text(f"open({str(tmp_path / 'marker')!r}, 'w')\n")
    built = bench.build(
        PYTHONPATH=str(trap), PYTHONHOME="/nonexistent", VIRTUAL_ENV="/nonexistent",
        PIP_TARGET=str(tmp_path / "target"), PIP_REQUIRE_VIRTUALENV="1", UV_PROJECT_ENVIRONMENT="/nonexistent",
        VIRTUALENV_SYSTEM_SITE_PACKAGES="1",
        UV_SYSTEM_PYTHON="1", CONDA_PREFIX="/nonexistent",
    )
    assert built.state.is_built
    assert bench.run("import alpha; print(1)") == "1"
    assert not (tmp_path / "marker").exists()
    assert not (tmp_path / "target").exists()


@pytest.mark.fault("F7")
def test_scripts_run_from_a_path_too_long_for_a_shebang(bench: Bench) -> None:
    """Fault F7."""
    deep = bench.root / ("d" * 90) / ("e" * 90)
    shutil.copytree(bench.root / "wheels", deep / "wheels")
    there = Bench(deep, bench.environ)
    there.require("alpha")
    built = there.build()
    command = [built.bin / "alpha"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"PATH": "/usr/bin:/bin"})
    assert done.stdout == "alpha 1.0\n"


@pytest.mark.fault("F8")
def test_a_failed_build_leaves_the_old_environment_in_use(bench: Bench) -> None:
    """Fault F8."""
    first = bench.build()
    bench.require("alpha", "nowhere==9")
    with pytest.raises(DevstackError) as caught:
        bench.build()
    assert "nowhere" in f"{caught.value.what} {caught.value.why}"
    assert caught.value.exit_code in (4, 8)
    assert caught.value.fix
    assert caught.value.evidence
    assert bench.observe().state.linked == first.state.wanted
    assert bench.run("import alpha; print(1)") == "1"


def test_a_moved_project_is_built_again_and_says_so(bench: Bench, tmp_path: Path) -> None:
    """Fault E10: an environment holds absolute paths."""
    first = bench.build().state.wanted
    moved = Bench(bench.root.rename(tmp_path / "elsewhere"), bench.environ)
    state = moved.observe().state
    assert (state.is_built, state.linked) == (False, first)
    assert moved.build().state.is_built


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_a_venv_that_isn_t_devstacks_is_never_touched(bench: Bench, tmp_path: Path, kind: str) -> None:
    own = tmp_path / "own"
    own.mkdir()
    link = bench.root / ".venv"
    link.mkdir() if kind == "folder" else link.symlink_to(own)
    state = bench.build().state
    assert (state.foreign, state.linked, state.is_built) == (True, "", True)
    assert link.is_symlink() is (kind == "link")


def test_a_planted_link_in_place_of_the_venvs_folder_is_refused(bench: Bench, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "keep").write_text("")
    (bench.root / ".devstack").mkdir()
    (bench.root / ".devstack" / "venvs").symlink_to(victim)
    with pytest.raises(StorageError):
        bench.build()
    assert [path.name for path in victim.iterdir()] == ["keep"]


def test_missing_requirements_are_an_error_before_anything_is_made(bench: Bench) -> None:
    (bench.root / "requirements.txt").unlink()
    with pytest.raises(UsageError):
        bench.observe(Python(install=("requirements.txt",)))
    assert not (bench.root / ".devstack").exists()


def test_a_folder_or_a_pipe_in_place_of_a_file_is_no_input(bench: Bench) -> None:
    (bench.root / "requirements.txt").unlink()
    os.mkfifo(bench.root / "requirements.txt")
    (bench.root / "pyproject.toml").mkdir()
    assert bench.observe().plan.steps == ()


def test_an_interpreter_that_appears_beside_doesn_t_rebuild_anything(bench: Bench, tmp_path: Path) -> None:
    bench.build()
    newer = tmp_path / "newer" / "python3"
    newer.parent.mkdir()
    newer.write_text("#!/bin/sh\necho '[\"3.91.0\",\"final\",\"cpython\",false,true]'\n")
    newer.chmod(0o755)
    changed = Bench(bench.root, bench.environ | {"PATH": f"{newer.parent}:{bench.environ['PATH']}"})
    assert changed.observe().state.is_built


def test_another_wanted_version_is_said_as_the_cause(bench: Bench, tmp_path: Path) -> None:
    bench.build()
    other = tmp_path / "other" / "python3.91"
    other.parent.mkdir()
    other.write_text("#!/bin/sh\necho '[\"3.91.0\",\"final\",\"cpython\",false,true]'\n")
    other.chmod(0o755)
    changed = Bench(bench.root, bench.environ | {"PATH": f"{other.parent}:{bench.environ['PATH']}"})
    state = changed.observe(Python(version="3.91")).state
    assert state.problem.startswith("Python 3.91.0 instead of 3.")


def test_a_lock_of_uv_is_followed_into_our_own_place(bench: Bench) -> None:
    """The project is a workspace's member, its lock above it; groups and packages come too."""
    wheel(bench.root / "wheels", "gamma")
    member = bench.root / "services" / "api"
    member.mkdir(parents=True)
    (bench.root / "pyproject.toml").write_text(
        '[tool.uv.workspace]\nmembers = ["services/*"]\n[tool.uv]\nno-index = true\nfind-links = ["wheels"]\n'
    )
    (member / "pyproject.toml").write_text(
        '[project]\nname = "api"\nversion = "1"\nrequires-python = ">=3.9"\ndependencies = ["alpha"]\n'
        '[dependency-groups]\nserver = ["gamma"]\n'
    )
    system_python = bench.observe().interpreter.path
    locking = [interpreters.uv_program(), "lock", "--offline", "--python", system_python]
    subprocess.run(locking, cwd=bench.root, env=bench.environ, check=True, capture_output=True)
    inside = Bench(member, bench.environ)
    built = inside.build(Python(groups=("server",)))
    assert built.plan.steps[0].is_sync
    assert built.state.is_built
    assert inside.run("import alpha, beta, gamma; print(1)") == "1"
    assert not (bench.root / ".venv").exists()
