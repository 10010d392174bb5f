"""What somebody who helps needs to see of a stack, as one text without secrets; whatever can't be told says why."""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from devstack import __version__
from devstack.doctor import findings
from devstack.errors import DevstackError
from devstack.masking import is_telling
from devstack.plan import Up
from devstack.profile import source
from devstack.profile.env_file import parse_env
from devstack.profile.model import Ask
from devstack.redacting import Redactor, strings, worth_hiding
from devstack.stack import Stack
from devstack.stack.containers import Containers
from devstack.stack.declared_files import env_files
from devstack.stack.examining import examine, machine
from devstack.stack.logs import Logs
from devstack.stack.paths import LOCAL, PROFILE
from devstack.system import System

#: of the last runs; of each run, and of each log
_RUNS, _ENTRIES, _LINES = 5, 400, 60
_MOST = 1_000_000
#: of the record, what is this machine's environment, or only said what was told
_LEFT_OUT = ("base", "told")
_ENV_FILE = re.compile(r'env_file\s*=\s*(\[[^\]]*\]|"[^"\n]*")')

_DEFAULT = re.compile(r"""default\s*=\s*["']([^"'\n]+)""")
_OWN_TABLES = re.compile(r"^\[+tool\.devstack[^\n]*\n(?:(?!\[)[^\n]*\n?)*", re.MULTILINE)


@dataclass(frozen=True)
class Part:
    """One section of the report."""

    title: str
    text: str


def report(system: System, stack: Stack | None, here: Path) -> tuple[Part, ...]:
    """stack: None outside of a project. Changes nothing, waits for nobody long, raises nothing for what isn't seen."""
    redact = _redactor(system, stack)
    folder = stack.project.root if stack else here
    sections: dict[str, Callable[[], str]] = {
        "versions": partial(_versions, system), "machine": partial(_machine, system, folder),
    }
    if stack is None:
        sections["doctor"] = lambda: _said(findings(machine(system, here)))
    else:
        sections |= _of_stack(system, stack)
    return tuple(Part(title, redact(_told(say))) for title, say in sections.items())


def _of_stack(system: System, stack: Stack) -> dict[str, Callable[[], str]]:
    return {
        "status": partial(_status, stack),
        "plan": lambda: stack.plan(Up()).text() or "nothing to do",
        "doctor": lambda: _said(findings(examine(stack))),
        "record": partial(_record, stack),
        **{f"profile {name}": partial(str, text) for name, text in _profiles(system, stack)},
        **{f"run {path.stem}": partial(_journal, system, path) for path in _journals(stack)},
        "logs": partial(_logs, system, stack),
    }


def text_of(parts: tuple[Part, ...]) -> str:
    return "".join(f"===== {part.title} =====\n{part.text.rstrip()}\n\n" for part in parts)


def write(system: System, stack: Stack | None, text: str, stamp: str) -> Path:
    """Into the project's private folder; where that can't be written, the person's own, else the one for what is
    temporary. Raises StorageError where none of them can."""
    home = system.environ.get("XDG_STATE_HOME") or str(Path(system.environ.get("HOME", "/")) / ".local" / "state")
    temporary = Path(system.environ.get("TMPDIR") or "/tmp") / f"devstack-support-{system.user_id()}"  # noqa: S108 - private
    own = [stack.project.folder / "support"] if stack else []
    places = (*own, Path(home) / "devstack" / "support", temporary)
    for place in places:
        try:
            path = system.private_folder(place) / f"{stamp}.txt"
            system.write(path, text)
        except DevstackError:
            if place == places[-1]:
                raise
        else:
            return path
    raise LookupError(places)


def _told(say: Callable[[], str]) -> str:
    try:
        return say()
    except DevstackError as error:
        lines = [f"can't be told ({error.id}): {error.what}", f"why: {error.why}", f"fix: {error.fix}", *error.evidence]
        return "\n".join(lines)
    except OSError as error:
        return f"can't be told: {error}"


