"""Lock files of Poetry, PDM and Pipenv as the requirements that their own tools would install."""

from __future__ import annotations

import json

import pytest

from devstack.detect import poetry_lock
from devstack.detect.install_steps import Locked, Wanted
from devstack.detect.lock_lines import Target
from devstack.detect.locks import FOLLOWED, read_lock
from devstack.detect.poetry_versions import allows, specifiers

HASH = "sha256:" + "a" * 64


def package(name: str, version: str = "1.0", extra: str = "", *, files: bool = True) -> str:
    hashed = f'files = [{{file = "{name}.whl", hash = "{HASH}"}}]\n' if files else ""
    return f'[[package]]\nname = "{name}"\nversion = "{version}"\npython-versions = ">=3.8"\n{hashed}{extra}\n'


def poetry(
    lock: str, requires: str, *, extras: tuple[str, ...] = (), groups: tuple[str, ...] = (), version: str = "3.11.7"
) -> Locked:
    """requires: what follows [tool.poetry.dependencies], further tables included."""
    pyproject = read_lock("pyproject.toml", f"[tool.poetry.dependencies]\n{requires}\n")
    parsed = read_lock("poetry.lock", f'{lock}\n[metadata]\nlock-version = "2.0"\n')
    return poetry_lock.follow(parsed, pyproject, Wanted(extras, groups), Target(version))


def names(found: Locked) -> list[str]:
    assert found.lack == ""
    return [line.split()[0] for line in (*found.hashed, *found.plain)]


def test_what_is_reached_is_installed_with_its_hashes() -> None:
    lock = package("django", "4.2", '[package.dependencies]\nasgiref = ">=3.6,<4"\n') + package("asgiref", "3.7")
    found = poetry(lock + package("stray"), 'python = "^3.8"\nDjango = "^4.2"')
    assert found.hashed == (f"asgiref==3.7 --hash={HASH}", f"django==4.2 --hash={HASH}")
    assert (found.plain, found.local) == ((), ())


def test_groups_that_aren_t_optional_come_and_optional_ones_where_they_are_wanted() -> None:
    lock = package("a") + package("b") + package("c") + package("d")
    requires = (
        'a = "*"\n[tool.poetry.group.test.dependencies]\nb = "*"\n'
        '[tool.poetry.group.docs]\noptional = true\n[tool.poetry.group.docs.dependencies]\nc = "*"\n'
        '[tool.poetry.dev-dependencies]\nd = "*"'
    )
    assert names(poetry(lock, requires)) == ["a==1.0", "b==1.0", "d==1.0"]
    assert names(poetry(lock, requires, groups=("docs",))) == ["a==1.0", "b==1.0", "c==1.0", "d==1.0"]


def test_extras_of_the_project_and_of_a_package_bring_their_optional_requirements() -> None:
    lock = (
        package("celery", "5.3", '[package.dependencies]\nkombu = "*"\nredis = {version = ">=4", optional = true}\n'
                'tzdata = {version = "*", optional = true, markers = "extra == \\"redis\\""}\n'
                'never = {version = "*", optional = true, markers = "extra == \\"s3\\""}\n'
                '[package.extras]\nredis = ["redis (>=4)", "tzdata"]\nall = ["celery[redis]"]\ns3 = ["never"]\n')
        + package("kombu") + package("redis", "5.0") + package("boto3") + package("tzdata") + package("never")
    )
    requires = '{} boto3 = {{version = "*", optional = true}}\n[tool.poetry.extras]\ns3 = ["boto3"]'
    plain, with_redis = 'celery = "^5.3"\n', 'celery = {version = "^5.3", extras = ["all"]}\n'
    assert names(poetry(lock, requires.format(plain))) == ["celery==5.3", "kombu==1.0"]
    assert names(poetry(lock, requires.format(with_redis), extras=("s3",))) == [
        "boto3==1.0", "celery==5.3", "kombu==1.0", "redis==5.0", "tzdata==1.0",
    ]


@pytest.mark.parametrize(("version", "expected"), [("3.8.18", ["old==1.0", "x==1.0"]), ("3.11.7", ["x==2.0"])])
def test_markers_and_several_versions_of_one_name_are_decided_for_this_python(
    version: str, expected: list[str]
) -> None:
    lock = (
        package("old") + package("win")
        + package("x", "1.0", "markers = \"python_version < '3.10'\"")
        + package("x", "2.0", "markers = \"python_version >= '3.10'\"")
    )
    requires = (
        'old = {version = "*", python = "<3.10"}\nwin = {version = "*", markers = "sys_platform == \'win32\'"}\n'
        'x = [{version = "^1", python = "<3.10"}, {version = "^2", python = ">=3.10"}]'
    )
    assert names(poetry(lock, requires, version=version)) == expected


