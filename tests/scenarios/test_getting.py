"""Getting a project: from what was typed to a whole checkout, and what a `git pull` sets going."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.scenarios.machine import CHECKOUT, DEVSTACK, Machine, Project, commit, git, make_repository

POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12\n"
_LOCAL = ("-c", "protocol.file.allow=always", "-c", "user.name=one", "-c", "user.email=one@localhost")


def steps(of: Project) -> list[str]:
    return [step["id"] for step in of.run("plan", "--json").document["steps"]]


def pulled(origin: Path, of: Project, message: str) -> None:
    commit(origin, message)
    git(of.root, "pull", "-q")


def typed(machine: Machine, command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A printed command, in a shell that knows `devstack`."""
    programs = machine.folder / "programs"
    programs.mkdir(exist_ok=True)
    (programs / "devstack").write_text(f'#!/bin/sh\nexec {shlex.join(DEVSTACK)} "$@"\n')
    (programs / "devstack").chmod(0o755)
    environ = machine.environ | {"PATH": f"{programs}:{machine.environ['PATH']}"}
    return subprocess.run(
        ["/bin/sh", "-c", command], cwd=cwd, env=environ, capture_output=True, text=True, check=False, timeout=120
    )


def test_after_a_pull_only_what_it_changed_is_done(machine: Machine) -> None:
    """Nothing for other files; a task for its inputs; one program for its declaration."""
    origin = machine.folder / "origin"
    make_repository(origin)
    mini = machine.bootstrap(str(origin), "--trust", into=machine.folder / "mini")

    (origin / "README.md").write_text("read me")
    pulled(origin, mini, "Words")
    assert steps(mini) == []

    (origin / "fixtures/more.txt").write_text("plate\n")
    pulled(origin, mini, "Goods")
    # the data of before is kept first, while nobody writes
    work = [step for step in steps(mini) if not step.endswith((":stop", ":start", ":await"))]
    assert work == ["data:save", "seed:run", "stack:verify"]
    servers = [mini.programs()[name] for name in ("redis", "supervisord")]
    mini.run("up")
    second = mini.pids()
    assert mini.seeded() == 2
    assert [mini.programs()[name] for name in ("redis", "supervisord")] == servers

    profile = (origin / "devstack.toml").read_text()
    (origin / "devstack.toml").write_text(profile.replace("settle = 0.1", 'settle = 0.1\nenv = { SLOW = "1" }'))
    pulled(origin, mini, "Beat")
    assert steps(mini) == [
        "files:write", "beat:stop", "supervisor:reload", "beat:start", "beat:await", "stack:verify",
    ]  # fmt: skip
    assert "changed" in mini.run("up", "--json", code=9).error["why"]
    mini.run("up", "--trust")

    now = mini.pids()
    assert {name for name, pid in now.items() if pid != second[name]} == {"beat 1"}
    assert mini.seeded() == 2
    assert steps(mini) == []
    mini.assert_single()


def test_submodules_and_large_files_come_first_once_the_project_is_trusted(machine: Machine) -> None:
    """What is installed lies in the submodule: without it nothing can be said about the environment."""
    origin, goods = machine.folder / "origin", machine.folder / "goods"
    make_repository(origin)
    goods.mkdir()
    git(goods, "init", "-q", "-b", "main")
    (goods / "requirements.txt").write_text("# nothing\n")
    commit(goods, "Goods")
    git(origin, *_LOCAL, "submodule", "--quiet", "add", "../goods", "vendor/goods")
    (origin / ".gitattributes").write_text("*.bin filter=lfs\n")
    (origin / "film.bin").write_text(POINTER)
    text = (origin / "devstack.toml").read_text()
    (origin / "devstack.toml").write_text(text.replace("install = []", 'install = ["vendor/goods/requirements.txt"]'))
    commit(origin, "Parts")
    (machine.folder / "bin").mkdir()
    lfs = machine.folder / "bin" / "git-lfs"
    lfs.write_text('#!/bin/sh\n[ "$1" = pull ] && echo a whole film >film.bin\nexit 0\n')
    lfs.chmod(0o755)
    mini = machine.bootstrap(str(origin), into=machine.folder / "mini", code=9)
    assert list((mini.root / "vendor/goods").iterdir()) == []

    planned = mini.run("plan", "--json").document
    machine.environ["PATH"] = f"{machine.folder / 'bin'}:{machine.environ['PATH']}"
    mini.run("up", "--trust")

    assert [(step["id"], step["cause"]) for step in planned["steps"]] == [
        ("submodules:get", "submodule vendor/goods is not there"),
        ("lfs:pull", "only pointers to what Git LFS holds: film.bin"),
    ]
    assert "vendor/goods/requirements.txt" in planned["warnings"][0]
    assert (mini.root / "vendor/goods/requirements.txt").read_text() == "# nothing\n"
    assert (mini.root / "film.bin").read_text() == "a whole film\n"
    mini.assert_up()
    assert steps(mini) == []
    mini.run("up")
    assert (mini.folder / "standing.json").exists(), "git's answers are known by the files that they are read from"
    git(mini.root, "submodule", "--quiet", "deinit", "--all", "-f")
    assert steps(mini)[0] == "submodules:get"
    mini.run("up")
    assert (mini.root / "vendor/goods/requirements.txt").exists()


