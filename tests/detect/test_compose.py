"""Compose files become profiles: whole files against golden profiles, and each rule by itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstack import services
from devstack.detect.compose import commands
from devstack.detect.compose.convert import Imported, convert
from devstack.detect.compose.dockerfile import stage
from devstack.detect.compose.interpolation import interpolate, plain, unset
from devstack.detect.compose.merging import merged
from devstack.detect.compose.shapes import Mounted, Published, composed
from devstack.errors import UsageError
from devstack.profile.load import load
from devstack.profile.model import Profile
from devstack.profile.source import SourceFile
from devstack.stack.sources import fields

GOLDEN = Path(__file__).parent / "composed"
Files = Mapping[str, str]


def imported(files: Files, *names: str, **environ: str) -> Imported:
    return convert(names or ("compose.yaml",), files.get, environ, "shop")


def profile_of(found: Imported) -> Profile:
    file = SourceFile("devstack.toml", found.text, "project")
    return load([file], services.declarations(), fields=fields()).profile


def profile(text: str, **more: str) -> Profile:
    return profile_of(imported({"compose.yaml": text, **more}))


@pytest.mark.parametrize("folder", sorted(path.name for path in GOLDEN.iterdir()))
def test_whole_files_become_profiles_that_load(folder: str) -> None:
    """To accept a change: write `found.text` into devstack.toml and read the difference."""
    files = {path.name: path.read_text() for path in (GOLDEN / folder).iterdir()}
    golden = files.pop("devstack.toml")
    found = convert(("compose.yaml",), files.get, {}, folder)
    assert found.text == golden
    assert profile_of(found).services


@pytest.mark.parametrize(("text", "value"), [
    ("$A-${A}-$$A-$${A}", "1-1-$A-${A}"),
    ("${E:-x}|${E-x}|${N:-x}|${N-x}|${A:-x}", "x||x|x|1"),
    ("${A:+y}|${E:+y}|${E+y}|${N+y}", "y||y|"),
    ("${N:-${M:-${A}}}", "1"),
    ("${N:-a}b}", "ab}"),
    ("redis://${N:-cache}:6379", "redis://cache:6379"),
])  # fmt: skip
def test_interpolation(text: str, value: str) -> None:
    assert interpolate(text, {"A": "1", "E": ""}) == value


def test_a_variable_without_a_value_is_remembered() -> None:
    found = interpolate("a${N}b${M:?needed}c$N", {})
    assert unset(found) == ("N", "M")
    assert plain(found) == "abc"


@pytest.mark.parametrize("text", ["${", "${}", "${A", "$1", "${A:-${B}", "a $", "${" * 100])
def test_what_compose_refuses_to_fill_in(text: str) -> None:
    with pytest.raises(UsageError, match="can't be filled in"):
        interpolate(text, {}, "compose.yaml:3")


def test_files_are_laid_over_each_other_as_compose_does() -> None:
    files = {
        "compose.yaml": """
services:
  web:
    image: a
    command: [one, two]
    environment: [A=1, B=2]
    ports: ["80:80"]
    volumes: ["./a:/app", "cache:/cache"]
    depends_on: [db]
    labels: {x: "1"}
    build: .
  db: {image: postgres, command: serve}
""",
        "more.yaml": """
services:
  web:
    command: [three]
    environment: {B: 3, C: ~}
    ports: ["81:81", "80:80"]
    volumes: ["./b:/app"]
    depends_on: {cache: {condition: service_healthy}}
    labels: !reset null
    build: {target: dev}
  db: !override {image: redis}
  cache: {image: redis}
""",
    }
    value = merged(("compose.yaml", "more.yaml"), files.get, {}).value["services"]
    assert value["web"] == {
        "image": "a", "command": ["three"], "environment": {"A": "1", "B": "3", "C": None}, "ports": ["80:80", "81:81"],
        "volumes": ["cache:/cache", "./b:/app"],
        "depends_on": {"db": None, "cache": {"condition": "service_healthy"}},
        "build": {"context": ".", "target": "dev"},
    }  # fmt: skip
    assert value["db"] == {"image": "redis"}


def test_extends_and_include_of_other_folders() -> None:
    files = {
        "compose.yaml": """
