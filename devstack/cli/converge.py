"""What the verbs that execute a plan have in common: progress, the question before destructive steps, the end."""

from __future__ import annotations

import contextlib
import os
import shlex
from pathlib import Path

import click

from devstack.cli.context import Context
from devstack.errors import UsageError
from devstack.executor import Event, Progress
from devstack.plan import Goal, Plan
from devstack.stack import Run, Stack


def converge(context: Context, stack: Stack, goal: Goal, *, yes: bool) -> Run:
    """Run a goal and show it. Raises what the run raises."""
    with contextlib.ExitStack() as shown:
        progress: list[Progress] = []

        def show(plan: Plan) -> None:
            for warning in plan.warnings:
                context.output.say(f"note: {warning}")
            confirm(context, plan, yes=yes)
            title = f"{goal.name} {stack.profile.name}"
            progress.append(shown.enter_context(context.output.progress(plan, title)))

        def listen(event: Event) -> None:
            progress[0](event)

        return stack.run(goal, listen, show)


def confirm(context: Context, plan: Plan, *, yes: bool) -> None:
    """Nothing destructive without a yes. Raises UsageError where nobody can be asked, Abort on a no."""
    if not plan.destructive or yes:
        return
    for step in plan.destructive:
        context.output.say(f"{step.target}: {step.cause}")
    if not context.output.is_interactive:
        raise UsageError("not-confirmed", "this needs a yes", why=plan.destructive[0].cause, fix="add --yes")
    import questionary

    if not questionary.confirm("Go on?", default=False).ask():
        raise click.Abort


def finish(context: Context, run: Run, root: Path | None = None) -> None:
    """The final block of a run that ends with the stack up. root: where to go for the next commands, if not here."""
    notes = [f"{event.step.target} (optional) failed: {event.text}" for event in run.outcome.failed_optional]
    elsewhere = root is not None and root != context.here()
    prefix = f"cd {shlex.quote(os.path.relpath(root or '.'))} && {context.prefix}" if elsewhere else context.prefix
    context.output.ready(run.status, run.outcome.took, prefix, notes)
