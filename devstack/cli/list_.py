"""`devstack list`."""

from __future__ import annotations

import click

from devstack.cli.context import Context, common, pass_context


@click.command("list")
@common
@pass_context
def command(context: Context) -> None:
    """Every stack on this machine, last used first."""
    from devstack.stack.machine import overview

    entries, states = overview(context.system)
    context.output.stacks(entries, states, context.system.now())


