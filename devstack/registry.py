"""What one user's stacks share on this machine: who they are, their port leases, and which projects are trusted.

Kept in the XDG state folder; every change is made under one lock, so that two stacks never lease the same port.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

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
        self._trust = folder / "trust.json"

    def entries(self) -> tuple[Entry, ...]:
        """Every stack known, last used first. A damaged file reads as empty: stacks enter again at their next use."""
        found = []
        for stack, raw in self._read(self._file).items():
            with contextlib.suppress(TypeError, KeyError, ValueError):
                ports = {str(name): int(port) for name, port in raw["ports"].items()}
                found.append(Entry(stack, raw["name"], raw["root"], raw["runtime"], ports, float(raw["last_used"])))
        return tuple(sorted(found, key=lambda entry: -entry.last_used))

    def record(self, entry: Entry) -> None:
        """Enter a stack, or what changed of it."""
        with self._locked():
            self._put(entry)

    def forget(self, id: str) -> None:
        with self._locked():
            stacks = self._read(self._file)
            if stacks.pop(id, None) is not None:
                self._write(self._file, stacks)

    def lease(self, entry: Entry, wishes: Mapping[str, Wish], *, keep: bool) -> Leases:
        """Ports for the wishes: those `entry` has stay; new ones are the standard ones where they are free.

        keep: record them (False for a plan that is only shown). Raises ConflictError where a fixed port is another
        stack's.
        """
        with self._locked() if keep else contextlib.nullcontext():
            others = {
                port: other for other in self.entries() if other.id != entry.id and Path(other.root).is_dir()
                for port in other.ports.values()
            }
            ports: dict[str, int] = {}
            notes = []
            for name, wish in wishes.items():
                held = entry.ports.get(name)
                if wish.fixed and wish.port is not None:
                    if wish.port in others:
                        raise _leased_elsewhere(name, wish.port, others[wish.port])
                    ports[name] = wish.port
                elif held is not None and held not in others:
                    ports[name] = held
                else:
                    ports[name], note = self._find(name, wish.port, {*others, *ports.values(), *entry.ports.values()})
                    notes += [note] if note else []
            if keep and ports != entry.ports:
                self._put(replace(entry, ports=ports))
        return Leases(ports, tuple(notes))

    def trusted(self, root: Path) -> str | None:
        """Digest of what was trusted at this place; None if nothing was."""
        digest = self._read(self._trust).get(str(root))
        return digest if isinstance(digest, str) else None

    def trust(self, root: Path, digest: str) -> None:
        """Bind trust to this content at this place."""
        with self._locked():
            self._write(self._trust, {**self._read(self._trust), str(root): digest})

    def _find(self, name: str, standard: int | None, taken: set[int]) -> tuple[int, str]:
        if standard is None:
            return self._system.free_port(), ""
        for port in range(standard, min(standard + _NEAR, 65536)):
            if port not in taken and self._system.is_port_free(port):
                break
        else:
            port = self._system.free_port()
        if port == standard:
            return port, ""
        holder = "leased to another stack" if standard in taken else f"taken by {self._system.port_holder(standard)}"
        return port, f"{name}: port {standard} is {holder}; {port} is leased instead"

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


def _leased_elsewhere(name: str, port: int, other: Entry) -> ConflictError:
    return ConflictError(
        "port-leased", f"{name} wants port {port}, which stack {other.name} has leased",
        why=f"it lives in {other.root}", fix=f"leave `port` out of [{name}], or remove that stack",
    )
