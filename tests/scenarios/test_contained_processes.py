"""Processes in containers: the same verbs, rows and logs as the others, on the stack's network."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.scenarios.crates import Crate, crate
from tests.scenarios.machine import Machine, get, until

WEB = """
    [services.redis]
    [env]
    CACHE = "${services.redis.url}"
    SITE = "${processes.web.url}"
    [processes.web]
    role = "web"
    image = "busybox"
    run = "sh -c 'env > /state/env; exec httpd -f -p ${port} -h /app/pages'"
    container_port = 8080
    volumes = [".:/app:ro", "state:/state"]
    ready = { http = "/index.html" }
    [processes.worker]
    image = "busybox"
    run = "sh -c 'echo worker ${replica} sees $SITE and $PORTS; exec sleep 600'"
    env = { PORTS = "${ports.metrics} ${processes.web.port}" }
    ports = { metrics = 9100 }
    replicas = 2
    needs = ["web"]
    ready = { log = "worker . sees" }
"""
PAGES = {"pages/index.html": "the page"}
IMAGES = ("busybox:latest", "redis:7")


@pytest.fixture
def made(machine: Machine) -> Iterator[Crate]:
    with crate(machine, WEB, PAGES, IMAGES) as found:
        yield found


def _variables(made: Crate) -> dict[str, str]:
    lines = made.execute("web", "cat", "/state/env").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def test_they_are_rows_like_others_and_reach_everything_by_name(made: Crate) -> None:
    made.project.run("up")
    rows = {(row["name"], row["replica"]): row for row in made.project.assert_up()["processes"]}
    web = rows["web", 1]
    assert (web["state"], web["pid"], web["role"]) == ("running", None, "web")
    assert get(web["port"], "/index.html") == (200, b"the page")
    inside = _variables(made)
    assert inside["CACHE"].endswith("@redis:6379/0")
    assert (inside["SITE"], inside["PORT"]) == (f"http://127.0.0.1:{web['port']}", "8080")
    # of this machine nothing but what the profile names goes in
    assert set(inside) <= {"CACHE", "SITE", "PORT", "PATH", "HOME", "HOSTNAME", "PWD", "SHLVL", "TERM"}
    lines = made.project.run("logs", "worker").out
    assert "worker 1 sees http://web:8080 and 9100 8080" in lines
    assert "worker 2 sees http://web:8080 and 9100 8080" in lines
    assert made.execute("worker-1", "wget", "-qO-", "http://web:8080/index.html") == "the page"
    assert "nothing had to be done" in made.project.run("up").text
    assert made.project.programs().keys() <= {"supervisord"}


def test_what_changed_is_replaced_and_nothing_else(made: Crate) -> None:
    made.project.run("up")
    before = {name: made.inspect(name)["Id"] for name in ("web", "worker-1", "worker-2", "redis")}
    made.execute("web", "sh", "-c", "echo kept > /state/kept")
    made.project.replace("-h /app/pages", "-h /app/pages -c /dev/null")
    made.project.run("up")
    made.project.assert_up()
    after = {name: made.inspect(name)["Id"] for name in before}
    assert {name for name in before if before[name] != after[name]} == {"web"}
    assert made.execute("web", "cat", "/state/kept") == "kept\n"


def test_restart_and_scale_work_on_them(made: Crate) -> None:
    made.project.run("up")
    first = made.inspect("worker-1")["Id"]
    made.project.run("restart", "worker-2")
    assert made.inspect("worker-1")["Id"] == first
    made.project.run("scale", "worker=1")
    names = {one["Labels"]["devstack.name"] for one in made.containers()}
    assert names == {"redis", "web", "worker-1"}
    made.project.run("scale", "worker=3")
    assert len({row["port"] for row in made.project.assert_up()["processes"]} | {None}) >= 2
    assert made.inspect("worker-1")["Id"] == first
    assert "worker 3 sees" not in made.project.run("logs", "worker-1").out
    assert "worker 3 sees" in made.project.run("logs", "worker-3").out


def test_one_that_ends_by_itself_is_started_again_by_its_engine(made: Crate) -> None:
    made.project.run("up")
    made.engine.execute(made.inspect("web")["Id"], ("sh", "-c", "kill $(pidof httpd)"))
    assert until(lambda: made.row("web")["restarts"] == 1 and made.row("web")["ready"], 30), made.row("web")


def test_down_takes_them_and_their_network_away_and_keeps_the_volume(made: Crate) -> None:
    made.project.run("up")
    made.execute("web", "sh", "-c", "echo kept > /state/kept")
    made.project.run("down")
    assert made.containers() == []
    assert made.project.status()["stack"]["state"] == "down"
    # what they have printed is still there
    assert "worker 1 sees" in made.project.run("logs", "worker-1").out
    made.project.run("up")
    assert made.execute("web", "cat", "/state/kept") == "kept\n"
    made.project.run("down", "--volumes", "--yes")
    made.project.run("up")
    assert made.engine.execute(made.inspect("web")["Id"], ("cat", "/state/kept"))[0] != 0


def test_one_that_fails_is_told_with_its_last_lines_and_without_harm_to_others(machine: Machine) -> None:
    profile = """
    [processes.bad]
    image = "busybox"
    run = "sh -c 'echo cannot find my settings; exit 4'"
    [processes.once]
    image = "busybox"
    run = "true"
    restart = "never"
    needs = []
    """
    with crate(machine, profile) as made:
        error = made.project.run("up", "--json", code=8).error
        assert error["id"] == "process-died"
        assert "bad" in error["what"]
        row = made.row("bad")
        assert not row["ready"]
        assert until(lambda: made.row("once")["state"] == "exited")
        assert made.row("once")["ready"]
        assert "cannot find my settings" in made.project.run("logs", "bad").out


def test_a_native_service_is_a_conflict_with_a_fix(machine: Machine) -> None:
    profile = WEB.replace("[services.redis]", '[services.redis]\nruntime = "native"')
    with crate(machine, profile, PAGES) as made:
        error = made.project.run("up", "--json", code=2).error
        assert (error["id"], error["fix"]) == ("native-unreachable", 'runtime = "docker" below [services.redis]')
        # what isn't asked for stands in nobody's way
        made.project.run("up", "redis")
        # who says that it needs nothing of it may run
        made.project.replace('ready = { http = "/index.html" }', 'ready = { http = "/index.html" }\nneeds = []')
        made.project.run("up", "web")
        assert made.row("web")["ready"]


@pytest.mark.parametrize(("change", "environ", "said"), [
    ({}, {"DOCKER_HOST": "unix:///srv/nobody.sock"}, "no container engine answers"),
    ({'"busybox"': '"127.0.0.1:9/nobody/has:1"'}, {}, "the image 127.0.0.1:9/nobody/has:1 can't be had"),
    ({"needs = []": 'needs = ["redis"]'}, {}, "proxy can't reach redis from its container"),
])
def test_an_optional_one_that_can_not_be_had_stops_nothing(
    machine: Machine, change: dict[str, str], environ: dict[str, str], said: str
) -> None:
    profile = """
    [services.redis]
    [processes.here]
    run = "sleep 600"
    [processes.proxy]
    image = "busybox"
    run = "sleep 600"
    optional = true
    needs = []
    """
    for old, new in change.items():
        profile = profile.replace(old, new)
    with crate(machine, profile) as made:
        environ = {"DEVSTACK_RUNTIME": "native", **environ}
        done = made.project.run("up", env=environ)
        # that it can't be had is all: nobody waits for it to become ready
        notes = [line for line in done.text.splitlines() if "proxy (optional) failed" in line]
        assert len(notes) == 1
        assert said in notes[0]
        assert made.row("here")["ready"]
        assert not made.row("proxy")["ready"]
        assert made.project.run("up", env=environ).code == 0


def test_a_folder_that_is_not_there_or_leads_out_is_refused(machine: Machine) -> None:
    profile = """
    [processes.one]
    image = "busybox"
    run = "sleep 600"
    volumes = ["./data:/data"]
    """
    with crate(machine, profile) as made:
        error = made.project.run("up", "--json", code=2).error
        assert error["id"] == "folder-missing"
        (made.project.root / "data").symlink_to("/etc")
        assert made.project.run("up", "--json", code=2).error["id"] == "path-outside"
        assert made.containers() == []


def test_attach_and_foreground_are_refused_with_a_way_in(made: Crate) -> None:
    for words in (("attach", "web"), ("up", "--foreground", "web")):
        error = made.project.run(*words, "--json", code=2).error
        assert (error["id"], error["fix"]) == ("in-a-container", "devstack shell web")


def test_trust_shows_images_and_what_they_see(made: Crate) -> None:
    found = json.loads(made.project.run("trust", "--json").out)["containers"]
    assert {"name": "web", "image": "busybox", "build": None, "sees": [".:/app:ro"]} in found


@pytest.mark.fault("H6")
def test_one_that_never_gets_ready_ends_the_wait_with_what_it_printed(machine: Machine) -> None:
    profile = """
        [processes.web]
        role = "web"
        image = "busybox"
        run = "sh -c 'echo waiting for nothing; mkdir -p /p; exec httpd -f -p ${port} -h /p'"
        container_port = 8080
        ready = { http = "/health", grace = 3 }
    """
    with crate(machine, profile) as made:
        error = made.project.run("up", "--json", code=8).error
        assert (error["id"], error["fix"]) == ("process-not-ready", "devstack logs web")
        assert "404 Not Found, wanted 200" in error["why"]
        assert "waiting for nothing" in made.project.run("logs", "web").out


@pytest.mark.fault("S27")
@pytest.mark.parametrize("place", ["/var/run/docker.sock", "/", "~", "../.."])
def test_nothing_of_the_machine_is_mounted_into_a_container(machine: Machine, place: str) -> None:
    """There is no key for a privileged container, or for the machine's own network, either."""
    project = machine.project(machine.folder / "crate")
    web = f'[processes.web]\nimage = "busybox"\nrun = "sleep 600"\nvolumes = ["{place}:/in"]\n'
    project.write("devstack.toml", f'name = "crate"\n{web}')
    error = project.run("up", "--trust", "--json", code=2).error
    assert error["id"] == "profile-invalid"
    assert error["mistakes"][0]["key"] == "processes.web.volumes[0]"
