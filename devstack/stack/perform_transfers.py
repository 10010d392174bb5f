"""A snapshot into a file for other machines, and a snapshot of such a file, beside whatever is in use."""

from __future__ import annotations

import secrets as random
from collections.abc import Mapping
from pathlib import Path

from devstack import actions
from devstack.actions import Action
from devstack.errors import DataError
from devstack.executor import Performer, Report
from devstack.services import Copies, Kept, kind_of
from devstack.snapshot_files import Packed, PackedPart, pack, unpacked
from devstack.snapshots import Manifest, Part, Snapshots
from devstack.stack.copying import Copying
from devstack.stack.machinery import Tools
from devstack.stack.observe import Observer
from devstack.stack.paths import Project
from devstack.state import ServiceState, State
from devstack.system import System


def transfer_folder(system: System, project: Project) -> Path:
    """A new folder for a snapshot's files; those of earlier runs go. Only whoever holds the stack may ask."""
    place = project.folder / "transfers"
    system.remove_tree(place)
    return system.private_folder(system.private_folder(place) / random.token_hex(4))


class TransferPerformers:
    """The two actions. observer: looks at data again after it was made."""

    def __init__(self, tools: Tools, state: State, observer: Observer) -> None:
        self._tools = tools
        self._state = state
        self._observer = observer
        self._snapshots = Snapshots(tools.system, tools.project.snapshots)

    def table(self) -> Mapping[type[Action], Performer]:
        return {actions.ExportSnapshot: self.export, actions.ImportSnapshot: self.adopt}

    def export(self, action: actions.ExportSnapshot, report: Report) -> None:
        manifest = self._snapshots.get(action.name)
        folder = transfer_folder(self._tools.system, self._tools.project)
        parts = {}
        try:
            for name, part in manifest.services.items():
                service = self._state.services[name]
                report.say(name)
                kept = Kept(self._copying(service, self._snapshots.files(manifest.key, name)), manifest.token)
                target = self._copying(service, folder / name)
                self._copies(service).export(service.instance, service.server, kept, target)
                kind = service.instance.declaration.kind or name
                parts[name] = PackedPart(kind, part.version)
            packed = Packed(
                manifest.name, self._tools.profile.name, manifest.made, manifest.revision, parts, manifest.tasks
            )
            pack(self._tools.system, Path(action.file), packed, folder)
        finally:
            self._tools.system.remove_tree(folder)

    def adopt(self, action: actions.ImportSnapshot, report: Report) -> None:
        packed, folder = unpacked(self._tools.system, Path(action.folder)), Path(action.folder)
        token = random.token_hex(4)
        key = f"{action.name}-{token}"
        self._snapshots.sweep()
        self._snapshots.begin(key)
        services = self._observer.with_data(self._state).services
        for name, part in packed.services.items():
            service = services[name]
            report.say(name)
            kept = Kept(self._copying(service, self._snapshots.files(key, name)), token)
            source = self._copying(service, folder / name)
            self._copies(service).adopt(service.instance, service.server, source, part.version, kept)
        parts = {name: self._part(services[name], key, token) for name in packed.services}
        manifest = Manifest(
            action.name, token, self._tools.system.now(), packed.revision, f"imported from {action.file}", "imported",
            "", parts, self._done(packed),
        )  # fmt: skip
        self._snapshots.finish(manifest)
        self._snapshots.replaced(manifest)
        self._tools.system.remove_tree(folder)

    def _done(self, packed: Packed) -> dict[str, str]:
        """What was done with the data there counts here: the first half of a key says whose data it is."""
        state, record = self._observer.with_data(self._state), self._tools.store.load()
        found = {}
        for name, key in packed.tasks.items():
            if name in self._tools.profile.tasks:
                own = self._observer.task_state(state, record, name).key
                found[name] = f"{own.partition('.')[0]}.{key.partition('.')[2]}"
        return found

    def _part(self, service: ServiceState, key: str, token: str) -> Part:
        files = self._snapshots.files(key, service.instance.name)
        size = self._tools.system.tree_size(files) + self._copies(service).kept_size(service.instance, token)
        digests = self._tools.system.tree_digests(files)
        return Part(service.server.version, service.runtime, service.generation, size, digests)

    def _copying(self, service: ServiceState, folder: Path) -> Copying:
        return Copying(self._tools, self._state.stack, service, folder)

    def _copies(self, service: ServiceState) -> Copies:
        copies = kind_of(service.instance.name, service.instance.declaration).copies
        if copies is None:
            raise DataError(
                "data-unmovable", f"the data of {service.instance.name} can't be copied",
                why="nobody knows what its image keeps where", fix="devstack snapshot list",
            )
        return copies
