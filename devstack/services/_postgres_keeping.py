"""Every way in which a PostgreSQL's data is copied, kept and exchanged, as a kind's `copies`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

from devstack.profile.model import Service
from devstack.services import Instance, Kept, Runner, Server
from devstack.services import _postgres_portable as portable
from devstack.services import _postgres_snapshots as snapshots
from devstack.services._postgres_copies import dump, load
from devstack.services._postgres_sessions import translated

if TYPE_CHECKING:
    from devstack.services._postgres_sessions import Session


class PostgresCopies:
    """provision: gives a server what is declared, within so many seconds. copying: sessions of one database with the
    patience that a copy needs. patience: seconds."""

    def __init__(
        self, provision: Callable[[Instance, float], object], copying: Callable[[Instance], Callable[[str], Session]],
        patience: float,
    ) -> None:
        self._provision = provision
        self._copying = copying
        self._patience = patience

    def dump(self, instance: Instance, server: Server, runner: Runner) -> None:
        with translated(instance):
            dump(instance, runner, self._copying(instance))

    def load(self, instance: Instance, server: Server, runner: Runner) -> None:
        with translated(instance):
            load(instance, runner, self._copying(instance))

    def seed(self, instance: Instance, server: Server, runner: Runner) -> None:
        self.dump(instance, server, runner)

    def plant(self, instance: Instance, server: Server, runner: Runner | None, scratch: Runner) -> None:
        with snapshots.translated(instance):
            snapshots.empty(_sessions(instance))
        self._provision(instance, self._patience)
        if runner is not None:
            self.load(instance, server, runner)

    def keep(self, instance: Instance, server: Server, runner: Runner, token: str) -> None:
        with snapshots.translated(instance):
            snapshots.keep(runner, _sessions(instance), token)

    def recall(self, instance: Instance, server: Server, kept: Kept, before: Kept) -> None:
        with snapshots.translated(instance):
            snapshots.recall(instance, kept.runner, _sessions(instance), kept.token, (before.token, before.runner))

    def spare(self, instance: Instance, server: Server, kept: Kept) -> None:
        with snapshots.translated(instance):
            snapshots.spare(kept.runner, _sessions(instance), kept.token)

    def export(self, instance: Instance, server: Server, kept: Kept, target: Runner) -> None:
        with translated(instance):
            portable.export(instance, kept.runner, target, self._copying(instance), kept.token)

    def adopt(self, instance: Instance, server: Server, source: Runner, version: str, kept: Kept) -> None:
        with translated(instance):
            portable.adopt(instance, source, version, kept, self._copying(instance))

    def queues(self, declaration: Service, env: Mapping[str, str]) -> tuple[str, ...]:
        return ()

    def clear(self, instance: Instance, server: Server, before: Kept) -> None:
        with snapshots.translated(instance):
            snapshots.clear(before.runner, _sessions(instance), before.token)

    def drain(self, instance: Instance, server: Server, parts: Collection[str], before: Kept) -> None:
        """It has no queues."""

    def sweep(self, instance: Instance, server: Server, kept: Collection[str], *, is_awaited: bool) -> None:
        with snapshots.translated(instance):
            snapshots.sweep(_sessions(instance), kept, is_awaited=is_awaited)

    def kept_size(self, instance: Instance, token: str) -> int:
        with snapshots.translated(instance):
            return snapshots.size(_sessions(instance), token)


def _sessions(instance: Instance) -> snapshots.Connect:
    return lambda: snapshots.connect(instance)