def test_parts_that_are_not_wanted_are_left_alone(mini: Project) -> None:
    mini.write(".gitattributes", "*.bin filter=lfs\n")
    mini.write("film.bin", POINTER)
    commit(mini.root, "Film")
    assert steps(mini)[0] == "lfs:pull"

    mini.write("devstack.toml", f"{mini.read('devstack.toml')}\n[project]\nlfs = false\n")

    assert "lfs:pull" not in steps(mini)


def test_a_profile_given_says_what_is_cloned_and_what_of_it(machine: Machine) -> None:
    """No repository is named; the folder is none."""
    make_repository(machine.folder / "origin")
    place = machine.folder / "place"
    place.mkdir()
    (place / "mine.toml").write_text(
        f'name = "mine"\n[project]\nrepo = "{machine.folder}/origin"\nsparse = ["!fixtures"]\n[python]\ninstall = []\n'
    )

    machine.run("bootstrap", "--profile", "./mine.toml", "--no-start", cwd=place)
    machine.project(place / "origin")

    assert sorted(path.name for path in place.iterdir()) == ["mine.toml", "origin"]
    assert not (place / "origin" / "fixtures").exists()
    assert (place / "origin" / "web.py").exists()
    assert git(place / "origin", "status", "--porcelain") == ""


def test_the_command_for_a_project_without_a_profile_works_where_it_is_printed(machine: Machine) -> None:
    origin = machine.folder / "odd's origin"
    make_repository(origin)
    (origin / "devstack.toml").unlink()
    commit(origin, "None")

    error = machine.run("bootstrap", str(origin), "--into", "my shop", "--json", cwd=machine.folder, code=2).error
    machine.project(machine.folder / "my shop")

    assert error["id"] == "no-profile"
    assert error["fix"] == "cd 'my shop' && devstack bootstrap . --profile minimal"
    # whose commands run is the person's to say: that it is wanted is one more command
    refused = typed(machine, error["fix"], machine.folder)
    assert refused.returncode == 9, refused.stderr
    done = typed(machine, f"{error['fix']} --trust", machine.folder)
    assert done.returncode == 0, done.stderr


def test_the_command_for_a_project_with_a_compose_file_takes_that_over(machine: Machine) -> None:
    origin = machine.folder / "origin"
    make_repository(origin)
    (origin / "devstack.toml").unlink()
    (origin / "compose.yaml").write_text("services:\n  web:\n    build: .\n    command: python web.py\n")
    (origin / "Dockerfile").write_text("FROM python:3.11\nWORKDIR /app\nCOPY . .\n")
    commit(origin, "None")

    error = machine.run("bootstrap", str(origin), "--into", "shop", "--json", cwd=machine.folder, code=2).error
    machine.project(machine.folder / "shop")

    assert error["fix"] == "cd shop && devstack init --from ."
    done = typed(machine, error["fix"], machine.folder)
    assert done.returncode == 0, done.stderr
    assert "[processes.web]" in (machine.folder / "shop/devstack.toml").read_text()


def test_the_command_for_a_project_with_a_procfile_takes_its_worker_over(machine: Machine) -> None:
    origin = machine.folder / "shop"
    make_repository(origin)
    (origin / "devstack.toml").unlink()
    (origin / "Procfile").write_text("web: gunicorn shop:app\nworker: python web.py\n")

    error = machine.run("up", "--json", cwd=origin, code=2).error

    assert error["fix"] == "devstack init"
    assert typed(machine, error["fix"], origin).returncode == 0
    assert '[processes.worker]\nrole = "worker"\nrun = "python web.py"' in (origin / "devstack.toml").read_text()


