"""Running one task: is it done already, its command, what it must have made, and what is remembered of it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from devstack import branches, programs, system_packages
from devstack.actions import RunTask
from devstack.detect import last_words
from devstack.errors import ProcessError
from devstack.executor import Report, UnneededError
from devstack.profile.interpolation import resolve
from devstack.profile.model import Task
from devstack.render import reveal
from devstack.services import said_by_a_server
from devstack.stack import branching
from devstack.stack.commands import ensure_executable
from devstack.stack.machinery import Tools
from devstack.stack.observe import Observer
from devstack.stack.tasks import marked
from devstack.state import State
from devstack.system import Completed
from devstack.viewpoint import lookup

_LINES = 12
#: seconds that `unless` may take: it asks, it doesn't do
_UNLESS = 60.0


@dataclass(frozen=True)
class TaskRunner:
    """Runs the tasks of one `up`. observer: looks at data again after it was made."""

    tools: Tools
    state: State
    observer: Observer

    def run(self, action: RunTask, report: Report) -> None:
        """Raises ProcessError where it fails, UnneededError where its `unless` says that it is done."""
        name, task = action.task, self.tools.profile.tasks[action.task]
        if action.seed and self.tools.store.load().tasks.get(name) == self.key(name):
            raise UnneededError(f"its data comes from {action.seed}")
        self.tools.files.inside(task.cwd)
        resolved = programs.command(self.tools.profile, self.state, task)
        resolved = programs.with_words(resolved, action.words, shell=task.shell)
        ensure_executable(self.tools.system, f"task {name}", resolved)
        if task.unless is not None and not action.is_forced and self._is_done(name, task, resolved):
            self._remember(action)
            raise UnneededError(f"`{task.unless}` says that it is done")
        log = self.tools.project.logs / f"{name}.log"
        self.tools.system.private_folder(log.parent)
        done = self._execute(name, task, resolved, task.timeout, log, report)
        if done.timed_out or done.returncode != 0:
            raise self._with_way_back(name, _failed(self.tools, name, done))
        if missing := self.tools.system.missing(self.tools.project.root, task.outputs):
            raise ProcessError(
                "task-output-missing", f"the task {name} ended well, but made no {missing[0]}",
                why="it would run again each time", fix=f"correct `outputs` of [tasks.{name}] in devstack.toml",
                evidence=done.last_lines(_LINES),
            )
        if not action.words:
            self._remember(action)

    def _is_done(self, name: str, task: Task, resolved: programs.Resolved) -> bool:
        answer = lookup(self.tools.profile, self.state)
        words = tuple(reveal(resolve(word, answer)) for word in shlex.split(task.unless or ""))
        asked = replace(resolved, argv=words)
        ensure_executable(self.tools.system, f"`unless` of the task {name}", asked, "unless")
        done = self._execute(name, task, asked, min(_UNLESS, task.timeout))
        if done.timed_out:
            raise ProcessError(
                "task-unless-timeout", f"whether the task {name} is done already can't be told",
                why=f"no end of `{task.unless}` after {min(_UNLESS, task.timeout):g} s", fix=f"devstack run {name}",
                evidence=done.last_lines(_LINES),
            )
        return done.returncode == 0

    def _execute(
        self, name: str, task: Task, resolved: programs.Resolved, timeout: float, log: Path | None = None,
        report: Report | None = None,
    ) -> Completed:
        system = self.tools.system
        with marked(system, self.tools.project, name) as mark:
            return system.run(
                system.as_user(task.user, resolved.argv), timeout=timeout, env={**resolved.revealed(), **mark},
                cwd=Path(resolved.cwd), log=log, on_line=report.say if report else None,
            )

    def _remember(self, action: RunTask) -> None:
        """What the task needed may have begun anew in this very run: the key is that of the data it worked on."""
        name, owed = action.task, action.snapshot or None
        key = self.key(name)
        self.tools.store.update(lambda record: record.with_entry("tasks", name, key).with_entry("owed", name, owed))
        if branches.works_on(self.tools.profile, self.state, name):
            branching.remember(self.tools, self.state.branch, name)

    def _with_way_back(self, name: str, error: ProcessError) -> ProcessError:
        """Where the data as it was before is kept, that is what helps first."""
        kept = self.tools.store.load().pending.split()
        if name in kept[1:]:
            error.why = f"{error.why}; the data as it was before is the snapshot {kept[0]}"
            error.fix = f"devstack snapshot restore {kept[0]}"
        return error

    def key(self, name: str) -> str:
        """A task's key as it is now."""
        return self.observer.task_state(self.observer.with_data(self.state), self.tools.store.load(), name).key


def _failed(tools: Tools, name: str, done: Completed) -> ProcessError:
    task = tools.profile.tasks[name]
    why, fix = f"exit status {done.returncode}", f"devstack run {name}"
    cause = last_words.cause(done.output.splitlines())
    if done.timed_out:
        why = f"no end after {task.timeout:g} s"
    elif said := said_by_a_server(tools.profile.services, cause or done.output):
        # where a server refused, running the task again can't help
        why, fix = said
    elif cause:
        why = f"{cause} (exit status {done.returncode})"
        fix = last_words.fix(cause, system_packages.machine(tools.system)) or fix
    return ProcessError(
        "task-failed", f"the task {name} failed: {task.run}", why=why, fix=fix, evidence=done.last_lines(_LINES)
    )
