"""`devstack export`: what other tools are given works without devstack, on the same ports and the same data."""

from __future__ import annotations

import re
import shlex
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.runtimes.docker import Engine
from tests.engine_bench import ensure_image, sweep, this_machines_engine
from tests.scenarios import trio
from tests.scenarios.machine import Machine, Project, get, until
from tests.scenarios.trio import Trio

DOCKER = shutil.which("docker") or "docker"


@pytest.fixture
def engine() -> Engine:
    found = this_machines_engine()
    for image in ("postgres:16", "redis:7", "rabbitmq:3", "memcached:1.6"):
        ensure_image(found, image)
    return found


class Compose:
    """`docker compose` with one file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def run(self, *words: str, code: int | None = 0) -> str:
        done = subprocess.run(
            [DOCKER, "compose", "-f", self.file, *words], capture_output=True, text=True, check=False, timeout=180,
            stdin=subprocess.DEVNULL,
        )
        assert code is None or done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def compose(tmp_path: Path) -> Iterator[Compose]:
    if subprocess.run([DOCKER, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("there is no `docker compose` here (.ci/compose gets it)")
    made = Compose(tmp_path / "exported.yaml")
    yield made
    if made.file.exists():
        made.run("down", "--volumes", "--timeout", "2")


@pytest.fixture
def stack(machine: Machine, engine: Engine) -> Iterator[Trio]:
    machine.environ["DEVSTACK_RUNTIME"] = "docker"
    made = trio.make(machine)
    yield made
    clean(made.project, engine)


def clean(project: Project, engine: Engine) -> None:
    if (project.folder / "state.json").exists():
        stack = project.state["stack"]
        project.run("down")
        sweep(engine, stack)


def test_compose_comes_up_with_the_same_ports_and_data(stack: Trio, compose: Compose) -> None:
    project = stack.project
    project.run("up")
    stack.fill()
    before = stack.digest()
    done = project.run("export", "compose", "--output", str(compose.file))
    assert "no task is run: seed" in done.text

    # neither may start on the other's data
    assert "already in use" in compose.run("up", "--detach", code=1)
    assert stack.digest() == before
    project.run("down")
    compose.run("up", "--detach", "--wait")
    assert stack.digest() == before
    error = project.run("up", "--json", code=6).error
    assert error["id"] == "name-taken"
    assert re.fullmatch(r"docker compose -p \S+ down", error["fix"])
    subprocess.run(error["fix"].split(), check=True, capture_output=True)

    # the data's volumes are devstack's, and stay
    compose.run("down", "--volumes")
    project.run("up")
    assert stack.digest() == before
    assert stack.seeded() == 1


def test_no_secret_is_in_the_file_and_what_it_names_is_private(stack: Trio, compose: Compose) -> None:
    project = stack.project
    project.write("devstack.toml", trio.PROFILE + """
[services.box]
kind = "container"
image = "memcached:1.6"
environment = { PASSWORD = "${services.redis.password}", TEXT = "a$b 'c' \\\\ \\"d\\"", A = "${services.postgres.url}" }
""")  # fmt: skip
    project.run("up", "--trust")
    document = project.run("export", "compose", "--json").document
    secrets = [one for one in stack.urls().values() if "://" in one]
    passwords = {url.partition("@")[0].rpartition(":")[2] for url in secrets}
    assert len(passwords) == 3
    assert not [one for one in passwords if one in document["text"]]
    folder = project.folder / "compose"
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*.env")} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.rglob("*")) if path.is_dir()} == {0o700}
    # what compose makes of the values is what devstack's own container has
    compose.file.write_text(document["text"])
    own = environment(project, "box")
    project.run("down")
    compose.run("up", "--detach", "box")
    assert environment(project, "box") == own


def environment(project: Project, name: str) -> set[str]:
    container = f"devstack-{project.state['stack'][:12]}-{name}"
    done = subprocess.run(
        [DOCKER, "exec", container, "env"], capture_output=True, text=True, check=True, timeout=30
    )
    return {line for line in done.stdout.splitlines() if not line.startswith("HOSTNAME=")}


def test_a_native_stack_starts_empty_with_the_same_accounts(stack: Trio, compose: Compose) -> None:
    import psycopg

    project = stack.project
    project.machine.environ["DEVSTACK_RUNTIME"] = "native"
    project.run("up")
    done = project.run("export", "compose", "--output", str(compose.file))
    assert "postgres runs natively: in the compose file it starts empty" in done.text
    project.run("down")
    compose.run("up", "--detach", "--wait", "postgres")
    urls = stack.urls()
    for url in (urls["PG"], urls["PG"].removesuffix("trio") + "other"):
        with psycopg.connect(url) as session:
            session.execute("CREATE TABLE mine ()")


WEB = """import http.server, os, socket

