"""`devstack plan [GOAL]`."""

from __future__ import annotations

import click

from devstack.cli.context import Context, common, pass_context, stack_flags
from devstack.plan import Down, Goal, Up

CHANGES = 10


@click.command("plan")
@click.argument("goal", type=click.Choice(["up", "down"]), default="up")
@click.option("--exit-code", is_flag=True, help="Exit with 10 if anything would change.")
@click.option("--offline", is_flag=True, help="Use what is on this machine, ask no network.")
@stack_flags
@common
@pass_context
def command(context: Context, goal: str, *, exit_code: bool, offline: bool, profile: str, runtime: str) -> int:
    """What would be done, step by step, each with its cause. Changes nothing."""
    wanted: Goal = Up() if goal == "up" else Down()
    plan = context.stack(profile=profile, runtime=runtime, offline=offline).plan(wanted)
    context.output.plan(plan)
    return CHANGES if exit_code and not plan.is_empty else 0
