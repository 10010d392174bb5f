"""Every dialect of lock and every option, installed for real from wheels made here."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path

import pytest

from devstack.errors import NetworkError
from devstack.installers import pip_words
from devstack.profile.model import Python
from devstack.python_env import PythonEnvironments
from devstack.system import System
from tests.python_bench import BACKEND, Bench, make_bench, wheel


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Without requirements.txt; the machine's pip configuration names the folder of wheels."""
    made = make_bench(tmp_path)
    (made.root / "requirements.txt").unlink()
    wheel(made.root / "wheels", "gamma", "2.0")
    # pip splits what it is told at spaces
    house = tmp_path / "house"
    house.symlink_to(made.root / "wheels")
    return Bench(made.root, made.environ | {"PIP_FIND_LINKS": str(house), "PIP_NO_INDEX": "1"})


def digest(bench: Bench, name: str, version: str = "1.0") -> str:
    content = (bench.root / "wheels" / f"{name}-{version}-py3-none-any.whl").read_bytes()
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def poetry_project(bench: Bench) -> None:
    (bench.root / "pyproject.toml").write_text(
        '[tool.poetry]\nname = "shop"\nversion = "1"\npackage-mode = false\n'
        '[tool.poetry.dependencies]\npython = "^3.9"\nalpha = "^1.0"\nlib = {path = "lib", develop = true}\n'
        '[tool.poetry.group.dev.dependencies]\ngamma = "*"\n'
        '[build-system]\nrequires = ["poetry-core"]\nbuild-backend = "poetry.core.masonry.api"\n'
    )
    library(bench.root / "lib", "lib")
    lock = "".join(
        f'[[package]]\nname = "{name}"\nversion = "{version}"\noptional = false\npython-versions = ">=3.9"\n'
        f'files = [{{file = "{name}.whl", hash = "{digest(bench, name, version)}"}}]\n{more}\n'
        for name, version, more in (
            ("alpha", "1.0", '[package.dependencies]\nbeta = "*"\n'), ("beta", "1.0", ""), ("gamma", "2.0", ""),
        )
    )
    lock += (
        '[[package]]\nname = "lib"\nversion = "1"\noptional = false\npython-versions = ">=3.9"\nfiles = []\n'
        'develop = true\n[package.source]\ntype = "directory"\nurl = "lib"\n[metadata]\nlock-version = "2.0"\n'
    )
    (bench.root / "poetry.lock").write_text(lock)


def library(folder: Path, name: str, backend: str = BACKEND) -> None:
    folder.mkdir()
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        f'[project]\nname = "{name}"\nversion = "1"\n'
    )
    (folder / "backend.py").write_text(backend.replace("NAME", name))
    (folder / f"{name}.py").write_text("VERSION = 'here'\n")


def test_a_lock_of_poetrys_is_followed_to_the_hash(bench: Bench) -> None:
    poetry_project(bench)
    wheel(bench.root / "wheels", "alpha", "1.5", requires="beta")
    built = bench.build()
    assert built.plan.reason == "poetry.lock is there"
    versions = "import alpha, beta, gamma, lib; print(alpha.VERSION, gamma.VERSION, lib.VERSION)"
    assert bench.run(versions) == "1.0 2.0 here"
    (bench.root / "lib" / "lib.py").write_text("VERSION = 'changed'\n")
    assert bench.run("import lib; print(lib.VERSION)") == "changed"


@pytest.mark.parametrize("installer", ["uv", "pip"])
@pytest.mark.fault("B11")
def test_a_wheel_that_isn_t_the_locked_one_is_refused_and_the_old_environment_stays(
    bench: Bench, installer: str
) -> None:
    """Fault B11, with both installers: both hashes are told."""
    poetry_project(bench)
    python = Python(installer="pip" if installer == "pip" else "uv")
    first = bench.build(python)
    right = digest(bench, "beta").removeprefix("sha256:")
    text = (bench.root / "poetry.lock").read_text()
    (bench.root / "poetry.lock").write_text(text.replace(right, "0" * 64))
    with pytest.raises(NetworkError) as caught:
        bench.build(python)
    assert (caught.value.id, caught.value.exit_code) == ("hash-mismatch", 4)
    assert "beta" in caught.value.what
    assert "0" * 64 in caught.value.why
    assert right in caught.value.why
    assert "beta" in caught.value.fix
    assert any(right in line for line in caught.value.evidence)
    assert not list(bench.observe(python).folder.glob("lib/*/site-packages/beta"))
    assert bench.observe(python).state.linked == first.state.wanted
    assert bench.run("import beta; print(beta.VERSION)") == "1.0"


