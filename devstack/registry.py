"""What one user's stacks share on this machine: who they are, and their port leases.

Kept in the XDG state folder; every change is made under one lock, so that two stacks never lease the same port.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Set
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from devstack import evidence
from devstack.errors import BusyError, ConflictError
from devstack.system import System

#: how far above its standard port a lease is looked for before any free port will do
_NEAR = 200


@dataclass(frozen=True)
class Entry:
    """One stack as the machine knows it. last_used: seconds since the epoch."""

    id: str
    name: str
    root: str
    runtime: str
    ports: Mapping[str, int]
    last_used: float


@dataclass(frozen=True)
class Wish:
    """A port that a program needs. fixed: the profile demands exactly this one."""

    port: int | None
    fixed: bool = False


@dataclass(frozen=True)
class Leases:
    """ports: by name. notes: what isn't as wished, in words."""

    ports: Mapping[str, int]
    notes: tuple[str, ...] = ()


class Registry:
    """The registry file of this user."""

    def __init__(self, system: System, folder: Path) -> None:
        self._system = system
        self._folder = folder
        self._file = folder / "registry.json"

    def entries(self) -> tuple[Entry, ...]:
        """Every stack known, last used first. A damaged file reads as empty: stacks enter again at their next use."""
        found = []
        for stack, raw in self._read(self._file).items():
            with contextlib.suppress(TypeError, KeyError, ValueError, AttributeError, OverflowError):
                ports = {str(name): int(port) for name, port in raw["ports"].items()}
                name, root, runtime = (str(raw[name]) for name in ("name", "root", "runtime"))
                found.append(Entry(stack, name, root, runtime, ports, max(float(raw["last_used"]), self._used(stack))))
        return tuple(sorted(found, key=lambda entry: -entry.last_used))

    def record(self, entry: Entry) -> None:
        """Enter a stack, or what changed of it."""
        with self._locked():
            known = next((one for one in self.entries() if one.id == entry.id), None)
            if known is None or replace(known, last_used=entry.last_used) != entry:
                self._put(entry)
            mark = self.mark(entry.id)
            self._system.private_folder(mark.parent)
            self._system.stamp(mark, entry.last_used)

    def mark(self, id: str) -> Path:
        """The file whose time says when a stack was used last: most uses change nothing else. It holds the digest of
        the memo that the stack stands (`standing`)."""
        return self._folder / "used" / id

    def forget(self, id: str) -> None:
        with self._locked():
            stacks = self._read(self._file)
            if stacks.pop(id, None) is not None:
                self._write(self._file, stacks)
            self.mark(id).unlink(missing_ok=True)

    def lease(self, entry: Entry, wishes: Mapping[str, Wish], *, keep: bool) -> Leases:
        """Ports for the wishes: those `entry` has stay; new ones are the standard ones where they are free.

        keep: record them (False for a plan that is only shown). Raises ConflictError where a fixed port is another
        stack's.
        """
        with self._locked() if keep else contextlib.nullcontext():
            known = {other.id: other for other in self.entries()}
            others = {
                port: other for other in known.values() if other.id != entry.id and Path(other.root).is_dir()
                for port in other.ports.values()
            }
            ports = _fixed(wishes, others)
            notes = []
            for name, wish in wishes.items():
                held = entry.ports.get(name)
                if name in ports:
                    continue
                if held is not None and held not in others and held not in ports.values():
                    ports[name] = held
                else:
                    own = {*ports.values(), *entry.ports.values()}
                    ports[name], note = self._find(name, wish.port, others.keys(), own)
                    notes += [note] if note else []
            ports = {name: ports[name] for name in wishes}
            if keep and (entry.id not in known or ports != known[entry.id].ports):
                self._put(replace(entry, ports=ports))
        return Leases(ports, tuple(notes))

    def _find(self, name: str, standard: int | None, others: Set[int], own: set[int]) -> tuple[int, str]:
        """A port that nobody has nor listens on, and a note where it isn't the standard one because of others."""
        taken = others | own
        near = range(standard, min(standard + _NEAR, 65536)) if standard is not None else range(0)
        port = next((port for port in near if port not in taken and self._system.is_port_free(port)), 0)
        while not port or port in taken:
            port = self._system.free_port()
        if standard is None or port == standard or (standard in own and standard not in others):
            return port, ""
        holder = "leased to another stack" if standard in others else f"taken by {self._system.port_holder(standard)}"
        return port, f"{name} gets port {port}: {standard} is {holder}"

    def _used(self, id: str) -> float:
        try:
            # it says nothing that a plan could depend on
            with evidence.unheard():
                return self.mark(id).stat().st_mtime
        except OSError:
            return 0.0

    def _put(self, entry: Entry) -> None:
        values = asdict(entry)
        del values["id"]
        self._write(self._file, {**self._read(self._file), entry.id: values})

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            found = json.loads(self._system.read(path) or "{}")
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def _write(self, path: Path, value: Mapping[str, Any]) -> None:
        self._system.write(path, json.dumps(value, indent=1) + "\n")

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self._system.private_folder(self._folder)
        with self._system.lock(self._folder / "registry.lock", timeout=30) as held:
            if not held:
                raise BusyError(
                    "registry-busy", "the registry of stacks is held by another devstack", why="for more than 30 s",
                    fix=f"fuser -v {self._folder / 'registry.lock'}",
                )
            yield


def _fixed(wishes: Mapping[str, Wish], others: Mapping[int, Entry]) -> dict[str, int]:
    """The ports that the profile demands. Raises ConflictError where one is another stack's."""
    fixed = {name: wish.port for name, wish in wishes.items() if wish.fixed and wish.port is not None}
    for name, port in fixed.items():
        if port in others:
            raise _leased_elsewhere(name, port, others[port])
    return fixed


def _leased_elsewhere(name: str, port: int, other: Entry) -> ConflictError:
    return ConflictError(
        "port-leased", f"{name} wants port {port}, which stack {other.name} has leased",
        why=f"it lives in {other.root}", fix=f"take `port` of {name} out of the profile: it is leased a free one then",
    )
