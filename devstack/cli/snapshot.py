"""`devstack snapshot save|restore|list|rm|export|import`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from devstack.cli.context import Context, common, pass_context
from devstack.cli.converge import Shown, agree, finish
from devstack.errors import UsageError

if TYPE_CHECKING:
    from devstack.stack.snapshotting import Snapshotting

#: action → how many words may follow it: at least, at most; and what they are
_ACTIONS = {
    "save": (1, 1, "NAME"), "restore": (1, 1, "NAME"), "list": (0, 0, ""), "rm": (1, 1, "NAME"),
    "export": (2, 2, "NAME FILE"), "import": (1, 2, "FILE [NAME]"),
}  # fmt: skip


@click.command("snapshot")
@click.argument("action", type=click.Choice(tuple(_ACTIONS)), metavar="save|restore|list|rm|export|import")
@click.argument("words", nargs=-1, metavar="[NAME] [FILE]")
@click.option("--yes", is_flag=True, help="Don't ask.")
@common
@pass_context
def command(context: Context, action: str, words: tuple[str, ...], *, yes: bool) -> None:
    """Named states of the data of all services, together.

    save NAME keeps everything as it is now; restore NAME goes back to it, and what is there becomes the snapshot
    before-restore; rm NAME lets go of it. Processes are stopped meanwhile and started again.

    export NAME FILE writes one into a file that other machines read; import FILE [NAME] makes a snapshot of such a
    file, to be restored like any other.
    """
    from devstack.stack.snapshotting import Snapshotting

    _ensure_words(action, words)
    stack = context.stack()
    name = words[0] if words else ""
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
            case "export":
                _export(context, snapshotting, name, words[1], yes=yes)
            case "import":
                _import(context, snapshotting, name, "".join(words[1:]), yes=yes)
            case _:
                _restore(context, snapshotting, name, yes=yes)


def _ensure_words(action: str, words: tuple[str, ...]) -> None:
    least, most, wanted = _ACTIONS[action]
    if len(words) < least:
        raise UsageError(
            "name-missing", f"which snapshot is to {action}?", why=f"{action} wants {wanted}",
            fix=f"devstack snapshot {action} {wanted}",
        )
    if len(words) > most:
        raise UsageError(
            "too-many-words", f"{words[most]!r} is one word too many", why=f"{action} wants {wanted or 'none'}",
            fix=f"devstack snapshot {action} {wanted}".strip(),
        )


def _restore(context: Context, snapshotting: Snapshotting, name: str, *, yes: bool) -> None:
    manifest = snapshotting.snapshots.get(name)
    what = f"All data of {snapshotting.stack.name} goes back to {name}; as it is now it becomes before-restore."
    agree(context, what, yes=yes)
    run = snapshotting.restore(name)
    if run is not None and not context.output.is_json:
        finish(context, run)
    elif run is None and snapshotting.stack.is_running():
        context.output.say("The task that failed isn't run again: correct it, or git switch back; then: devstack up")
    context.output.snapshot(manifest, "restored")


def _export(context: Context, snapshotting: Snapshotting, name: str, file: str, *, yes: bool) -> None:
    from devstack.stack.transferring import Transferring

    path = context.here() / file
    if path.exists() and not yes:
        raise UsageError(
            "not-confirmed", f"there is a {path.name} already", why="it would be replaced",
            fix=f"devstack snapshot export {name} {shlex.quote(file)} --yes",
        )
    context.output.snapshot(Transferring(snapshotting).export(name, path), "exported")


def _import(context: Context, snapshotting: Snapshotting, file: str, name: str, *, yes: bool) -> None:
    from devstack.stack.transferring import Transferring

    known = {one.name for one in snapshotting.snapshots.all()}
    instead = f" The snapshot {name} that is there is replaced." if name in known else ""
    what = f"Once restored, what {file} brings (functions, triggers) runs in this stack: is it of people you trust?"
    agree(context, what + instead, yes=yes)
    imported = Transferring(snapshotting).adopt(context.here() / file, name, file, is_agreed=yes)
    context.output.snapshot(imported, "imported")
