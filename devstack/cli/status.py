"""`devstack status`."""

from __future__ import annotations

import click

from devstack.cli.context import Context, common, pass_context
from devstack.cli.converge import call


@click.command("status")
@common
@pass_context
def command(context: Context) -> None:
    """What runs, where, and whether it is ready; why not, if not."""
    stack = context.stack()
    if context.output.verbose:
        context.output.note(*stack.remarks())
    context.output.status(stack.status(), context.system.now(), call(context))
