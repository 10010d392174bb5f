"""Data that tasks have made, kept for other stacks of this user, and put into one that would make the same.

What the key of such data is made of: docs/decisions/0039-seeds-by-key.md.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from devstack import actions, keeping, programs
from devstack.actions import Action
from devstack.checkout import Git
from devstack.data_seeds import DamagedError, DataSeed, DataSeeds
from devstack.errors import DevstackError, InterruptedRunError
from devstack.executor import Performer, Report, UnneededError
from devstack.profile import graph
from devstack.profile.model import Ask, Generate
from devstack.render import reveal
from devstack.services import Copies
from devstack.stack.copying import Copying, at_once, copies_of, with_copies
from devstack.stack.machinery import Tools
from devstack.stack.paths import Places, Project
from devstack.state import Seeding, ServiceState, State
from devstack.system import System

#: another form of seed is another number
_FORM = 1
#: what a project whose tasks name no inputs may have of files that git doesn't know, or knows otherwise
_FILES, _BYTES = 500, 32_000_000


def seeds_of(system: System, places: Places) -> DataSeeds:
    return DataSeeds(system, places.cache / "data-seeds")


def marker(project: Project) -> Path:
    """There while data is put in: until it is gone again, what the services hold is nobody's."""
    return project.snapshots / "seeding"


def is_due(tools: Tools, state: State) -> bool:
    """Has nobody put anything into the data yet? What a killed run has put in is nobody's."""
    kept = with_copies(state.services)
    is_fresh = bool(kept) and not any(service.has_data for service in kept.values())
    return is_fresh or marker(tools.project).exists()


def observe(tools: Tools, state: State) -> Seeding:
    """What can be kept, and what can be had, of data that is due. state: with keys of tasks that are the same wherever
    the project is."""
    is_unfinished = marker(tools.project).exists()
    if tools.no_seed or not tools.is_trusted:
        # git looks at what the repository says of its files: not before that is trusted
        return Seeding(is_unfinished=is_unfinished)
    keys = {name: key for name in _eligible(tools, state) if (key := _key(tools, state, name))}
    seeds = seeds_of(tools.system, tools.places)
    for name in reversed(keys):
        if seed := seeds.find(keys[name]):
            covers = keeping.covered(tools.profile, name)
            return Seeding(keys, name, keys[name], covers, _story(seed), is_unfinished)
    return Seeding(keys, is_unfinished=is_unfinished)


def _story(seed: DataSeed) -> str:
    if not seed.files:
        return "a seed"
    return f"a seed of {time.strftime('%Y-%m-%d %H:%M', time.gmtime(seed.made))} UTC, made in {Path(seed.root).name}"


def _eligible(tools: Tools, state: State) -> Iterator[str]:
    """Tasks with a snapshot, after which the data is what they and those before have made, and nothing else. In the
    order in which they run."""
    profile, kept = tools.profile, with_copies(state.services)
    for name in graph.order(profile):
        if name not in profile.tasks or not profile.tasks[name].snapshot:
            continue
        before = (*graph.all_needs(profile, name), name)
        others = (task for task in profile.tasks if task not in before)
        # another task may have done something with the data by then, which would be done again
        is_alone = all(name in graph.all_needs(profile, task) for task in others)
        if is_alone and all(need in kept for need in before if need in profile.services):
            yield name


def _key(tools: Tools, state: State, name: str) -> str:
    """What the data depends on that a task leaves; "" where that can't be told."""
    profile = tools.profile
    parts: list[object] = [_FORM, sys.platform, platform.machine(), profile.name]
    for service in with_copies(state.services).values():
        declaration = service.instance.declaration.model_dump(mode="json", exclude={"port", "memory"})
        parts += [service.instance.name, service.server.kind, service.server.version, service.runtime]
        parts += [service.instance.user, json.dumps(declaration, sort_keys=True)]
    parts.append(state.python.wanted if state.python else "")
    for variable, value in profile.env.items():
        # what is generated is another one in each stack, and data isn't to depend on it
        asked = state.decided.get(variable, "") if isinstance(value, Ask) else "generated"
        parts += [variable, reveal(asked) if isinstance(value, Generate | Ask) else str(value)]
    parts.append(json.dumps({
        path: {variable: reveal(value) for variable, value in values.items()}
        for path, values in state.env_files.items()
    }, sort_keys=True))  # fmt: skip
    tasks = keeping.covered(profile, name)
    for task in tasks:
        parts += [task, state.tasks[task].key.partition(".")[2], profile.tasks[task].unless, profile.tasks[task].user]
        parts += _named(tools, state, task)
    if not all(profile.tasks[task].inputs for task in tasks):
        if not (whole := _project(tools)):
            return ""
        parts.append(whole)
    return hashlib.sha256("\0".join(map(str, parts)).encode(errors="surrogateescape")).hexdigest()[:40]


