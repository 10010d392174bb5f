"""Taking the data of services from one runtime to the other: everything ends, the old server alone is started and its
data copied out; then the new one is started empty and gets it. The old data is live until the new is complete, then it
goes to the trash. Why like this: docs/decisions/0023-moving-data.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from devstack import actions
from devstack.actions import Action
from devstack.executor import Performer, Report
from devstack.profile.model import Profile
from devstack.services import kind_of
from devstack.stack.containers import UNUSED, trash_volumes
from devstack.stack.copying import Copying
from devstack.stack.machinery import Tools, trash_name
from devstack.state import Record, RuntimeHere, State


def as_before(profile: Profile, sources: Mapping[str, RuntimeHere]) -> Profile:
    """The profile with each of these services where its data is."""
    services = {
        name: service.model_copy(update={"runtime": sources[name]}) if name in sources else service
        for name, service in profile.services.items()
    }
    return profile.model_copy(update={"services": services})


def clear_the_way(tools: Tools, moves: Mapping[str, tuple[RuntimeHere, str]]) -> None:
    """Nothing of an earlier stay is where the data goes. moves: where that is, and the data's generation, by name."""
    for name, (target, generation) in moves.items():
        folder = tools.project.folder / "data" / name
        if target == "native" and folder.exists():
            tools.system.move(folder, tools.system.private_folder(trash_name(tools, "before-moving")) / name)
        if target == "docker":
            _expect(tools, name, generation + UNUSED)


def _expect(tools: Tools, name: str, token: str) -> None:
    tools.store.update(lambda record: record.with_entry("volumes", name, token))


class MovePerformers:
    """The two actions of a move. trash: begins the names of the folders for what is left behind."""

    def __init__(self, tools: Tools, state: State, trash: Path) -> None:
        self._tools = tools
        self._state = state
        self._trash = trash

    def table(self) -> Mapping[type[Action], Performer]:
        return {actions.DumpData: self.dump, actions.LoadData: self.load}

    def dump(self, action: actions.DumpData, report: Report) -> None:
        service = self._state.services[action.service]
        folder = self._folder(action.service)
        # of a move that was cut short
        self._tools.system.remove_tree(folder)
        if copies := kind_of(action.service, service.instance.declaration).copies:
            copies.dump(service.instance, service.server, Copying(self._tools, self._state.stack, service, folder))

    def load(self, action: actions.LoadData, report: Report) -> None:
        name = action.service
        service, folder = self._state.services[name], self._folder(name)
        if copies := kind_of(name, service.instance.declaration).copies:
            copies.load(service.instance, service.server, Copying(self._tools, self._state.stack, service, folder))
        left = self._tools.store.load().volumes.get(name, "") if service.runtime == "native" else ""
        self._tools.store.update(lambda record: _arrived(record, name, service.runtime))
        self._retire(name, service.runtime, left)
        self._tools.system.remove_tree(folder)

    def _retire(self, name: str, runtime: RuntimeHere, token: str) -> None:
        """The data where it was before goes to the trash."""
        trash = self._tools.system.private_folder(Path(f"{self._trash}-{name}"))
        if runtime == "docker":
            old = self._tools.project.folder / "data" / name
            if old.exists():
                self._tools.system.move(old, self._tools.system.private_folder(trash / "data") / name)
            return
        volumes = self._tools.containers.engine.look(self._state.stack).volumes
        names = {one.name: one.name for one in volumes if one.service == name and one.token == token}
        trash_volumes(self._tools.system, trash, {name: names})

    def _folder(self, name: str) -> Path:
        return self._tools.project.folder / "moves" / name


def _arrived(record: Record, name: str, runtime: RuntimeHere) -> Record:
    token = record.volumes.get(name, "").removesuffix(UNUSED)
    record = record.with_entry("runtimes", name, runtime)
    return record.with_entry("volumes", name, token if runtime == "docker" else None)
