"""What is installed for which files, and what the environment's key depends on."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from devstack.detect import python_inputs
from devstack.detect.install_steps import InstallPlan
from devstack.errors import UsageError
from devstack.profile.model import Python

PROJECT = '[project]\nname = "shop"\ndependencies = ["django"]\n'
BACKEND = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'


def plan(files: Mapping[str, str], python: Python | None = None) -> InstallPlan:
    return python_inputs.plan(files.get, python or Python(), "3.11.7")


def calls(files: Mapping[str, str], python: Python | None = None) -> list[str]:
    return [" ".join(step.args) for step in plan(files, python).steps]


def key(
    files: Mapping[str, str], python: Python | None = None, interpreter: str = "p 3.11.7", place: str = "/a"
) -> str:
    return python_inputs.environment_key(plan(files, python), interpreter, place)


@pytest.mark.parametrize(("files", "expected"), [
    ({}, []),
    ({"README.md": ""}, []),
    ({"requirements.txt": "django\n"}, ["pip install -r requirements.txt"]),
    ({"requirements.txt": "", "pyproject.toml": PROJECT + BACKEND}, ["pip install -r requirements.txt"]),
    ({"requirements/base.txt": "", "requirements/local.txt": ""}, ["pip install -r requirements/local.txt"]),
    ({"uv.lock": "", "pyproject.toml": PROJECT, "requirements.txt": ""}, ["sync --frozen"]),
    ({"uv.lock": "", "requirements.txt": ""}, ["pip install -r requirements.txt"]),
    ({"pyproject.toml": PROJECT + BACKEND}, ["pip install -e ."]),
    ({"pyproject.toml": PROJECT}, ["pip install -r pyproject.toml"]),
    ({"pyproject.toml": "[tool.ruff]\n"}, []),
    ({"setup.py": ""}, ["pip install -e ."]),
    ({"setup.cfg": "[metadata]\nname = x\n"}, ["pip install -e ."]),
    ({"setup.cfg": "[flake8]\nmax-line-length = 100\n"}, []),
])
def test_what_is_installed_is_detected(files: dict[str, str], expected: list[str]) -> None:
    assert calls(files) == expected


def test_the_profile_names_what_is_installed() -> None:
    files = {"a.txt": "", "b.txt": "", "lib/setup.py": "", "pyproject.toml": PROJECT + BACKEND}
    entries = ("a.txt", "b.txt", "./lib", ".[dev]")
    python = Python(install=entries, extras=("docs",), packages=("gunicorn", "setuptools<81"))
    assert calls(files, python) == [
        "pip install -r a.txt -r b.txt", "pip install -e lib[docs]", "pip install -e .[dev,docs]",
        "pip install -- gunicorn setuptools<81",
    ]


def test_nothing_is_installed_where_the_profile_says_so() -> None:
    assert calls({"requirements.txt": "django"}, Python(install=())) == []


def test_extras_and_groups_reach_a_lock_and_a_project_without_a_package() -> None:
    python = Python(extras=("s3",), groups=("docker",))
    assert calls({"uv.lock": "", "pyproject.toml": PROJECT}, python) == ["sync --frozen --extra s3 --group docker"]
    grouped = PROJECT + '[dependency-groups]\ndocker = ["gunicorn"]\n'
    assert calls({"pyproject.toml": grouped}, python) == [
        "pip install -r pyproject.toml --extra s3", "pip install --group docker",
    ]


def test_a_workspace_member_uses_the_lock_above_it() -> None:
    files = {"pyproject.toml": PROJECT, "../../pyproject.toml": "[tool.uv.workspace]\n", "../../uv.lock": "version = 1"}
    found = plan(files)
    assert [step.args for step in found.steps] == [("sync", "--frozen")]
    assert set(found.files) == {"pyproject.toml", "../../pyproject.toml", "../../uv.lock"}


def test_files_with_hashes_are_required_to_have_them_all_and_are_never_mixed_with_others() -> None:
    files = {"a.txt": "six==1.16 \\\n  --hash=sha256:aa\n", "b.txt": "-r a.txt", "c.txt": "idna"}
    assert calls(files, Python(install=("b.txt", "c.txt"), packages=("gunicorn",))) == [
        "pip install --require-hashes -r b.txt", "pip install -r c.txt", "pip install -- gunicorn",
    ]


def test_files_that_pin_one_package_to_several_versions_are_installed_in_turn_and_that_is_told() -> None:
    hashed = {
        "dev.txt": "urllib3[socks]==2.0.3 --hash=sha256:aa\nsix==1.16 --hash=sha256:bb",
        "common.txt": "URLLIB3==1.26.18 \\\n  --hash=sha256:cc",
    }
    both = Python(install=("dev.txt", "common.txt"))
    assert calls(hashed, both) == [
        "pip install --no-deps --require-hashes -r dev.txt", "pip install --no-deps --require-hashes -r common.txt",
    ]
    assert plan(hashed, both).warnings == (
        "common.txt pins urllib3 to 1.26.18, dev.txt to 2.0.3: installed one after the other, the last one counts",
    )
    plain = {"dev.txt": "six==1.16\nidna==3.0; python_version < '3'", "common.txt": "six==1.16\nidna==3.7\nattrs>=1"}
    assert calls(plain, both) == ["pip install -r dev.txt -r common.txt"]
    assert calls(plain | {"common.txt": "six == 1.15"}, both) == ["pip install -r dev.txt", "pip install -r common.txt"]


def test_constraints_hold_for_every_call_of_pip() -> None:
    files = {"requirements.txt": "a", "pins.txt": "a==1 --hash=sha256:aa"}
    assert calls(files, Python(constraints=("pins.txt",), packages=("b",))) == [
        "pip install -c pins.txt -r requirements.txt", "pip install -c pins.txt -- b",
    ]


@pytest.mark.parametrize("line", [
    "-r more.txt", "-rmore.txt", "--requirement=more.txt", "-c more.txt # why", "-r ./more.txt",
])
def test_includes_are_part_of_the_key(line: str) -> None:
    files = {"requirements/base.txt": line, "requirements/more.txt": "six==1"}
    assert set(plan(files).files) == {"requirements/base.txt", "requirements/more.txt"}
    assert key(files) != key(files | {"requirements/more.txt": "six==2"})


def test_a_missing_include_is_told_with_its_file_and_line() -> None:
    with pytest.raises(UsageError) as caught:
        plan({"requirements.txt": "django\n\n-r gone.txt\n"})
    assert caught.value.id == "requirements-missing"
    assert "requirements.txt:3" in caught.value.why


def test_files_that_include_each_other_are_read_once() -> None:
    assert plan({"requirements.txt": "-r b.txt", "b.txt": "-r requirements.txt"}).files == ("b.txt", "requirements.txt")


def test_a_missing_named_file_is_the_profiles_mistake() -> None:
    with pytest.raises(UsageError, match=r"reqs\.txt doesn't exist"):
        plan({}, Python(install=("reqs.txt",)))


@pytest.mark.parametrize("python", [
    Python(install=("--index-url=https://evil.example",)), Python(packages=("-e/evil",)), Python(constraints=("-x",)),
])
def test_an_entry_can_t_be_an_option(python: Python) -> None:
    with pytest.raises(UsageError) as caught:
        plan({"requirements.txt": ""}, python)
    assert caught.value.id == "install-entry-invalid"


def test_an_unknown_group_is_told_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="dev"):
        plan({"pyproject.toml": PROJECT + "[dependency-groups]\ndev = []\n"}, Python(groups=("doc",)))


@pytest.mark.parametrize("text", ["[project\n", "a = " + "[" * 5000, "a = " + "1" * 5000])
def test_a_broken_pyproject_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        plan({"pyproject.toml": text})
    assert caught.value.id == "pyproject-invalid"


def test_the_key_ignores_what_can_t_change_the_environment() -> None:
    before = {"pyproject.toml": PROJECT + BACKEND + "[tool.ruff]\nline-length = 80\n", "README.md": "a"}
    after = {"pyproject.toml": PROJECT + BACKEND + "[tool.ruff]\nline-length = 99\n", "README.md": "b"}
    assert key(before) == key(after)
    assert key({"requirements.txt": "six==1\n"}) == key({"requirements.txt": "\ufeff# pinned\r\nsix==1\r\n"})


def test_the_key_depends_on_everything_else() -> None:
    files = {"requirements.txt": "six==1", "pyproject.toml": PROJECT + BACKEND}
    keys = {
        key(files), key(files | {"requirements.txt": "six==2"}), key(files, Python(packages=("x",))),
        key(files, Python(install=(".",))), key(files, Python(install=(".",), extras=("e",))),
        key(files, interpreter="p 3.11.8"), key(files, place="/b"),
    }
    assert len(keys) == 7


def test_files_that_dynamic_metadata_comes_from_are_inputs() -> None:
    tables = '[tool.setuptools.dynamic]\ndependencies = {file = ["reqs.in"]}\nreadme = {file = "A.md"}\n'
    dynamic = PROJECT + BACKEND + tables
    assert plan({"pyproject.toml": dynamic, "reqs.in": "six", "A.md": ""}).files == ("pyproject.toml", "reqs.in")
    assert plan({"requirements.txt": "-e ./lib\n", "lib/setup.py": "x"}).files == ("lib/setup.py", "requirements.txt")


@pytest.mark.parametrize(("files", "python", "expected"), [
    ({".python-version": "3.12\n", "pyproject.toml": PROJECT}, Python(version="3.11"), ("3.11", "[python] version")),
    ({".python-version": "# pinned\n3.12.1\n"}, Python(), ("3.12.1", ".python-version")),
    ({".python-version": "shop-env\n"}, Python(), (None, "")),
    (
        {"pyproject.toml": PROJECT + 'requires-python = ">=3.12"\n'}, Python(),
        (">=3.12", "requires-python in pyproject.toml"),
    ),
    ({}, Python(), (None, "")),
])
def test_the_version_comes_from_the_profile_the_pin_or_the_project(
    files: dict[str, str], python: Python, expected: tuple[str | None, str]
) -> None:
    assert python_inputs.wanted_version(files.get, python) == expected


def test_what_widens_the_sources_of_packages_is_warned_of() -> None:
    text = "--extra-index-url https://x.example\nsix\n--trusted-host=x.example\n"
    assert [warning.split(":")[1] for warning in plan({"requirements.txt": text}).warnings] == ["1", "3"]


def test_a_difference_of_inputs_is_said_in_words() -> None:
    before, now = {"a": "1", "b": "1", "c": "1"}, {"a": "2", "b": "1", "d": "1"}
    assert python_inputs.changed_inputs(before, now) == "a changed, d is new, c is gone"
    assert python_inputs.changed_inputs(before, before) == ""


def test_a_lock_that_can_t_be_followed_is_warned_of() -> None:
    poetry = {"pyproject.toml": '[tool.poetry]\nname = "shop"\n' + BACKEND, "poetry.lock": ""}
    assert calls(poetry) == ["pip install -e ."]
    assert plan(poetry).warnings == (
        "poetry.lock isn't followed: it isn't complete; versions come from the ranges in pyproject.toml",
    )
    assert plan({"requirements.txt": "", "poetry.lock": ""}).warnings == ()


def test_a_named_lock_that_can_t_be_followed_is_an_error() -> None:
    files = {"pyproject.toml": PROJECT, "poetry.lock": ""}
    with pytest.raises(UsageError) as caught:
        plan(files, Python(install=("poetry.lock",)))
    assert (caught.value.id, caught.value.why) == ("lock-unfollowed", "it isn't complete")


@pytest.mark.parametrize(("name", "text"), [
    ("poetry.lock", "<<<<<<< HEAD\n"), ("Pipfile.lock", "{"), ("pdm.lock", "a"),
])
def test_a_lock_with_the_marks_of_a_merge_is_a_usage_error(name: str, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        plan({"pyproject.toml": PROJECT, name: text})
    assert caught.value.id == "lock-invalid"


@pytest.mark.parametrize(("files", "expected"), [
    (("uv.lock", "poetry.lock", "pdm.lock", "pylock.toml", "requirements.txt"), "uv.lock"),
    (("poetry.lock", "pdm.lock", "pylock.toml", "Pipfile.lock", "requirements.txt"), "poetry.lock"),
    (("pdm.lock", "pylock.toml", "Pipfile.lock", "requirements.txt"), "pdm.lock"),
    (("pylock.toml", "Pipfile.lock", "requirements.txt"), "pylock.toml"),
    (("Pipfile.lock", "requirements.txt"), "Pipfile.lock"),
    (("requirements.txt", "requirements/dev.txt"), "requirements.txt"),
    (("pylock.dev.toml",), "pyproject.toml describes the project"),
])
def test_a_lock_goes_before_requirements_and_the_most_exact_first(files: tuple[str, ...], expected: str) -> None:
    texts = {"Pipfile.lock": "{}", "pdm.lock": '[metadata]\nstrategy = ["inherit_metadata"]\n'}
    project = '[project]\nname = "shop"\ndependencies = []\n'
    there = {"pyproject.toml": project} | {name: texts.get(name, "[metadata]\n") for name in files}
    assert plan(there).reason.removesuffix(" is there") == expected


def test_pip_follows_no_lock_of_uvs_and_gets_groups_and_dependencies_spelled_out() -> None:
    groups = '[dependency-groups]\nbase = ["six"]\ndev = ["idna", {include-group = "base"}]\n'
    files = {"uv.lock": "", "pyproject.toml": PROJECT + '[project.optional-dependencies]\ns3 = ["boto3"]\n' + groups}
    found = plan(files, Python(installer="pip", extras=("s3",), groups=("dev",)))
    assert [(step.args, step.lines) for step in found.steps] == [
        (("pip", "install"), ("django", "boto3")), (("pip", "install"), ("idna", "six")),
    ]
    assert found.warnings == ("uv.lock isn't followed: pip can't read it",)
    with pytest.raises(UsageError):
        plan(files, Python(installer="pip", install=("uv.lock",)))
    assert key(files, Python(installer="pip")) != key(files)


def test_options_reach_the_calls_that_resolve_and_no_others() -> None:
    files = {"requirements.txt": "a", "pyproject.toml": PROJECT + BACKEND}
    python = Python(
        install=("requirements.txt", "."), prerelease="allow", exclude_newer="2019-06-01", editable=False,
        only_binary=("b",), indexes=("https://i.example/simple",),
    )
    common = "--exclude-newer 2019-06-01 --prerelease allow --only-binary b --index https://i.example/simple"
    assert calls(files, python) == [f"pip install {common} -r requirements.txt", f"pip install {common} ."]
    assert any("[python] indexes" in warning for warning in plan(files, python).warnings)
    lock = {"uv.lock": "", "pyproject.toml": PROJECT}
    assert calls(lock, python.model_copy(update={"install": None})) == [
        "sync --frozen --no-editable --no-build-package b"
    ]
    assert any("exclude_newer" in one for one in plan(lock, Python(exclude_newer="2019-06-01")).warnings)


def test_groups_come_from_wherever_the_project_has_them() -> None:
    poetry = '[tool.poetry]\nname = "shop"\n[tool.poetry.group.docs.dependencies]\nsphinx = "^7.1"\n'
    files = {"requirements.txt": "a", "pyproject.toml": poetry + '[dependency-groups]\ndev = ["b"]\n'}
    found = plan(files, Python(groups=("docs", "dev")))
    assert [(step.args, step.lines) for step in found.steps[1:]] == [
        (("pip", "install", "--group", "dev"), ("sphinx>=7.1,<8",)),
    ]
    inside = {"backend/pyproject.toml": PROJECT + '[dependency-groups]\ndev = ["b"]\n'}
    assert calls(inside, Python(install=("backend/pyproject.toml",), groups=("dev",))) == [
        "pip install -r backend/pyproject.toml", "pip install --group backend/pyproject.toml:dev",
    ]


def test_a_conda_environment_is_told() -> None:
    assert "conda" in plan({"environment.yml": "dependencies:\n"}).warnings[0]
