"""`devstack exec -- CMD`."""

from __future__ import annotations

import click

from devstack.cli.completion import names_of
from devstack.cli.context import Context, common, pass_context


@click.command("exec", context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- CMD [ARG…]")
@click.option(
    "--in", "place", default="", metavar="NAME", shell_complete=names_of("services", "processes"),
    help="Inside of the container of this service or process.",
)
@common
@pass_context
def command(context: Context, words: tuple[str, ...], place: str) -> int:
    """Run a command in the project's environment, here, on this terminal; its exit code is this command's."""
    from devstack.stack import by_hand, inside

    stack = context.stack()
    stack.ensure_trusted()
    if place:
        return inside.enter(stack, inside.any_command(stack, place, words), ())
    resolved = by_hand.command(stack, words, context.here())
    return context.system.foreground(resolved.argv, env=resolved.revealed(), cwd=context.here())