include: [infra/compose.yaml]
services:
  web:
    extends: {file: base/common.yaml, service: app}
    environment: {B: 2}
  worker:
    extends: web
    command: work
""",
        "base/common.yaml": """
services:
  app:
    build: .
    env_file: app.env
    environment: {A: 1, B: 1}
    volumes: ["./src:/app", "data:/data"]
""",
        "infra/compose.yaml": "services: {db: {image: 'postgres:16', volumes: ['./sql:/docker-entrypoint-initdb.d']}}",
    }
    value = merged(("compose.yaml",), files.get, {}).value["services"]
    assert value["web"]["build"] == {"context": "base"}
    assert value["web"]["env_file"] == ["base/app.env"]
    assert value["worker"]["environment"] == {"A": "1", "B": "2"}
    assert value["worker"]["volumes"] == ["./base/src:/app", "data:/data"]
    assert value["db"]["volumes"] == ["./infra/sql:/docker-entrypoint-initdb.d"]


@pytest.mark.parametrize("files", [
    {"compose.yaml": "services: {a: {extends: b}, b: {extends: a}}"},
    {"compose.yaml": "services: {a: {extends: {file: other.yaml, service: b}}}"},
    {"compose.yaml": "services: {a: {extends: nobody}}"},
    {"compose.yaml": "include: [compose.yaml]\nservices: {a: {image: b}}"},
    {"compose.yaml": "- a"},
    {"compose.yaml": "services: [a]"},
    {"compose.yaml": "services: {}"},
    {"compose.yaml": ""},
    {},
])  # fmt: skip
def test_files_that_compose_could_not_read(files: Files) -> None:
    with pytest.raises(UsageError):
        imported(files)


def test_every_syntax_of_ports_and_volumes() -> None:
    ports = [
        "3000", "8000:8000", "127.0.0.1:8001:8001", "[::1]:6000:6001/udp", "9090-9091:8080-8081", "6060:6060/tcp",
        {"target": "80", "published": "8080", "name": "http"}, "nonsense",
    ]  # fmt: skip
    volumes = [
        "/anonymous", "named:/data", "./src:/app:ro,z", {"type": "bind", "source": ".", "target": "/b"},
        {"type": "tmpfs", "target": "/run"}, "~/.aws:/root/.aws",
    ]  # fmt: skip
    found = composed("web", {"ports": ports, "volumes": volumes, "expose": ["9000"]})
    assert found.ports == (
        Published(3000), Published(8000, 8000), Published(8001, 8001), Published(6001, 6000, "udp"),
        Published(8080, 9090), Published(8081, 9091), Published(6060, 6060), Published(80, 8080, name="http"),
        Published(9000, -1),
    )  # fmt: skip
    assert found.mounts == (
        Mounted("volume", "", "/anonymous"), Mounted("volume", "named", "/data"),
        Mounted("bind", "./src", "/app", is_read_only=True), Mounted("bind", ".", "/b"), Mounted("tmpfs", "", "/run"),
        Mounted("bind", "~/.aws", "/root/.aws"),
    )  # fmt: skip


@pytest.mark.parametrize(("words", "before", "main", "is_python"), [
    (("python", "manage.py", "runserver", "0:8000"), (), "python manage.py runserver 0:8000", True),
    (("sh", "-c", "cd src && ./manage.py migrate && exec gunicorn a"), ("./manage.py migrate",), "gunicorn a", True),
    (("bash", "-c", "./wait-for-it.sh db:5432 -t 30 -- uvicorn a:b"), (), "uvicorn a:b", True),
    (("sh", "-ec", "./wait-for-it.sh db:5432\npoetry run celery -A a worker\n"), (), "celery -A a worker", True),
    (("tini", "--", "python3.11", "-m", "shop"), (), "python3.11 -m shop", True),
    (("sh", "-c", "until nc -z db 5432; do sleep 1; done; python a.py"), (), "python a.py", True),
    (("sh", "-c", "python a.py | tee log"), (), "python a.py | tee log", True),
    (("sh", "-c", "echo x | ./manage.py shell; python a.py"), ("echo x | ./manage.py shell",), "python a.py", True),
    (("sh", "-c", "cat x | npm run a; python a.py"), ("cat x | npm run a",), "python a.py", False),
    (("python", "-m", "debugpy", "--listen", "0:5678", "-m", "uvicorn", "a:b"), (), "python -m uvicorn a:b", True),
    (("/start.sh",), (), "/start.sh", False),
    (("npm", "run", "dev"), (), "npm run dev", False),
])  # fmt: skip
def test_commands(words: tuple[str, ...], before: tuple[str, ...], main: str, is_python: bool) -> None:
    found = commands.parse(words)
    assert (found.before, found.main, found.is_python) == (before, main, is_python)


@pytest.mark.parametrize(("command", "native"), [
    ("python3 manage.py runserver 0.0.0.0:8000", "python manage.py runserver 127.0.0.1:${port}"),
    ("./manage.py runserver", "python manage.py runserver 127.0.0.1:${port}"),
    ("/usr/local/bin/gunicorn -b :8000 a:b", "gunicorn -b 127.0.0.1:${port} a:b"),
    ("gunicorn a:b", "gunicorn a:b --bind 127.0.0.1:${port}"),
    ("uvicorn a:b --host 0.0.0.0 --port 80 --reload", "uvicorn a:b --host 127.0.0.1 --port ${port} --reload"),
    ("uvicorn a:b --host=0.0.0.0", "uvicorn a:b --host=127.0.0.1 --port ${port}"),
    ("flask run -h 0.0.0.0 -p 5000", "flask run -h 127.0.0.1 -p ${port}"),
    ("daphne -b 0.0.0.0 -p 8001 a:b", "daphne -b 127.0.0.1 -p ${port} a:b"),
])  # fmt: skip
def test_web_servers_listen_on_this_machine_alone(command: str, native: str) -> None:
    assert commands.native(command, "web") == native


def test_workers_of_one_machine_have_names() -> None:
    assert commands.native("celery -A a worker", "worker", "mail") == "celery -A a worker --hostname mail${replica}@%h"
    assert commands.native("celery -A a worker -n x@%h", "worker", "mail") == "celery -A a worker -n x@%h"


def test_a_dockerfile_is_read() -> None:
    text = """
