"""supervisord, whose programs are made by posix_spawn(3) instead of fork(2); everything else is supervisor's own.

A fork copies the page tables of the whole daemon, and each page it writes to meanwhile: measured 5 ms a program, with
posix_spawn 1 ms (docs/decisions/0012-spawned-not-forked.md). What runs can also be run by plain supervisord.

Run as `python -m devstack.supervisord` with supervisord's own arguments. Imports nothing of devstack.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from supervisor import options, supervisord
from supervisor.process import Subprocess


class SpawnedProcess(Subprocess):  # type: ignore[misc]  # supervisor has no types
    """A process of a `[program:x]` section."""

    def spawn(self) -> Any:
        # `spawn` forks by calling this; without threads nobody comes between
        self.config.options.fork = self._launch
        return super().spawn()

    def get_execv_args(self) -> Any:
        self._words = super().get_execv_args()
        return self._words

    def _launch(self) -> int:
        """What supervisor's `_spawn_as_child` does; returns the child's pid, or 0 in a forked child.

        Raises OSError, which supervisord notes as the program's spawn error.
        """
        config, pipes = self.config, self.pipes
        if config.umask is None or (config.uid, config.directory, config.serverurl) != (None, None, None):
            return os.fork()
        filename, words = self._words
        environ = {
            **os.environ, "SUPERVISOR_ENABLED": "1", "SUPERVISOR_PROCESS_NAME": config.name, **self._group_and_url(),
            **(config.environment or {}),
        }
        error = pipes["child_stdout"] if config.redirect_stderr else pipes["child_stderr"]
        streams = (pipes["child_stdin"], pipes["child_stdout"], error)
        actions = [(os.POSIX_SPAWN_DUP2, stream, number) for number, stream in enumerate(streams)]
        before = os.umask(config.umask)
        try:
            return os.posix_spawn(filename, words, environ, file_actions=actions, setpgroup=0)
        finally:
            os.umask(before)

    def _group_and_url(self) -> dict[str, str]:
        url = self.config.options.serverurl
        found = {"SUPERVISOR_SERVER_URL": url} if url else {}
        return {**found, "SUPERVISOR_GROUP_NAME": self.group.config.name} if self.group else found


def make_process(config: Any, group: Any = None) -> SpawnedProcess:
    process = SpawnedProcess(config)
    process.group = group
    return process


def keep_to_ourselves() -> None:
    """What this process was handed (the lock of its stack) isn't for its programs; Python's own files never are."""
    for file in tuple(Path("/dev/fd").iterdir()):
        # one of them is the listing's own, closed by now
        with contextlib.suppress(OSError):
            if int(file.name) > 2:
                os.set_inheritable(int(file.name), False)


if __name__ == "__main__":
    keep_to_ourselves()
    options.ProcessConfig.make_process = make_process
    supervisord.main()
