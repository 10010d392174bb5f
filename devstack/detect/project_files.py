"""The files that say what a project needs: includes followed, all kept as inputs of the environment's key.

Pure: files come through the function handed over; parsing never executes anything of the project.
"""

from __future__ import annotations

import json
import posixpath
import re
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from devstack.detect.lock_lines import normal
from devstack.errors import UsageError

#: text of a file named relative to the project's root, None where there is none
Read = Callable[[str], str | None]

#: tables of pyproject.toml that can't change what is installed: editing a linter's must not rebuild
_UNRELATED_TOOLS = frozenset({
    "autopep8", "bandit", "basedpyright", "black", "codespell", "commitizen", "coverage", "cruft", "devstack", "djlint",
    "flake8", "isort", "mypy", "nox", "pydocstyle", "pylint", "pyright", "pytest", "ruff", "semantic_release",
    "towncrier", "tox", "ty", "vulture",
})
_INCLUDE = re.compile(r"^(-r|--requirement|-c|--constraint)(?:\s*=\s*|\s+|(?<=-[rc]))(?P<target>[^\s].*)$")
_PIN = re.compile(r"^(?P<package>[A-Za-z0-9][\w.-]*)\s*(?:\[[^\]]*\])?\s*==\s*(?P<version>[\w.+!-]+)(?=\s|$)")
_EDITABLE = re.compile(r"^(?:-e|--editable)(?:\s*=\s*|\s+)(?P<target>[^\s].*)$")
_LOCAL_PROJECT = re.compile(r"^(?P<target>\.{0,2}/[^\[\s;]*|\.)(?:\[[^\]]*\])?(?:\s*;.*)?$")


@dataclass(frozen=True)
class Input:
    """One file the result depends on. text: its content, as far as it matters."""

    name: str
    text: str


@dataclass
class ProjectFiles:
    """Reads files and remembers which of them the result depends on. inputs: by name. warnings: for the person."""

    read: Read
    inputs: dict[str, Input] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    _hashed: dict[str, bool] = field(default_factory=dict)

    def peek(self, name: str) -> str | None:
        text = self.read(name)
        return None if text is None else text.removeprefix("\ufeff").replace("\r\n", "\n")

    def add(self, name: str) -> str | None:
        text = self.peek(name)
        if text is not None:
            self.inputs.setdefault(name, Input(name, text))
        return text

    def require(self, name: str, asker: str) -> None:
        if self.peek(name) is None:
            raise UsageError(
                "requirements-missing", f"{name} doesn't exist", why=f"{asker} names it", fix=f"correct {asker}"
            )

    def is_project(self, folder: str) -> bool:
        """Is this a folder that can be installed?"""
        names = ("pyproject.toml", "setup.py", "setup.cfg")
        return bool(folder) and any(self.peek(posixpath.join(folder, name)) is not None for name in names)

    def pyproject(self, name: str) -> dict[str, Any]:
        text = self.peek(name)
        if text is None:
            return {}
        try:
            return tomllib.loads(text)
        # tomllib lets these through for hostile input
        except (ValueError, RecursionError) as error:
            raise UsageError(
                "pyproject-invalid", f"{name} can't be read", why=str(error).splitlines()[0], fix=f"correct {name}"
            ) from None

    def add_pyproject(self, name: str) -> dict[str, Any]:
        """The parsed file; what of it can change an installation becomes an input."""
        parsed = self.pyproject(name)
        if parsed:
            tools = {key: value for key, value in table(parsed, "tool").items() if key not in _UNRELATED_TOOLS}
            relevant = {key: value for key, value in parsed.items() if key != "tool"} | {"tool": tools}
            self.inputs.setdefault(name, Input(name, json.dumps(relevant, sort_keys=True, default=str)))
        return parsed

    def add_project(self, folder: str) -> dict[str, Any]:
        """A project that is built: every file its metadata is usually made from becomes an input."""
        def inside(name: str) -> str:
            return posixpath.normpath(posixpath.join(folder, name))

        parsed = self.add_pyproject(inside("pyproject.toml"))
        self.add(inside("setup.cfg"))
        if self.add(inside("setup.py")) is not None:
            self.add(inside("requirements.txt"))
        for value in table(table(table(parsed, "tool"), "setuptools"), "dynamic").values():
            files = value.get("file", ()) if isinstance(value, dict) else ()
            for name in [files] if isinstance(files, str) else files:
                if isinstance(name, str) and not name.lower().endswith((".md", ".rst")):
                    self.add(inside(name))
        return parsed

    def add_requirements(self, name: str) -> bool:
        """A requirements file and all it includes become inputs. Answers: does any of them carry hashes?"""
        if name in self._hashed:
            return self._hashed[name]
        self._hashed[name] = False
        text = self.peek(name) or ""
        kept = []
        hashed = False
        for number, line in logical_lines(text):
            kept.append(line)
            hashed |= "--hash=" in line or line.startswith("--require-hashes")
            hashed |= self._add_reference(name, number, line)
        self.inputs[name] = Input(name, "\n".join(kept))
        self._hashed[name] = hashed
        return hashed

    def contradiction(self, names: Sequence[str]) -> str:
        """What two of these requirements files say of one package, "" where all that they pin goes together."""
        pinned: dict[str, tuple[str, str]] = {}
        for name in names:
            for line in self.inputs[name].text.splitlines():
                found = _PIN.match(line)
                # what only holds for some machines may go together
                if found and ";" not in line:
                    package = normal(found["package"])
                    before, version = pinned.setdefault(package, (name, found["version"]))
                    if version != found["version"]:
                        return f"{name} pins {package} to {found['version']}, {before} to {version}"
        return ""

    def _add_reference(self, name: str, number: int, line: str) -> bool:
        """Follow one line's include or local project; True where an included requirements file carries hashes."""
        include, local = _INCLUDE.match(line), _EDITABLE.match(line)
        if line.startswith(("--extra-index-url", "--trusted-host")):
            option = re.split(r"[\s=]", line, maxsplit=1)[0]
            self.warnings.append(f"{name}:{number}: {option} widens where packages may come from")
        if include and "://" not in include["target"]:
            target = beside(name, include["target"].strip("\"' "))
            if self.peek(target) is None:
                raise UsageError(
                    "requirements-missing", f"{target} doesn't exist", why=f"{name}:{number} includes it: {line}",
                    fix=f"correct line {number} of {name}",
                )
            hashed = self.add_requirements(target)
            return hashed and include[1] in ("-r", "--requirement")
        path = _LOCAL_PROJECT.match(local["target"] if local else line)
        if path:
            self.add_project(beside(name, path["target"]))
        return False


def logical_lines(text: str) -> Iterable[tuple[int, str]]:
    """(line number, text) of each requirement: continuations joined, comments and blank lines left out."""
    joined, start = "", 0
    for number, line in enumerate([*text.split("\n"), ""], 1):
        start = start if joined else number
        joined += line
        if joined.endswith("\\"):
            joined = joined[:-1] + " "
            continue
        meaning = re.sub(r"(^|\s)#.*$", "", joined).strip()
        if meaning:
            yield start, re.sub(r"\s+", " ", meaning)
        joined = ""


def beside(name: str, target: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), target))


def table(parsed: dict[str, Any], key: str) -> dict[str, Any]:
    value = parsed.get(key)
    return value if isinstance(value, dict) else {}