FROM python:3.12-slim AS base
WORKDIR /srv
RUN pip install --no-cache-dir \\
    -r requirements/base.txt
FROM base AS dev
RUN pip install -r requirements/dev.txt
ENTRYPOINT ["/entry.sh"]
CMD gunicorn a:b | cat
EXPOSE 8000/tcp
FROM nginx AS static
CMD ["nginx"]
"""
    dev = stage(text, "dev")
    assert (dev.python, dev.folder, dev.port) == ("3.12", "/srv", 8000)
    assert (dev.entrypoint, dev.command) == (("/entry.sh",), ("/bin/sh", "-c", "gunicorn a:b | cat"))
    assert dev.requirements == ("requirements/base.txt", "requirements/dev.txt")
    assert stage(text).command == ("nginx",)
    assert stage("").command is None


APP = "FROM python:3.12\nWORKDIR /app\nCMD [\"python\", \"app.py\"]\n"
Env = Callable[[str], dict[str, Any]]


def env_of(environment: str, others: str = "") -> dict[str, Any]:
    text = f"services:\n  app:\n    build: .\n    environment: {{{environment}}}\n{others}"
    return dict(profile(text, Dockerfile=APP).env)


POSTGRES = """  db:
    image: postgres:16
    environment: {POSTGRES_USER: ann, POSTGRES_PASSWORD: pw, POSTGRES_DB: shop}
