"""`devstack reset [--data] [--queues] [--service NAME] [--env]`."""

from __future__ import annotations

import click

from devstack.cli.context import Context, common, pass_context
from devstack.cli.converge import Shown, agree, finish
from devstack.errors import UsageError


@click.command("reset")
@click.option("--data", is_flag=True, help="All data: back to the last snapshot that a task made, else made anew.")
@click.option("--queues", is_flag=True, help="What waits in the queues of the brokers: RabbitMQ, or Redis as one.")
@click.option("--service", default="", metavar="NAME", help="The data, or the queues, of this service alone.")
@click.option("--env", "environment", is_flag=True, help="The virtual environment: built anew.")
@click.option("--all", "everything", is_flag=True, help="Both, and the data made anew whatever snapshots there are.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@common
@pass_context
def command(context: Context, /, **flags: bool | str) -> None:
    """Back to a good state: without a flag, the data. Says what goes, and asks. The project's files stay as they are.

    What is replaced is kept: data as an automatic snapshot, or in the trash like an environment; `devstack undo` brings
    the last of them back.
    """
    from devstack.stack.resetting import Grade, Resetting
    from devstack.stack.snapshotting import Snapshotting

    data, queues, environment, everything = (
        bool(flags[name]) for name in ("data", "queues", "environment", "everything")
    )
    service = str(flags["service"])
    if queues and (data or everything):
        raise UsageError(
            "flags-clash", "--queues goes with neither --data nor --all", why="all data has the queues in it",
            fix="devstack reset --queues",
        )
    stack = context.stack(no_seed=everything)
    stack.ensure_trusted()
    grade = Grade(
        data=data or everything or bool(service) or not (environment or queues), queues=queues,
        environment=environment or (everything and not service), anew=everything, service=service,
    )
    with Shown(context, "reset", yes=True) as shown:
        resetting = Resetting(Snapshotting(stack, shown.listen, shown.show), grade)
        agree(context, resetting.preview(), yes=bool(flags["yes"]))
        run = resetting.perform()
    finish(context, run)
