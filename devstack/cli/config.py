"""`devstack config [--explain KEY | --path]`."""

from __future__ import annotations

import click

from devstack.cli.context import Context, common, pass_context, stack_flags
from devstack.errors import UsageError


@click.command("config")
@click.option("--explain", default="", metavar="KEY", help="What each layer says of a key: processes.web.run, runtime.")
@click.option("--path", is_flag=True, help="The files that the profile is made from, the lowest first.")
@stack_flags
@common
@pass_context
def command(context: Context, *, explain: str, path: bool, profile: str, runtime: str) -> None:
    """The profile as it is in force, all layers laid over each other; -v adds defaults and where each value is from."""
    from devstack.profile import explain as explaining

    if explain and path:
        raise UsageError(
            "usage", "--explain and --path ask for different things", fix=f"devstack config --explain {explain}"
        )
    loaded = context.stack(profile=profile, runtime=runtime).found.loaded
    if path:
        context.output.profile_files(loaded.merged.files)
    elif explain:
        context.output.explanation(explaining.explain(loaded, explain))
    else:
        whole = context.output.verbose or context.output.is_json
        context.output.profile(explaining.resolved(loaded, whole=whole), explaining.origins(loaded))