"""


@pytest.mark.parametrize(("variable", "value"), [
    ("URL: 'postgres://ann:pw@db:5432/shop'", "${services.db.url}"),
    ("URL: 'postgresql://ann:pw@db/shop?sslmode=disable'", "${services.db.url}?sslmode=disable"),
    ("URL: 'pg+a://ann:pw@db/shop'",
     "pg+a://{0.user}:{0.password}@{0.host}:{0.port}/{0.database}".replace("{0", "${services.db")),
    ("DB_HOST: db", "${services.db.host}"),
    ("APP_DB_SERVER: 'db:5432'", "${services.db.host}:${services.db.port}"),
    ("NAME: db", "db"),
    ("TEXT: 'see ${NAME:-$${x}}'", "see $${x}"),
    ("LIST: 'db:5432,other:1'", "${services.db.host}:${services.db.port},other:1"),
    ("URL: 'https://db.example.org/db:5432x'", "https://db.example.org/db:5432x"),
])  # fmt: skip
def test_texts_that_name_a_database(variable: str, value: str) -> None:
    (found,) = env_of(variable, POSTGRES).values()
    assert found == value


def test_variables_that_say_a_part_each() -> None:
    found = env_of("DB_HOST: db, DB_PORT: 5432, DB_USER: ann, DB_PASS: pw, DB_NAME: shop, DB_KIND: pg", POSTGRES)
    assert found == {
        "DB_HOST": "${services.db.host}", "DB_PORT": "${services.db.port}", "DB_USER": "${services.db.user}",
        "DB_PASS": "${services.db.password}", "DB_NAME": "${services.db.database}", "DB_KIND": "pg",
    }  # fmt: skip


def test_another_database_is_declared() -> None:
    found = profile(f"services:\n  app: {{build: ., environment: {{A: 'postgres://ann:pw@db/other'}}}}\n{POSTGRES}",
                    Dockerfile=APP)  # fmt: skip
    assert found.services["db"].model_dump()["databases"] == ("shop", "other")
    assert str(found.env["A"]).endswith("/other")


@pytest.mark.parametrize(("redis", "variable", "value"), [
    ("image: redis:7", "URL: 'redis://r:6379/0'", "${services.r.url}"),
    ("image: redis:7", "URL: 'redis://r:6379/2'", "redis://${services.r.host}:${services.r.port}/2"),
    ("image: redis:7, command: redis-server --requirepass pw", "URL: 'redis://:pw@r/1'",
     "redis://:${services.r.password}@${services.r.host}:${services.r.port}/1"),
    ("image: rabbitmq:3", "URL: 'amqp://guest:guest@r:5672//'", "${services.r.url}"),
    ("image: rabbitmq:3, environment: {RABBITMQ_DEFAULT_VHOST: v}", "URL: 'pyamqp://guest:guest@r/v'",
     "pyamqp://${services.r.user}:${services.r.password}@${services.r.host}:${services.r.port}/${services.r.vhost}"),
    ("image: memcached:1.6", "URL: 'r:11211'", "${services.r.host}:${services.r.port}"),
    ("image: minio/minio, ports: ['9001:9001', '9000:9000']", "URL: 'http://r:9000/bucket'",
     "http://${services.r.host}:${services.r.ports.p9000}/bucket"),
])  # fmt: skip
def test_texts_that_name_other_services(redis: str, variable: str, value: str) -> None:
    assert env_of(variable, f"  r: {{{redis}}}\n") == {"URL": value}


def test_no_secret_is_copied_and_one_text_is_one_value() -> None:
    text = """
services:
  web:
    build: .
    environment: {SECRET_KEY: s3cret-text, JWT_SECRET: s3cret-text, STRIPE_API_KEY: sk_live_1, SENTRY_DSN: '',
                  ADMIN_PASSWORD: '${ADMIN_PASSWORD}', TOKEN_LIFETIME: 3600, KEY_FILE: /run/key}
  mail: {image: mailer, environment: {MAIL_SECRET: s3cret-text, REMOTE: 'https://ann:pw-text@mail.example.org/'}}
"""
    found = imported({"compose.yaml": text, "Dockerfile": APP})
    assert not [word for word in ("s3cret-text", "sk_live_1", "pw-text") if word in found.text]
    env = profile_of(found).model_dump()["env"]
    assert env["SECRET_KEY"] == {"generate": 50, "format": "text"}
    assert env["JWT_SECRET"] == "${env.SECRET_KEY}"
    assert env["ADMIN_PASSWORD"]["generate"] == 50
    assert (env["STRIPE_API_KEY"]["secret"], env["STRIPE_API_KEY"]["default"]) == (True, None)
    assert (env["TOKEN_LIFETIME"], env["KEY_FILE"]) == ("3600", "/run/key")
    assert profile_of(found).services["mail"].model_dump()["environment"]["MAIL_SECRET"] == "${env.SECRET_KEY}"
    told = {one.key for one in found.left_out}
    assert {"services.web.environment.SECRET_KEY", "services.mail.environment.REMOTE"} <= told


def test_a_secret_in_a_command_is_taken_from_a_variable() -> None:
    text = "services:\n  w: {build: ., command: celery -b amqp://guest:guest@r// -A a worker}\n  r: {image: rabbitmq}\n"
    found = profile(text, Dockerfile=APP)
    process = found.processes["w"]
    assert (process.shell, found.env) == (True, {"R_URL": "${services.r.url}"})
    assert process.run.startswith("celery -b $R_URL -A a worker")


def test_what_runs_to_its_end_is_a_task() -> None:
    text = """
