"""What the actions on containers do; the executor calls them, from several threads at once."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import replace

from devstack import actions, contained, programs
from devstack.actions import Action
from devstack.contained import Contained
from devstack.errors import DevstackError, NetworkError, ProcessError, UsageError
from devstack.executor import Performer, Report
from devstack.runtimes import builds, container_logs, pulls
from devstack.runtimes.docker import PortTakenError
from devstack.runtimes.engine_answers import Owner
from devstack.services import PASSWORD_REFUSED
from devstack.stack import instead, unfit
from devstack.stack.commands import port_taken
from devstack.stack.containers import UNUSED, trashed_volumes
from devstack.stack.machinery import Tools
from devstack.stack.observe import Seen
from devstack.stack.observe_contained import ensure_reaches
from devstack.state import ProgramState, ServiceState, State

#: of what containers that are gone have printed: bytes, and lines of one
_KEPT, _KEPT_LINES = 1 << 20, 10_000


class ContainerPerformers:
    """The actions on one stack's containers, volumes and network."""

    def __init__(self, tools: Tools, seen: Seen) -> None:
        self._tools = tools
        self._state = seen.state
        self._profile = tools.profile

    @property
    def _owner(self) -> Owner:
        return Owner(self._state.stack, self._state.root, self._tools.system.user_id())

    def table(self) -> Mapping[type[Action], Performer]:
        return {
            actions.PullImage: self.pull,
            actions.BuildImage: self.build,
            actions.StartContainer: self.start,
            actions.StopContainer: self.stop,
            actions.RemoveNetwork: self.remove_network,
        }

    def pull(self, action: actions.PullImage, report: Report) -> None:
        engine = self._tools.containers.engine
        try:
            pulls.pull(engine, action.image, report.say, report.tell)
        except NetworkError as error:
            raise instead.corrected(error, self._tools, action.image) from None
        # before what runs is stopped for it
        for one in contained.containers(self._profile, self._state):
            if one.image == action.image:
                unfit.ensure_runs(engine, one)

    def build(self, action: actions.BuildImage, report: Report) -> None:
        engine = self._tools.containers.engine
        args = contained.build_args(self._profile, self._state, action.build)
        wanted = builds.Wanted(action.image, action.name, action.build, args, self._owner)
        builds.build(engine, self._tools.files, wanted, report.say)
        builds.discard(engine, self._state.stack, kept=frozenset(self._state.builds.values()))

    def forget_builds(self) -> None:
        """Remove what was built for the stack: it can be built again."""
        if "docker" in self._tools.store.load().runtimes.values():
            builds.discard(self._tools.containers.engine, self._state.stack, kept=frozenset(), spare=0)

    def prepare(self, service: ServiceState) -> None:
        """Make the volumes that a service's data will be in."""
        name, stack = service.instance.name, self._state.stack
        token = service.generation.partition("+")[0]
        # told before, so that volumes that nobody was let at are known to hold nothing
        self._tools.store.update(lambda record: record.with_entry("volumes", name, token + UNUSED))
        names = contained.volume_names(stack, name, contained.service_form(service), token)
        self._tools.containers.engine.make_volumes(self._owner, name, names, token)

    def hand_over(self, service: ServiceState) -> None:
        """From now on there may be something in a service's volumes."""
        name = service.instance.name
        if self._tools.store.load().volumes.get(name, "").endswith(UNUSED):
            self._tools.store.update(
                lambda record: record.with_entry("volumes", name, record.volumes[name].removesuffix(UNUSED))
            )

    def start(self, action: actions.StartContainer, report: Report) -> None:
        engine, name = self._tools.containers.engine, action.name
        # an image may have come only now
        images = {image: engine.image(image) for image in self._state.images}
        state = replace(self._state, images=images)
        wanted = self._wanted(state, name)
        unfit.ensure_runs(engine, wanted)
        if not wanted.is_service:
            services = self._state.services.items()
            natively = {one: service.why for one, service in services if service.runtime == "native"}
            ensure_reaches(self._profile, wanted.owner, natively)
            self._ensure_mounts(wanted)
        service = self._state.services.get(name)
        try:
            engine.start(self._owner, wanted, lambda made: unfit.ensure_usable(engine, state, service, made))
        except PortTakenError as error:
            key = next((key for key, port in state.ports.items() if port == error.port), name)
            holder = self._tools.system.port_holder(error.port)
            fixed = programs.is_fixed(self._profile, key)
            raise port_taken(key, error.port, str(holder), fixed=fixed) from None

    def _ensure_mounts(self, wanted: Contained) -> None:
        """Raises UsageError for what isn't in the project, or not there."""
        for bind in wanted.binds:
            path = self._tools.files.inside(os.path.relpath(bind.source, self._state.root))
            if not path.exists():
                raise UsageError(
                    "folder-missing", f"{wanted.name} can't run", why=f"{path} is not there for its container",
                    fix=f"correct `volumes` of {wanted.owner} in devstack.toml",
                )
        self._tools.containers.engine.ensure_volumes(
            self._owner, contained.VOLUMES, wanted.volumes, self._state.volumes
        )

    def stop(self, action: actions.StopContainer, report: Report) -> None:
        self._tools.containers.engine.stop(action.container, lambda: self._keep_log(action.name, action.container))

    def _keep_log(self, name: str, container: str) -> None:
        """What a container has printed goes with it, so its end is kept, as that of a program is; as far as it can be
        had."""
        with contextlib.suppress(DevstackError):
            found = container_logs.lines(self._tools.containers.engine, container, tail=_KEPT_LINES)
            path = self._tools.system.private_folder(self._tools.project.logs) / f"{name}.log"
            before = self._tools.system.read_end(path, _KEPT) or b""
            self._tools.system.write(path, (before + b"".join(line.text + b"\n" for line in found))[-_KEPT:])

    def remove_network(self, action: actions.RemoveNetwork, report: Report) -> None:
        self._tools.containers.engine.remove_network(self._state.stack)

    def _wanted(self, state: State, name: str) -> Contained:
        return next(one for one in contained.containers(self._profile, state) if one.name == name)

    def refusal(self, name: str) -> DevstackError | None:
        """The error for what a container's last words say, where no other start of it can help; None for any other."""
        words = "\n".join(self.last_lines(name, 12))
        return unfit.refusal(self._tools.containers.engine, self._state, self._wanted(self._state, name), words)

    def repair(self, service: ServiceState, error: ProcessError) -> bool:
        """Give a server the stack's password where it has another one; False where that isn't what is wrong."""
        form = contained.service_form(service)
        now = self.state(service.instance.name)
        if error.id != PASSWORD_REFUSED or not form.repair or now is None or not now.is_running:
            return False
        status, output = self._tools.containers.engine.execute(now.container, form.repair)
        if status:
            error.evidence = tuple(output.splitlines()[-5:])
        return status == 0

    def volumes(self) -> dict[str, dict[str, str]]:
        """The names of the volumes that are in use, by service, by short name."""
        if "docker" not in self._tools.store.load().runtimes.values():
            return {}
        found: dict[str, dict[str, str]] = {}
        trashed = trashed_volumes(self._tools.system, self._tools.project)
        for one in self._tools.containers.engine.look(self._state.stack).volumes:
            if one.name not in trashed:
                found.setdefault(one.service, {})[one.name] = one.name
        return found

    def note_ready(self, name: str) -> None:
        """What this very container's log has said stays true."""
        now = self.state(name)
        life = now.life("") if now is not None else None
        self._tools.store.update(lambda record: record.with_entry("ready", name, life))

    def lived(self, name: str) -> float | None:
        """Seconds since a container was started; None where it doesn't run."""
        now = self.state(name)
        return now.uptime if now is not None and now.is_running else None

    def state(self, name: str) -> ProgramState | None:
        """A container as it is now."""
        return self._tools.containers.engine.state(name, self._state.stack)

    def last_lines(self, name: str, count: int) -> tuple[str, ...]:
        """The end of what a container has printed."""
        return self._tools.containers.engine.last_lines(contained.container_name(self._state.stack, name), count)
