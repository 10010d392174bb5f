"""Freshly initialised data folders, made once per server build and copied for every new service.

A seed is keyed by what it depends on, built beside, flushed and renamed; its count of files is checked before use.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from devstack.errors import PrerequisiteError, ProcessError, StorageError
from devstack.files import storage_errors
from devstack.runtimes.servers.trees import count_files, locked, remove
from devstack.runtimes.unprivileged import Unprivileged, own
from devstack.services import Prepare
from devstack.system import Completed, System

_TIMEOUT = 300.0
_NOTE = "devstack-seed.json"
_KEPT = ("PATH", "HOME", "TMPDIR", "TZDIR")


class Seeds:
    """folder: `…/devstack/seeds` in the cache, this user's own."""

    def __init__(self, system: System, folder: Path, unprivileged: Unprivileged) -> None:
        self._system = system
        self._folder = folder
        self._unprivileged = unprivileged

    def copy_to(self, prepare: Prepare, target: Path) -> None:
        """Fill the absent folder `target` with a copy of the seed, mode 0700, flushed to disk.

        Raises ProcessError where the server's own initialisation fails, StorageError.
        """
        source = self._seed(prepare)
        with storage_errors(target):
            if not self._cloned(source, target):
                remove(target)
                shutil.copytree(source, target, symlinks=True)
            target.chmod(0o700)
        os.sync()

    def _seed(self, prepare: Prepare) -> Path:
        key = hashlib.sha256(prepare.template.encode()).hexdigest()[:24]
        place = self._folder / key
        self._system.private_folder(self._folder)
        with locked(self._system, self._folder / f".{key}.lock"):
            if not self._is_whole(place):
                for left in (place, *self._folder.glob(f".tmp-{key}-*")):
                    remove(left)
                self._make(prepare, place)
        own(place, self._unprivileged.way())
        return place / "data"

    def _make(self, prepare: Prepare, place: Path) -> None:
        with storage_errors(self._folder):
            beside = Path(tempfile.mkdtemp(dir=self._folder, prefix=f".tmp-{place.name}-"))
        try:
            data = beside / "data"
            data.mkdir(0o700)
            # owned by whoever fills it, through folders that are root's own
            way = self._unprivileged.way()
            own(data, way)
            argv = (*way.words, *(word.replace("{target}", str(data)) for word in prepare.argv))
            done = self._system.run(argv, timeout=_TIMEOUT, env=_environment(self._system.environ, prepare), cwd=data)
            if done.returncode:
                raise _failed(prepare, data, done)
            note = {"files": count_files(data), "template": prepare.template}
            self._system.write(beside / _NOTE, json.dumps(note, indent=1) + "\n")
            os.sync()
            with storage_errors(place):
                beside.rename(place)
                self._system.sync_folder(self._folder)
        finally:
            remove(beside)

    def _is_whole(self, place: Path) -> bool:
        try:
            note = json.loads((place / _NOTE).read_bytes())
            return bool(note["files"] == count_files(place / "data"))
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def _cloned(self, source: Path, target: Path) -> bool:
        # GNU cp shares blocks where the file system can, and is faster than Python where it can't
        try:
            done = self._system.run(("cp", "-a", "--reflink=auto", "--", str(source), str(target)), timeout=_TIMEOUT)
        except PrerequisiteError:
            return False
        return done.returncode == 0


def _environment(environ: Mapping[str, str], prepare: Prepare) -> dict[str, str]:
    # PGDATA, PGPORT and the like of the person's shell must not reach the server's tools
    return {**{name: environ[name] for name in _KEPT if name in environ}, **prepare.env}


def _failed(prepare: Prepare, data: Path, done: Completed) -> ProcessError | StorageError:
    program = Path(prepare.argv[0]).name
    if "No space left on device" in done.output:
        return StorageError(
            "disk-full", f"{program} could not fill a data folder", why="no space left on the device",
            fix=f"df -h {data.parent.parent}", evidence=done.last_lines(),
        )
    why = "it took too long" if done.timed_out else f"it ended with status {done.returncode}"
    return ProcessError(
        "data-not-made", f"{program} could not make a data folder", why=why, fix="devstack up",
        evidence=done.last_lines(),
    )