# --- what is said -----------------------------------------------------------------------------------------------------


def _versions(system: System) -> str:
    lines = [f"devstack {__version__}", f"Python {platform.python_version()} ({sys.executable})", platform.platform()]
    git = system.which("git", system.environ.get("PATH", ""))
    lines.append(system.run((git, "--version"), timeout=5.0).stdout.strip() if git else "git: none")
    containers = Containers(system)
    lines.append(containers.engine.title if not containers.problem else f"no engine: {containers.problem}")
    return "\n".join(lines)


def _machine(system: System, folder: Path) -> str:
    facts = machine(system, folder)
    words = [name for name in system.environ if name.startswith("DEVSTACK_")]
    shown: Mapping[str, Any] = {
        "processors": os.cpu_count(), "memory free": _megabytes(facts.memory), "disk free": _megabytes(facts.free_disk),
        "user is root": system.user_id() == 0, "LANG": system.environ.get("LANG", ""),
        "LC_ALL": system.environ.get("LC_ALL", ""), "DEVSTACK_* that are set": ", ".join(sorted(words)) or "none",
    }
    return "\n".join(f"{name}: {value}" for name, value in shown.items())


def _megabytes(count: int | None) -> str:
    return "unknown" if count is None else f"{count // 1_000_000} MB"


def _status(stack: Stack) -> str:
    found = stack.status()
    services = [
        f"service {one.name}: {one.kind} {one.version} {one.runtime} {one.state} ready={one.ready} port={one.port} "
        f"{one.reason or ''}" for one in found.services
    ]
    processes = [
        f"process {one.name} {one.replica}: {one.role} {one.state} ready={one.ready} port={one.port} "
        f"restarts={one.restarts} {one.reason or ''}" for one in found.processes
    ]
    return "\n".join([f"{found.stack.name}: {found.stack.state}", *services, *processes])


def _said(found: tuple[Any, ...]) -> str:
    return "\n".join(
        f"{one.severity} {one.id} {one.target}: {one.what}\n  why: {one.why}\n  fix: {one.fix}" for one in found
    ) or "nothing is wrong"


def _record(stack: Stack) -> str:
    raw = json.loads(stack.system.read(stack.project.record) or "{}")
    return json.dumps({key: value for key, value in raw.items() if key not in _LEFT_OUT}, indent=1)


def _profiles(system: System, stack: Stack) -> Iterator[tuple[str, str]]:
    for name in (PROFILE, LOCAL):
        if text := _text(system, stack.project.root / name):
            yield name, text
    if "[tool.devstack" in (text := _text(system, stack.project.root / "pyproject.toml")):
        yield "pyproject.toml", "".join(_OWN_TABLES.findall(text))


def _journals(stack: Stack) -> list[Path]:
    folder = stack.project.journal
    return sorted(folder.glob("*.jsonl"))[-_RUNS:] if folder.is_dir() else []


def _journal(system: System, path: Path) -> str:
    lines = _text(system, path).splitlines()
    return "\n".join([*lines[:1], *lines[1:][-_ENTRIES:]])


def _logs(system: System, stack: Stack) -> str:
    try:
        lines = [f"{name} | {line}" for name, line in Logs(system, stack, ()).last(_LINES)]
    except DevstackError:
        # without a profile nobody knows whose they are
        lines = []
        for path in sorted(stack.project.logs.glob("*.log")) if stack.project.logs.is_dir() else ():
            lines += [f"{path.stem} | {line}" for line in _end(system, path).splitlines()[-_LINES:]]
    of_supervisord = _end(system, stack.project.logs / "supervisord.log").splitlines()
    lines += [f"supervisord | {line}" for line in of_supervisord[-_LINES:]]
    return "\n".join(lines) or "none yet"


def _text(system: System, path: Path) -> str:
    """"" where it can't be read: what a report lacks is no reason for none."""
    return system.read_from(path, 0, _MOST).decode(errors="replace")


