"""Servers must not run as root: the words put before a command so that it runs with fewer rights.

For an ordinary user there are none. As root the command gets a user namespace in which it is `nobody`: no file
changes hands, and folders that only root may enter still work. Where the kernel or a container forbids that, the
command runs as `postgres` or `nobody` of the machine, owns its data, and keeps the one capability of reaching files
below root's private folders (so it is shielded from mistakes, not from a hostile server).
"""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from devstack import evidence
from devstack.errors import PrerequisiteError
from devstack.files import storage_errors
from devstack.runtimes.servers.machine import which
from devstack.system import System

_NOBODY = 65534
_TIMEOUT = 10.0
#: kept through the program's start; without the bit, access(2) of an account that isn't root forgets about it
_CAPABILITY = "--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--securebits=+no_setuid_fixup"


@dataclass(frozen=True)
class Way:
    """words: put before the command. uid, gid: who must own what it writes."""

    words: tuple[str, ...]
    uid: int
    gid: int


class Unprivileged:
    """Finds out once per process what this machine allows."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._found: Way | None = None

    def way(self) -> Way:
        """How servers run here. Raises PrerequisiteError for root where nothing works."""
        if self._found is None:
            self._found = Way((), os.geteuid(), os.getegid()) if os.geteuid() != 0 else self._for_root()
        return self._found

    def _for_root(self) -> Way:
        namespace = (
            self._program("unshare"), "--user", f"--map-user={_NOBODY}", f"--map-group={_NOBODY}", "--",
        )
        if self._works(namespace):
            return Way(namespace, 0, 0)
        account = self._account()
        if account is not None:
            identity = (
                self._program("setpriv"), f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups",
            )
            for words in ((*identity, *_CAPABILITY, "--"), (*identity, "--")):
                if self._works(words):
                    return Way(words, account.pw_uid, account.pw_gid)
        raise PrerequisiteError(
            "root-refused", "servers can't be started with fewer rights than root's here",
            why="neither a user namespace (unshare) nor another user (setpriv) works", fix="su - USER -c 'devstack up'",
        )

    def _works(self, words: tuple[str, ...]) -> bool:
        try:
            program = self._program("true")
            # what the kernel allows stays so while it runs
            with evidence.unheard():
                return self._system.capture((*words, program), timeout=_TIMEOUT).returncode == 0
        except PrerequisiteError:
            return False

    def _program(self, name: str) -> str:
        # absolute, since supervisord starts programs with another PATH
        return which(self._system, name) or name

    @staticmethod
    def _account() -> pwd.struct_passwd | None:
        for name in ("postgres", "nobody"):
            try:
                return pwd.getpwnam(name)
            except KeyError:
                continue
        return None


def own(folder: Path, way: Way) -> None:
    """Give a folder of ours and all in it to whoever the servers run as; at once where that is so already."""
    if os.geteuid() != 0 or not folder.exists():
        return
    with storage_errors(folder):
        if folder.stat().st_uid == way.uid:
            return
        for place, folders, files in os.walk(folder):
            for name in (*folders, *files):
                os.chown(Path(place, name), way.uid, way.gid, follow_symlinks=False)
        # last, so that a run that was killed in between starts over
        os.chown(folder, way.uid, way.gid, follow_symlinks=False)
