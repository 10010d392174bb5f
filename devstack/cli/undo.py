"""`devstack undo`."""

from __future__ import annotations

import click

from devstack.cli.context import Context, common, pass_context
from devstack.cli.converge import Shown, agree
from devstack.plan import Down


@click.command("undo")
@click.option("--yes", is_flag=True, help="Don't ask.")
@common
@pass_context
def command(context: Context, *, yes: bool) -> None:
    """Bring back the data, or the environment, that the last destructive command put into the trash.

    The stack is down afterwards. Data that there is meanwhile goes to the trash in its turn.
    """
    from devstack.stack import undoing

    stack = context.stack()
    thrown = undoing.last(stack.project.trash)
    has_data = thrown.what == undoing.DATA and bool(stack.running().state.data)
    instead = "; the data of now goes to the trash" if has_data else ""
    agree(context, f"The {thrown.what} of {thrown.when} comes back{instead}. Everything stops.", yes=yes)
    with Shown(context, "undo", yes=True) as shown:
        stack.down(Down(volumes=has_data), shown.listen, shown.show)
    with stack.at_work() as tools:
        undoing.bring_back(tools, thrown)
    if context.output.is_json:
        context.output.document({"restored": thrown.what, "when": thrown.when})
    context.output.done(f"the {thrown.what} of {thrown.when} is back: devstack up")
