"""What saving and restoring a snapshot do: all services at once, the record of it last."""

from __future__ import annotations

import secrets as random
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from devstack import actions
from devstack.actions import Action
from devstack.checkout import Git
from devstack.executor import Performer, Report
from devstack.services import Copies, Kept, kind_of
from devstack.snapshots import Manifest, Part, Restore, Snapshots
from devstack.stack.copying import Copying
from devstack.stack.machinery import Tools
from devstack.stack.observe import Observer
from devstack.state import ServiceState, State


class SnapshotPerformers:
    """The actions on one stack's snapshots. observer: looks at data again after it was made."""

    def __init__(self, tools: Tools, state: State, observer: Observer) -> None:
        self._tools = tools
        self._state = state
        self._observer = observer
        self._snapshots = Snapshots(tools.system, tools.project.snapshots)

    def table(self) -> Mapping[type[Action], Performer]:
        return {
            actions.SaveSnapshot: self.save, actions.RestoreSnapshot: self.restore, actions.MakeSpare: self.spare,
        }

    def save(self, action: actions.SaveSnapshot, report: Report) -> None:
        self._snapshots.sweep()
        token = random.token_hex(4)
        key = f"{action.name}-{token}"
        self._snapshots.begin(key)

        def keep(service: ServiceState) -> None:
            _copies(service).keep(service.instance, service.server, self._copying(key, service), token)

        self._each(keep)
        self._finish(action, token, is_awaited=True)
        self._tools.store.update(lambda record: replace(record, owed=_without(record.owed, action.name)))

    def spare(self, action: actions.MakeSpare, report: Report) -> None:
        manifest = self._snapshots.get(action.name)

        def make(service: ServiceState) -> None:
            kept = Kept(self._copying(manifest.key, service), manifest.token)
            _copies(service).spare(service.instance, service.server, kept)

        self._each(make, manifest.services)

    def restore(self, action: actions.RestoreSnapshot, report: Report) -> None:
        manifest = self._snapshots.get(action.name)
        under_way = self._snapshots.under_way
        if under_way is None or under_way.key != manifest.key:
            self._snapshots.ensure_whole(manifest)
            under_way = Restore(manifest.key, action.before, random.token_hex(4))
            self._snapshots.begin(f"{under_way.before}-{under_way.token}")
            self._snapshots.restore_begins(under_way)
        before = under_way

        def recall(service: ServiceState) -> None:
            kept = Kept(self._copying(manifest.key, service), manifest.token)
            old = Kept(self._copying(f"{before.before}-{before.token}", service), before.token)
            _copies(service).recall(service.instance, service.server, kept, old)

        self._each(recall, manifest.services)
        why = f"what was there before {action.name} was restored"
        self._finish(actions.SaveSnapshot(before.before, why), before.token, is_awaited=False)
        self._tools.store.update(lambda record: replace(record, tasks=dict(manifest.tasks), owed={}))
        self._snapshots.restore_ends()

    def _finish(self, action: actions.SaveSnapshot, token: str, *, is_awaited: bool) -> None:
        """It counts from now on; those of its name that it replaces go. is_awaited: and are gone."""
        manifest = self._manifest(action, token)
        self._snapshots.finish(manifest)
        self._snapshots.replaced(manifest)
        kept = {one.token for one in self._snapshots.every()}

        def sweep(service: ServiceState) -> None:
            _copies(service).sweep(service.instance, service.server, kept, is_awaited=is_awaited)

        self._each(sweep)

    @property
    def _kept(self) -> dict[str, ServiceState]:
        """The services whose data can be copied."""
        services = self._observer.with_data(self._state).services
        return {name: one for name, one in services.items() if kind_of(name, one.instance.declaration).copies}

    def _each(self, act: Callable[[ServiceState], None], names: Mapping[str, object] | None = None) -> None:
        """Do it for all services at the same time. Raises the first error, once all have ended."""
        services = [one for name, one in self._kept.items() if names is None or name in names]
        with ThreadPoolExecutor(max(1, len(services))) as pool:
            for done in [pool.submit(act, service) for service in services]:
                done.result()

    def _copying(self, name: str, service: ServiceState) -> Copying:
        folder = self._snapshots.files(name, service.instance.name)
        return Copying(self._tools, self._state.stack, service, folder)

    def _manifest(self, action: actions.SaveSnapshot, token: str) -> Manifest:
        return Manifest(
            action.name, token, self._tools.system.now(), self._revision(), action.why,
            {name: self._part(service, f"{action.name}-{token}", token) for name, service in self._kept.items()},
            self._tools.store.load().tasks,
        )

    def _part(self, service: ServiceState, key: str, token: str) -> Part:
        files = self._snapshots.files(key, service.instance.name)
        inside = _copies(service).kept_size(service.instance, token)
        size = inside + self._tools.system.tree_size(files)
        version = service.probe.version if service.probe and service.probe.version else service.server.version
        return Part(version, service.runtime, service.generation, size, self._tools.system.tree_digests(files))

    def _revision(self) -> str:
        git, root = Git(self._tools.system), self._tools.project.root
        return (git.revision(root) or "")[:12] if git.is_checkout(root) else ""


def _without(owed: Mapping[str, str], name: str) -> dict[str, str]:
    return {task: snapshot for task, snapshot in owed.items() if snapshot != name}


def _copies(service: ServiceState) -> Copies:
    """Of a service that `_each` and `_kept` have let through."""
    copies = kind_of(service.instance.name, service.instance.declaration).copies
    if copies is None:
        raise LookupError(f"the data of {service.instance.name} can't be copied")
    return copies