services:
  web:
    build: .
    command: python app.py
    ports: ["8000:8000"]
    depends_on: {init: {condition: service_completed_successfully}}
  init: {build: ., command: python setup_db.py, environment: {A: 1}}
  assets: {image: node:20, command: npm run build, volumes: [".:/src"], working_dir: /src}
  late: {image: nginx, depends_on: {assets: {condition: service_completed_successfully}}}
"""
    found = profile(text, Dockerfile=APP)
    assert list(found.tasks) == ["init"]
    assert "init" in (found.processes["web"].needs or ())
    assert found.processes["assets"].restart == "never"
    assert found.processes["assets"].cwd == "/src"


def test_env_files_stay_where_they_are_and_lose_against_what_must_change() -> None:
    files = {
        "compose.yaml": "services:\n  web: {build: ., env_file: [a.env, {path: b.env, required: false}, c.env]}\n"
                        "  job: {build: ., command: python job.py}\n  r: {image: redis}\n",
        "a.env": "R=redis://r:6379/0\nSECRET_KEY=kept\n", "Dockerfile": APP,
    }  # fmt: skip
    found = imported(files)
    web = profile_of(found).processes["web"]
    assert [file.path for file in web.env_file if file.required] == ["a.env"]
    assert [file.path for file in web.env_file if not file.required] == ["b.env", "c.env"]
    assert web.env == {"R": "${services.r.url}"}
    assert "kept" not in found.text
    assert [one.key for one in found.left_out if "c.env" in one.why] == ["services.web.env_file"]


def test_what_cannot_be_carried_over_has_a_place_a_reason_and_another_way() -> None:
    text = """services:
  web:
    image: web
    depends_on: [db]
    privileged: true
    network_mode: host
    tmpfs: /run
    secrets: [a]
    labels: {traefik.enable: "true"}
  db:
    image: postgres
    command: -c max_connections=500
"""
    found = imported({"compose.yaml": text})
    assert {(one.key, one.place) for one in found.left_out} == {
        ("services.web.privileged", "compose.yaml:5"), ("services.web.network_mode", "compose.yaml:6"),
        ("services.web.tmpfs", "compose.yaml:7"), ("services.web.secrets", "compose.yaml:8"),
        ("services.web.labels", "compose.yaml:9"), ("services.db.image", "compose.yaml:11"),
        ("services.db.command", "compose.yaml:12"),
    }  # fmt: skip
    assert all(one.why and one.instead for one in found.left_out)
    assert all(one.key in found.text for one in found.left_out)


@pytest.mark.parametrize(("image", "kind", "version", "kept"), [
    ("postgres:16", "postgres", "16", None),
    ("docker.io/library/postgres:16.4-alpine", "postgres", "16.4", "postgres:16.4-alpine"),
    ("postgis/postgis:16-3.4", "postgres", "16", "postgis/postgis:16-3.4"),
    ("pgvector/pgvector:pg16", "postgres", None, "pgvector/pgvector:pg16"),
    ("timescale/timescaledb:2.17-pg16", "postgres", None, "timescale/timescaledb:2.17-pg16"),
    ("redis", "redis", None, None),
    ("redis:7-alpine", "redis", "7", "redis:7-alpine"),
    ("valkey/valkey:8.1", "redis", None, "valkey/valkey:8.1"),
    ("rabbitmq:4-management", "rabbitmq", "4", "rabbitmq:4-management"),
    ("mirror.example.org/redis:7", "container", None, "mirror.example.org/redis:7"),
])  # fmt: skip
def test_images(image: str, kind: str, version: str | None, kept: str | None) -> None:
    found = profile(f"services: {{x: {{image: '{image}'}}}}").services["x"]
    assert (found.kind, found.version, found.image) == (kind, version, kept)


def test_names_that_no_profile_can_have() -> None:
    found = profile("services: {Web_1.x: {image: a, depends_on: [python]}, python: {image: b}}")
    assert list(found.processes) == ["web_1-x"]
    assert found.processes["web_1-x"].needs == ("app-python",)
    assert list(found.services) == ["app-python"]


def test_profiles_of_compose_are_started_by_hand() -> None:
    a, c = "{image: x, profiles: [debug], depends_on: [b]}", "{image: redis, profiles: [z]}"
    text = f"services: {{a: {a}, b: {{image: y}}, c: {c}}}"
    found = imported({"compose.yaml": text})
    assert profile_of(found).processes["a"].replicas == 0
    assert list(profile_of(found).services) == ["b"]
    there = profile_of(imported({"compose.yaml": text}, COMPOSE_PROFILES="debug,z"))
    assert there.processes["a"].replicas == 1
    assert list(there.services) == ["b", "c"]


def test_what_a_profile_refuses_is_left_out_and_told() -> None:
    text = """
