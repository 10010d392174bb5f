"""`devstack reset [--data] [--env]`."""

from __future__ import annotations

import click

from devstack.cli.context import Context, common, pass_context
from devstack.cli.converge import Shown, agree, finish
from devstack.plan import Down, Up


@click.command("reset")
@click.option("--data", is_flag=True, help="All data: back to the last snapshot that a task made, else made anew.")
@click.option("--env", "environment", is_flag=True, help="The virtual environment: built anew.")
@click.option("--all", "everything", is_flag=True, help="Both, and the data made anew whatever snapshots there are.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@common
@pass_context
def command(context: Context, *, data: bool, environment: bool, everything: bool, yes: bool) -> None:
    """Back to a good state: without a flag, the data. Says what goes, and asks. The project's files stay as they are.

    What is replaced is kept: data as the snapshot before-reset or in the trash, the environment in the trash.
    """
    from devstack.stack import undoing
    from devstack.stack.snapshotting import Snapshotting

    stack = context.stack(no_seed=everything)
    stack.ensure_trusted()
    of_data = data or everything or not environment
    with Shown(context, "reset", yes=True) as shown:
        snapshotting = Snapshotting(stack, shown.listen, shown.show)
        seeded = snapshotting.seeded() if of_data and not everything else ""
        agree(context, _preview(stack.name, seeded, of_data=of_data, of_environment=environment or everything), yes=yes)
        run = None
        if environment or everything:
            stack.down(Down(), shown.listen, shown.show)
            with stack.at_work() as tools:
                undoing.retire_environment(tools)
        if seeded:
            run = snapshotting.restore(seeded, before="before-reset")
        elif of_data:
            stack.down(Down(volumes=True), shown.listen, shown.show)
        run = run or stack.up(Up(name="reset"), shown.listen, shown.show)
    finish(context, run)


def _preview(name: str, seeded: str, *, of_data: bool, of_environment: bool) -> str:
    said = []
    if seeded:
        said.append(f"all data of {name} goes back to the snapshot {seeded}; as it is now it becomes before-reset")
    elif of_data:
        said.append(f"all data of {name} is made anew; as it is now it goes to the trash")
    if of_environment:
        said.append("the virtual environment is built anew; the old one goes to the trash")
    text = "; ".join(said)
    return f"{text[:1].upper()}{text[1:]}."
