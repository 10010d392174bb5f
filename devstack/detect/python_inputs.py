"""What to install into a project's environment, and the key of everything that the result depends on.

Pure: files are read through the function handed over (`read(name) -> text or None`, names relative to the project's
root, which may lead out of it for shared requirements). Nothing of the project is executed, not even setup.py.
docs/profile.md has the order in which files are looked for.
"""

from __future__ import annotations

import itertools
import json
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from devstack.detect import poetry_lock
from devstack.detect.install_steps import (
    Chosen,
    InstallPlan,
    InstallStep,
    Locked,
    Wanted,
    digest,
    refuse_options,
    source_warnings,
    with_options,
)
from devstack.detect.lock_lines import Target, strings
from devstack.detect.locks import FOLLOWED, read_lock
from devstack.detect.project_files import ProjectFiles, Read, table
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
#: PEP 751 knows these names alone
_PYLOCK = re.compile(r"pylock\.([^.]+\.)?toml")
_CONDA = ("environment.yml", "environment.yaml", "conda.yml")


def plan(read: Read, python: Python, version: str) -> InstallPlan:
    """What to install for a Python of this version (`3.11.7`). Raises UsageError for a file that is named and missing,
    or can't be understood."""
    reader = _Reader(ProjectFiles(read), python, Target(version), Wanted(python.extras, python.groups))
    project = reader.project
    chosen = reader.named() if python.install is not None else reader.detected()
    steps = (*chosen.steps, *reader.groups("."))
    reader.wanted.settle()
    constraints = _constraint_args(project, python)
    if python.packages:
        refuse_options("packages", python.packages)
        listed = ", ".join(python.packages)
        steps += (InstallStep(f"install {listed}", ("pip", "install", "--", *python.packages)),)
    steps = tuple(with_options(steps, python, constraints))
    warnings = [*project.warnings, *source_warnings(python, reader.indexes)]
    if python.extras and not reader.has_extras:
        warnings.append("[python] extras has no effect: only requirements files are installed")
    if (python.exclude_newer or python.prerelease) and steps and all(step.is_exact for step in steps):
        warnings.append("[python] exclude_newer and prerelease have no effect: a lock file says every version")
    return InstallPlan(steps, tuple(project.inputs.values()), chosen.reason, tuple(warnings), python.installer)


def environment_key(chosen: InstallPlan, interpreter: str, place: str) -> str:
    """Name of the environment: the same whenever it would come out the same. place: the folder it lives in, since an
    environment can't be moved."""
    inputs = [[entry.name, entry.text] for entry in chosen.inputs]
    steps = [[step.args, step.lines] for step in chosen.steps]
    return digest(json.dumps([RECIPE, chosen.installer, interpreter, place, steps, inputs]))


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
    files = ProjectFiles(read)
    pyproject = files.pyproject("pyproject.toml")
    requires = table(pyproject, "project").get("requires-python")
    if isinstance(requires, str) and requires:
        return requires, "requires-python in pyproject.toml"
    if found := poetry_lock.wanted_python(pyproject):
        return found, "[tool.poetry.dependencies] python"
    if (text := files.peek("Pipfile.lock")) is not None and not pyproject:
        named = table(table(read_lock("Pipfile.lock", text), "_meta"), "requires")
        wanted = named.get("python_full_version") or named.get("python_version")
        if isinstance(wanted, str) and re.fullmatch(r"3(\.\d+){0,2}", wanted):
            return wanted, "Pipfile.lock"
    return None, ""