services:
  none: {}
  unset: {image: "${IMAGE}", depends_on: [a]}
  remote: {build: "https://example.org/x.git"}
  above: {build: ../other, image: other}
  a: {image: x, ports: ["9000:80"], environment: {DEVSTACK_A: 1, VIRTUAL_ENV: x, "a b": 1, OK: 1}, volumes: ["v:/"]}
  b: {image: y, ports: ["9000:80"], depends_on: [unset]}
"""
    found = imported({"compose.yaml": text})
    made = profile_of(found)
    assert [*made.services, *made.processes] == ["a", "b"]
    assert made.services["a"].port == 9000
    assert made.processes["b"].port is None
    assert made.services["a"].model_dump()["environment"] == {"OK": "1"}
    told = {one.key for one in found.left_out}
    assert told >= {
        "services.none", "services.unset.image", "services.remote.build", "services.above.build", "services.b.ports",
        "services.a.environment.DEVSTACK_A", "services.a.environment.VIRTUAL_ENV",
    }  # fmt: skip


_WORDS = st.sampled_from([
    "web", "db", "redis:7", "postgres:16", "8000:8000", "./a:/b", "v:/data", "A=1", "http://web:8000", "db:5432",
    "true", "${X}", "${X:-y}", "$$z", "/run", "..", "", "1", "python manage.py runserver", "sh -c 'a && b'", "no",
    "curl http://localhost:1/",
])
_KEYS = st.sampled_from([
    "image", "build", "command", "entrypoint", "ports", "volumes", "environment", "env_file", "depends_on", "test",
    "healthcheck", "deploy", "restart", "profiles", "working_dir", "user", "networks", "context", "target", "published",
    "expose", "source", "type", "replicas", "extends", "links", "stop_signal", "stop_grace_period", "mem_limit",
])
_VALUES = st.recursive(
    st.none() | _WORDS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS | _WORDS, inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["web", "db", "Q.1", "python"]), st.dictionaries(_KEYS, _VALUES, max_size=6)))
def test_any_file_is_a_profile_that_loads_or_a_mistake(value: dict[str, Any]) -> None:
    text = json.dumps({"services": value})
    try:
        found = imported({"compose.yaml": text, "Dockerfile": APP})
    except UsageError:
        return
    profile_of(found)


PYTHON = "FROM python:3.12\nWORKDIR /app\nCOPY . .\nENTRYPOINT [\"/app/entrypoint.sh\"]\n"
TWO = """
services:
  web: {build: ., command: gunicorn shop.wsgi, ports: ["8000:8000"], depends_on: [db]}
  jobs: {build: ., command: celery -A shop worker, depends_on: [db]}
  db: {image: "postgres:16"}
  pages: {image: "node:22", depends_on: [web]}
