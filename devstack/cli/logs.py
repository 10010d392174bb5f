"""`devstack logs [-f] [NAME…]`."""

from __future__ import annotations

import click

from devstack.cli.completion import names_of
from devstack.cli.context import Context, common, pass_context
from devstack.errors import InterruptedRunError


@click.command("logs")
@click.argument("names", nargs=-1, shell_complete=names_of("processes", "services", "tasks"))
@click.option("-f", "--follow", is_flag=True, help="Go on with what is printed from now on.")
@click.option("-n", "--tail", default=20, show_default=True, metavar="LINES", help="How many last lines of each.")
@common
@pass_context
def command(context: Context, names: tuple[str, ...], follow: bool, tail: int) -> int:
    """What services, processes and tasks print, each line with its source."""
    from devstack.stack.logs import Logs

    stack = context.stack()
    logs = Logs(context.system, stack, names)
    output = context.output
    for name, line in logs.last(tail):
        output.log(name, line, logs.width)
    if logs.silence:
        output.warn(f"nothing of containers: {logs.silence}")
    try:
        for name, line in logs.follow(output.warn) if follow else ():
            output.log(name, line, logs.width)
    except InterruptedRunError as error:
        # that is how following ends: nothing to explain
        if output.is_interactive:
            output.say()
        return error.exit_code
    return 0
