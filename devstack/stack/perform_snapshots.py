"""What saving and restoring a snapshot do: all services at once, the record of it last."""

from __future__ import annotations

import secrets as random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from devstack import actions
from devstack.actions import Action
from devstack.checkout import Git
from devstack.executor import Performer, Report
from devstack.plan import few
from devstack.services import Kept
from devstack.snapshots import Manifest, Part, Restore, Snapshots
from devstack.stack.branching import LARGE, surplus
from devstack.stack.brokers import queues
from devstack.stack.copying import Copying, at_once, copies_of, with_copies
from devstack.stack.machinery import Tools
from devstack.stack.observe import Observer
from devstack.stack.recalling import emptied, recalled
from devstack.stack.sizes import sizes
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
            actions.EmptyData: self.empty,
        }

    def save(self, action: actions.SaveSnapshot, report: Report) -> None:
        if action.origin == "automatic" and (size := sum(sizes(self._tools, here=True).values())) > LARGE:
            report.tell(f"the data has {size / 1e9:.1f} GB, too much for a snapshot before each change")
            return
        self._snapshots.sweep()
        token = random.token_hex(4)
        key = f"{action.name}-{token}"
        self._snapshots.begin(key)
        # a task that ends while data is copied may not be in it: it runs again then
        done = self._tools.store.load().tasks

        def keep(service: ServiceState) -> None:
            copies_of(service).keep(service.instance, service.server, self._copying(key, service), token)

        self._each(keep)
        self._finish(action, token, is_awaited=True, done=done)
        self._tools.store.update(lambda record: replace(record, owed=_without(record.owed, action.name)))
        if action.origin == "automatic":
            self._bound(action)

    def _bound(self, action: actions.SaveSnapshot) -> None:
        """Of the automatic ones the newest stay. This one is what a run that fails from now on can go back to."""
        automatic = {one.name: one for one in self._snapshots.all() if one.origin == "automatic"}
        for one in surplus(automatic):
            self._snapshots.remove(one.key)
        pending = " ".join((action.name, *action.tasks))
        self._tools.store.update(lambda record: replace(record, pending=pending))

    def spare(self, action: actions.MakeSpare, report: Report) -> None:
        manifest = self._snapshots.get(action.name)

        def make(service: ServiceState) -> None:
            kept = Kept(self._copying(manifest.key, service), manifest.token)
            copies_of(service).spare(service.instance, service.server, kept)

        self._each(make, manifest.services)

    def restore(self, action: actions.RestoreSnapshot, report: Report) -> None:
        manifest = self._snapshots.get(action.name)
        parts = {name: part for name, part in manifest.services.items() if not action.only or name in action.only}
        begun = self._begun(Restore(manifest.key, action.before, "", action.only), manifest)

        def recall(service: ServiceState) -> None:
            kept = Kept(self._copying(manifest.key, service), manifest.token)
            copies_of(service).recall(service.instance, service.server, kept, self._before(begun, service))

        self._each(recall, parts)
        why = f"what was there before {action.name} was restored"
        self._finish(actions.SaveSnapshot(begun.before, why, "replaced"), begun.token, parts, is_awaited=False)
        self._tools.store.update(lambda record: recalled(self._tools.profile, record, manifest, parts))
        if action.tasks and manifest.origin == "automatic":
            # a task that fails on what came back can go back to it
            pending = " ".join((action.name, *action.tasks))
            self._tools.store.update(lambda record: replace(record, pending=pending))
        self._snapshots.restore_ends()

    def empty(self, action: actions.EmptyData, report: Report) -> None:
        begun = self._begun(Restore("", action.before, "", action.services, action.queues))
        what = "the queues of " if action.queues else ""

        def clear(service: ServiceState) -> None:
            before = self._before(begun, service)
            if action.queues:
                parts = queues(self._tools.profile).get(service.instance.name, ())
                copies_of(service).drain(service.instance, service.server, parts, before)
            else:
                copies_of(service).clear(service.instance, service.server, before)

        self._each(clear, dict.fromkeys(action.services))
        why = f"what was there before {what}{few(action.services)} went"
        before = actions.SaveSnapshot(begun.before, why, "replaced")
        self._finish(before, begun.token, action.services, is_awaited=False)
        if not action.queues:
            self._tools.store.update(lambda record: emptied(self._tools.profile, record, action.services))
        self._snapshots.restore_ends()

    def _begun(self, wanted: Restore, manifest: Manifest | None = None) -> Restore:
        """The exchange as it was begun: a run that was cut short is gone on with. manifest: what it goes to."""
        begun = self._snapshots.under_way
        if begun is None or replace(begun, token="") != wanted:
            if manifest is not None:
                self._snapshots.ensure_whole(manifest)
            begun = replace(wanted, token=random.token_hex(4))
            self._snapshots.begin(begun.kept)
            self._snapshots.restore_begins(begun)
        return begun

    def _before(self, begun: Restore, service: ServiceState) -> Kept:
        """Where what is there until now goes."""
        return Kept(self._copying(begun.kept, service), begun.token)

    def _finish(
        self, action: actions.SaveSnapshot, token: str, names: Iterable[str] | None = None, *,
        is_awaited: bool, done: Mapping[str, str] | None = None,
    ) -> None:
        """It counts from now on; those of its name that it replaces go. names: of the services that it is about.
        is_awaited: and are gone. done: the tasks, where they may be others by now."""
        manifest = self._manifest(action, token, names)
        manifest = manifest if done is None else replace(manifest, tasks=done)
        self._snapshots.finish(manifest)
        self._snapshots.replaced(manifest)
        kept = {one.token for one in self._snapshots.every()}

        def sweep(service: ServiceState) -> None:
            copies_of(service).sweep(service.instance, service.server, kept, is_awaited=is_awaited)

        self._each(sweep)

    @property
    def _kept(self) -> dict[str, ServiceState]:
        """The services whose data can be copied."""
        return with_copies(self._observer.with_data(self._state).services)

    def _each(self, act: Callable[[ServiceState], None], names: Mapping[str, object] | None = None) -> None:
        at_once([one for name, one in self._kept.items() if names is None or name in names], act)

    def _copying(self, name: str, service: ServiceState) -> Copying:
        folder = self._snapshots.files(name, service.instance.name)
        return Copying(self._tools, self._state.stack, service, folder)

    def _manifest(self, action: actions.SaveSnapshot, token: str, names: Iterable[str] | None) -> Manifest:
        kept = {name: one for name, one in self._kept.items() if names is None or name in names}
        return Manifest(
            action.name, token, self._tools.system.now(), self._revision(), action.why, action.origin,
            self._tools.store.load().branch or self._state.branch.now,
            {name: self._part(service, f"{action.name}-{token}", token) for name, service in kept.items()},
            self._tools.store.load().tasks,
        )

    def _part(self, service: ServiceState, key: str, token: str) -> Part:
        files = self._snapshots.files(key, service.instance.name)
        inside = copies_of(service).kept_size(service.instance, token)
        size = inside + self._tools.system.tree_size(files)
        version = service.probe.version if service.probe and service.probe.version else service.server.version
        return Part(version, service.runtime, service.generation, size, self._tools.system.tree_digests(files))

    def _revision(self) -> str:
        git, root = Git(self._tools.system), self._tools.project.root
        return (git.revision(root) or "")[:12] if git.is_checkout(root) else ""


def _without(owed: Mapping[str, str], name: str) -> dict[str, str]:
    return {task: snapshot for task, snapshot in owed.items() if snapshot != name}
