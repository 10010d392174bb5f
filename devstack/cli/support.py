"""`devstack support [FILE|-]`."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from devstack.cli.context import Context, common, pass_context
from devstack.errors import UsageError

if TYPE_CHECKING:
    from devstack.stack import Stack


@click.command("support")
@click.argument("file", required=False, default="", metavar="[FILE|-]")
@click.option("--yes", is_flag=True, help="Replace a FILE that is there.")
@common
@pass_context
def command(context: Context, file: str, *, yes: bool) -> None:
    """Write what somebody who helps needs to see into one private text file, without secrets; `-`: to stdout.

    Versions, machine, status, plan, what doctor finds, the profile, the last runs and the last lines of every log.
    Nothing is changed and nothing is sent: read it before you pass it on.
    """
    from devstack.stack import supporting

    path = context.here() / file
    if file not in ("", "-") and path.exists() and not yes:
        raise UsageError(
            "not-confirmed", f"there is a {path.name} already", why="it would be replaced",
            fix=f"devstack support {shlex.quote(file)} --yes",
        )
    stack = _stack(context)
    parts = supporting.report(context.system, stack, context.here())
    text = supporting.text_of(parts)
    if file == "-":
        context.output.exported("support", text, "", ())
        return
    if file:
        context.system.write(path, text)
    else:
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(context.system.now()))
        path = supporting.write(context.system, stack, text, stamp)
    context.output.supported([part.title for part in parts], str(path), len(text.encode()))


def _stack(context: Context) -> Stack | None:
    from devstack.stack.paths import find_root

    try:
        return context.stack(find_root(Path(context.here())))
    except UsageError:
        return None
