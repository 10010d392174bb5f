"""`devstack gc`."""

from __future__ import annotations

import click

from devstack.cli.context import Context, common, pass_context
from devstack.errors import UsageError


@click.command("gc")
@click.option("--trash", is_flag=True, help="Empty this project's trash too: `undo` has nothing to bring back then.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@common
@pass_context
def command(context: Context, *, trash: bool, yes: bool) -> None:
    """Remove what deleted projects left on this machine: processes, containers, images, volumes, networks, leases.

    Shows each with its size first and asks. Nothing of a project that is still there is touched.
    """
    from devstack.stack.leftovers import Leftovers
    from devstack.stack.paths import Project, find_root

    project = Project(find_root(context.here())) if trash else None
    leftovers = Leftovers(context.system, project)
    found = leftovers.find()
    if leftovers.silence:
        context.output.note(f"containers weren't looked at: {leftovers.silence}")
    if found and not yes:
        shown = context.output.leftovers(found)
        if not context.output.is_interactive:
            raise UsageError(
                "not-confirmed", "nothing was removed: that can't be taken back", why="nobody could be asked",
                fix=f"devstack gc {'--trash ' if trash else ''}--yes", evidence=shown,
            )
        if not context.confirm("Remove all of this?"):
            raise click.Abort
    for one in found:
        leftovers.remove(one)
    context.output.removed(found)