def test_a_lock_of_pipenvs_is_followed(bench: Bench) -> None:
    (bench.root / "Pipfile.lock").write_text(json.dumps({
        "_meta": {"requires": {"python_version": "3"}, "sources": [{"name": "pypi", "url": "https://a.example"}]},
        "default": {name: {"version": "==1.0", "hashes": [digest(bench, name)]} for name in ("alpha", "beta")},
        "develop": {"gamma": {"version": "==2.0", "hashes": [digest(bench, "gamma", "2.0")]}},
    }))
    bench.build()
    assert bench.run("import alpha, beta, importlib.util as u; print(u.find_spec('gamma'))") == "None"
    bench.build(Python(groups=("develop",)))
    assert bench.run("import gamma; print(gamma.VERSION)") == "2.0"


def test_a_lock_of_pdms_is_followed(bench: Bench) -> None:
    (bench.root / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "1"\ndependencies = ["alpha"]\n')
    entry = '[[package]]\nname = "{0}"\nversion = "1.0"\ngroups = ["default"]\nfiles = [{{hash = "{1}"}}]\n'
    (bench.root / "pdm.lock").write_text(
        '[metadata]\ngroups = ["default"]\nstrategy = ["inherit_metadata"]\n'
        + "".join(entry.format(name, digest(bench, name)) for name in ("alpha", "beta"))
    )
    assert bench.build().plan.reason == "pdm.lock is there"
    assert bench.run("import alpha, beta; print(1)") == "1"


@pytest.mark.parametrize("name", ["pylock.toml", "pylock.dev.toml"])
def test_a_standard_lock_is_followed(bench: Bench, name: str) -> None:
    entry = (
        '[[packages]]\nname = "{0}"\nversion = "1.0"\n'
        'wheels = [{{path = "./wheels/{0}-1.0-py3-none-any.whl", hashes = {{sha256 = "{1}"}}}}]\n'
    )
    (bench.root / name).write_text('lock-version = "1.0"\ncreated-by = "tests"\n' + "".join(
        entry.format(one, digest(bench, one).removeprefix("sha256:")) for one in ("alpha", "beta")
    ))
    bench.build(Python(install=None if name == "pylock.toml" else (name,)))
    assert bench.run("import alpha, beta; print(1)") == "1"


def test_pip_installs_groups_that_include_others_whatever_the_shell_exports(bench: Bench, tmp_path: Path) -> None:
    """Fault F6, with pip."""
    (bench.root / "pyproject.toml").write_text(
        '[dependency-groups]\nbase = ["gamma"]\ndev = ["alpha", {include-group = "base"}]\n'
    )
    with_uv = bench.build(Python(groups=("dev",))).state.wanted
    target = tmp_path / "target"
    built = bench.build(
        Python(groups=("dev",), installer="pip"), PIP_TARGET=str(target), PIP_USER="1", PIP_PREFIX=str(target),
        PYTHONHOME="/nonexistent", PYTHONPATH="/nonexistent", VIRTUAL_ENV="/nonexistent", PIP_NO_DEPS="1",
    )
    assert built.state.wanted != with_uv
    assert not target.exists()
    assert bench.run("import alpha, beta, gamma; print(1)") == "1"


NOT_EDITABLE = BACKEND.replace("def build_editable", "def unknown_hook")


def test_a_build_tool_from_before_pep_660_gets_a_copy_and_a_note(bench: Bench) -> None:
    library(bench.root / "lib", "lib", NOT_EDITABLE)
    environments = bench.environments()
    observed = environments.observe(Python(install=("lib",)))
    environments.create(observed)
    assert environments.install(observed) == ("lib was installed as a copy: its build tool can't install it editable",)
    environments.verify(observed)
    environments.link(observed)
    assert bench.run("import lib; print(lib.VERSION)") == "here"


def test_an_application_with_a_build_tool_that_old_is_left_out_and_no_copy(bench: Bench) -> None:
    poetry_project(bench)
    refusal = "    raise ValueError('No file/folder found for package app')\n"
    (bench.root / "backend.py").write_text(NOT_EDITABLE.replace("    return _write", f"{refusal}    return _write"))
    file = bench.root / "pyproject.toml"
    text = file.read_text().replace("package-mode = false\n", "").replace('requires = ["poetry-core"]', "requires = []")
    file.write_text(text.replace('"poetry.core.masonry.api"', '"backend"\nbackend-path = ["."]'))
    environments = bench.environments()
    observed = environments.observe(Python())
    environments.create(observed)
    (note,) = environments.install(observed)
    assert note == "install . (editable): skipped, since it has no package of its name"


def test_the_project_is_a_copy_where_the_profile_says_so_and_builds_though_nothing_else_may(bench: Bench) -> None:
    library(bench.root / "lib", "lib")
    bench.build(Python(install=("lib",), editable=False))
    (bench.root / "lib" / "lib.py").write_text("VERSION = 'changed'\n")
    assert bench.run("import lib; print(lib.VERSION)") == "here"
    bench.build(Python(install=("lib",), only_binary=True))
    assert bench.run("import lib; print(lib.VERSION)") == "changed"


def test_a_version_before_a_release_is_taken_where_the_profile_allows_it(bench: Bench) -> None:
    wheel(bench.root / "wheels", "gamma", "3.0b1")
    (bench.root / "requirements.txt").write_text("gamma\n")
    bench.build()
    assert bench.run("import gamma; print(gamma.VERSION)") == "2.0"
    bench.build(Python(prerelease="allow"))
    assert bench.run("import gamma; print(gamma.VERSION)") == "3.0b1"


def test_pip_gets_the_options_in_its_own_words() -> None:
    args = ("pip", "install", "-c", "c.txt", "--prerelease", "allow", "--index", "https://i.example", "--", "six")
    words = pip_words("/v/bin/python", args)
    assert words[:4] == ["/v/bin/python", "-m", "pip", "install"]
    assert words[-7:] == ["-c", "c.txt", "--pre", "--extra-index-url", "https://i.example", "--", "six"]
    assert pip_words("p", ("pip", "install", "--prerelease", "disallow"))[-1] == "off"


def test_a_build_sees_no_secret_of_the_person(bench: Bench, tmp_path: Path) -> None:
    """Threat S26."""
    seen = tmp_path / "seen"
    backend = f"import os\nopen({str(seen)!r}, 'w').write(repr(dict(os.environ)))\n" + BACKEND
    library(bench.root / "lib", "lib", backend)
    names = ("AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "DATABASE_URL", "PGPASSWORD")
    bench.build(Python(install=("lib",)), **dict.fromkeys(names, "canary"))
    assert "canary" not in seen.read_text()


def test_devstacks_folder_may_be_on_another_file_system(bench: Bench) -> None:
    """`.venv` then can't be renamed into place from there."""
    other = Path("/dev/shm")  # noqa: S108 - another file system, a folder of our own on it
    if not other.is_dir() or other.stat().st_dev == bench.root.stat().st_dev:
        pytest.skip("there is no second file system")
    folder = Path(tempfile.mkdtemp(dir=other, prefix="devstack-test-"))
    try:
        environments = PythonEnvironments(System(bench.environ), bench.root, folder)
        (bench.root / "requirements.txt").write_text("alpha\n")
        for _ in range(2):
            observed = environments.observe(Python())
            environments.create(observed)
            environments.install(observed)
            environments.verify(observed)
            environments.link(observed)
            assert environments.observe(Python()).state.linked == observed.state.wanted
            assert bench.run("import alpha; print(1)") == "1"
            (bench.root / "requirements.txt").write_text("alpha\ngamma\n")
        assert sorted(path.name for path in bench.root.iterdir()) == [".venv", "requirements.txt", "wheels"]
    finally:
        shutil.rmtree(folder)