"""


@pytest.mark.parametrize(("files", "run"), [
    ({"manage.py": "import django\n"}, "python manage.py migrate --noinput"),
    ({"alembic.ini": ""}, "alembic upgrade head"),
])
def test_what_an_entrypoint_would_migrate_is_a_task_once(files: dict[str, str], run: str) -> None:
    found = profile_of(imported({"compose.yaml": TWO, "Dockerfile": PYTHON, **files}))
    ((name, task),) = found.tasks.items()
    assert (name, task.run) == ("migrate", run)
    waiting = {name for name, process in found.processes.items() if "migrate" in (process.needs or ())}
    assert waiting == {"web", "jobs"}


@pytest.mark.parametrize("text", [
    # it does so itself
    TWO.replace("gunicorn shop.wsgi", "sh -c 'python manage.py migrate && gunicorn shop.wsgi'"),
    TWO.replace("gunicorn shop.wsgi", "sh -c 'cd x; python manage.py migrate; (gunicorn shop.wsgi)'"),
    # only with a profile of compose's
    TWO.replace("build: .,", "build: ., profiles: [all],"),
])
def test_nothing_is_migrated_twice_or_for_nobody(text: str) -> None:
    found = profile_of(imported({"compose.yaml": text, "Dockerfile": PYTHON, "manage.py": "import django\n"}))
    assert [task.run for task in found.tasks.values()] in ([], ["python manage.py migrate"])


@pytest.mark.parametrize(("there", "said"), [
    (".env.example", "cp .env.example .env, then devstack init --from compose.yaml --yes"),
    ("other", "make it, then devstack init --from compose.yaml --yes"),
])
def test_an_env_file_that_is_missing_names_what_it_is_copied_from(there: str, said: str) -> None:
    text = TWO.replace("web: {", "web: {env_file: .env, ")
    found = imported({"compose.yaml": text, "Dockerfile": PYTHON, there: "A=1\n"})
    assert [one.instead for one in found.left_out if one.key.endswith("env_file")] == [said]


SETTINGS = """
HOST = os.getenv("DB_HOST", "db")
PORT = int(os.environ.get("DB_PORT", 5432))
NAME = env("DB_NAME", default="shop")
USER = os.environ["DB_USER"]
PASSWORD = os.getenv("DB_PASSWORD", USER)
KEY = os.environ["API_KEY"]
OTHER = os.getenv("CACHE_HOST", "db.example.org")
BROKER = os.environ.get("BROKER_URL") or "redis://queue:6379/0"
DEBUG = os.getenv("DEBUG", "false")
"""
FIELDS = """
class Settings(BaseSettings):
    db_host: str = "db"  # of the compose file
    debug: bool = False
