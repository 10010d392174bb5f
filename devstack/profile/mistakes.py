"""Mistakes of a merged profile: where each is, and what pydantic's findings are called in a user's words."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pydantic import ValidationError

from devstack.errors import Mistake
from devstack.profile.locate import line_of
from devstack.profile.merge import Merged
from devstack.profile.source import Path, SourceFile, key_text, printable
from devstack.profile.wanted import got, known_keys, step, wanted

#: what other tools call our keys, so that the hint can be right where the spelling is far away
OTHER_TOOLS = {
    "command": "run", "cmd": "run", "exec": "run", "depends_on": "needs", "depends": "needs", "requires": "needs",
    "after": "needs", "environment": "env", "env": "environment", "environ": "env", "variables": "env",
    "image": "version", "dir": "cwd", "directory": "cwd", "workdir": "cwd", "working_dir": "cwd",
    "healthcheck": "ready", "health": "ready",
    "instances": "replicas", "scale": "replicas", "numprocs": "replicas", "count": "replicas", "type": "kind",
    "requirements": "install", "dependencies": "install", "procs": "processes", "scripts": "tasks", "base": "extends",
    "inherits": "extends", "jobs": "tasks", "steps": "tasks", "url": "repo", "branch": "ref", "secrets": "env",
    "start_period": "grace", "dbs": "databases", "stop_signal": "stop", "stop_grace_period": "stop",
}  # fmt: skip

MAX_SHOWN = 200


@dataclass(frozen=True)
class Finding:
    """A mistake at a key path of the merged profile, its file and line not yet looked up."""

    path: Path
    text: str
    hint: str = ""


def near(name: str, known: Iterable[str]) -> str:
    """`did you mean `x`?`, or "" where nothing is near."""
    names = list(known)
    lowered = {candidate.lower(): candidate for candidate in reversed(names)}
    found = difflib.get_close_matches(name.lower()[:80], lowered, 1, 0.6)
    return f"did you mean `{lowered[found[0]]}`?" if found else ""


def listed(names: Iterable[str]) -> str:
    """The names, or the first dozen of them."""
    ordered = list(names)
    return ", ".join(ordered[:12]) + (f" and {len(ordered) - 12} more" if len(ordered) > 12 else "")


def near_key(key: str, known: tuple[str, ...]) -> str:
    """The nearest known key, other tools' words for it counted too; else the keys there are."""
    if direct := near(key, known):
        return direct
    others = {word: ours for word, ours in OTHER_TOOLS.items() if ours in known}
    found = difflib.get_close_matches(key.lower()[:80], others, 1, 0.75)
    if found:
        return f"did you mean `{others[found[0]]}`?"
    return f"known here: {listed(known)}" if known else ""


def findings_of(error: ValidationError, root: Any, prefix: Path = ()) -> list[Finding]:
    """Every finding of pydantic below `prefix`; `root` is the annotation that was validated."""
    return [_finding(dict(one), root, prefix) for one in error.errors(include_url=False)[:MAX_SHOWN]]


def _finding(one: dict[str, Any], root: Any, prefix: Path) -> Finding:
    location: tuple[str | int, ...] = one["loc"]
    path = (*prefix, *(part for part in location if part != "[key]" and not str(part).startswith("<")))
    kind = one["type"]
    annotation = _annotation(root, location[:-1] if kind == "extra_forbidden" else location)
    if kind == "extra_forbidden":
        key = str(path[-1])
        return Finding(path, f"unknown key `{printable(key)}`", near_key(key, known_keys(annotation)))
    if kind == "missing":
        return Finding(path, f"the key `{path[-1]}` is missing")
    if kind == "misfit":
        return Finding((*path, one["ctx"]["key"]), printable(one["msg"], 200))
    if kind == "value_error":
        return Finding(path, printable(str(one["ctx"]["error"]), 200))
    value = one["input"]
    if kind == "shape":
        return Finding(path, f"{one['msg']}, got {_shape(value)}")
    hint = "write it in quotes" if kind == "string_type" and isinstance(value, int | float) else ""
    return Finding(path, f"wanted {wanted(annotation)}, got {got(value)}", hint)


def _annotation(root: Any, location: tuple[str | int, ...]) -> Any:
    # a mistake in a key of a table is placed at `…, key, "[key]"`
    way = (*location[:-2], "[key]") if location[-1:] == ("[key]",) else location
    for part in way:
        root = step(root, part)
    return root


def _shape(value: Any) -> str:
    if not isinstance(value, dict):
        return got(value)
    keys = ", ".join(f"`{printable(str(key))}`" for key in value)
    return f"a table with {keys}" if keys else "an empty table"


def mistake_at(merged: Merged, finding: Finding) -> Mistake:
    """The finding with the file that wrote the key and the line in it."""
    file = merged.files[merged.origin(finding.path)]
    key = key_text((*file.table, *finding.path))
    return Mistake(file.name, line_of(file, finding.path), key, finding.text, finding.hint)


def place_of(merged: Merged, path: Path) -> str:
    """`devstack.toml:12`."""
    file = merged.files[merged.origin(path)]
    return place(file, path)


def place(file: SourceFile, path: Path) -> str:
    """`devstack.toml:12`; the name alone of what has no lines."""
    line = line_of(file, path)
    return f"{file.name}:{line}" if line else file.name


def in_file_order(merged: Merged, findings: Iterable[Finding], others: Iterable[Mistake] = ()) -> tuple[Mistake, ...]:
    """Mistakes by file and line, each once, and at most MAX_SHOWN: nobody reads more, and their hints take time."""
    order = {file.name: index for index, file in reversed(list(enumerate(merged.files)))}
    shown = islice(findings, MAX_SHOWN)
    mistakes = dict.fromkeys((*(mistake_at(merged, finding) for finding in shown), *others))
    return tuple(sorted(mistakes, key=lambda mistake: (order[mistake.file], mistake.line)))[:MAX_SHOWN]