def _end(system: System, path: Path) -> str:
    return (system.read_end(path, _MOST) or b"").decode(errors="replace")


# --- what isn't -------------------------------------------------------------------------------------------------------


def _redactor(system: System, stack: Stack | None) -> Redactor:
    secrets, words = worth_hiding({name: text for name, text in system.environ.items() if is_telling(name)})
    if stack is not None:
        known = _names(stack)
        for values in (_generated(system, stack), *_of_env_files(system, stack), *_of_profiles(system, stack)):
            more, alone = worth_hiding(values, known)
            secrets += more
            words += alone
    return Redactor(secrets, words, _places(system))


def _names(stack: Stack) -> tuple[str, ...]:
    try:
        profile = stack.profile
    except DevstackError:
        return ()
    return (profile.name, *profile.services, *profile.processes, *profile.tasks)


def _generated(system: System, stack: Stack) -> dict[str, str]:
    """Everything that was generated, asked or inherited, but for answers that the profile says are no secrets."""
    found: dict[str, str] = {}
    for name in ("secrets.json", "secrets.damaged.json"):
        text = _text(system, stack.project.folder / name)
        try:
            values = json.loads(text or "{}")
        except (ValueError, RecursionError):
            values = None
        if isinstance(values, dict):
            found |= {f"{key}_SECRET": value for key, value in values.items() if isinstance(value, str)}
        else:
            found |= {f"{number}_SECRET": value for number, value in enumerate(strings(text))}
    try:
        plain = [name for name, value in stack.profile.env.items() if isinstance(value, Ask) and not value.secret]
    except DevstackError:
        plain = []
    return {key: value for key, value in found.items() if key not in {f"env.{name}_SECRET" for name in plain}}


def _of_env_files(system: System, stack: Stack) -> Iterator[dict[str, str]]:
    root = stack.project.root
    names = {path.name for path in root.glob("*.env")} | {path.name for path in root.glob(".env*")}
    try:
        names |= {file.path for file in env_files(stack.profile)}
    except DevstackError:
        for name in (PROFILE, LOCAL, "pyproject.toml"):
            for found in _ENV_FILE.findall(_text(system, root / name)):
                names |= set(re.findall(r'"([^"\n]+)"', found))
    for name in sorted(names):
        text = _text(system, root / name)
        try:
            yield parse_env(name, text.encode(errors="surrogateescape"))
        except DevstackError:
            # a line that can't be read may hold a secret as well
            pairs = [line.partition("=") for line in text.splitlines() if "=" in line]
            yield {key.strip(): value.strip().strip("\"'") for key, _, value in pairs}


def _of_profiles(system: System, stack: Stack) -> Iterator[dict[str, str]]:
    """Values that a profile says itself, below names that tell what they are; defaults of questions that are secret."""
    for name in (PROFILE, LOCAL):
        text = _text(system, stack.project.root / name)
        try:
            tables = source.parse(source.SourceFile(name, text, "project"))
        except DevstackError:
            # which question is secret can't be told
            yield {f"{number}_SECRET": found for number, found in enumerate(_DEFAULT.findall(text))}
        else:
            yield dict(_texts(tables))


def _texts(tables: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in tables.items():
        if isinstance(value, Mapping):
            if value.get("secret") is True and isinstance(value.get("default"), str):
                yield f"{name}_SECRET", value["default"]
            yield from _texts(value)
        elif isinstance(value, str) and is_telling(name) and "${" not in value:
            yield name, value


def _places(system: System) -> dict[str, str]:
    """Whose machine it is says nothing to who helps."""
    home, user, host = system.environ.get("HOME", ""), system.environ.get("USER", ""), platform.node()
    # a name that is a common word would be found everywhere
    common = ("root", "user", "devstack", "localhost")
    names = {text: shown for text, shown in ((user, "USER"), (host, "HOST")) if len(text) > 3 and text not in common}
    return names | ({home.rstrip("/"): "~"} if len(home) > 1 else {})
