"""What one stack keeps between runs: its record, its secrets, its lock."""

from __future__ import annotations

import base64
import contextlib
import json
import secrets as random
import shlex
import string
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from devstack import state
from devstack.errors import BusyError, UsageError
from devstack.profile.model import Ask, File, Generate, SecretFormat
from devstack.profile.secret import Secret
from devstack.registry import Registry
from devstack.stack.paths import Places, Project
from devstack.state import Record
from devstack.status import Holder
from devstack.system import Identity, System

#: seconds within which whoever holds a stack has said so
_INTRODUCTION = 1.0
_LETTERS = string.ascii_letters + string.digits


class RecordStore:
    """The state file. Many threads may change it; each change is one atomic write."""

    def __init__(self, system: System, project: Project, registry: Registry) -> None:
        self._system = system
        self._project = project
        self._registry = registry
        self._guard = threading.Lock()
        self._record: Record | None = None

    def load(self) -> Record:
        """The record; a new one where there is none, or where it is damaged (the bad file is kept beside)."""
        with self._guard:
            if self._record is None:
                self._record = self._read()
            return self._record

    def refresh(self) -> None:
        """What was read before the stack was held may have changed since."""
        with self._guard:
            if self._project.record.exists():
                self._record = None

    def update(self, change: Callable[[Record], Record]) -> Record:
        """Change the record and write it if it is another one now."""
        with self._guard:
            before = self._record or self._read()
            after = change(before)
            path = self._project.record
            if after != before or not path.exists():
                self._system.private_folder(self._project.folder)
                self._system.write(path, state.dump(after))
            self._record = after
            return after

    def _read(self) -> Record:
        path, root = self._project.record, str(self._project.root)
        text = self._system.read(path)
        found = state.parse(text) if text is not None else None
        if found is None:
            if text is not None:
                self._system.write(path.with_name("state.damaged.json"), text)
            return self._known(root)
        if found.root == root:
            return found
        return self._elsewhere(found, root)

    def _known(self, root: str) -> Record:
        """A record of the stack that the registry knows at this place, else of a new one."""
        for entry in self._registry.entries():
            if entry.root == root:
                return Record(stack=entry.id, root=root, ports=entry.ports)
        return Record(stack=random.token_hex(8), root=root)

    def _elsewhere(self, found: Record, root: str) -> Record:
        """The project's folder was moved, or copied: a copy is another stack, which must not share an identity."""
        text = self._system.read(Path(found.root) / ".devstack" / "state.json")
        original = state.parse(text) if text is not None else None
        if original is not None and original.stack == found.stack:
            return Record(stack=random.token_hex(8), root=root, tasks=found.tasks, profile=found.profile)
        return replace(found, root=root)


class SecretStore:
    """Generated and asked values, in one 0600 file. keep: False only looks, for a plan that is shown."""

    def __init__(self, system: System, project: Project, *, keep: bool) -> None:
        self._system = system
        self._path = project.secrets
        self._keep = keep
        self._values = self._read()
        self._dirty = False

    def password(self, service: str) -> Secret:
        """This stack's password of a service, made on first sight."""
        return Secret(self._value(f"services.{service}", lambda: _generate(32)))

    def value(self, name: str, declared: Generate | Ask, asker: Callable[[str, Ask], str | None]) -> Secret | str:
        """A declared value: kept, generated, taken from the environment, asked, or its default."""
        if isinstance(declared, Generate):
            return Secret(self._value(f"env.{name}", lambda: _generate(declared.generate, declared.format)))
        key = f"env.{name}"
        if key not in self._values:
            answer = self._system.environ.get(f"DEVSTACK_ENV_{name}")
            if answer is None and declared.default is not None:
                # not kept: a person who gives a value later, and a profile with another default, are heard
                return Secret(declared.default) if declared.secret else declared.default
            answer = asker(name, declared) if answer is None else answer
            if answer is None:
                raise UsageError(
                    "value-missing", f"{name} has no value", why=f"the profile asks for it: {declared.ask}",
                    fix=f"DEVSTACK_ENV_{name}=VALUE devstack up",
                )
            self._value(key, lambda: answer)
        text = self._values[key]
        return Secret(text) if declared.secret else text

    def key_file(self, path: str, declared: File, *, is_missing: bool) -> Secret | None:
        """What a key file of `[files]` holds, the same whenever it has to be made; None for one that was there before.
        """
        key = f"files.{path}"
        if declared.generate is None or (not is_missing and key not in self._values):
            return None
        count, form = declared.generate, declared.format or "text"
        return Secret(self._value(key, lambda: _generate(count, form)))

    def inherited(self, names: Iterable[str], environ: Mapping[str, str], *, again: bool) -> dict[str, str]:
        """Variables of the person's shell that the profile lets through. again: as they are now; else as they were when
        they were first let through, so that another terminal doesn't restart what runs."""
        found = {}
        for name in names:
            key = f"inherit.{name}"
            value = environ.get(name) if again else self._values.get(key, environ.get(name))
            if value is not None:
                found[name] = value
            if value != self._values.get(key):
                self._dirty = True
                self._values = {other: kept for other, kept in self._values.items() if other != key}
                self._values |= {key: value} if value is not None else {}
        return found

    def save(self) -> None:
        if self._dirty and self._keep:
            self._system.private_folder(self._path.parent)
            self._system.write(self._path, json.dumps(self._values, indent=1) + "\n")
            self._dirty = False

    def _value(self, key: str, make: Callable[[], str]) -> str:
        if key not in self._values:
            self._values[key] = make()
            self._dirty = True
        return self._values[key]

    def _read(self) -> dict[str, str]:
        text = self._system.read(self._path)
        found = _secrets(text) if text else {}
        if found is not None:
            return found
        if self._keep:
            self._system.write(self._path.with_name("secrets.damaged.json"), self._system.read(self._path) or "")
        return {}


