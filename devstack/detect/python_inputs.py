"""What to install into a project's environment, and the key of everything that the result depends on.

Pure: files are read through the function handed over (`read(name) -> text or None`, names relative to the project's
root, which may lead out of it for shared requirements). Nothing of the project is executed, not even setup.py.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from devstack.detect.project_files import Input, ProjectFiles, Read, table
from devstack.errors import UsageError
from devstack.profile.model import Python

#: part of the key: a release that builds environments differently rebuilds them
RECIPE = 1

#: the one requirements file taken where none is named and there is no plain requirements.txt; a developer's set first
_REQUIREMENTS = (
    "requirements.txt", "requirements/local.txt", "requirements/dev.txt", "requirements/development.txt",
    "requirements/base.txt", "requirements/requirements.txt",
)
_ENTRY = re.compile(r"^(?P<path>[^\[\]]+?)(?:\[(?P<extras>[^\[\]]*)\])?$")
_MEMBER = re.compile(r'source = \{ (?:editable|virtual|directory) = "([^"]+)" \}')


@dataclass(frozen=True)
class InstallStep:
    """One call of uv. args: after `uv`, without the environment's place. is_sync: `uv sync`, told its place apart."""

    what: str
    args: tuple[str, ...]

    @property
    def is_sync(self) -> bool:
        return self.args[0] == "sync"


@dataclass(frozen=True)
class InstallPlan:
    """steps: in order. inputs: files read. reason: why these, for `devstack plan`. warnings: for the person."""

    steps: tuple[InstallStep, ...] = ()
    inputs: tuple[Input, ...] = ()
    reason: str = "nothing to install"
    warnings: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(entry.name for entry in self.inputs)

    def digests(self) -> dict[str, str]:
        """A short digest of each input, by file name."""
        return {entry.name: _digest(entry.text) for entry in self.inputs}


def plan(read: Read, python: Python) -> InstallPlan:
    """What to install. Raises UsageError for a file that is named and missing, or can't be understood."""
    project = ProjectFiles(read)
    chosen = _explicit(project, python) if python.install is not None else _detected(project, python)
    constraints = _constraint_args(project, python)
    steps = tuple(step if step.is_sync else _insert(step, constraints) for step in chosen.steps)
    if python.packages:
        _refuse_options("packages", python.packages)
        listed = ", ".join(python.packages)
        steps += (InstallStep(f"install {listed}", ("pip", "install", *constraints, "--", *python.packages)),)
    warnings = list(project.warnings)
    if project.peek("poetry.lock") is not None and "pyproject.toml" in project.inputs:
        warnings.append("poetry.lock isn't followed: versions come from the ranges in pyproject.toml")
    if python.extras and not any("--extra" in step.args or "[" in step.what for step in steps):
        warnings.append("[python] extras has no effect: only requirements files are installed")
    return InstallPlan(steps, tuple(project.inputs.values()), chosen.reason, tuple(warnings))


def environment_key(chosen: InstallPlan, interpreter: str, place: str) -> str:
    """Name of the environment: the same whenever it would come out the same. place: the folder it lives in, since an
    environment can't be moved."""
    inputs = [[entry.name, entry.text] for entry in chosen.inputs]
    return _digest(json.dumps([RECIPE, interpreter, place, [step.args for step in chosen.steps], inputs]))


def changed_inputs(before: dict[str, str], now: dict[str, str]) -> str:
    """In words, how two sets of digests differ; "" where they don't."""
    words = [f"{name} changed" for name in now if name in before and before[name] != now[name]]
    words += [f"{name} is new" for name in now if name not in before]
    words += [f"{name} is gone" for name in before if name not in now]
    return ", ".join(words[:3]) + (f" and {len(words) - 3} more" if len(words) > 3 else "")


def wanted_version(read: Read, python: Python) -> tuple[str | None, str]:
    """The interpreter asked for, as a version or PEP 440 specifier, and who asks; None: any."""
    if python.version:
        return python.version, "[python] version"
    for line in (read(".python-version") or "").splitlines():
        if re.fullmatch(r"3\.\d+(\.\d+)?", line.strip()):
            return line.strip(), ".python-version"
    project = table(ProjectFiles(read).pyproject("pyproject.toml"), "project")
    requires = project.get("requires-python")
    return (requires, "requires-python in pyproject.toml") if isinstance(requires, str) and requires else (None, "")


# --- choosing -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Chosen:
    steps: tuple[InstallStep, ...] = ()
    reason: str = "nothing to install"


def _detected(project: ProjectFiles, python: Python) -> _Chosen:
    pyproject = project.pyproject("pyproject.toml")
    if pyproject and (lock := _find_lock(project)):
        return _Chosen((_sync(project, lock, python),), f"{lock} is there")
    for name in _REQUIREMENTS:
        if project.peek(name) is not None:
            return _Chosen(_requirements(project, (name,)), f"{name} is there")
    if table(pyproject, "project") or table(table(pyproject, "tool"), "poetry"):
        return _Chosen(_project(project, ".", python.extras, python.groups), "pyproject.toml describes the project")
    setup_cfg = project.peek("setup.cfg") or ""
    if project.peek("setup.py") is not None or re.search(r"^\[(metadata|options)\]", setup_cfg, re.M):
        return _Chosen(_project(project, ".", python.extras, ()), "setup.py or setup.cfg describes the project")
    if python.groups:
        return _Chosen(_groups(project, python.groups), "dependency groups of pyproject.toml")
    return _Chosen()


