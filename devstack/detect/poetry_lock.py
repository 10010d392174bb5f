"""poetry.lock as pinned requirements: what `poetry install` would choose for one Python on this machine. Pure.

The lock is a graph: what is installed is what can be reached from pyproject.toml's own requirements over edges whose
markers hold here. Source of the format: https://python-poetry.org/docs/ and the lock files of Poetry 1.1 to 2.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from devstack.detect.install_steps import Locked, Wanted
from devstack.detect.lock_lines import Target, git_line, is_marked, normal, strings
from devstack.detect.poetry_versions import allows, specifiers
from devstack.detect.project_files import table

#: Poetry before 1.3 left these out of its locks: every environment had them, and a setuptools with pkg_resources
_SEEDED = {"setuptools": "setuptools<81", "pip": "pip", "wheel": "wheel", "distribute": "distribute"}
_NAME = re.compile(r"\s*(?P<name>[A-Za-z0-9][\w.-]*)\s*(?:\[(?P<extras>[^\]]*)\])?")


@dataclass(frozen=True)
class _Wish:
    """One requirement of the project or of a package. by: who has it."""

    name: str
    by: str
    constraint: str = "*"
    extras: frozenset[str] = frozenset()
    is_optional: bool = False


class _LackError(Exception):
    """The lock can't be followed, in words."""


def follow(lock: Mapping[str, Any], pyproject: dict[str, Any], wanted: Wanted, target: Target) -> Locked:
    """What is installed. A lock that can't be followed faithfully says why."""
    if "metadata" not in lock:
        return Locked(lack="it isn't complete")
    try:
        walk = _Walk(lock, target.with_extras(wanted.extras))
        walk.seed()
        for wish in _roots(pyproject, wanted, target):
            walk.reach(wish)
        return walk.locked()
    except _LackError as lack:
        return Locked(lack=str(lack))


