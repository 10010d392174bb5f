"""`devstack urls`."""

from __future__ import annotations

import click

from devstack.cli.context import Context, common, pass_context


@click.command("urls")
@common
@pass_context
def command(context: Context) -> None:
    """Where everything is; passwords masked (`devstack exec -- env` has them)."""
    context.output.urls(context.stack().status())