@pytest.mark.parametrize("inside", [".", "deep/er"])
def test_any_verb_in_a_checkout_without_a_profile_says_how_to_begin(machine: Machine, inside: str) -> None:
    origin = machine.folder / "shop"
    make_repository(origin)
    (origin / "devstack.toml").unlink()
    (origin / "deep/er").mkdir(parents=True)

    error = machine.run("up", "--json", cwd=origin / inside, code=2).error

    assert (error["id"], error["what"]) == ("no-profile", f"{origin} has no profile")
    assert error["fix"] == ("" if inside == "." else "cd ../.. && ") + "devstack bootstrap . --profile minimal"
    assert typed(machine, error["fix"], origin / inside).returncode == 9, "whose commands run is the person's to say"
    assert machine.run("doctor", cwd=origin / inside).text, "of the machine it can still be said"


def test_the_command_is_spelled_as_bootstrap_was_called(machine: Machine) -> None:
    """`devstack` is on nobody's PATH yet, and the checkout of it lies elsewhere."""
    make_repository(machine.folder / "origin")
    bootstrap = {"DEVSTACK_BOOTSTRAP": str(CHECKOUT / "bootstrap.py"), "PATH": "/usr/bin:/bin"}
    done = machine.run("bootstrap", "./origin", "--into", "a/b", cwd=machine.folder, env=bootstrap, code=9)
    machine.project(machine.folder / "a/b")
    script = str(CHECKOUT / "bootstrap.py")
    script = min(script, os.path.relpath(script, machine.folder / "a/b"), key=len)

    assert f"fix: cd a/b && python3 {script} trust" in re.sub(r"\s+", " ", done.err)


def test_an_empty_repository_says_that_it_is(machine: Machine) -> None:
    (machine.folder / "empty").mkdir()
    git(machine.folder / "empty", "init", "-q")

    error = machine.run("bootstrap", "./empty", "--into", "here", "--json", cwd=machine.folder, code=2).error

    assert (error["id"], error["why"].rpartition("; ")[2]) == ("no-profile", "the repository has no commit yet")


def test_a_checkout_named_from_the_folder_above_is_itself_brought_up(machine: Machine) -> None:
    """It can't be cloned to where it lies: nobody means that."""
    make_repository(machine.folder / "shop")

    for word in ("./shop", str(machine.folder / "shop")):
        machine.run("bootstrap", word, "--trust", "--no-start", cwd=machine.folder)

    shop = machine.project(machine.folder / "shop")
    assert shop.folder.is_dir()
    assert sorted(path.name for path in machine.folder.glob("shop*")) == ["shop"]


@pytest.mark.fault("B4")
def test_a_folder_with_another_remote_is_left_alone_and_the_command_goes_beside(machine: Machine) -> None:
    for name in ("one", "two"):
        make_repository(machine.folder / name / "shop")
    machine.bootstrap("./one/shop", "--trust", "--no-start", into=machine.folder / "shop")
    before = git(machine.folder / "shop", "log", "--format=%H")

    error = machine.run("bootstrap", "./two/shop", "--json", cwd=machine.folder, code=6).error

    assert (error["id"], git(machine.folder / "shop", "log", "--format=%H")) == ("folder-taken", before)
    done = typed(machine, f"{error['fix']} --trust --no-start", machine.folder)
    machine.project(machine.folder / "shop-2")
    assert done.returncode == 0, done.stderr
    assert (machine.folder / "shop-2" / "web.py").exists()


@pytest.mark.fault("S10")
def test_nothing_of_a_repository_that_devstack_is_run_in_is_called(mini: Project) -> None:
    """Its own configuration and hooks: somebody else may have packed the folder."""
    marker = mini.machine.folder / "MARKER"
    git(mini.root, "config", "core.fsmonitor", f"touch {marker}")
    git(mini.root, "config", "core.hooksPath", str(mini.machine.folder / "hooks"))
    git(mini.root, "config", "submodule.x.update", f"!touch {marker}")
    mini.write(".gitattributes", "*.bin filter=lfs\n")
    (mini.machine.folder / "hooks").mkdir()
    for name in ("post-checkout", "post-index-change", "reference-transaction", "post-merge"):
        (mini.machine.folder / "hooks" / name).write_text(f"#!/bin/sh\ntouch {marker}\n")
        (mini.machine.folder / "hooks" / name).chmod(0o755)

    for words in (("plan",), ("up",), ("status",), ("bootstrap", "."), ("down",)):
        mini.run(*words)

    assert not marker.exists()