def test_sources_of_every_kind_are_kept() -> None:
    def source(text: str) -> str:
        return f"[package.source]\n{text}\n"

    lock = (
        package("fromgit", extra=source('type = "git"\nurl = "git@h.example:a/b.git"\nresolved_reference = "c0ffee"\n'
                                        'subdirectory = "lib"'), files=False)
        + package("fromurl", extra=source('type = "url"\nurl = "https://h.example/fromurl.whl"'))
        + package("private", extra=source('type = "legacy"\nurl = "https://p.example/simple"\nreference = "p"'))
        + package("folder", extra='develop = true\n' + source('type = "directory"\nurl = "libs/folder"'), files=False)
        + package("wheel", extra=source('type = "file"\nurl = "wheels/wheel.whl"'))
    )
    found = poetry(lock, '\n'.join(f'{name} = "*"' for name in ("fromgit", "fromurl", "private", "folder", "wheel")))
    assert found.plain == ("fromgit @ git+ssh://git@h.example/a/b.git@c0ffee#subdirectory=lib",)
    assert found.hashed == (
        f"fromurl @ https://h.example/fromurl.whl --hash={HASH}", f"private==1.0 --hash={HASH}",
    )
    assert found.local == (("-e", "libs/folder"), ("wheels/wheel.whl",))
    assert found.indexes == ("https://p.example/simple",)
    assert found.inside("backend").local == (("-e", "./backend/libs/folder"), ("./backend/wheels/wheel.whl",))


@pytest.mark.parametrize(("lock", "requires", "lack"), [
    ("", 'a = "*"', "a isn't in it, though pyproject.toml asks for it"),
    (package("a", "1.0"), 'a = "^2"', "it has a 1.0, and pyproject.toml asks for ^2"),
    (package("a", "1.0", '[package.dependencies]\nb = "*"\n'), 'a = "*"', "b isn't in it, though a 1.0 asks for it"),
    (package("a").replace(">=3.8", ">=3.12"), 'a = "*"', "a 1.0 isn't for Python 3.11.7"),
    (package("a", "1.0") + package("a", "1.1"), 'a = "*"', "it has 2 entries of a"),
])
def test_a_lock_that_can_t_be_carried_over_faithfully_says_why(lock: str, requires: str, lack: str) -> None:
    assert lack in poetry(lock, requires).lack


@pytest.mark.parametrize("asked", ["", '[package.dependencies]\nsetuptools = "*"\n'])
def test_an_old_lock_has_its_hashes_at_its_end_and_leaves_setuptools_out(asked: str) -> None:
    lock = (
        package("Old_Thing", extra=f'category = "main"\n{asked}', files=False)
        + f'[metadata]\nlock-version = "1.1"\n[metadata.files]\nold-thing = [{{file = "x", hash = "{HASH}"}}]\n'
    )
    pyproject = {"tool": {"poetry": {"dependencies": {"old-thing": "*"}}}}
    found = poetry_lock.follow(read_lock("poetry.lock", lock), pyproject, Wanted((), ()), Target("3.11.7"))
    assert (found.hashed, found.plain) == ((f"old-thing==1.0 --hash={HASH}",), ("setuptools<81",))


def test_a_project_of_pep_621_is_followed() -> None:
    pyproject = read_lock("pyproject.toml", (
        '[project]\nname = "x"\ndependencies = ["a>=1", "w; sys_platform == \'win32\'"]\n'
        '[project.optional-dependencies]\nmore = ["b[x]"]\n'
        '[dependency-groups]\ndev = ["c", {include-group = "base"}]\nbase = ["d"]\n'
        '[tool.poetry.group.dev]\noptional = true\n[tool.poetry.group.base]\noptional = true\n'
    ))
    lock = read_lock("poetry.lock", package("a") + package("b") + package("c") + package("d") + "[metadata]\n")
    plain = poetry_lock.follow(lock, pyproject, Wanted((), ()), Target("3.11.7"))
    whole = poetry_lock.follow(lock, pyproject, Wanted(("more",), ("dev",)), Target("3.11.7"))
    assert (names(plain), names(whole)) == (["a==1.0"], ["a==1.0", "b==1.0", "c==1.0", "d==1.0"])


