"""`devstack down [--volumes]`."""

from __future__ import annotations

import click

from devstack.cli.context import Context, common, pass_context
from devstack.cli.converge import take_down
from devstack.plan import Down


@click.command("down")
@click.option("--volumes", is_flag=True, help="Move the services' data to the trash too.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@common
@pass_context
def command(context: Context, volumes: bool, yes: bool) -> None:
    """Stop everything: processes, services, supervisord. Data stays."""
    stack = context.stack()
    outcome = take_down(context, stack, Down(volumes), yes=yes)
    if context.output.is_json:
        context.output.document({"stack": stack.name, "state": "down"})
    if not outcome.events:
        context.output.done(f"{stack.name} is down already")
        return
    data = "in the trash (.devstack/trash)" if volumes else "kept"
    context.output.done(f"{stack.name} is down ({context.took:.1f} s), its data is {data}")