class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        answers = []
        for name, question in (("CACHE", b"PING\\r\\n"), ("STORE", b"version\\r\\n")):
            with socket.create_connection((os.environ[name + "_HOST"], int(os.environ[name + "_PORT"])), 5) as there:
                there.sendall(question)
                answers.append(there.recv(99))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b" ".join(answers))

http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Page).serve_forever()
"""
FILES = {
    "compose.yaml": """
services:
  web:
    build: .
    command: python web.py
    environment: {CACHE_HOST: cache, CACHE_PORT: 6379, STORE_HOST: store, STORE_PORT: 11211}
    ports: [8000]
    depends_on: {cache: {condition: service_healthy}, store: {condition: service_started}}
    healthcheck: {test: [CMD, curl, -f, "http://localhost:8000/"]}
  cache: {image: "redis:7", healthcheck: {test: redis-cli ping}}
  store: {image: "memcached:1.6", expose: [11211], command: memcached -m 32}
""",
    "Dockerfile": "FROM python:3.11\nWORKDIR /app\nCOPY . .\n",
    "web.py": WEB,
}


@pytest.fixture
def shop(machine: Machine, engine: Engine) -> Iterator[Project]:
    machine.environ["DEVSTACK_RUNTIME"] = "docker"
    project = machine.project(machine.folder / "shop")
    project.root.mkdir()
    for name, text in FILES.items():
        project.write(name, text)
    yield project
    clean(project, engine)


def test_an_imported_compose_file_comes_up_and_answers_and_goes_back(shop: Project, compose: Compose) -> None:
    shop.run("init", "--from", ".")
    shop.run("up", "--trust")
    rows = {row["name"]: row["kind"] for row in shop.assert_up()["services"]}
    assert rows == {"cache": "redis", "store": "container"}
    status, text = get(shop.state["ports"]["web"], "/")
    assert (status, text[:15]) == (200, b"+PONG\r\n VERSION")
    shop.run("export", "compose", "--output", str(compose.file))
    shop.run("down")
    compose.run("up", "--detach", "--wait")
    assert compose.run("port", "store", "11211").strip() == f"127.0.0.1:{shop.state['ports']['store']}"


def test_the_procfile_and_supervisords_are_those_that_up_runs_by(mini: Project) -> None:
    new = mini.run("export", "procfile")
    assert "`devstack up` makes the scripts" in new.text
    mini.run("up")
    assert mini.run("export", "procfile").out == mini.read(".devstack/Procfile")
    own = mini.read(".devstack/supervisord.conf")
    assert mini.run("export", "supervisord").out == own.replace("%(here)s", str(mini.folder))


def test_an_exported_procfile_runs_without_devstack(mini: Project, tmp_path: Path) -> None:
    mini.run("up")
    file = tmp_path / "Procfile"
    mini.run("export", "procfile", "--output", str(file))
    mini.run("down")
    port = mini.state["ports"]["redis"]
    (line,) = [line for line in file.read_text().splitlines() if line.startswith("redis:")]
    child = subprocess.Popen(shlex.split(line.partition(":")[2]), cwd=mini.root, stdin=subprocess.DEVNULL)
    try:
        assert until(lambda: answers(mini, port))
    finally:
        child.terminate()
        child.wait(20)


def answers(project: Project, port: int) -> bool:
    import redis

    try:
        with redis.Redis("127.0.0.1", port, password=project.password) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def test_dotenv_is_masked_until_asked_and_private(mini: Project, tmp_path: Path) -> None:
    mini.run("up")
    masked = mini.run("export", "dotenv")
    assert mini.password not in masked.text
    assert "--reveal" in masked.err
    file = tmp_path / "out.env"
    mini.run("export", "dotenv", "--reveal", "--output", str(file))
    assert mini.password in file.read_text()
    assert file.read_text() == mini.run("env", "--format", "dotenv", "--reveal").out
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    refused = mini.run("export", "dotenv", "--output", str(file), "--json", code=2).error
    assert (refused["id"], refused["fix"]) == (
        "not-confirmed", f"devstack export dotenv --output {file} --yes",
    )  # fmt: skip