def is_readable(system: System, path: Path) -> bool:
    """Is it a file of secrets?"""
    return _secrets(system.read(path) or "") is not None


def _secrets(text: str) -> dict[str, str] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    is_ours = isinstance(found, dict) and all(isinstance(value, str) for value in found.values())
    return found if is_ours else None


def make_private(system: System, project: Project, place: Places) -> None:
    """`.devstack` is private and never shows up in `git status`."""
    from devstack.checkout import Git

    system.private_folder(project.folder)
    # below /tmp anybody may have made it, and could exchange what lies in it
    system.private_folder(place.runtime)
    marker = project.folder / ".gitignore"
    if system.read(marker) is None:
        git = Git(system)
        if git.is_checkout(project.root):
            git.exclude(project.root, "/.devstack/")
            git.exclude(project.root, "/.venv")
        system.write(marker, "*\n")


@contextlib.contextmanager
def held(system: System, project: Project) -> Iterator[None]:
    """Hold the stack: one devstack at a time changes it. Raises BusyError that names the holder."""
    system.private_folder(project.folder)
    owner = project.folder / "lock.json"
    with contextlib.ExitStack() as lock:
        last = system.monotonic() + _INTRODUCTION
        while not lock.enter_context(system.lock(project.folder / "lock", timeout=0)):
            # it says who it is right after its beginning, and no more right before its end
            found = holder(system, project)
            if found or system.monotonic() > last:
                raise _busy(system, project, found)
            system.pause(0.01)
        command = " ".join(map(shlex.quote, ["devstack", *sys.argv[1:]]))
        own = system.identity(system.process_id())
        said = {"pid": system.process_id(), "start": own.start if own else "", "command": command}
        system.write(owner, json.dumps(said | {"since": system.now()}))
        system.sweep_folder(project.folder, depth=2)
        try:
            yield
        finally:
            owner.unlink(missing_ok=True)


def holder(system: System, project: Project) -> Holder | None:
    """Who holds the stack now, without touching the lock: a look must not make a run fail."""
    try:
        known = json.loads(system.read(project.folder / "lock.json") or "{}")
        found = Holder(int(known["pid"]), str(known["command"]), float(known["since"]))
        is_alive = system.is_alive(Identity(found.pid, str(known["start"])))
    except (ValueError, KeyError, TypeError):
        return None
    return found if is_alive and found.pid != system.process_id() else None


def _busy(system: System, project: Project, found: Holder | None) -> BusyError:
    seconds = f", for {system.now() - found.since:.0f} s" if found else ""
    who = f"pid {found.pid}: {found.command}{seconds}" if found else "it hasn't said who it is"
    return BusyError(
        "stack-busy", f"another devstack is working on {project.root}", why=who, fix="wait for it, then try again"
    )


def _generate(count: int, form: SecretFormat = "text") -> str:
    """So many letters and digits, or the text of so many random bytes."""
    match form:
        case "text":
            return "".join(random.choice(_LETTERS) for _ in range(count))
        case "hex":
            return random.token_hex(count)
        case "base64":
            return base64.b64encode(random.token_bytes(count)).decode()
        case "base64url":
            return base64.urlsafe_b64encode(random.token_bytes(count)).decode()
