"""What a repository without a profile is, read off its files: the frameworks it uses and the shipped profile that fits.

Pure: names and texts of files come from the caller; nothing of the project is executed.
"""

from __future__ import annotations

import posixpath
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from devstack.detect import procfile

Read = Callable[[str], str | None]

_PACKAGES = ("django", "celery", "flask", "fastapi", "starlette", "rq", "django-rq", "flask-rq2")
_REQUIREMENT = re.compile(
    rf"(?:^|[\"'])\s*({'|'.join(_PACKAGES)})(?=[\s\[<>=!~;,\"'@]|$)", re.IGNORECASE | re.MULTILINE
)
_DECLARES = re.compile(
    r"(?:.*/)?(?:requirements[^/]*\.(?:txt|in)|requirements/[^/]+\.(?:txt|in)|setup\.(?:py|cfg)|Pipfile)"
)
#: `app = FastAPI(…)`, `celery: Celery = Celery(…)`
_MADE = re.compile(r"^(\w+)\s*(?::[^=\n]+)?=\s*(?:\w+\.)?(FastAPI|Starlette|Flask|Celery)\(", re.MULTILINE)
_FACTORY = re.compile(r"^def (?:create|make)_app\(", re.MULTILINE)
_COMPOSE = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
_BUILDS = re.compile(r"^\s+build:", re.MULTILINE)
#: a repository may have any number of modules; the application is found in the first ones or not at all
_MODULES = 400


@dataclass(frozen=True)
class Detected:
    """found: in words, `Django (manage.py)`. profile: a shipped one's name. folder: of the project in the repository,
    "." for its root. answers: to what the profile asks, by variable. compose: the file that says how the project itself
    runs, "" for none. procfile: what the Procfile of its folder says, "" for none."""

    found: tuple[str, ...] = ()
    profile: str = "minimal"
    folder: str = "."
    answers: Mapping[str, str] = field(default_factory=dict)
    compose: str = ""
    procfile: str = ""


@dataclass(frozen=True)
class _Application:
    kind: str
    module: str
    path: str
    name: str


def detect(names: Sequence[str], read: Read) -> Detected:
    """names: paths of the repository's files, relative to its root."""
    known = {name.lower() for text in _declarations(names, read) for name in _REQUIREMENT.findall(text)}
    applications = tuple(_applications(names, read))
    celery = _celery(applications)
    folder, words, profile = _framework(names, read, known, applications)
    answers = {name: _inside(value, folder) for name, value in _answers(profile, applications)}
    if celery or "celery" in known:
        words.append(f"Celery ({celery.path})" if celery else "Celery")
        if profile == "django":
            profile = "django-celery"
            name = celery.module if celery else ""
            answers |= {"CELERY_APP": _inside(name, folder)} if name else {}
    if jobs := known & {"rq", "django-rq", "flask-rq2"}:
        words.append(f"RQ ({', '.join(sorted(jobs))})")
        profile = "flask-rq" if profile == "flask" else profile
    words += _others(names, read)
    place = posixpath.normpath(posixpath.join(folder, "Procfile"))
    return Detected(tuple(words), profile, folder, answers, _compose(names, read), read(place) or "")


def _celery(applications: Sequence[_Application]) -> _Application | None:
    """The one that workers are started with: in `celery.py`, where Celery's own guide puts it, before any other."""
    made = [one for one in applications if one.kind == "Celery"]
    return next((one for one in made if posixpath.basename(one.path) == "celery.py"), made[0] if made else None)


def _framework(
    names: Sequence[str], read: Read, known: set[str], applications: Sequence[_Application]
) -> tuple[str, list[str], str]:
    """The project's folder, what was found, and the profile of the web framework."""
    manages = sorted((name for name in names if posixpath.basename(name) == "manage.py"), key=lambda n: n.count("/"))
    for name in manages:
        if "django" in (read(name) or "").lower():
            return posixpath.dirname(name) or ".", [f"Django ({name})"], "django"
    made = {one.kind: one for one in reversed(applications)}
    for kind, profile in (("FastAPI", "fastapi"), ("Starlette", "fastapi"), ("Flask", "flask")):
        if kind in made:
            return _project(made[kind].path, names), [f"{kind} ({made[kind].path})"], profile
    for package, profile in (("fastapi", "fastapi"), ("starlette", "fastapi"), ("flask", "flask")):
        if package in known:
            words = {"fastapi": "FastAPI", "starlette": "Starlette", "flask": "Flask"}[package]
            return ".", [f"{words} (among its requirements)"], profile
    return ".", ["Django (among its requirements)"] if "django" in known else [], "minimal"