def groups_of(pyproject: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Poetry's own groups: their tables by name, the `dev-dependencies` of old among them."""
    poetry = table(table(pyproject, "tool"), "poetry")
    found = {name: group for name, group in table(poetry, "group").items() if isinstance(group, dict)}
    if old := table(poetry, "dev-dependencies"):
        found.setdefault("dev", {"dependencies": old})
    return found


def group_lines(pyproject: dict[str, Any], name: str, target: Target) -> tuple[str, ...] | None:
    """A group's requirements as ranges, for a project without a lock; None where one isn't a version's."""
    lines = []
    for wish in _of_table(table(groups_of(pyproject).get(name, {}), "dependencies"), name, target):
        try:
            (one,) = specifiers(wish.constraint)
        except ValueError:
            return None
        extras = f"[{','.join(sorted(wish.extras))}]" if wish.extras else ""
        lines.append(f"{wish.name}{extras}{one}")
    return tuple(lines)


def wanted_python(pyproject: dict[str, Any]) -> str:
    """Poetry's `python` constraint as a PEP 440 specifier, "" where there is none that one can say."""
    value = table(table(table(pyproject, "tool"), "poetry"), "dependencies").get("python")
    try:
        found = specifiers(value) if isinstance(value, str) else ()
    except ValueError:
        return ""
    return found[0] if len(found) == 1 else ""


# --- what the project asks for ---------------------------------------------------------------------------------------


def _roots(pyproject: dict[str, Any], wanted: Wanted, target: Target) -> Iterator[_Wish]:
    poetry, project = table(table(pyproject, "tool"), "poetry"), table(pyproject, "project")
    by = "pyproject.toml"
    for extra in wanted.extras:
        yield from _of_texts(table(project, "optional-dependencies").get(extra, ()), by, target)
    if project.get("dependencies"):
        yield from _of_texts(project["dependencies"], by, target)
    else:
        # an empty list counts as none given, for Poetry too: its own table is asked then
        listed = {normal(name) for extra in wanted.extras for name in _names(table(poetry, "extras").get(extra, ()))}
        for wish in _of_table(table(poetry, "dependencies"), by, target):
            if not wish.is_optional or wish.name in listed:
                yield wish
    own, standard = groups_of(pyproject), table(pyproject, "dependency-groups")
    chosen = wanted.among(dict.fromkeys((*own, *standard)))
    default = (name for name in (*own, *standard) if not own.get(name, {}).get("optional"))
    for name in _with_included(dict.fromkeys((*default, *chosen)), own, standard):
        yield from _of_table(table(own.get(name, {}), "dependencies"), by, target)
        yield from _of_texts(standard.get(name, ()), by, target)


def _with_included(
    names: Iterable[str], own: Mapping[str, Mapping[str, Any]], standard: Mapping[str, Any]
) -> dict[str, None]:
    found: dict[str, None] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop(0)
        if name in found:
            continue
        found[name] = None
        waiting += strings(own.get(name, {}).get("include-groups"))
        entries = standard.get(name)
        listed = entries if isinstance(entries, list) else []
        waiting += strings(entry.get("include-group") for entry in listed if isinstance(entry, dict))
    return found


def _of_texts(texts: Any, by: str, target: Target) -> Iterator[_Wish]:
    """PEP 508 requirements."""
    from packaging.requirements import InvalidRequirement, Requirement

    for text in strings(texts):
        try:
            one = Requirement(text)
        except InvalidRequirement:
            raise _LackError(f"{by} has {text!r}, which is no requirement") from None
        if one.marker is None or target.holds(str(one.marker)):
            yield _Wish(normal(one.name), by, str(one.specifier) or "*", frozenset(one.extras))


def _of_table(entries: Mapping[str, Any], by: str, target: Target) -> Iterator[_Wish]:
    """Poetry's requirements: a constraint, a table or a list of tables by name."""
    for name, value in entries.items():
        if name == "python":
            continue
        for one in value if isinstance(value, list) else [value]:
            entry = {"version": one} if isinstance(one, str) else one
            if not isinstance(entry, dict):
                raise _LackError(f"{by} has an entry for {name} that isn't understood")
            if _is_for(entry, target):
                yield _Wish(
                    normal(name), by, str(entry.get("version", "*")), frozenset(strings(entry.get("extras"))),
                    bool(entry.get("optional")),
                )


def _is_for(entry: Mapping[str, Any], target: Target) -> bool:
    python, platform = entry.get("python"), entry.get("platform")
    try:
        fits = not isinstance(python, str) or allows(python, target.version)
    except ValueError:
        raise _LackError(f"{python!r} isn't understood") from None
    if isinstance(platform, str):
        fits = fits and target.holds(f"sys_platform == '{platform}'")
    return fits and target.holds(str(entry.get("markers") or ""))


# --- what the lock has of it -----------------------------------------------------------------------------------------


@dataclass
class _Walk:
    """From wish to package, each package once per set of extras."""

    lock: Mapping[str, Any]
    target: Target
    _packages: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    _reached: dict[int, tuple[dict[str, Any], frozenset[str]]] = field(default_factory=dict)
    _seeded: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for package in self.lock.get("package") or ():
            if not isinstance(package, dict) or not isinstance(package.get("name"), str):
                raise _LackError("it has an entry that isn't understood")
            self._packages.setdefault(normal(package["name"]), []).append(package)

    def seed(self) -> None:
        """What every environment of an old Poetry had, whether anything asks for it or not."""
        is_old = str(table(dict(self.lock), "metadata").get("lock-version", "")).startswith("1.")
        if is_old and "setuptools" not in self._packages:
            self._seeded.add("setuptools")

    def reach(self, first: _Wish) -> None:
        waiting = [first]
        while waiting:
            wish = waiting.pop()
            package = self._package(wish)
            if package is None:
                continue
            before = self._reached.get(id(package))
            extras = wish.extras | (before[1] if before else frozenset())
            if before is None or extras != before[1]:
                self._reached[id(package)] = (package, extras)
                waiting += self._edges(package, extras)

    def _package(self, wish: _Wish) -> dict[str, Any] | None:
        found = self._packages.get(wish.name, [])
        if not found:
            if wish.name in _SEEDED:
                self._seeded.add(wish.name)
                return None
            raise _LackError(f"{wish.name} isn't in it, though {wish.by} asks for it: it is older than pyproject.toml")
        fitting = [one for one in found if _fits(str(one.get("python-versions", "*")), self.target.version)]
        if not fitting:
            raise _LackError(f"{wish.name} {found[0].get('version')} isn't for Python {self.target.version}")
        if len(fitting) > 1:
            fitting = [one for one in fitting if is_marked(one.get("markers"), self.target)] or fitting
        exact = [one for one in fitting if "source" in one or _fits(wish.constraint, str(one.get("version")))]
        if not exact:
            have = ", ".join(str(one.get("version")) for one in fitting)
            raise _LackError(f"it has {wish.name} {have}, and {wish.by} asks for {wish.constraint}")
        if len(exact) > 1:
            raise _LackError(f"it has {len(exact)} entries of {wish.name} that hold for Python {self.target.version}")
        return exact[0]

    def _edges(self, package: dict[str, Any], extras: frozenset[str]) -> Iterator[_Wish]:
        own = normal(package["name"])
        chosen: dict[str, set[str]] = {}
        waiting, seen = list(extras), set[str]()
        known = {normal(name): entries for name, entries in table(package, "extras").items()}
        while waiting:
            extra = normal(waiting.pop())
            if extra in seen:
                continue
            seen.add(extra)
            for name, further in _entries(known.get(extra, ())):
                if name == own:
                    waiting += further
                chosen.setdefault(name, set()).update(further)
        # its markers mean its own extras: `httptools = {optional = true, markers = "extra == \"standard\""}`
        target = self.target.with_extras(tuple(sorted(seen)))
        for wish in _of_table(table(package, "dependencies"), f"{own} {package.get('version')}", target):
            if not wish.is_optional or wish.name in chosen:
                yield wish

    def locked(self) -> Locked:
        hashed, local, indexes = list[str](), list[tuple[str, ...]](), dict[str, None]()
        plain = sorted(_SEEDED[name] for name in self._seeded)
        for package, _ in sorted(self._reached.values(), key=lambda found: normal(found[0]["name"])):
            name, source = normal(package["name"]), table(package, "source")
            kind, url = source.get("type", ""), str(source.get("url", ""))
            hashes = self._hashes(package)
            if kind in ("", "legacy"):
                (hashed if hashes else plain).append(" ".join((f"{name}=={package.get('version')}", *hashes)))
                indexes |= {url: None} if kind else {}
            elif kind == "url":
                (hashed if hashes else plain).append(" ".join((f"{name} @ {url}", *hashes)))
            elif kind == "git":
                plain.append(git_line(name, url, str(source.get("resolved_reference", "")), source.get("subdirectory")))
            elif kind in ("directory", "file"):
                local.append(("-e", url) if kind == "directory" and package.get("develop") else (url,))
            else:
                raise _LackError(f"{name} comes from {kind!r}, which isn't known")
        return Locked(tuple(hashed), tuple(plain), tuple(local), tuple(indexes))

    def _hashes(self, package: dict[str, Any]) -> tuple[str, ...]:
        files = package.get("files")
        if not files:
            # locks of Poetry 1.1 to 1.4 have them at their end
            by_name = table(table(dict(self.lock), "metadata"), "files")
            files = by_name.get(package["name"]) or by_name.get(normal(package["name"]))
        found = (entry.get("hash") for entry in files or () if isinstance(entry, dict))
        return tuple(f"--hash={one}" for one in sorted({*strings(found)}) if re.fullmatch(r"sha\d+:[0-9a-f]+", one))


def _fits(constraint: str, version: str) -> bool:
    try:
        return allows(constraint, version)
    except ValueError:
        # a version or a constraint of nobody's standard tells nothing
        return True


def _entries(texts: Any) -> Iterator[tuple[str, list[str]]]:
    """(name, extras) of an extra's entries, such as `redis[hiredis] (>=4)`."""
    for text in strings(texts):
        if found := _NAME.match(text):
            yield normal(found["name"]), [one.strip() for one in (found["extras"] or "").split(",") if one.strip()]


def _names(texts: Any) -> list[str]:
    return [name for name, _ in _entries(texts)]