def _named(tools: Tools, state: State, task: str) -> Iterator[str]:
    """Digests of the project's files that a task's command names, such as its script."""
    declared, root = tools.profile.tasks[task], tools.project.root
    for word in programs.command(tools.profile, state, declared).argv:
        path = root / declared.cwd / word
        if path.is_file() and path.resolve().is_relative_to(root.resolve()):
            yield hashlib.sha256(path.read_bytes()).hexdigest()


def _project(tools: Tools) -> str:
    """A digest of all files of the project, as git has them and as they are; "" where git can't tell, or they are too
    many to be read."""
    git, root = Git(tools.system), tools.project.root
    if not git.is_checkout(root):
        return ""
    try:
        asked = [
            git.ask(*words, cwd=root)
            for words in (("ls-files", "-s", "-z"), ("ls-files", "-m", "-o", "--exclude-standard", "-z"))
        ]
    except DevstackError:
        return ""
    found, left = hashlib.sha256(asked[0].stdout.encode(errors="surrogateescape")), _BYTES
    names = sorted({name for name in asked[1].stdout.split("\0") if name})
    if any(done.returncode for done in asked) or len(names) > _FILES:
        return ""
    for name in names:
        path = root / name
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        left -= len(content)
        if left < 0:
            return ""
        found.update(f"{name}\0".encode(errors="surrogateescape") + hashlib.sha256(content).digest())
    return found.hexdigest()


class SeedPerformers:
    """The actions on what is kept for other stacks. key_of: a task's key, with the data as it is now."""

    def __init__(self, tools: Tools, state: State, key_of: Callable[[str], str]) -> None:
        self._tools = tools
        self._state = state
        self._key_of = key_of
        self._seeds = seeds_of(tools.system, tools.places)

    def table(self) -> Mapping[type[Action], Performer]:
        return {actions.PlantSeed: self.plant, actions.KeepSeed: self.keep}

    def keep(self, action: actions.KeepSeed, report: Report) -> None:
        if self._seeds.find(action.key):
            raise UnneededError("another stack has kept the same")
        seed = DataSeed(
            action.key, action.name, str(self._tools.project.root), self._tools.system.now(), action.covers, {}
        )

        def fill(folder: Path) -> None:
            self._each(lambda service, copies: copies.seed(
                service.instance, service.server, self._copying(service, folder)
            ))  # fmt: skip

        if self._seeds.keep(seed, fill) is None:
            raise UnneededError("it is too big to be kept")

    def plant(self, action: actions.PlantSeed, report: Report) -> None:
        """Whatever is wrong with the seed: it goes, that is told, and the services hold nothing."""
        mark = marker(self._tools.project)
        self._tools.system.private_folder(mark.parent)
        try:
            if action.key:
                self._put(action)
        except InterruptedRunError:
            raise
        except (DamagedError, DevstackError) as error:
            self._seeds.remove(action.key)
            why = str(error) if isinstance(error, DamagedError) else f"{error}: {error.why}"
            report.tell(f"a damaged seed was removed, and tasks are run: {why}")
        if mark.exists():
            # of what was put in, then or before, nobody knows how much it is
            self._fill(None)
        mark.unlink(missing_ok=True)

    def _put(self, action: actions.PlantSeed) -> None:
        """All of a seed, and the record of what was done with it."""
        mark = marker(self._tools.project)
        self._seeds.checked(action.key)
        self._tools.system.write(mark, action.key)
        self._fill(self._seeds.files(action.key))
        keys = {name: self._key_of(name) for name in action.covers}
        self._tools.store.update(lambda record: replace(record, tasks={**record.tasks, **keys}))
        mark.unlink()

    def _fill(self, folder: Path | None) -> None:
        """Make the services hold just what is in a seed, nothing for None."""
        scratch = self._tools.project.snapshots / "seeding.tmp"

        def fill(service: ServiceState, copies: Copies) -> None:
            runner = self._copying(service, folder) if folder else None
            copies.plant(service.instance, service.server, runner, self._copying(service, scratch))

        try:
            self._each(fill)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _copying(self, service: ServiceState, folder: Path) -> Copying:
        return Copying(self._tools, self._state.stack, service, folder / service.instance.name)

    def _each(self, act: Callable[[ServiceState, Copies], None]) -> None:
        at_once(with_copies(self._state.services).values(), lambda service: act(service, copies_of(service)))