@dataclass
class _Reader:
    """Chooses the steps, and remembers what was met on the way. indexes: of locks, by their file."""

    project: ProjectFiles
    python: Python
    target: Target
    wanted: Wanted
    indexes: dict[str, Sequence[str]] = field(default_factory=dict)
    has_extras: bool = False

    # --- choosing ----------------------------------------------------------------------------------------------------

    def detected(self) -> Chosen:
        project = self.project
        pyproject = project.pyproject("pyproject.toml")
        describes = bool(table(pyproject, "project") or table(table(pyproject, "tool"), "poetry"))
        if found := self._locked(pyproject, describes=describes):
            return found
        for name in _REQUIREMENTS:
            if project.peek(name) is not None:
                return Chosen(self._requirements((name,)), f"{name} is there")
        if describes:
            return Chosen(self._project("."), "pyproject.toml describes the project")
        setup_cfg = project.peek("setup.cfg") or ""
        if project.peek("setup.py") is not None or re.search(r"^\[(metadata|options)\]", setup_cfg, re.M):
            return Chosen(self._project("."), "setup.py or setup.cfg describes the project")
        if self.wanted.groups and table(pyproject, "dependency-groups"):
            return Chosen((), "dependency groups of pyproject.toml")
        for name in _CONDA:
            if project.peek(name) is not None:
                project.warnings.append(f"{name} is conda's and isn't followed: name requirements in [python] install")
        return Chosen()

    def _locked(self, pyproject: dict[str, object], *, describes: bool) -> Chosen | None:
        """What the first lock file that is there asks for, in the order of docs/profile.md."""
        project = self.project
        own = [lock] if pyproject and (lock := self._find_uv_lock()) else []
        locks = [*own, *(("poetry.lock", "pdm.lock") if describes else ()), "pylock.toml", "Pipfile.lock"]
        for lock in locks:
            if project.peek(lock) is None:
                continue
            if lock not in FOLLOWED:
                if self.python.installer == "pip":
                    project.warnings.append(f"{lock} isn't followed: pip can't read it")
                    continue
                return Chosen((self._uvs_own(lock),), f"{lock} is there")
            found = self._followed(lock)
            if not found.lack:
                return Chosen(self._lock_steps(lock, found), f"{lock} is there")
            if lock == "Pipfile.lock":
                raise _unfollowed(lock, found.lack)
            project.warnings.append(
                f"{lock} isn't followed: {found.lack}; versions come from the ranges in pyproject.toml"
            )
            return Chosen(self._project("."), f"{lock} can't be followed")
        return None

    def named(self) -> Chosen:
        entries = self.python.install or ()
        refuse_options("install", entries)
        steps: list[InstallStep] = []
        together: list[str] = []
        for entry in (*entries, ""):
            found = _ENTRY.match(entry)
            path = posixpath.normpath(found["path"].strip()) if found else ""
            name = posixpath.basename(path)
            is_lock = name == "uv.lock" or name in FOLLOWED or bool(_PYLOCK.fullmatch(name))
            is_project = self.project.is_project(path) or path == "." or name == "pyproject.toml"
            if path and not is_lock and not is_project:
                self.project.require(path, "[python] install")
                together.append(path)
                continue
            steps += self._requirements(together)
            together = []
            if is_lock:
                steps += self._named_lock(path)
            elif found:
                extras = [extra.strip() for extra in (found["extras"] or "").split(",") if extra.strip()]
                folder = posixpath.dirname(path) or "." if name == "pyproject.toml" else path
                steps += self._project(folder, extras)
        return Chosen(tuple(steps), "[python] install names it")

    def _named_lock(self, path: str) -> tuple[InstallStep, ...]:
        self.project.require(path, "[python] install")
        name = posixpath.basename(path)
        if name in FOLLOWED:
            found = self._followed(path)
            if found.lack:
                raise _unfollowed(path, found.lack)
            return self._lock_steps(path, found)
        if self.python.installer == "pip":
            raise _unfollowed(path, "pip can't read it")
        return (self._uvs_own(path),)

    # --- locks -------------------------------------------------------------------------------------------------------

    def _find_uv_lock(self) -> str | None:
        if self.project.peek("uv.lock") is not None:
            return "uv.lock"
        # a member of a uv workspace: its lock lies beside the workspace's own pyproject.toml, some folders up
        for prefix in ("../", "../../", "../../../"):
            above = self.project.peek(f"{prefix}pyproject.toml") or ""
            if "[tool.uv.workspace]" in above and self.project.peek(f"{prefix}uv.lock") is not None:
                return f"{prefix}uv.lock"
        return None

    def _uvs_own(self, lock: str) -> InstallStep:
        text = self.project.add(lock) or ""
        options = [word for extra in self.wanted.extras for word in ("--extra", extra)]
        # uv itself knows which groups the lock has
        options += [word for group in self.wanted.among(self.wanted.groups) for word in ("--group", group)]
        self.has_extras = True
        if posixpath.basename(lock) != "uv.lock":
            return InstallStep(f"install {lock}", ("pip", "install", "--no-deps", "-r", lock, *options))
        folder = posixpath.dirname(lock)
        self.project.add_pyproject("pyproject.toml")
        for member in (".", *_MEMBER.findall(text)):
            self.project.add_project(posixpath.normpath(posixpath.join(folder, member)))
        return InstallStep(f"sync {lock}", ("sync", "--frozen", *options))

    def _followed(self, lock: str) -> Locked:
        text = self.project.peek(lock) or ""
        folder, name = posixpath.split(lock)
        pyproject = self.project.pyproject(posixpath.join(folder, "pyproject.toml"))
        found = FOLLOWED[name](read_lock(lock, text), pyproject, self.wanted, self.target)
        return found.inside(folder)

    def _lock_steps(self, lock: str, found: Locked) -> tuple[InstallStep, ...]:
        self.project.add(lock)
        self.has_extras = True
        if found.indexes:
            self.indexes[lock] = found.indexes
        for words in found.local:
            if self.project.is_project(words[-1]):
                self.project.add_project(posixpath.normpath(words[-1]))
        folder = posixpath.dirname(lock) or "."
        steps = found.steps(lock)
        parsed = self.project.add_pyproject(posixpath.normpath(posixpath.join(folder, "pyproject.toml")))
        tool = table(parsed, "tool")
        is_package = table(tool, "poetry").get("package-mode", True) and table(tool, "pdm").get("distribution", True)
        if posixpath.basename(lock) != "Pipfile.lock" and "build-system" in parsed and is_package:
            steps += (self._built(folder, folder, "--no-deps"),)
        return steps

    # --- requirements, projects, groups ------------------------------------------------------------------------------

    def _requirements(self, files: Sequence[str]) -> tuple[InstallStep, ...]:
        """Files of one kind go into one call, so that they are resolved together; hashes are all or nothing in one.
        Where they pin one package to several versions nothing resolves them: a call each, and the last counts."""
        hashed = {name: self.project.add_requirements(name) for name in files}
        if clash := self.project.contradiction(files):
            self.project.warnings.append(f"{clash}: installed one after the other, the last one counts")
            return tuple(_requirements_step([name], hashed[name], alone=True) for name in files)
        runs = itertools.groupby(files, key=hashed.__getitem__)
        return tuple(_requirements_step(list(run), has_hashes) for has_hashes, run in runs)

    def _project(self, folder: str, named: Sequence[str] = ()) -> tuple[InstallStep, ...]:
        parsed = self.project.add_project(folder)
        extras = (*named, *self.wanted.extras)
        self.has_extras = True
        steps: tuple[InstallStep, ...]
        if "build-system" in parsed or not table(parsed, "project"):
            steps = (self._built(folder, f"{folder}[{','.join(extras)}]" if extras else folder),)
        else:
            # no build backend: an application whose dependencies are wanted, not a package (uv's own rule)
            steps = (self._dependencies(folder, parsed, extras),)
        return (*steps, *self.groups(folder))

    def _built(self, folder: str, target: str, *options: str) -> InstallStep:
        place = target if target.startswith((".", "/")) else f"./{target}"
        words = ("-e", target) if self.python.editable else (place,)
        how = " (editable)" if self.python.editable else ""
        return InstallStep(f"install {target}{how}", ("pip", "install", *options, *words), is_local=bool(options))

    def _dependencies(self, folder: str, parsed: dict[str, object], extras: Sequence[str]) -> InstallStep:
        name = posixpath.normpath(posixpath.join(folder, "pyproject.toml"))
        what = f"install the dependencies of {name}"
        if self.python.installer == "pip":
            project = table(parsed, "project")
            optional = table(project, "optional-dependencies")
            lines = strings(project.get("dependencies"))
            lines += [line for extra in extras for line in strings(optional.get(extra))]
            return InstallStep(what, ("pip", "install"), tuple(lines))
        options = [word for extra in extras for word in ("--extra", extra)]
        return InstallStep(what, ("pip", "install", "-r", name, *options))

    def groups(self, folder: str) -> tuple[InstallStep, ...]:
        """The wanted groups that this folder's pyproject.toml has and that nothing else has brought."""
        name = posixpath.normpath(posixpath.join(folder, "pyproject.toml"))
        parsed = self.project.pyproject(name)
        standard, own = table(parsed, "dependency-groups"), poetry_lock.groups_of(parsed)
        known = (*standard, *own)
        left = [group for group in self.wanted.groups if group not in self.wanted.met]
        chosen = [group for group in self.wanted.among(known) if group in left and group in known]
        if not chosen:
            return ()
        self.project.add_pyproject(name)
        what = f"install the groups {', '.join(chosen)}"
        lines = [line for group in chosen if group not in standard for line in self._poetry_group(parsed, group)]
        plain = [group for group in chosen if group in standard]
        if self.python.installer == "pip":
            lines += [line for group in plain for line in _group_lines(standard, group, frozenset())]
            plain = []
        place = "" if name == "pyproject.toml" else f"{name}:"
        options = [word for group in plain for word in ("--group", f"{place}{group}")]
        return (InstallStep(what, ("pip", "install", *options), tuple(lines)),)

    def _poetry_group(self, parsed: dict[str, object], group: str) -> tuple[str, ...]:
        lines = poetry_lock.group_lines(parsed, group, self.target)
        if lines is None:
            raise UsageError(
                "group-unreadable", f"Poetry's group {group} has an entry that isn't a version",
                why="only poetry.lock says what it stands for", fix="poetry lock",
            )
        return lines


