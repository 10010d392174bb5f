"""`devstack trust`."""

from __future__ import annotations

import click

from devstack.cli.context import Context, common, pass_context


@click.command("trust")
@common
@pass_context
def command(context: Context) -> None:
    """Allow this project's profile, as it is now and where it is now, to run its commands."""
    stack = context.stack()
    context.output.trust_summary(stack.profile, changed=False)
    stack.trust()
    if context.output.is_json:
        context.output.document({"trusted": str(stack.project.root)})
    context.output.done(f"{stack.project.root} is trusted")
