"""`devstack snapshot save|restore|list|rm [NAME]`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from devstack.cli.context import Context, common, pass_context
from devstack.cli.converge import Shown, agree, finish
from devstack.errors import UsageError

if TYPE_CHECKING:
    from devstack.stack.snapshotting import Snapshotting

_ACTIONS = ("save", "restore", "list", "rm")


@click.command("snapshot")
@click.argument("action", type=click.Choice(_ACTIONS), metavar="save|restore|list|rm")
@click.argument("name", required=False, default="")
@click.option("--yes", is_flag=True, help="Don't ask.")
@common
@pass_context
def command(context: Context, action: str, name: str, *, yes: bool) -> None:
    """Named states of the data of all services, together.

    save NAME keeps everything as it is now; restore NAME goes back to it, and what is there becomes the snapshot
    before-restore; rm NAME lets go of it. Processes are stopped meanwhile and started again.
    """
    from devstack.stack.snapshotting import Snapshotting

    if action != "list" and not name:
        raise UsageError("name-missing", f"which snapshot is to {action}?", fix=f"devstack snapshot {action} NAME")
    stack = context.stack()
    with Shown(context, f"{action} {name}", yes=True) as shown:
        snapshotting = Snapshotting(stack, shown.listen, shown.show)
        match action:
            case "list":
                context.output.snapshots(snapshotting.list(), context.system.now())
            case "save":
                context.output.snapshot(snapshotting.save(name), "saved")
            case "rm":
                snapshotting.snapshots.get(name)
                agree(context, f"The snapshot {name} goes; nothing brings it back.", yes=yes)
                context.output.snapshot(snapshotting.remove(name), "removed")
            case _:
                _restore(context, snapshotting, name, yes=yes)


def _restore(context: Context, snapshotting: Snapshotting, name: str, *, yes: bool) -> None:
    manifest = snapshotting.snapshots.get(name)
    what = f"All data of {snapshotting.stack.name} goes back to {name}; as it is now it becomes before-restore."
    agree(context, what, yes=yes)
    run = snapshotting.restore(name)
    if run is not None and not context.output.is_json:
        finish(context, run)
    context.output.snapshot(manifest, "restored")
