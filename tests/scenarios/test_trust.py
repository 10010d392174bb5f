"""Nothing of a repository runs before a person has said that it may."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.scenarios.machine import Machine, Project, commit, finish, git, make_repository, until

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
    profile = profile.replace("install = []", 'install = ["requirements.txt"]')
    (origin / "devstack.toml").write_text(f'{profile}\n[checks]\ntest = "touch {marks}/check"\n')
    commit(origin, "Marks")
    return marks


def found(marks: Path) -> set[str]:
    return {path.name for path in marks.iterdir()}


@pytest.mark.fault("S1", "S2")
def test_nothing_of_a_repository_runs_before_it_is_trusted(machine: Machine, marks: Path) -> None:
    project = machine.bootstrap(str(machine.folder / "origin"), into=machine.folder / "mini", code=9)

    for words in (("up",), ("restart", "web"), ("run", "seed"), ("exec", "--", "true"), ("bootstrap", ".")):
        error = project.run(*words[:1], "--json", *words[1:], code=9).error
        assert error["id"] == "not-trusted"
        assert error["fix"].startswith("devstack trust")
    assert project.status()["stack"]["state"] == "down"
    assert project.run("plan", "--json").document["steps"]
    for words in (("urls",), ("logs",), ("plan",), ("down",), ("list",), ("--help",), ("up", "--help")):
        project.run(*words)
    project.run("check", code=9)
    assert found(marks) == set()
    assert not (project.root / ".venv").is_symlink()

    assert "python web.py" in project.run("trust").out
    project.run("up")
    assert found(marks) == {"package", "seed.py", "web.py", "loop.py"}


_WATCHED = """
import os, sys
_log = os.open(os.environ["WATCHED"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def _hear(event, args):
    if event in ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system", "os.fork", "pty.spawn"):
        os.write(_log, f"{event} {args[:2]}\\n".encode())
    if event == "socket.connect":
        os.write(_log, f"{event} {args[1]!r}\\n".encode())


sys.addaudithook(_hear)
"""


@pytest.mark.fault("S2")
def test_reading_what_is_not_trusted_executes_nothing_and_asks_nobody(machine: Machine) -> None:
    """The interpreter itself tells of every process and every connection."""
    project = machine.new_project(trusted=False)
    project.edit("devstack.toml", 'name = "mini"', 'name = "mini"\nnotes = "$(id) `id` ${processes.web.url} %(id)s"')
    folder = machine.folder / "audit"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_WATCHED)
    log = folder / "log"
    watched = {
        "PYTHONPATH": f"{folder}:{machine.environ['PYTHONPATH']}", "WATCHED": str(log),
        # `list` asks the engine for the containers of stacks that it knows; here it knows this one alone
        "XDG_STATE_HOME": str(folder / "state"),
    }

    for words, code in ((("plan",), 0), (("status",), 0), (("urls",), 0), (("config",), 0), (("up",), 9),
                        (("exec", "--", "true"), 9), (("env",), 0), (("list",), 0)):  # fmt: skip
        project.run(*words, code=code, env=watched)
        told = log.read_text()
        assert str(project.root) not in told, (words, told)
        # its own supervisord is looked for, at a place that only this user can enter
        asked = [line for line in told.splitlines() if line.startswith("socket.connect")]
        assert all(f"'{machine.environ['XDG_RUNTIME_DIR']}/" in line for line in asked), (words, told)
    # the hook hears: once it is trusted, servers are asked
    project.run("trust", env=watched)
    project.run("up", "redis", env=watched)
    assert "socket.connect ('127.0.0.1', " in log.read_text()


@pytest.mark.fault("S3")
def test_nothing_can_make_itself_trusted(machine: Machine) -> None:
    """No key of a profile, no file of the repository, no CI; nor a local file that a repository brings along."""
    project, mark = machine.new_project(trusted=False), machine.folder / "mark"
    project.write(".env", "DEVSTACK_TRUST=1\nDEVSTACK_YES=1\n")
    project.write("devstack.local.toml", f"[tasks.evil]\nrun = \"touch {mark}\"\nneeds = []\n")
    for key in ("trust = true", "trusted = true", 'trusted_config_paths = ["/"]'):
        project.edit("devstack.toml", 'name = "mini"', f'name = "mini"\n{key}')
        error = project.run("up", "--json", code=2).error
        assert error["id"] == "profile-invalid"
        (mistake,) = error["mistakes"]
        assert (mistake["file"], mistake["line"], mistake["key"]) == ("devstack.toml", 2, key.partition(" ")[0])
        project.edit("devstack.toml", f"\n{key}", "")
    project.run("up", code=9, env={"CI": "true", "GITHUB_ACTIONS": "true"})

    mine = machine.folder / "mine.toml"
    mine.write_text(project.read("devstack.toml"))
    project.run("bootstrap", ".", "--profile", str(mine), code=9)
    project.run("bootstrap", ".", "--profile", "minimal", code=9)
    assert not mark.exists()


#: every place of a profile that names something to execute or a file that goes into what is executed
_EVERYTHING = """
[files]
"made" = {{ template = "template.in" }}
[tasks.scripted]
run = "sh scripts/task.sh"
needs = []
[processes.pinged]
run = "sh -c 'exec sleep 600'"
ready = {{ command = "scripts/ping.sh" }}
needs = []
[checks]
test = "touch {mark}"
"""


@pytest.mark.fault("S4")
def test_whatever_says_what_runs_is_watched(mini: Project) -> None:
    """One changed byte of any of it: refused, named, with its lines unless it holds secrets; and while it isn't
    trusted, a look at what runs doesn't run it either."""
    mark = mini.machine.folder / "mark"
    mini.write("devstack.toml", f'env_file = ".env"\n{mini.read("devstack.toml")}{_EVERYTHING.format(mark=mark)}')
    mini.write(".env", "TOKEN=parakeet-one\n")
    mini.write("template.in", "${project.root}\n")
    for name in ("task", "ping"):
        mini.write(f"scripts/{name}.sh", "#!/bin/sh\n")
        (mini.root / "scripts" / f"{name}.sh").chmod(0o755)
    mini.run("trust")
    mini.run("up", "pinged", "scripted")

    for name, line in (
        (".env", "TOKEN=parakeet-two"), ("template.in", "more"), ("scripts/task.sh", f"touch {mark}"),
        ("scripts/ping.sh", f"touch {mark}"), ("devstack.toml", "# more"),
    ):
        before = mini.read(name)
        mini.write(name, f"{before}{line}\n")
        done = mini.run("up", "--json", code=9)
        assert [change["file"] for change in done.error["changes"]] == [name]
        assert (f"+{line}" in done.text) is (name != ".env")
        assert "parakeet" not in done.text
        for words in (("status",), ("plan",), ("urls",)):
            mini.run(*words)
        assert not mark.exists()
        mini.write(name, before)
    mini.run("up", "pinged", "scripted")
    # the state of all tests is one
    trusted = Path(mini.machine.environ["XDG_STATE_HOME"]) / "devstack" / "trust"
    assert not [path for path in trusted.iterdir() if "parakeet" in path.read_text()]


def test_a_checkout_without_a_profile_is_trusted_with_the_one_that_is_given(machine: Machine) -> None:
    """As the refusal says: before anything of devstack's is there, and from a folder below."""
    project = machine.new_project(trusted=False)
    (project.root / "devstack.toml").unlink()
    below = project.root / "fixtures"
    refused = project.run("bootstrap", ".", "--profile", "minimal", "--json", code=9).error
    assert refused["fix"].endswith("trust --profile minimal")
    trusted = project.run("trust", "--profile", "minimal", "--json", cwd=below).document
    assert trusted["trusted"] == str(project.root)
    project.run("up", "--profile", "minimal")


def test_trusting_shows_what_it_means(mini: Project) -> None:
    mini.edit("devstack.toml", "24 }", "25 }")

    document = mini.run("trust", "--json").document

    assert document["trusted"] == str(mini.root)
    assert "python web.py" in [command["run"] for command in document["commands"]]
    assert document["changes"] == [{"file": "devstack.toml", "kind": "profile", "change": "changed"}]
    assert mini.run("trust", "--json").document["changes"] == []
    mini.run("exec", "--", "true")


@pytest.mark.fault("S4", "L10")
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


@pytest.mark.fault("S5")
def test_trust_belongs_to_a_place(mini: Project) -> None:
    other = mini.machine.project(mini.machine.folder / "other")
    shutil.copytree(mini.root, other.root)
    git(mini.root, "worktree", "add", "-q", str(mini.machine.folder / "tree"))
    tree = mini.machine.project(mini.machine.folder / "tree")

    for project in (other, tree):
        error = project.run("up", "--json", code=9).error
        assert (error["id"], error["fix"]) == ("not-trusted", "devstack trust")
    # the place is kept by its real path: another folder put there by a link or a move isn't what was trusted
    kept = mini.machine.project(mini.root.rename(mini.machine.folder / "kept"))
    kept.run("up", code=9)
    mini.root.symlink_to(other.root)
    mini.run("up", code=9)
    mini.root.unlink()
    other.edit("web.py", "web begins", "another begins")
    other.edit("devstack.toml", "24 }", "25 }")
    other.root.rename(mini.root)
    mini.run("up", code=9)
    assert not (mini.folder / "venvs").exists()


@pytest.mark.fault("S5")
def test_what_is_swapped_after_the_look_is_not_what_runs(mini: Project) -> None:
    """The profile is read once: what was looked at is what is executed."""
    mark = mini.machine.folder / "mark"
    go = mini.hold()
    mini.trust()
    child = mini.popen("up")
    assert until((mini.root / "var" / "holds").exists, 60)
    mini.edit("devstack.toml", 'run = "python web.py"', f'run = "touch {mark}"')
    go.touch()
    finish(child, ("up",), 0)

    assert not mark.exists()
    mini.run("up", code=9)
    mini.run("restart", "web", code=9)
    assert not mark.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
@pytest.mark.fault("S5")
def test_trust_ends_where_the_folder_gets_another_owner(mini: Project) -> None:
    os.chown(mini.root, 65534, 65534)

    error = mini.run("up", "--json", code=9).error

    assert "belongs to another user" in error["why"]
    os.chown(mini.root, 0, 0)
    mini.run("up", "redis")


def test_a_profile_that_the_person_gives_needs_no_other_trust(mini: Project) -> None:
    profile = mini.machine.folder / "mine.toml"
    (mini.root / "devstack.toml").rename(profile)

    mini.run("bootstrap", ".", "--profile", str(profile))

    mini.assert_up()
