"""The shipped profiles: reference.toml and the model agree both ways; the bases are usable as they are."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from devstack import services
from devstack.profile.interpolation import references
from devstack.profile.model import Ask, Profile, Service
from devstack.profile.needs import process_needs, programs_of
from devstack.resources import shipped_profiles
from devstack.stack.sources import read_profile
from tests.profile.loading import PROFILES, loaded, project, shipped

CELERY = (shipped("django"), shipped("django-celery"))


def _models(value: object) -> Iterator[BaseModel]:
    if isinstance(value, BaseModel):
        yield value
        for name in type(value).model_fields:
            yield from _models(getattr(value, name))
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _models(inner)
    elif isinstance(value, tuple):
        for inner in value:
            yield from _models(inner)


def _subclasses(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for below in model.__subclasses__():
        yield from _subclasses(below)


def test_reference_has_every_key_of_the_model_and_of_every_kind_and_no_other() -> None:
    """A key counts for the class that defines it, so that `user` need not be shown for tasks and processes both."""
    profile = loaded(shipped("minimal"), shipped("reference")).profile
    shown = {
        (owner, name)
        for model in _models(profile)
        for name in model.model_fields_set
        for owner in type(model).__mro__
        if name in inspect.get_annotations(owner)
    }
    kinds = set(services.declarations().values())
    used = {type(model) for model in _models(profile)} | kinds
    owners = {owner for model in used for owner in model.__mro__ if owner.__module__.startswith("devstack.")}
    every = {(owner, name) for owner in owners for name in inspect.get_annotations(owner) if name[0] != "_"}
    every = {(owner, name) for owner, name in every if name != "model_config"}
    assert {f"{owner.__name__}.{name}" for owner, name in every - shown} == set()


def test_reference_shows_every_model_of_a_profile() -> None:
    profile = loaded(shipped("minimal"), shipped("reference")).profile
    shown = {type(model) for model in _models(profile)}
    declared = set(services.declarations().values())
    ours = {
        model
        for model in _subclasses(type(profile).__mro__[1])
        if model.__module__ == Profile.__module__ or model in declared
    }
    abstract = {"Model", "Service", "Command"}
    assert {model.__name__ for model in ours - shown} <= abstract
    assert {type(service) for service in profile.services.values()} == declared


def test_every_key_of_reference_has_a_comment() -> None:
    """A comment stands above a key, at its end, or above the first of lines that belong together."""
    bare, is_explained = [], False
    for line in (PROFILES / "reference.toml").read_text(encoding="utf-8").splitlines():
        if line.startswith("#") or not line.strip():
            is_explained = line.startswith("#")
        elif not line.startswith("[") and not is_explained:
            bare.append(line)
    # what was explained for the key's first appearance
    assert {re.split(r"\s*=", line)[0] for line in bare} <= {"role", "run", "needs", "ready", "HEALTH_URL"}


def test_reference_refers_only_to_what_it_explains() -> None:
    text = (PROFILES / "reference.toml").read_text(encoding="utf-8")
    assert {
        "services.NAME.url",
        "processes.NAME.port",
        "port",
        "ports.NAME",
        "replica",
        "env.NAME",
        "project.root",
    } <= set(references(text))


def test_django_celery_is_a_whole_stack_with_a_name_alone() -> None:
    profile = loaded(*CELERY, project('name = "shop"')).profile
    assert list(profile.services) == ["postgres", "redis", "rabbitmq"]
    assert list(profile.processes) == ["web", "worker", "beat"]
    application = profile.env["CELERY_APP"]
    assert isinstance(application, Ask)
    assert application.default == "shop"
    assert process_needs(profile, "web") == ("postgres", "redis", "rabbitmq", "migrate")


def test_django_celery_is_overridden_key_by_key() -> None:
    text = """
    name = "shop"
    processes.worker = { run = "celery -A config worker", replicas = 2 }
    processes.beat = false
    services.redis = false
    env.REDIS_URL = ""
    """
    profile = loaded(*CELERY, project(text)).profile
    worker = profile.processes["worker"]
    assert (worker.run, worker.stop.grace) == ("celery -A config worker", 30)
    assert [program for program, _ in programs_of("worker", worker)] == ["worker-1", "worker-2"]
    assert "beat" not in profile.processes
    assert "redis" not in profile.services


def test_minimal_declares_nothing() -> None:
    profile = loaded(shipped("minimal"), project('name = "x"')).profile
    assert (profile.services, profile.tasks, profile.processes, profile.env) == ({}, {}, {}, {})


DESIGN = """
name = "shop"
[project]
repo = "https://example.org/acme/shop.git"
ref = "main"
[python]
version = "3.11"
install = ["requirements.txt"]
system = { debian = ["libpq-dev"], macos = ["libpq"] }
[services.postgres]
version = "16"
databases = ["shop", "shop_reporting"]
extensions = ["pg_trgm"]
[services.rabbitmq]
version = "3"
vhosts = ["shop"]
[env]
DATABASE_URL = "${services.postgres.url}"
SECRET_KEY = { generate = 50 }
STRIPE_KEY = { ask = "Stripe test key", secret = true, default = "" }
[tasks.migrate]
run = "python manage.py migrate --noinput"
needs = ["postgres"]
inputs = ["**/migrations/*.py"]
[tasks.seed]
run = "python manage.py loaddata demo"
needs = ["migrate"]
snapshot = "seeded"
[processes.web]
role = "web"
run = "python manage.py runserver ${port}"
needs = ["migrate", "redis"]
ready = { http = "/health/" }
[processes.worker]
role = "worker"
run = "celery -A shop worker --concurrency 2"
needs = ["rabbitmq", "migrate"]
replicas = 2
stop = { signal = "TERM", grace = 30 }
[processes.ticker]
role = "daemon"
run = "python -m shop.ticker"
[checks]
test = "pytest -q"
"""


def test_a_profile_such_as_people_write_loads_over_django_celery() -> None:
    profile = loaded(*CELERY, project(DESIGN)).profile
    assert list(profile.processes) == ["web", "worker", "beat", "ticker"]


@pytest.mark.parametrize("name", shipped_profiles())
def test_shipped_profiles_need_only_a_name(name: str, tmp_path: Path) -> None:
    assert read_profile(tmp_path / "stack", name).loaded.profile.name == "stack"


def test_every_shipped_profile_is_in_the_table_of_the_documentation() -> None:
    text = (PROFILES.parent / "docs" / "profile.md").read_text(encoding="utf-8")
    text = text.partition("## The shipped profiles")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE)) == set(shipped_profiles())


def test_a_declaration_is_a_service() -> None:
    assert all(issubclass(model, Service) for model in services.declarations().values())
