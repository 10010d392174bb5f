"""`devstack exec -- CMD`."""

from __future__ import annotations

import click

from devstack.cli.context import Context, common, pass_context


@click.command("exec", context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- CMD [ARG…]")
@common
@pass_context
def command(context: Context, words: tuple[str, ...]) -> int:
    """Run a command in the project's environment, here, on this terminal; its exit code is this command's."""
    from devstack.stack import by_hand

    stack = context.stack()
    stack.ensure_trusted()
    resolved = by_hand.command(stack, words, context.here())
    return context.system.foreground(resolved.argv, env=resolved.revealed(), cwd=context.here())
