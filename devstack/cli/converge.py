"""What the verbs that execute a plan have in common: progress, the question before destructive steps, the end."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click

from devstack.cli.calling import unseen
from devstack.cli.context import Context
from devstack.errors import UsageError
from devstack.executor import Event, Outcome, Progress
from devstack.output import Call
from devstack.plan import Down, Plan, Up
from devstack.stack import Run, Stack


def converge(context: Context, stack: Stack, goal: Up, *, yes: bool) -> Run:
    """Bring a stack up and show it. Raises what the run raises."""
    with Shown(context, f"{goal.name} {stack.name}", yes=yes) as shown:
        return stack.up(goal, shown.listen, shown.show)


def take_down(context: Context, stack: Stack, goal: Down, *, yes: bool) -> Outcome:
    """Take a stack down and show it. Raises what the run raises."""
    with Shown(context, f"{goal.name} {stack.name}", yes=yes) as shown:
        return stack.down(goal, shown.listen, shown.show)


@contextlib.contextmanager
def timed(context: Context, stack: Stack, *, wanted: bool, before: Path | None = None) -> Iterator[None]:
    """Draw where the time of the stack's runs went, of a failed one too. before: journal of a run before those."""
    try:
        yield
    finally:
        if wanted:
            from devstack.timings import timings

            journals = [*([before] if before else []), *stack.journals]
            context.output.timings(timings(context.system.read(path) or "" for path in journals))


class Shown(contextlib.ExitStack):
    """A run on the screen: its warnings, the question before destructive steps, its progress."""

    def __init__(self, context: Context, title: str, *, yes: bool) -> None:
        super().__init__()
        self._context = context
        self._title = title
        self._yes = yes
        self._progress: Progress | None = None

    def show(self, plan: Plan) -> None:
        # the picture of the plan before, where there was one, ends here
        self.close()
        self._progress = None
        self._context.output.note(*plan.warnings)
        confirm(self._context, plan, yes=self._yes)
        self._progress = self.enter_context(self._context.output.progress(plan, self._title))

    def listen(self, event: Event) -> None:
        if self._progress is not None:
            self._progress(event)


def confirm(context: Context, plan: Plan, *, yes: bool) -> None:
    """Nothing destructive without a yes. Raises UsageError where nobody can be asked, Abort on a no."""
    if not plan.destructive or yes:
        return
    lost = [f"{step.target}: {step.cause}" for step in plan.destructive]
    if not context.output.is_interactive:
        command = shlex.join(["devstack", *context.words, "--yes"])
        raise UsageError("not-confirmed", "this can't be done without a yes", why="; ".join(lost), fix=command)
    context.output.say("This can't be done without losing something:")
    for line in lost:
        context.output.say(f"  {line}")
    if not context.confirm("Go on?"):
        raise click.Abort


def agree(context: Context, what: str, *, yes: bool) -> None:
    """Say what is about to go. Raises UsageError where nobody can be asked, Abort on a no."""
    if yes:
        return
    if not context.output.is_interactive:
        command = shlex.join(["devstack", *context.words, "--yes"])
        raise UsageError("not-confirmed", "this can't be done without a yes", why=what, fix=command)
    context.output.say(what)
    if not context.confirm("Go on?"):
        raise click.Abort


def finish(context: Context, run: Run, root: Path | None = None, here: str = "") -> None:
    """The final block of a run that ends with the stack up. root: where to go for the next commands, if not here.

    here: the program that runs on this terminal from now on.
    """
    notes = [f"{event.step.target} (optional) failed: {event.text}" for event in run.outcome.failed_optional]
    notes += run.remarks
    # without a step nothing had to be done, however long it took to see that
    took = context.took if run.outcome.took else 0.0
    context.output.ready(run.status, took, replace(call(context, root), here=here), notes)


def call(context: Context, root: Path | None = None) -> Call:
    """How to call devstack from here on. root: the project's folder, if that may not be this one."""
    elsewhere = root is not None and root != context.here()
    command = context.prefix(root or context.here())
    return Call(command, shlex.quote(os.path.relpath(root or ".")) if elsewhere else "", unseen=unseen())
