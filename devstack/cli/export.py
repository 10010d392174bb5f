"""`devstack export procfile|supervisord|compose|dotenv`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from devstack.cli.context import Context, common, pass_context
from devstack.cli.env import MASKED, are_masked, own, values_of
from devstack.errors import UsageError

if TYPE_CHECKING:
    from devstack.stack import Stack


@click.command("export")
@click.argument("form", metavar="FORM", type=click.Choice(["procfile", "supervisord", "compose", "dotenv"]))
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Instead of stdout.")
@click.option("--reveal", is_flag=True, help="dotenv: secrets as they are; without it they are ***.")
@click.option("--yes", is_flag=True, help="Replace a FILE that is there.")
@common
@pass_context
def command(context: Context, form: str, *, output: Path | None, reveal: bool, yes: bool) -> None:
    """This stack for another tool.

    procfile, supervisord: what devstack runs it by; honcho and supervisord run it by hand. compose: its services and
    containers for `docker compose`, with the same images, ports, names and data; secrets are in private files beside
    it. dotenv: the environment of its commands, as `devstack env --format dotenv`.
    """
    from devstack.output import exports
    from devstack.stack import exporting

    path = context.here() / output if output is not None else None
    if path is not None and path.exists() and not yes:
        raise UsageError(
            "not-confirmed", f"there is a {path.name} already", why="it would be replaced",
            fix=f"devstack export {form} --output {output} --yes",
        )
    stack = context.stack()
    if form == "dotenv":
        text, notes = _dotenv(stack, is_revealed=reveal)
    elif form == "compose":
        made = exporting.compose(stack)
        text, notes = exports.yaml(made.document, made.head), made.notes
    else:
        text, notes = exporting.programs(stack, is_procfile=form == "procfile")
    if path is not None:
        context.system.write(path, text, 0o600)
    context.output.exported(form, text, str(path or ""), notes)


def _dotenv(stack: Stack, *, is_revealed: bool) -> tuple[str, tuple[str, ...]]:
    from devstack.output import variables
    from devstack.stack import by_hand
    from devstack.stack.exporting import NEVER_UP

    seen = by_hand.variables(stack)
    chosen = own(seen)
    values = values_of(seen, chosen, is_revealed=is_revealed)
    notes = [NEVER_UP] if seen.is_new else []
    return variables.formatted("dotenv", values), (*notes, *([MASKED] if are_masked(chosen, values) else []))
