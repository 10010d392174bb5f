"""`devstack trust`."""

from __future__ import annotations

import click

from devstack.cli.context import Context, common, pass_context, profile_flag


@click.command("trust")
@profile_flag
@common
@pass_context
def command(context: Context, profile: str) -> None:
    """Allow this project to run its commands, as it is now and where it is now.

    Shows them first, and what has changed since it was trusted last. Trust ends when the profile, its templates, an env
    file or a script that it starts is changed by anybody.
    """
    stack = context.stack(profile=profile)
    request = stack.gate.request()
    context.output.trust_summary(request)
    stack.trust(request)
    context.output.trusted(request)
