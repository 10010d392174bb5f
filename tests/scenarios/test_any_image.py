"""Any image as a service: reached by what it is declared with, kept where it says, refused where it can't run."""

from __future__ import annotations

import json

from tests.scenarios.crates import crate
from tests.scenarios.machine import Machine, get

PAGE = """
    [services.page]
    kind = "container"
    image = "busybox"
    ports = { main = 8085, admin = 8086 }
    environment = { TOKEN = "${env.TOKEN}", MEM = "${services.mem.url}" }
    command = ["sh", "-c", "echo $TOKEN > /www/token; httpd -p 8086 -h /etc; exec httpd -f -p 8085 -h /www"]
    volumes = { www = "/www" }
    ready = { http = "/token" }
    [services.mem]
    kind = "container"
    image = "memcached:1.6"
    ports = { main = 11211 }
    scheme = "memcached"
    [env]
    TOKEN = { generate = 30 }
    PAGE = "${services.page.url}"
    ADMIN = "${services.page.host}:${services.page.ports.admin}"
    MEM = "${services.mem.url}"
"""
IMAGES = ("busybox:latest", "memcached:1.6")


def test_it_is_reached_by_its_ports_and_told_its_environment(machine: Machine) -> None:
    with crate(machine, PAGE, images=IMAGES) as made:
        made.project.run("up")
        made.project.assert_up()
        env = json.loads(made.project.run("env", "--format", "json", "--reveal").out)
        port = int(env["PAGE"].rpartition(":")[2])
        status, body = get(port, "/token")
        assert (status, body.decode().strip()) == (200, env["TOKEN"])
        assert get(int(env["ADMIN"].partition(":")[2]), "/passwd")[0] == 200
        assert made.row("mem")["url"] == env["MEM"]
        told = made.inspect("page")["Config"]
        assert "MEM=memcached://mem:11211" in told["Env"]
        shown = json.dumps([told["Labels"], told["Cmd"], made.project.status()])
        assert env["TOKEN"] not in shown
        bindings = made.inspect("page")["HostConfig"]["PortBindings"].values()
        assert {one["HostIp"] for binding in bindings for one in binding} == {"127.0.0.1"}


def test_its_volume_outlives_it_and_a_changed_image_or_text_replaces_it(machine: Machine) -> None:
    with crate(machine, PAGE, images=IMAGES) as made:
        made.project.run("up")
        made.execute("page", "sh", "-c", "echo kept > /www/kept")
        before = made.inspect("page")["Id"]
        assert "nothing had to be done" in made.project.run("up").text
        made.project.run("down")
        made.project.replace('scheme = "memcached"', 'scheme = "mem"')
        made.project.replace('ready = { http = "/token" }', 'ready = { http = "/kept", grace = 60 }')
        made.project.run("up")
        assert made.inspect("page")["Id"] != before
        assert made.execute("page", "cat", "/www/kept") == "kept\n"


def test_what_keeps_nothing_begins_anew_with_its_container(machine: Machine) -> None:
    profile = """
    [services.mem]
    kind = "container"
    image = "memcached:1.6"
    ports = { main = 11211 }
    [tasks.fill]
    run = "sh fill.sh"
    """
    with crate(machine, profile, {"fill.sh": "echo filled >> filled"}, images=IMAGES) as made:
        made.project.run("up")
        made.project.run("up", "--verbose")
        assert made.project.read("filled").count("filled") == 1
        made.project.run("down")
        made.project.run("up")
        assert made.project.read("filled").count("filled") == 2


def test_one_that_dies_is_told_with_its_last_words(machine: Machine) -> None:
    profile = """
    [services.broken]
    kind = "container"
    image = "busybox"
    ports = { main = 9999 }
    command = "sh -c 'echo no disk for me; exit 3'"
    """
    with crate(machine, profile) as made:
        error = made.project.run("up", "--json", code=8).error
        assert error["id"] == "process-died"
        text = made.project.run("logs", "broken").out
        assert "no disk for me" in text


def test_a_port_that_only_the_engine_answers_on_is_not_ready(machine: Machine) -> None:
    """Its proxy accepts for a server that doesn't listen."""
    profile = """
    [services.mute]
    kind = "container"
    image = "busybox"
    ports = { main = 9998 }
    command = "sleep 600"
    ready = { tcp = true, grace = 1 }
    """
    with crate(machine, profile) as made:
        error = made.project.run("up", "--json", code=8).error
        assert error["id"] == "service-not-ready"
        assert "closes every connection" in error["why"]


def test_readiness_by_command_and_by_log_is_asked_inside(machine: Machine) -> None:
    profile = """
    [services.one]
    kind = "container"
    image = "busybox"
    command = "sh -c 'sleep 1; echo ready > /tmp/state; exec sleep 600'"
    ready = { command = "grep -q ready /tmp/state" }
    [services.two]
    kind = "container"
    image = "busybox"
    command = "sh -c 'sleep 1; echo now I work; exec sleep 600'"
    ready = { log = "now .* work" }
    [services.three]
    kind = "container"
    image = "busybox"
    command = "sleep 600"
    """
    with crate(machine, profile) as made:
        made.project.run("up")
        rows = made.project.assert_up()["services"]
        assert [(row["port"], row["url"]) for row in rows] == [(None, None)] * 3
        assert "nothing had to be done" in made.project.run("up").text


def test_the_native_runtime_is_refused_by_name(machine: Machine) -> None:
    with crate(machine, PAGE, images=IMAGES) as made:
        error = made.project.run("up", "--runtime", "native", "--json", code=2).error
        assert (error["id"], error["fix"]) == ("container-only", 'runtime = "docker" below [services.page]')
        assert "kind `container`" in error["why"]
