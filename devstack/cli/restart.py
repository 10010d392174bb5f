"""`devstack restart [NAME…]`."""

from __future__ import annotations

import click

from devstack.cli.completion import names_of
from devstack.cli.context import Context, common, pass_context, run_flags
from devstack.cli.converge import converge, finish
from devstack.plan import Up


@click.command("restart")
@click.argument("names", nargs=-1, shell_complete=names_of("processes", "services"))
@run_flags
@common
@pass_context
def command(
    context: Context, names: tuple[str, ...], *, trust: bool, yes: bool, new_ports: bool, offline: bool
) -> None:
    """Stop these services or processes and start them again, until they are ready. No NAME: every process."""
    stack = context.stack(trust=trust, new_ports=new_ports, yes=yes, offline=offline)
    wanted = names or tuple(stack.profile.processes)
    finish(context, converge(context, stack, Up(wanted, frozenset(wanted), name="restart"), yes=yes))
