"""Repositories without a profile: what is found in their files, and the profile that fits."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstack.detect.framework import Detected, detect
from devstack.resources import shipped_profiles

MANAGE = "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'x.settings')\nfrom django.core import management\n"


def of(files: Mapping[str, str]) -> Detected:
    return detect(tuple(files), files.get)


CASES: dict[str, tuple[dict[str, str], str, dict[str, str], str]] = {
    "django": ({"manage.py": MANAGE}, "django", {}, "Django (manage.py)"),
    "django and celery by its requirements": (
        {"manage.py": MANAGE, "requirements/base.txt": "Django>=5\ncelery[redis]==5.4\n"}, "django-celery", {},
        "Celery",
    ),
    "django and a celery application of another name": (
        {"manage.py": MANAGE, "config/celery.py": "app = Celery('x')\n"}, "django-celery", {"CELERY_APP": "config"},
        "Celery (config/celery.py)",
    ),
    "a celery.py beside tasks that have an application of their own": (
        {"manage.py": MANAGE, "books/tasks.py": "app = Celery('tasks')\n", "work/celery.py": "app = Celery('work')\n"},
        "django-celery", {"CELERY_APP": "work"}, "Celery (work/celery.py)",
    ),
    "flask": ({"app.py": "app = Flask(__name__)\n"}, "flask", {"FLASK_APP": "app"}, "Flask (app.py)"),
    "flask made by a function": (
        {"shop/__init__.py": "from flask import Flask\ndef create_app():\n    app = Flask('x')\n"}, "flask",
        {"FLASK_APP": "shop"}, "Flask (shop/__init__.py)",
    ),
    "flask of another name": ({"web.py": "site = flask.Flask('x')\n"}, "flask", {"FLASK_APP": "web:site"}, "web.py"),
    "flask and rq": (
        {"wsgi.py": "app = Flask('x')\n", "pyproject.toml": '[project]\ndependencies = ["flask", "rq>=1"]\n'},
        "flask-rq", {"FLASK_APP": "wsgi"}, "RQ (rq)",
    ),
    "fastapi": (
        {"src/shop/main.py": "api: FastAPI = FastAPI()\n"}, "fastapi", {"ASGI_APP": "shop.main:api"},
        "FastAPI (src/shop/main.py)",
    ),
    "starlette by its requirements": (
        {"pyproject.toml": "[tool.poetry.dependencies]\nstarlette = '^1'\n"}, "fastapi", {}, "Starlette",
    ),
    "fastapi of a group": (
        {"pyproject.toml": '[dependency-groups]\nweb = ["FastAPI~=0.1"]\n'}, "fastapi", {}, "FastAPI",
    ),
    "setup.py": ({"setup.py": 'setup(install_requires=["flask>=3", "rq"])\n'}, "flask-rq", {}, "Flask"),
    "what is only required by others": (
        {"requirements/docs.in": "sphinx-autobuild\n", "requirements/docs.txt": "starlette==1.0\nflask==3.0\n"},
        "minimal", {}, "",
    ),
    "a name that only begins so": ({"requirements.txt": "flask-cors\ndjangorestframework\n"}, "minimal", {}, ""),
    "no requirement": ({"pyproject.toml": '[project]\ndescription = "Flask app"\n'}, "minimal", {}, ""),
    "a manage.py of something else": ({"manage.py": "print('hello')\n"}, "minimal", {}, ""),
    "a test's application": ({"tests/app.py": "app = Flask('x')\n"}, "minimal", {}, ""),
    "procfile and compose": (
        {"Procfile": "web: x\nworker: y\n", "compose.yaml": ""}, "minimal", {},
        "a Procfile (web, worker), compose.yaml",
    ),
    "damaged": ({"pyproject.toml": "[project\n"}, "minimal", {}, ""),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_it_is(case: str) -> None:
    files, profile, answers, words = CASES[case]
    found = of(files)
    assert (found.profile, dict(found.answers), found.folder) == (profile, answers, ".")
    assert words in ", ".join(found.found)
    assert words or not found.found


@pytest.mark.parametrize(("files", "folder", "module"), [
    ({"backend/pyproject.toml": "", "backend/app/__init__.py": "", "backend/app/main.py": "app = FastAPI()\n"},
     "backend", "app.main:app"),
    ({"pyproject.toml": "", "api/setup.py": "", "api/main.py": "app = FastAPI()\n"}, "api", "main:app"),
    # a package with a file of requirements is none of its own
    ({"pyproject.toml": "", "shop/requirements.txt": "", "shop/__init__.py": "", "shop/main.py": "app = FastAPI()\n"},
     ".", "shop.main:app"),
    ({"services/api/main.py": "app = FastAPI()\n"}, ".", "services.api.main:app"),
])
def test_a_part_of_a_repository_with_requirements_of_its_own(files: dict[str, str], folder: str, module: str) -> None:
    found = of(files)
    assert (found.folder, found.answers["ASGI_APP"]) == (folder, module)


def test_a_project_in_a_folder() -> None:
    found = of({"backend/manage.py": MANAGE, "backend/config/celery.py": "app = Celery('x')\n", "frontend/x.js": ""})
    assert (found.profile, found.folder, found.answers["CELERY_APP"]) == ("django-celery", "backend", "config")


@pytest.mark.parametrize(("files", "compose"), [
    ({"compose.yml": "services:\n  web:\n    build: .\n", "manage.py": MANAGE}, "compose.yml"),
    ({"docker-compose.yml": "x-app:\n  build:\n    context: .\n"}, "docker-compose.yml"),
    # servers alone
    ({"compose.yml": "services:\n  db:\n    image: postgres:16\n", "manage.py": MANAGE}, ""),
    # compose itself reads the first
    ({"compose.yaml": "", "docker-compose.yml": "x:\n  build: .\n"}, ""),
    ({"docker/compose.yml": "x:\n  build: .\n"}, ""),
])
def test_a_compose_file_that_builds_what_it_runs_says_how(files: dict[str, str], compose: str) -> None:
    assert of(files).compose == compose


NAMES = ["manage.py", "pyproject.toml", "app.py", "requirements.txt", "Procfile"]


@given(st.dictionaries(st.sampled_from(NAMES), st.text()))
def test_any_text_is_something(files: dict[str, str]) -> None:
    assert of(files).profile in shipped_profiles()
