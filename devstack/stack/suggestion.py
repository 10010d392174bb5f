"""What to do with a repository that has no profile: what it is, and the one command that brings it up."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from devstack.checkout import Git
from devstack.detect import procfile
from devstack.detect.framework import Detected, detect
from devstack.errors import UsageError
from devstack.stack.paths import PROFILE
from devstack.system import System, storage_errors

_DEPTH = 3
_FILES = 5000
#: more of a file than names its application
_LIMIT = 200_000
_MODULES = 400
_TESTS = re.compile(r"(^|/)(tests?|docs|examples)/|(^|/)(test_[^/]*|conftest)\.py$")
_SETTINGS = re.compile(r"(^|/)(settings|conf|config)(/|[^/]*\.py$)")
_FOREIGN = frozenset({"node_modules", "__pycache__", "venv", "env", "site-packages", "build", "dist"})


def no_profile(root: Path) -> UsageError:
    """The error for a project without a profile; its command works once it is known where it is typed."""
    found = detected(root)
    why = f"there is no {PROFILE} and no [tool.devstack] in pyproject.toml"
    if found.found:
        why += f"; found {', '.join(found.found)}"
    elif (root / ".git").exists() and Git(System()).revision(root) is None:
        why += "; the repository has no commit yet"
    answers = "".join(f"DEVSTACK_ENV_{name}={shlex.quote(value)} " for name, value in found.answers.items())
    place = "" if found.folder == "." else f"cd {shlex.quote(found.folder)} && "
    fix = f"{place}{answers}devstack bootstrap . --profile {found.profile}"
    if found.compose:
        # it knows services, tasks and processes that no shipped profile can
        fix = "devstack init --from ."
    elif procfile.processes(found.procfile, {}):
        fix = f"{place}devstack init"
    return UsageError("no-profile", f"{root} has no profile", why=why, fix=fix)


def detected(root: Path) -> Detected:
    """What a repository is, read off its files."""
    return detect(tuple(_names(root)), lambda name: _read(root / name))


def code(root: Path) -> Iterator[str]:
    """Texts of the project's Python files near the root, settings first: tests may say anything."""
    names = [name for name in _names(root) if name.endswith(".py") and not _TESTS.search(name)]
    for name in sorted(names, key=lambda name: (not _SETTINGS.search(name), name.count("/"), name))[:_MODULES]:
        yield _read(root / name) or ""


def _names(root: Path) -> Iterator[str]:
    """Paths of the files near the root, at most so many; links and hidden folders aren't followed."""
    count = 0
    for folder, folders, files in os.walk(root):
        inside = os.path.relpath(folder, root)
        depth = 0 if inside == "." else inside.count("/") + 1
        folders[:] = sorted(
            name for name in folders if depth < _DEPTH and not name.startswith(".") and name not in _FOREIGN
        )
        for name in sorted(files):
            count += 1
            if count > _FILES:
                return
            yield name if inside == "." else f"{inside}/{name}"


def _read(path: Path) -> str | None:
    if not path.is_file():
        return None
    with storage_errors(path), path.open("rb") as file:
        return file.read(_LIMIT).decode(errors="replace")
