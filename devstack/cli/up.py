"""`devstack up [NAME…]`."""

from __future__ import annotations

import click

from devstack.cli.completion import names_of
from devstack.cli.context import Context, common, pass_context, run_flags, stack_flags
from devstack.cli.converge import converge, finish
from devstack.cli.scale import keep
from devstack.plan import Up


@click.command("up")
@click.argument("names", nargs=-1, shell_complete=names_of("services", "tasks", "processes"))
@click.option("--scale", multiple=True, metavar="NAME=N", help="As `devstack scale NAME=N` before it.")
@stack_flags
@run_flags
@common
@pass_context
def command(  # noqa: PLR0913 - click hands every flag over by name
    context: Context, names: tuple[str, ...], *, scale: tuple[str, ...], profile: str, runtime: str, trust: bool,
    yes: bool, new_ports: bool, offline: bool,
) -> None:
    """Converge to everything running and ready: services, tasks, processes. Does nothing where nothing is needed.

    NAMEs limit it to these services, tasks and processes and what they need.
    """
    stack = context.stack(profile=profile, runtime=runtime, trust=trust, new_ports=new_ports, yes=yes, offline=offline)
    keep(stack, scale)
    finish(context, converge(context, stack, Up(names), yes=yes))
