"""`devstack up [NAME…]`."""

from __future__ import annotations

import click

from devstack.cli.completion import names_of
from devstack.cli.context import Context, common, pass_context, run_flags, seed_flag, stack_flags, timings_flag
from devstack.cli.converge import converge, finish, timed
from devstack.cli.scale import keep
from devstack.plan import Up
from devstack.programs import Single
from devstack.stack import Stack


@click.command("up")
@click.argument("names", nargs=-1, shell_complete=names_of("services", "tasks", "processes"))
@click.option("--scale", multiple=True, metavar="NAME=N", help="As `devstack scale NAME=N` before it.")
@click.option(
    "--foreground", default="", metavar="NAME", shell_complete=names_of("processes"),
    help="Run this process here, on this terminal, when the rest is ready.",
)
@click.option(
    "--move-data", is_flag=True,
    help="Take the data of services along to the runtime that is asked for now; all stops meanwhile.",
)
@seed_flag
@timings_flag
@stack_flags
@run_flags
@common
@pass_context
def command(  # noqa: PLR0913 - click hands every flag over by name
    context: Context, names: tuple[str, ...], *, scale: tuple[str, ...], foreground: str, profile: str, runtime: str,
    trust: bool, yes: bool, new_ports: bool, offline: bool, move_data: bool, no_seed: bool,
    timings: bool,
) -> int:
    """Converge to everything running and ready: services, tasks, processes. Does nothing where nothing is needed.

    NAMEs limit it to these services, tasks and processes and what they need.
    """
    stack = context.stack(
        profile=profile, runtime=runtime, trust=trust, new_ports=new_ports, yes=yes, offline=offline,
        move_data=move_data, no_seed=no_seed,
    )
    keep(stack, scale)
    one = _single(stack, foreground) if foreground else None
    goal = Up((*names, one.program) if names else (), foreground=one.program) if one else Up(names)
    with timed(context, stack, wanted=timings):
        run = converge(context, stack, goal, yes=yes)
    finish(context, run, here=one.program if one else "")
    return _run_here(context, stack, one) if one else 0


def _single(stack: Stack, name: str) -> Single:
    from devstack.programs import single

    return single(stack.profile, name, "devstack up --foreground")


def _run_here(context: Context, stack: Stack, one: Single) -> int:
    from devstack.stack.foreground import run_here

    code = run_here(stack, one, is_aside=context.output.is_json)
    context.output.after_foreground(one.program, code, context.prefix(context.here()))
    return code