def _explicit(project: ProjectFiles, python: Python) -> _Chosen:
    entries = python.install or ()
    _refuse_options("install", entries)
    steps: list[InstallStep] = []
    together: list[str] = []
    for entry in (*entries, ""):
        found = _ENTRY.match(entry)
        path = posixpath.normpath(found["path"].strip()) if found else ""
        is_lock, is_project = posixpath.basename(path) == "uv.lock", project.is_project(path) or path == "."
        if path and not is_lock and not is_project and posixpath.basename(path) != "pyproject.toml":
            project.require(path, "[python] install")
            together.append(path)
            continue
        steps += _requirements(project, together)
        together = []
        if is_lock:
            project.require(path, "[python] install")
            steps.append(_sync(project, path, python))
        elif found:
            named = [extra.strip() for extra in (found["extras"] or "").split(",") if extra.strip()]
            folder = posixpath.dirname(path) or "." if posixpath.basename(path) == "pyproject.toml" else path
            groups = python.groups if folder == "." else ()
            steps += _project(project, folder, (*named, *python.extras), groups)
    return _Chosen(tuple(steps), "[python] install names it")


def _find_lock(project: ProjectFiles) -> str | None:
    if project.peek("uv.lock") is not None:
        return "uv.lock"
    # a member of a uv workspace: its lock lies beside the workspace's own pyproject.toml, some folders up
    for prefix in ("../", "../../", "../../../"):
        above = project.peek(f"{prefix}pyproject.toml") or ""
        if "[tool.uv.workspace]" in above and project.peek(f"{prefix}uv.lock") is not None:
            return f"{prefix}uv.lock"
    return None


def _sync(project: ProjectFiles, lock: str, python: Python) -> InstallStep:
    text = project.add(lock) or ""
    folder = posixpath.dirname(lock)
    project.add_pyproject("pyproject.toml")
    for member in (".", *_MEMBER.findall(text)):
        project.add_project(posixpath.normpath(posixpath.join(folder, member)))
    options = [word for extra in python.extras for word in ("--extra", extra)]
    options += [word for group in python.groups for word in ("--group", group)]
    return InstallStep(f"sync {lock}", ("sync", "--frozen", *options))


def _requirements(project: ProjectFiles, files: Sequence[str]) -> tuple[InstallStep, ...]:
    """Files of one kind go into one call, so that they are resolved together; hashes are all or nothing in a call."""
    steps: list[InstallStep] = []
    run: list[str] = []
    hashed_run = False
    for name in files:
        hashed = project.add_requirements(name)
        if run and hashed != hashed_run:
            steps.append(_requirements_step(run, hashed_run))
            run = []
        run.append(name)
        hashed_run = hashed
    return (*steps, _requirements_step(run, hashed_run)) if run else ()


def _requirements_step(files: Sequence[str], hashed: bool) -> InstallStep:
    named = [word for name in files for word in ("-r", name)]
    if hashed:
        named.insert(0, "--require-hashes")
    return InstallStep(f"install {', '.join(files)}", ("pip", "install", *named))


def _project(
    project: ProjectFiles, folder: str, extras: Sequence[str], groups: Sequence[str]
) -> tuple[InstallStep, ...]:
    parsed = project.add_project(folder)
    name = posixpath.join(folder, "pyproject.toml") if folder != "." else "pyproject.toml"
    is_package = "build-system" in parsed or not table(parsed, "project")
    steps: tuple[InstallStep, ...]
    if is_package:
        target = f"{folder}[{','.join(extras)}]" if extras else folder
        steps = (InstallStep(f"install {target} (editable)", ("pip", "install", "-e", target)),)
    else:
        # no build backend: an application whose dependencies are wanted, not a package (uv's own rule)
        options = [word for extra in extras for word in ("--extra", extra)]
        steps = (InstallStep(f"install the dependencies of {name}", ("pip", "install", "-r", name, *options)),)
    return steps + (_groups(project, groups) if groups else ())


def _groups(project: ProjectFiles, groups: Sequence[str]) -> tuple[InstallStep, ...]:
    known = table(project.add_pyproject("pyproject.toml"), "dependency-groups")
    for group in groups:
        if group not in known:
            raise UsageError(
                "group-unknown", f"there is no dependency group {group!r} in pyproject.toml",
                why=f"there are {', '.join(known) or 'none'}", fix="correct [python] groups",
            )
    options = [word for group in groups for word in ("--group", group)]
    return (InstallStep(f"install the groups {', '.join(groups)}", ("pip", "install", *options)),)


def _constraint_args(project: ProjectFiles, python: Python) -> tuple[str, ...]:
    _refuse_options("constraints", python.constraints)
    for name in python.constraints:
        project.require(name, "[python] constraints")
        project.add_requirements(name)
    return tuple(word for name in python.constraints for word in ("-c", name))


def _insert(step: InstallStep, constraints: tuple[str, ...]) -> InstallStep:
    return InstallStep(step.what, (*step.args[:2], *constraints, *step.args[2:]))


def _refuse_options(key: str, entries: Iterable[str]) -> None:
    for entry in entries:
        if entry.startswith("-") or "\n" in entry or not entry.strip():
            raise UsageError(
                "install-entry-invalid", f"[python] {key} can't hold {entry!r}",
                why="an entry is a file or a requirement, not an option",
                fix="put options into a requirements file and name that",
            )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
