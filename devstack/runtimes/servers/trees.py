"""Folders of fetched binaries: built beside, verified, then renamed into place; whole or not there.

A tree is known by its manifest, written last. One lock per tree makes concurrent fetches one fetch.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from devstack.errors import BusyError
from devstack.files import storage_errors
from devstack.system import System

MANIFEST = "devstack-manifest.json"
_LOCK_WAIT = 1800.0


@dataclass(frozen=True)
class Manifest:
    """What a finished tree says of itself. sha256: of the archives it was made of, by name."""

    source: str
    version: str
    program: str
    files: int
    sha256: dict[str, str]


class Trees:
    """The trees below one cache folder, shared by every stack of this user."""

    def __init__(self, system: System, folder: Path) -> None:
        self._system = system
        self.folder = folder

    def path(self, name: str) -> Path:
        return self.folder / name

    def manifest(self, name: str) -> Manifest | None:
        """The manifest of a whole tree; None where it isn't there, is damaged, or its program is gone."""
        return read_manifest(self.path(name))

    def built(self, name: str, build: Callable[[Path], Manifest]) -> Manifest:
        """The manifest of the tree, made by `build` in a folder beside if it isn't whole. Raises what `build` raises;
        nothing is left behind then."""
        self._system.private_folder(self.folder)
        with locked(self._system, self.folder / f".{name}.lock"):
            found = self.manifest(name)
            if found is not None:
                return found
            self._sweep(name)
            with storage_errors(self.folder):
                beside = Path(tempfile.mkdtemp(dir=self.folder, prefix=f".tmp-{name}-"))
            try:
                manifest = build(beside)
                self._publish(beside, name, manifest)
            finally:
                remove(beside)
        return manifest

    def _publish(self, beside: Path, name: str, manifest: Manifest) -> None:
        # one flush of everything unpacked: a sync of each of thousands of small files takes far longer
        os.sync()
        self._system.write(beside / MANIFEST, json.dumps(asdict(manifest), indent=1) + "\n")
        target = self.path(name)
        with storage_errors(target):
            if target.exists():
                target.rename(tempfile.mkdtemp(dir=self.folder, prefix=f".tmp-{name}-"))
            beside.rename(target)
            self._system.sync_folder(self.folder)
        self._sweep(name)

    def _sweep(self, name: str) -> None:
        # the lock is held: whatever is there of this name was left by a run that was killed
        for left in self.folder.glob(f".tmp-{name}-*"):
            remove(left)


def read_manifest(tree: Path) -> Manifest | None:
    """See `Trees.manifest`."""
    try:
        raw = json.loads((tree / MANIFEST).read_bytes())
        manifest = Manifest(**{key: raw[key] for key in Manifest.__dataclass_fields__})
        return manifest if os.access(tree / manifest.program, os.X_OK) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextlib.contextmanager
def locked(system: System, path: Path) -> Iterator[None]:
    """Hold a lock that vanishes with the process; waits for another holder as long as a fetch may take."""
    with system.lock(path, _LOCK_WAIT) as is_held:
        if not is_held:
            system.pause(0)
            raise BusyError(
                "fetch-locked", f"another devstack has held {path} for {_LOCK_WAIT:.0f} seconds",
                why="it fetches the same server and hasn't finished", fix="devstack list",
            )
        yield


def remove(folder: Path) -> None:
    """Delete a folder of ours; what can't be deleted now is swept another time."""
    shutil.rmtree(folder, ignore_errors=True)


def count_files(tree: Path) -> int:
    """Number of entries that aren't folders."""
    return sum(len(files) for _folder, _folders, files in os.walk(tree))
