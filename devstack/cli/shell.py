"""`devstack shell [SERVICE] [-- ARG…]`."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click

from devstack.cli.completion import names_of
from devstack.cli.context import Context, common, pass_context
from devstack.errors import DevstackError
from devstack.stack import by_hand, inside
from devstack.stack.clients import Opened

_SECONDS = 30.0


@click.command("shell", context_settings={"ignore_unknown_options": True})
@click.argument("service", required=False, shell_complete=names_of("services", "processes"))
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[-- ARG…]")
@common
@pass_context
def command(context: Context, service: str | None, words: tuple[str, ...]) -> int:
    """Your shell in the project's environment; or a service's client, logged in: psql, redis-cli, rabbitmqctl; or a
    shell inside of a process that runs in a container.

    What comes after `--` is for it: devstack shell postgres -- -c 'select 1'. Its exit code is this command's.
    """
    stack = context.stack()
    if service is None:
        stack.ensure_trusted()
        opened = by_hand.shell(stack, is_interactive=context.output.is_typed)
        if opened.files:
            context.output.warn(f"{stack.name}: the project's environment; `exit` leaves it")
        return _foreground(context, opened, words)
    entry = inside.way_in(stack, service)
    if entry is not None:
        if words or entry.is_interactive:
            return inside.enter(stack, entry, words)
        return _converse(context, service, partial(inside.enter, stack, entry))
    opened = by_hand.client(stack, service)
    if words and opened.execute is not None:
        context.output.say(opened.execute(words, _SECONDS))
        return 0
    if words or (opened.is_interactive and opened.execute is None):
        return _foreground(context, opened, words)
    return _converse(context, service, partial(_one, context, opened))


def _one(context: Context, opened: Opened, words: tuple[str, ...]) -> int:
    if opened.execute is None:
        return _foreground(context, opened, words)
    context.output.say(opened.execute(words, _SECONDS))
    return 0


def _foreground(context: Context, opened: Opened, words: tuple[str, ...]) -> int:
    for file in opened.files:
        context.system.private_folder(Path(file.path).parent)
        context.system.write(Path(file.path), file.content, file.mode)
    return context.system.foreground((*opened.argv, *words), env=opened.env, cwd=context.here())


def _converse(context: Context, service: str, run: Callable[[tuple[str, ...]], int]) -> int:
    """One command a line until the input ends; the last one's exit code."""
    code = 0
    for line in context.output.typed(f"{service}> "):
        try:
            words = tuple(shlex.split(line))
        except ValueError as error:
            context.output.warn(f"not understood: {str(error).lower()}")
            continue
        if words[:1] in (("exit",), ("quit",)):
            break
        if not words:
            continue
        try:
            code = run(words)
        except DevstackError as error:
            context.output.warn(error.why or error.what)
            code = error.exit_code
    return code
