"""What a compose project says in env files, in URLs and in code: filled in, asked for, or told."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from devstack import services
from devstack.detect.compose.convert import Imported, convert
from devstack.detect.compose.defaults import defaults
from devstack.profile.load import load
from devstack.profile.model import Profile
from devstack.profile.source import SourceFile
from devstack.stack.sources import fields

DOCKERFILE = "FROM python:3.12\nWORKDIR /app\nCOPY . .\n"


def imported(files: Mapping[str, str], *code: str, **environ: str) -> Imported:
    return convert(("compose.yaml",), {"Dockerfile": DOCKERFILE, **files}.get, environ, "shop", code)


def profile(files: Mapping[str, str], *code: str, **environ: str) -> Profile:
    file = SourceFile("devstack.toml", imported(files, *code, **environ).text, "project")
    return load([file], services.declarations(), fields=fields()).profile


WEB = "services:\n  web: {build: ., command: gunicorn a:b, env_file: app.env, depends_on: [db]}\n"
DB = "  db: {image: 'postgres:16', environment: {POSTGRES_USER: a, POSTGRES_PASSWORD: b, POSTGRES_DB: shop}}\n"


def test_what_an_env_file_fills_in_is_filled_in() -> None:
    text = "ANN=a\nURL=postgres://${ANN}:b@${HOST:-db}:5432/shop\nPLAIN='${ANN}'\nTEXT=\"by ${ANN}\"\n"
    found = profile({"compose.yaml": WEB + DB, "app.env": text})
    # the rest stays where it is
    assert found.processes["web"].env | dict(found.env) == {"URL": "${services.db.url}", "TEXT": "by a"}


def test_the_project_s_own_env_file_is_filled_in_too() -> None:
    text = "services:\n  web: {build: ., command: gunicorn a:b, environment: {URL: '${URL}'}}\n" + DB
    found = profile({"compose.yaml": text, ".env": "HOST=db\nURL=postgres://a:b@${HOST}/shop\n"})
    assert found.env == {"URL": "${services.db.url}"}


def test_a_missing_env_file_comes_first_with_the_whole_command() -> None:
    text = WEB.replace("app.env", "api/.env") + DB.replace("POSTGRES_DB: shop", "POSTGRES_DB: '${DB_NAME}'")
    found = imported({"compose.yaml": text, ".env.example": "", "api/.env.example": ""})
    again = "devstack init --from compose.yaml --yes"
    assert [(one.key, one.instead) for one in found.left_out[:2]] == [
        (".env", f"cp .env.example .env, then {again}"),
        ("services.web.env_file", f"cp api/.env.example api/.env, then {again}"),
    ]  # fmt: skip
    assert "DB_NAME" in found.left_out[0].why
    # the same file of several is told once
    twice = text + "  db2: {image: 'postgres:16', env_file: api/.env}\n"
    told = imported({"compose.yaml": twice, "api/.env.example": ""}).left_out
    assert len([one for one in told if one.key.endswith("env_file")]) == 1


STORE = """
services:
  web:
    build: .
    command: gunicorn a:b
    environment: {STORE_URL: 'http://access:store-secret@store:9000/bucket'}
    env_file: app.env
  store:
    image: minio/minio
    ports: ["9000:9000"]
    environment: {MINIO_ROOT_USER: access, MINIO_ROOT_PASSWORD: store-secret}
"""


def test_who_logs_in_at_a_container_has_the_same_secret() -> None:
    files = {"compose.yaml": STORE, "app.env": "AWS_SECRET=store-secret\nOTHER=kept\n"}
    found = profile(files)
    password = "${env.MINIO_ROOT_PASSWORD}"
    assert found.services["store"].model_dump()["environment"]["MINIO_ROOT_PASSWORD"] in (password, _only(found))
    url = f"http://access:{_only(found)}@${{services.store.host}}:${{services.store.port}}/bucket"
    assert found.env["STORE_URL"] == url
    assert {**found.env, **found.processes["web"].env}["AWS_SECRET"] == _only(found)
    assert "store-secret" not in imported(files).text


def _only(found: Profile) -> str:
    (name,) = [name for name, value in found.env.items() if not isinstance(value, str)]
    return f"${{env.{name}}}"


def test_variables_of_an_image_s_tools_are_no_application_s() -> None:
    text = "services:\n  web: {build: ., command: gunicorn a:b, environment: {UV_LINK_MODE: copy, PATH: /x, A: 1}}\n"
    found = imported({"compose.yaml": text})
    assert profile({"compose.yaml": text}).env == {"A": "1"}
    assert [one.why for one in found.left_out] == ["UV_LINK_MODE, PATH: of the tools in the image"]


def test_a_variable_that_only_the_code_reads_is_no_mistake_of_the_file() -> None:
    text = "services:\n  web: {build: ., command: gunicorn a:b}\n"
    assert not imported({"compose.yaml": text}, "x = os.environ['VIRTUAL_ENV']").left_out


FIELDS = """
class Settings(BaseSettings):
    host: str = "127.0.0.1"
    port: int = 8000
    db_host: str = "db"
    model_config = SettingsConfigDict(env_file=".env", env_prefix="SHOP_")
