"""`devstack undo`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from devstack.cli.context import Context, common, pass_context
from devstack.cli.converge import Shown, agree
from devstack.plan import Down

if TYPE_CHECKING:
    from devstack.snapshots import Manifest
    from devstack.stack import Stack
    from devstack.stack.undoing import Thrown


@click.command("undo")
@click.option("--yes", is_flag=True, help="Don't ask.")
@common
@pass_context
def command(context: Context, *, yes: bool) -> None:
    """Bring back what the last destructive command replaced: data, an environment, or the profile.

    What is there meanwhile takes its place: a second `undo` exchanges the two again. Data and environments of the trash
    come back with the stack down.
    """
    from devstack.stack import undoing
    from devstack.stack.snapshotting import Snapshotting

    stack = context.stack()
    thrown = undoing.last(stack.project.trash)
    replaced = undoing.last_of(Snapshotting.known(stack))
    if replaced is not None and (thrown is None or replaced.made > thrown.at):
        _restore(context, stack, replaced, yes=yes)
    elif thrown is None:
        raise undoing.nothing(stack.project.trash)
    elif thrown.what == undoing.PROFILE:
        agree(context, f"The profile of {thrown.when} comes back; the one of now goes to the trash.", yes=yes)
        with stack.at_work() as tools:
            undoing.bring_back(tools, thrown)
        _done(context, thrown.title, thrown.when)
    else:
        _bring_back(context, stack, thrown, yes=yes)


def _restore(context: Context, stack: Stack, replaced: Manifest, *, yes: bool) -> None:
    """Data that a reset or a restore has replaced is a snapshot."""
    from devstack.output.documents import moment
    from devstack.stack.snapshotting import UNDONE, Snapshotting

    stack.ensure_trusted()
    of = ", ".join(replaced.services)
    agree(context, f"The data of {of} comes back as {replaced.name} has it; as it is now it becomes {UNDONE}.", yes=yes)
    with Shown(context, "undo", yes=True) as shown:
        Snapshotting(stack, shown.listen, shown.show).restore(replaced.name, UNDONE)
    _done(context, "data", moment(replaced.made))


def _bring_back(context: Context, stack: Stack, thrown: Thrown, *, yes: bool) -> None:
    from devstack.stack import discarding, undoing

    has_data = thrown.what == undoing.DATA and bool(stack.running().state.data)
    instead = "; the data of now goes to the trash" if has_data or thrown.service else ""
    agree(context, f"The {thrown.title} of {thrown.when} comes back{instead}. Everything stops.", yes=yes)
    with Shown(context, "undo", yes=True) as shown:
        stack.down(Down(volumes=has_data), shown.listen, shown.show)
    with stack.at_work() as tools:
        if thrown.service:
            discarding.bring_back(tools, stack.profile, thrown)
        else:
            undoing.bring_back(tools, thrown)
    _done(context, thrown.title, thrown.when)


def _done(context: Context, what: str, when: str) -> None:
    if context.output.is_json:
        context.output.document({"restored": what, "when": when})
    context.output.done(f"the {what} of {when} is back: devstack up")