"""


@pytest.mark.parametrize(("code", "env"), [
    (SETTINGS, {
        "DB_HOST": "${services.db.host}", "DB_PORT": "${services.db.port}", "DB_NAME": "${services.db.database}",
        "DB_USER": "${services.db.user}", "DB_PASSWORD": "${services.db.password}",
        "BROKER_URL": "${services.queue.url}",
    }),
    (FIELDS, {"DB_HOST": "${services.db.host}"}),
    ("x = getenv('DB_HOST', 'elsewhere')", {}),
])
def test_a_default_in_the_code_that_names_a_service_is_said_in_env(code: str, env: dict[str, str]) -> None:
    text = TWO + '  queue: {image: "redis:7", command: redis-server --requirepass x}\n'
    text = text.replace('"postgres:16"', '"postgres:16", environment: {POSTGRES_DB: shop}')
    found = convert(("compose.yaml",), {"compose.yaml": text, "Dockerfile": PYTHON}.get, {}, "shop", (code,))
    assert dict(profile_of(found).env) == env


def test_what_the_compose_file_says_wins_over_the_code() -> None:
    text = """
    services:
      web: {build: ., command: gunicorn shop.wsgi, environment: {DB_HOST: elsewhere}}
      db: {image: "postgres:16"}
    """
    found = convert(("compose.yaml",), {"compose.yaml": text, "Dockerfile": PYTHON}.get, {}, "shop", (SETTINGS,))
    assert profile_of(found).env["DB_HOST"] == "elsewhere"


@pytest.mark.parametrize(("line", "env"), [
    ('ENV PYTHONPATH="." FLASK_APP=shop.app', {"PYTHONPATH": ".", "FLASK_APP": "shop.app"}),
    ("ENV DJANGO_SETTINGS_MODULE shop.settings", {"DJANGO_SETTINGS_MODULE": "shop.settings"}),
    ("ENV PYTHONPATH=/app:/app/src DATA=/app/data", {"PYTHONPATH": "./:./src", "DATA": "./data"}),
    ("ARG MODE=dev\nENV MODE=${MODE}", {"MODE": "dev"}),
    # of the image alone
    ("ENV PATH=/x:$PATH PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1 CACHE=/var/cache A=$UNKNOWN", {}),
    ("ENV URL=https://example.org/x", {"URL": "https://example.org/x"}),
    ('ENV A="', {}),
])
def test_what_an_image_sets_for_the_application_is_set_here(line: str, env: dict[str, str]) -> None:
    dockerfile = PYTHON.replace("COPY", f"{line}\nCOPY")
    found = profile_of(imported({"compose.yaml": TWO, "Dockerfile": dockerfile}))
    assert dict(found.env) == env


def test_a_value_of_the_compose_file_wins_over_the_images() -> None:
    text = TWO.replace("build: .,", "build: ., environment: {MODE: live},")
    found = profile_of(imported({"compose.yaml": text, "Dockerfile": PYTHON.replace("COPY", "ENV MODE=dev\nCOPY")}))
    assert dict(found.env) == {"MODE": "live"}


@pytest.mark.parametrize(("install", "files", "named"), [
    ("COPY ./requirements.txt /requirements.txt\nRUN pip install -r /requirements.txt", ["requirements.txt"], None),
    ("RUN pip install -r requirements.txt", ["requirements.txt", "pyproject.toml"], ("requirements.txt",)),
    ("COPY deps /tmp/deps\nRUN pip install -r /tmp/deps/dev.txt && pip install --no-deps -r /tmp/deps/more.txt",
     ["deps/dev.txt", "deps/more.txt"], ("deps/dev.txt", "deps/more.txt")),
    ("RUN pip install -r deps.txt\nRUN pip install -e .[web]", ["deps.txt", "pyproject.toml"], ("deps.txt", ".[web]")),
    # an environment, or wheels, of a stage before
    ("RUN pip install -r deps.txt\nFROM python:3.12\nCOPY --from=0 /usr/local/lib /usr/local/lib", ["deps.txt"],
     ("deps.txt",)),
    ("RUN pip wheel -w /w -r deps.txt\nFROM python:3.12\nCOPY --chown=1 --from=0 /w /w\nRUN pip install /w/*",
     ["deps.txt"], ("deps.txt",)),
    ("RUN pip install -r deps.txt\nFROM python:3.12\nCOPY --from=elsewhere /w /w", ["deps.txt"], None),
    # the project says it itself
    ("RUN pip install .", ["pyproject.toml"], None),
    ("RUN pip install -r gone.txt", ["requirements.txt"], None),
])  # fmt: skip
def test_what_an_image_installs_is_installed(install: str, files: list[str], named: tuple[str, ...] | None) -> None:
    dockerfile = PYTHON.replace("COPY . .", install)
    found = profile_of(imported({"compose.yaml": TWO, "Dockerfile": dockerfile, **dict.fromkeys(files, "")}))
    assert found.python.install == named


@pytest.mark.parametrize(("sync", "said"), [
    ("uv sync --locked --all-groups", (("dev", "docs"), ())),
    ("uv sync --group dev --extra web", (("dev",), ("web",))),
    ("poetry install --with docs,gone --all-extras", (("docs",), ("web",))),
    ("uv sync --locked --no-dev", ((), ())),
])
def test_groups_that_an_image_installs_are_installed(sync: str, said: tuple[tuple[str, ...], tuple[str, ...]]) -> None:
    text = "[project.optional-dependencies]\nweb = []\n[dependency-groups]\ndev = []\ndocs = []\n"
    dockerfile = PYTHON.replace("COPY . .", f"RUN {sync}")
    found = profile_of(imported({"compose.yaml": TWO, "Dockerfile": dockerfile, "pyproject.toml": text})).python
    assert (tuple(found.groups or ()), tuple(found.extras or ())) == said