"""


def test_names_of_a_settings_class_have_its_prefix() -> None:
    assert defaults([FIELDS]) == {"SHOP_HOST": "127.0.0.1", "SHOP_PORT": "8000", "SHOP_DB_HOST": "db"}


def test_the_settings_that_are_named_say_what_counts_in_an_image_too() -> None:
    text = """services:
  web: {build: ., command: gunicorn a:b, environment: {DJANGO_SETTINGS_MODULE: shop.conf.docker}}
  pages: {build: ., command: /start.sh, environment: {DJANGO_SETTINGS_MODULE: shop.conf.docker}}
"""
    docker = "os.environ.setdefault('DB_HOST', 'db')\nos.environ.setdefault('DB_USER', 'postgres')\n"
    files = {"compose.yaml": text + DB, "src/shop/conf/docker.py": docker}
    found = profile(files, "os.environ.setdefault('DB_HOST', 'localhost')")
    assert found.processes["pages"].build is not None
    for name in ("web", "pages"):
        env = {**found.env, **found.processes[name].env}
        assert (env["DB_HOST"], env["DB_USER"]) == ("${services.db.host}", "${services.db.user}")


def test_who_says_no_port_is_told_it_by_the_variable_that_the_code_reads() -> None:
    text = """services:
  web: {build: ., command: python -m shop, ports: ['8000:8000'], environment: {SHOP_HOST: 0.0.0.0}}
"""
    found = profile({"compose.yaml": text + DB}, FIELDS)
    assert {**found.env, **found.processes["web"].env} == {
        "SHOP_HOST": "127.0.0.1", "SHOP_PORT": "${processes.web.port}", "SHOP_DB_HOST": "${services.db.host}",
    }  # fmt: skip


@pytest.mark.parametrize(("code", "port"), [("run()", 8000), ("run(os.environ['PORT'])", 8010)])
def test_who_cannot_be_told_a_port_is_where_it_always_is(code: str, port: int) -> None:
    text = "services:\n  web: {build: ., command: python app.py, ports: ['8010:8000']}\n"
    assert profile({"compose.yaml": text}, code).processes["web"].port == port


def test_images_of_another_maker_become_the_official_ones() -> None:
    text = """
services:
  web: {build: ., command: gunicorn a:b, environment: {B: 'amqp://user:bitnami@mq:5672//', R: 'redis://:pw@cache/1'}}
  mq: {image: "bitnami/rabbitmq:3.13"}
  cache: {image: "bitnami/redis:7.2", environment: {REDIS_PASSWORD: pw}}
  db: {image: "bitnamilegacy/postgresql:16", environment: {POSTGRESQL_USERNAME: a, POSTGRESQL_DATABASE: shop}}
"""
    found = profile({"compose.yaml": text})
    made = {name: (one.kind, one.version, one.image) for name, one in found.services.items()}
    assert made == {
        "mq": ("rabbitmq", "3.13", None), "cache": ("redis", "7.2", None), "db": ("postgres", "16", None),
    }  # fmt: skip
    assert found.services["db"].model_dump()["databases"] == ("shop",)
    assert found.env["B"] == "${services.mq.url}"
    assert found.env["R"] == "redis://:${services.cache.password}@${services.cache.host}:${services.cache.port}/1"


def test_who_is_only_there_with_a_profile_is_told_with_it() -> None:
    told = imported({"compose.yaml": "services: {a: {image: redis, profiles: [dev]}, b: {image: x}}"}).left_out
    assert told[0].instead == "COMPOSE_PROFILES=dev devstack init --from compose.yaml --yes"
