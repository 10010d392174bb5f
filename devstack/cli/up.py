"""`devstack up [NAME…]`."""

from __future__ import annotations

import click

from devstack.cli.context import Context, common, pass_context, run_flags, stack_flags
from devstack.cli.converge import converge, finish
from devstack.plan import Up
from devstack.stack import Stack


@click.command("up")
@click.argument("names", nargs=-1)
@click.option(
    "--foreground", default="", metavar="NAME", help="Run this process here, on this terminal, when the rest is ready.",
)
@stack_flags
@run_flags
@common
@pass_context
def command(  # noqa: PLR0913 - click hands every flag over by name
    context: Context, names: tuple[str, ...], *, foreground: str, profile: str, runtime: str, trust: bool, yes: bool,
    new_ports: bool,
) -> int:
    """Converge to everything running and ready: services, tasks, processes. Does nothing where nothing is needed.

    NAMEs limit it to these services, tasks and processes and what they need.
    """
    stack = context.stack(profile=profile, runtime=runtime, trust=trust, new_ports=new_ports, yes=yes)
    if foreground:
        return _in_foreground(context, stack, names, foreground, yes=yes)
    finish(context, converge(context, stack, Up(names), yes=yes))
    return 0


def _in_foreground(context: Context, stack: Stack, names: tuple[str, ...], name: str, *, yes: bool) -> int:
    from devstack.programs import single
    from devstack.stack.foreground import run_here

    one = single(stack.profile, name, "devstack up --foreground")
    goal = Up((*names, one.program) if names else (), foreground=one.program)
    finish(context, converge(context, stack, goal, yes=yes), here=one.program)
    code = run_here(stack, one, is_aside=context.output.is_json)
    context.output.after_foreground(one.program, code, context.prefix(context.here()))
    return code