def _requirements_step(files: Sequence[str], hashed: bool, *, alone: bool = False) -> InstallStep:
    """alone: others of the project's files say otherwise. What has hashes names all that it needs."""
    named = [word for name in files for word in ("-r", name)]
    if hashed:
        named = [*(("--no-deps",) if alone else ()), "--require-hashes", *named]
    return InstallStep(f"install {', '.join(files)}", ("pip", "install", *named))


def _group_lines(groups: dict[str, object], name: str, above: frozenset[str]) -> list[str]:
    """A group of PEP 735 with what it includes. Raises UsageError for one that isn't there or includes itself."""
    entries = groups.get(name)
    if not isinstance(entries, list) or name in above:
        why = "it includes itself" if name in above else f"{', '.join(sorted(above)) or '[python] groups'} names it"
        raise UsageError("group-unknown", f"the group {name} can't be installed", why=why, fix="correct pyproject.toml")
    lines = strings(entries)
    for entry in entries:
        if isinstance(entry, dict) and isinstance(entry.get("include-group"), str):
            lines += _group_lines(groups, entry["include-group"], above | {name})
    return lines


def _unfollowed(lock: str, lack: str) -> UsageError:
    return UsageError(
        "lock-unfollowed", f"{lock} can't be followed", why=lack,
        fix='install = ["pyproject.toml"] below [python], or make the lock anew',
    )


def _constraint_args(project: ProjectFiles, python: Python) -> tuple[str, ...]:
    refuse_options("constraints", python.constraints)
    for name in python.constraints:
        project.require(name, "[python] constraints")
        project.add_requirements(name)
    return tuple(word for name in python.constraints for word in ("-c", name))
