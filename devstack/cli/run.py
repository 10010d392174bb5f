"""`devstack run TASK`."""

from __future__ import annotations

import click

from devstack.cli.completion import names_of
from devstack.cli.context import Context, common, pass_context, run_flags
from devstack.cli.converge import converge
from devstack.errors import UsageError
from devstack.plan import Up


@click.command("run", context_settings={"ignore_unknown_options": True})
@click.argument("task", shell_complete=names_of("tasks"))
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[-- ARG…]")
@run_flags
@common
@pass_context
def command(  # noqa: PLR0913 - click hands every flag over by name
    context: Context, task: str, words: tuple[str, ...], *, trust: bool, yes: bool, new_ports: bool, offline: bool
) -> None:
    """Run a task of the profile now, with what it needs brought up first.

    What comes after `--` is added to its command; it doesn't count as done then.
    """
    stack = context.stack(trust=trust, new_ports=new_ports, yes=yes, offline=offline)
    if task not in stack.profile.tasks:
        known = ", ".join(stack.profile.tasks) or "none"
        raise UsageError(
            "unknown-task", f"the profile has no task {task!r}", why=f"it has {known}", fix="devstack plan"
        )
    outcome = converge(context, stack, Up((task,), frozenset({task}), name="run", words=words), yes=yes).outcome
    if context.output.is_json:
        context.output.document({"task": task, "took_s": round(outcome.took, 3)})
    context.output.done(f"{task} is done ({outcome.took:.1f} s)")