def _project(path: str, names: Sequence[str]) -> str:
    """The folder of the project that a module belongs to: the nearest one above it that says what it requires, and is
    no package itself. A repository of several parts has one for each."""
    there = set(names)
    declaring = {posixpath.dirname(name) for name in names if _declares(name)}
    folder = posixpath.dirname(path)
    while folder and (folder not in declaring or f"{folder}/__init__.py" in there):
        folder = posixpath.dirname(folder)
    return folder or "."


def _declares(name: str) -> bool:
    return _DECLARES.fullmatch(name) is not None or posixpath.basename(name) == "pyproject.toml"


def _answers(profile: str, applications: Sequence[_Application]) -> Iterator[tuple[str, str]]:
    for one in applications:
        if profile == "fastapi" and one.kind in ("FastAPI", "Starlette"):
            yield "ASGI_APP", f"{one.module}:{one.name}"
            return
        if profile == "flask" and one.kind == "Flask":
            yield "FLASK_APP", one.module if one.name in ("app", "application", "") else f"{one.module}:{one.name}"
            return


def _applications(names: Sequence[str], read: Read) -> Iterator[_Application]:
    """Objects that a server or a worker is started with, those nearest to the root first."""
    modules = [name for name in names if name.endswith(".py") and not re.search(r"(^|/)(tests?|docs|examples)/", name)]
    for name in sorted(modules, key=lambda name: (name.count("/"), name))[:_MODULES]:
        text = read(name) or ""
        for variable, kind in _MADE.findall(text):
            yield _Application(kind, _module(name, kind), name, variable)
        if "Flask(" in text and _FACTORY.search(text):
            # the command `flask` calls it
            yield _Application("Flask", _module(name, "Flask"), name, "")


def _module(path: str, kind: str) -> str:
    dotted = path.removesuffix(".py").removeprefix("src/").replace("/", ".").removesuffix(".__init__")
    # `celery -A shop` looks into shop.celery itself
    return dotted.removesuffix(".celery") if kind == "Celery" else dotted


def _inside(module: str, folder: str) -> str:
    return module if folder == "." else module.removeprefix(f"{folder.replace('/', '.')}.")


def _compose(names: Sequence[str], read: Read) -> str:
    """The compose file at the root, where it builds what it runs: one of servers alone says nothing of the project."""
    first = next((name for name in _COMPOSE if name in names), "")
    return first if first and _BUILDS.search(read(first) or "") else ""


def _others(names: Sequence[str], read: Read) -> Iterator[str]:
    if "Procfile" in names:
        processes = procfile.names(read("Procfile") or "")
        yield f"a Procfile ({', '.join(processes[:6])})" if processes else "a Procfile"
    yield from (name for name in _COMPOSE if name in names)


def _declarations(names: Sequence[str], read: Read) -> Iterator[str]:
    """Texts that name what is to be installed, one requirement a line."""
    there = set(names)
    for name in names:
        if name.endswith(".txt") and f"{name.removesuffix('.txt')}.in" in there:
            # compiled from that one: with all that the project's own requirements require
            continue
        if _DECLARES.fullmatch(name):
            yield read(name) or ""
        elif posixpath.basename(name) == "pyproject.toml":
            yield "\n".join(_of_pyproject(read(name) or ""))


def _of_pyproject(text: str) -> Iterator[str]:
    try:
        parsed = tomllib.loads(text)
    except (ValueError, RecursionError):
        return
    project, tool = _table(parsed, "project"), _table(parsed, "tool")
    lists = [project.get("dependencies"), *_table(project, "optional-dependencies").values()]
    lists += _table(parsed, "dependency-groups").values()
    for entries in lists:
        yield from (entry for entry in entries if isinstance(entry, str)) if isinstance(entries, list) else ()
    poetry = _table(tool, "poetry")
    groups = [_table(group, "dependencies") for group in _table(poetry, "group").values() if isinstance(group, dict)]
    for table in (_table(poetry, "dependencies"), *groups):
        yield from table


def _table(parsed: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = parsed.get(key)
    return value if isinstance(value, dict) else {}
