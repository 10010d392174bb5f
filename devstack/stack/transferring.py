"""Snapshots from machine to machine: written into one file, and taken from one that somebody sent.

A file is verified and unpacked before anything of the stack is started, and nothing that is in use is touched then.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from devstack.actions import Action, ExportSnapshot, ImportSnapshot
from devstack.errors import DataError, UsageError
from devstack.plan import Down, Up
from devstack.snapshot_files import unpack
from devstack.snapshots import Manifest
from devstack.stack.perform_transfers import transfer_folder
from devstack.stack.snapshotting import Snapshotting


class Transferring:
    """What a person does with a snapshot's file."""

    def __init__(self, snapshotting: Snapshotting) -> None:
        self._snapshotting = snapshotting
        self._stack = snapshotting.stack

    def export(self, name: str, file: Path) -> Manifest:
        """Write a snapshot into a file. Raises DataError for one that is lost, StorageError."""
        manifest = self._snapshotting.usable(name)
        for service in manifest.services:
            self._ensure_declared(service, "", f"the snapshot {name}")
        self._with_services(ExportSnapshot(name, str(file)))
        return manifest

    def adopt(self, file: Path, name: str, shown: str, *, is_agreed: bool) -> Manifest:
        """Make a snapshot of a file; name: "" for its own, which may replace one that is there if that was agreed on.
        shown: the file as the person named it. Raises DataError for a file that isn't whole, isn't of this project's
        services, or is newer than they are: nothing is touched then."""
        if name:
            self._snapshotting.snapshots.ensure_name(name)
        with self._stack.at_work() as tools:
            folder = transfer_folder(tools.system, tools.project)
            try:
                packed = unpack(tools.system, file, folder)
                for service, part in packed.services.items():
                    self._ensure_declared(service, part.kind, shown)
                if not name and not is_agreed:
                    self._ensure_new(packed.name, shown)
            except BaseException:
                tools.system.remove_tree(folder)
                raise
        name = name or packed.name
        self._with_services(ImportSnapshot(name, str(folder), shown))
        return self._snapshotting.snapshots.get(name)

    def _ensure_declared(self, service: str, kind: str, what: str) -> None:
        declared = self._stack.profile.services.get(service)
        own = (declared.kind or service) if declared else ""
        if declared is None or (kind and kind != own):
            why = f"the profile's {service} is a {own}, not a {kind}" if declared else f"the profile has no {service}"
            raise DataError(
                "snapshot-foreign", f"{what} doesn't fit this project", why=why,
                fix=f"[services.{service}] in devstack.toml, then: devstack up",
            )

    def _ensure_new(self, name: str, shown: str) -> None:
        if name in {one.name for one in self._snapshotting.snapshots.all()}:
            raise UsageError(
                "not-confirmed", f"there is a snapshot {name} already", why="it would be replaced",
                fix=f"devstack snapshot import {shlex.quote(shown)} {name[:30].rstrip('-_')}-imported",
            )

    def _with_services(self, action: Action) -> None:
        """Services answer meanwhile; what was down is down again."""
        stack, snapshotting = self._stack, self._snapshotting
        was_up = stack.status().stack.state != "down"
        goal = Up(tuple(stack.profile.services), name=action.verb, transfer=action)
        stack.up(goal, snapshotting.listener, snapshotting.show)
        if not was_up:
            stack.down(Down(), snapshotting.listener, snapshotting.show)
