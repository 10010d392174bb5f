"""Where things are: a project's root from any folder below it, and the folders of one stack and one user."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from devstack.errors import UsageError
from devstack.system import System, storage_error

FOLDER = ".devstack"
PROFILE = "devstack.toml"
LOCAL = "devstack.local.toml"


@dataclass(frozen=True)
class Places:
    """Folders of this user. state: registry, leases, trust. cache: servers, seeds. runtime: sockets."""

    state: Path
    cache: Path
    runtime: Path


@dataclass(frozen=True)
class Project:
    """Files and folders of one stack."""

    root: Path

    @property
    def folder(self) -> Path:
        return self.root / FOLDER

    @property
    def record(self) -> Path:
        return self.folder / "state.json"

    @property
    def secrets(self) -> Path:
        return self.folder / "secrets.json"

    @property
    def journal(self) -> Path:
        return self.folder / "journal"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def tasks(self) -> Path:
        """Marks of the tasks that run now, or ran when their devstack was killed."""
        return self.folder / "tasks"

    @property
    def foreground(self) -> Path:
        """Marks of the programs that run on a terminal now."""
        return self.folder / "foreground"

    @property
    def snapshots(self) -> Path:
        return self.folder / "snapshots"

    @property
    def trash(self) -> Path:
        return self.folder / "trash"


def places(system: System) -> Places:
    """The XDG folders; without a HOME that can be used, folders below the temp directory."""
    import platformdirs

    home = system.environ.get("HOME", "")
    if not home or not Path(home).is_dir():
        raise UsageError(
            "no-home", "there is no home folder to keep state in", why=f"HOME is {home!r}",
            fix="export HOME=/path/to/home",
        )
    dirs = platformdirs.PlatformDirs("devstack", appauthor=False)
    return Places(Path(dirs.user_state_dir), Path(dirs.user_cache_dir), _runtime(system))


def sockets(place: Places, stack: str) -> Path:
    """A stack's folder for sockets: short, since a socket's path may have 107 bytes at most."""
    return place.runtime / stack[:12]


def find_root(start: Path, given: str = "") -> Path:
    """The project that `start` is in. given: a profile, which makes a project of a checkout that has none. Raises
    UsageError where no folder above has a profile, StorageError where one can't be looked into."""
    start = start.resolve()
    for folder in (start, *start.parents):
        try:
            # whatever it is: what can't be a profile is told when it is read
            if os.path.lexists(folder / PROFILE) or (folder / FOLDER / "state.json").is_file() or _has_table(folder):
                return folder
        except OSError as error:
            raise storage_error(folder / PROFILE, error, "read") from None
    if given:
        return checkout(start) or start
    raise UsageError(
        "no-project", "this is no devstack project", why=f"there is no {PROFILE} in {start} or any folder above",
        fix="python3 bootstrap.py GIT_URL",
    )


def checkout(start: Path) -> Path | None:
    """The git checkout that `start` is in."""
    return next((folder for folder in (start, *start.parents) if (folder / ".git").exists()), None)


def _has_table(folder: Path) -> bool:
    try:
        return "[tool.devstack" in (folder / "pyproject.toml").read_text(errors="replace")
    except OSError:
        return False


def _runtime(system: System) -> Path:
    given = system.environ.get("XDG_RUNTIME_DIR", "")
    if given and len(given.encode()) < 40 and Path(given).is_dir():
        return Path(given) / "devstack"
    # as short as a private place can be: $TMPDIR may be anything, and is another one in another terminal
    user = system.user_id()
    return Path("/tmp") / f"devstack-{user}"  # noqa: S108 - the folder is private, its owner is checked