def test_an_empty_list_of_pep_621_leaves_the_word_to_poetrys_own_table() -> None:
    """A project on its way to PEP 621, whose tool still reads the old table (seen in the wild)."""
    pyproject = read_lock(
        "pyproject.toml", '[project]\nname = "x"\ndependencies = []\n[tool.poetry.dependencies]\na = "*"\n'
    )
    parsed = read_lock("poetry.lock", f'{package("a")}\n[metadata]\nlock-version = "2.1"\n')
    assert names(poetry_lock.follow(parsed, pyproject, Wanted((), ()), Target("3.13.0"))) == ["a==1.0"]


@pytest.mark.parametrize(("constraint", "expected"), [
    ("^1.2.3", (">=1.2.3,<2",)), ("^0.2.3", (">=0.2.3,<0.3",)), ("^0.0.3", (">=0.0.3,<0.0.4",)), ("^0", (">=0,<1",)),
    ("^0.0", (">=0.0,<0.1",)), ("~1.2.3", (">=1.2.3,<1.3",)), ("~1", (">=1,<2",)), ("1.2.*", ("==1.2.*",)),
    ("1.2.3", ("==1.2.3",)), (">=1,<2 || >=3", (">=1,<2", ">=3")), (">=1 <2", (">=1,<2",)), ("*", ("",)),
    ("!=1.5", ("!=1.5",)), ("~=1.4", ("~=1.4",)), ("=1.0", ("==1.0",)), (">= 3.8, < 3.13", (">=3.8,<3.13",)),
    ("^1.0b1", (">=1.0b1,<2",)),
])  # fmt: skip
def test_poetrys_constraints_are_translated(constraint: str, expected: tuple[str, ...]) -> None:
    assert specifiers(constraint) == expected


@pytest.mark.parametrize("constraint", ["latest", ">=x", "1.0; rm"])
def test_what_is_no_constraint_is_refused(constraint: str) -> None:
    with pytest.raises(ValueError, match="constraint"):
        allows(constraint, "1.0")


def test_pipenvs_lock_brings_its_categories() -> None:
    lock = {
        "_meta": {"sources": [{"name": "pypi", "url": "https://a.example"}, {"name": "p", "url": "https://p.example"}]},
        "default": {
            "A": {"version": "==1.0", "hashes": [HASH]}, "win": {"version": "==1", "markers": "os_name == 'nt'"},
            "g": {"git": "https://h.example/g.git", "ref": "c0ffee"}, "shop": {"path": ".", "editable": True},
        },
        "develop": {"b": {"version": "==2.0", "hashes": [HASH]}},
    }
    follow = FOLLOWED["Pipfile.lock"]
    found = follow(json.loads(json.dumps(lock)), {}, Wanted((), ()), Target("3.11.7"))
    assert found.hashed == (f"a==1.0 --hash={HASH}",)
    assert found.plain == ("g @ git+https://h.example/g.git@c0ffee",)
    assert (found.local, found.indexes) == ((("-e", "."),), ("https://p.example",))
    assert names(follow(lock, {}, Wanted((), ("dev",)), Target("3.11.7")))[:2] == ["a==1.0", "b==2.0"]


def test_pdms_lock_is_followed_where_it_says_which_groups_each_package_is_of() -> None:
    def entry(name: str, groups: str, more: str = "") -> str:
        head = f'[[package]]\nname = "{name}"\nversion = "1.0"\ngroups = {groups}\n'
        return f'{head}files = [{{hash = "{HASH}"}}]\n{more}\n'

    head = '[metadata]\ngroups = ["default", "dev", "s3", "docs"]\nstrategy = ["inherit_metadata"]\n'
    lock = read_lock("pdm.lock", (
        head + entry("a", '["default"]') + entry("b", '["dev"]') + entry("c", '["s3"]') + entry("e", '["docs"]')
        + entry("w", '["default"]', "marker = \"sys_platform == 'win32'\"")
    ))
    pyproject = read_lock("pyproject.toml", "[dependency-groups]\ndev = []\n")
    follow = FOLLOWED["pdm.lock"]
    assert names(follow(lock, pyproject, Wanted((), ()), Target("3.11.7"))) == ["a==1.0", "b==1.0"]
    assert names(follow(lock, pyproject, Wanted(("s3",), ("docs",)), Target("3.11.7"))) == [
        "a==1.0", "b==1.0", "c==1.0", "e==1.0",
    ]
    assert "inherit_metadata" in follow(read_lock("pdm.lock", "[metadata]\n"), {}, Wanted((), ()), Target("3")).lack
