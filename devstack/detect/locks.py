"""Lock files of other tools, carried over: which there are, and Pipenv's and PDM's as pinned requirements. Pure."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from typing import Any

from devstack.detect import poetry_lock
from devstack.detect.install_steps import Locked, Wanted
from devstack.detect.lock_lines import Target, git_line, normal, strings
from devstack.detect.project_files import table
from devstack.errors import UsageError

Follow = Callable[[Mapping[str, Any], dict[str, Any], Wanted, Target], Locked]


def read_lock(name: str, text: str) -> dict[str, Any]:
    """Raises UsageError for a lock that can't be read, such as one with conflict marks of a merge."""
    try:
        parsed = json.loads(text) if name.endswith("Pipfile.lock") else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(
            "lock-invalid", f"{name} can't be read", why=(str(error).splitlines() or [""])[0], fix=f"correct {name}"
        ) from None
    if not isinstance(parsed, dict):
        raise UsageError("lock-invalid", f"{name} can't be read", why="it holds no table", fix=f"correct {name}")
    return parsed


def pipenv(lock: Mapping[str, Any], pyproject: dict[str, Any], wanted: Wanted, target: Target) -> Locked:
    """As `pipenv sync` would: `default`, and other categories where they are wanted (`develop` also as `dev`)."""
    categories = [name for name in lock if name not in ("_meta", "default")]
    chosen = wanted.among([*categories, *(["dev"] if "develop" in categories else [])])
    hashed, plain, local = list[str](), list[str](), list[tuple[str, ...]]()
    for category in dict.fromkeys(("default", *("develop" if name == "dev" else name for name in chosen))):
        for name, entry in table(dict(lock), category).items():
            if not isinstance(entry, dict):
                return Locked(lack=f"its entry for {name} isn't understood")
            if not target.holds(str(entry.get("markers") or "")):
                continue
            hashes = [f"--hash={one}" for one in strings(entry.get("hashes"))]
            if "path" in entry:
                local.append(("-e", str(entry["path"])) if entry.get("editable") else (str(entry["path"]),))
            elif "git" in entry:
                plain.append(git_line(normal(name), str(entry["git"]), str(entry.get("ref", "")),
                                      entry.get("subdirectory")))
            elif "file" in entry:
                plain.append(f"{normal(name)} @ {entry['file']}")
            else:
                line = " ".join((f"{normal(name)}{entry.get('version', '')}", *hashes))
                (hashed if hashes else plain).append(line)
    return Locked(_once(hashed), _once(plain), tuple(dict.fromkeys(local)), _indexes(lock))


def _indexes(lock: Mapping[str, Any]) -> tuple[str, ...]:
    sources = table(dict(lock), "_meta").get("sources")
    found = [one for one in sources if isinstance(one, dict)] if isinstance(sources, list) else []
    # `pypi` is what a machine's own index stands for, whichever that is
    return tuple(str(one["url"]) for one in found if one.get("name") != "pypi" and "url" in one)


def pdm(lock: Mapping[str, Any], pyproject: dict[str, Any], wanted: Wanted, target: Target) -> Locked:
    """As `pdm sync` would: the default group, the extras that are wanted, and the groups for development."""
    metadata = table(dict(lock), "metadata")
    if "inherit_metadata" not in strings(metadata.get("strategy")):
        return Locked(lack="it was made without `inherit_metadata`: run `pdm lock -S inherit_metadata`")
    development = {*table(pyproject, "dependency-groups"), *table(table(table(pyproject, "tool"), "pdm"),
                                                                  "dev-dependencies")}
    locked = strings(metadata.get("groups"))
    chosen = {"default", *wanted.extras, *(name for name in locked if name in development), *wanted.among(locked)}
    hashed, plain, local = list[str](), list[str](), list[tuple[str, ...]]()
    for package in lock.get("package") or ():
        if not isinstance(package, dict) or not isinstance(package.get("name"), str):
            return Locked(lack="it has an entry that isn't understood")
        if not chosen & set(strings(package.get("groups"))) or not target.holds(str(package.get("marker") or "")):
            continue
        name = normal(package["name"])
        files = [entry for entry in package.get("files") or () if isinstance(entry, dict)]
        hashes = [f"--hash={one}" for one in strings(entry.get("hash") for entry in files)]
        if "git" in package:
            plain.append(git_line(name, str(package["git"]), str(package.get("revision", "")),
                                  package.get("subdirectory")))
        elif "path" in package:
            local.append(("-e", str(package["path"])) if package.get("editable") else (str(package["path"]),))
        elif "url" in package:
            plain.append(f"{name} @ {package['url']}")
        else:
            (hashed if hashes else plain).append(" ".join((f"{name}=={package.get('version')}", *hashes)))
    return Locked(_once(hashed), _once(plain), tuple(dict.fromkeys(local)))


def _once(lines: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(lines))


#: by file name, in order of precedence; uv's own locks (uv.lock, pylock.toml) need no carrying over
FOLLOWED: Mapping[str, Follow] = {"poetry.lock": poetry_lock.follow, "pdm.lock": pdm, "Pipfile.lock": pipenv}
