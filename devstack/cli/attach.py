"""`devstack attach NAME`."""

from __future__ import annotations

import click

from devstack.cli.context import Context, common, pass_context


@click.command("attach")
@click.argument("name")
@click.option("-n", "--tail", default=10, show_default=True, metavar="LINES", help="How many last lines to begin with.")
@common
@pass_context
def command(context: Context, name: str, tail: int) -> None:
    """Reach a managed process: what it prints, and its stdin, such as for `breakpoint()`.

    Each line typed goes to the process. Ctrl-C or Ctrl-D detaches; the process goes on. Without a terminal, stdin is
    passed on until its end. NAME is a process, or one replica of it (worker-2).
    """
    from devstack.stack.attach import Attachment, Screen

    output = context.output
    attached = Attachment(context.stack(), name)
    program, is_typed = attached.program, output.is_typed
    if is_typed:
        output.aside(f"attached to {program} (pid {attached.pid}): lines go to it, Ctrl-C detaches, it goes on")
    with output.stream(program) as show:
        end = attached.run(Screen(show, output.aside), tail, is_typed=is_typed)
    if is_typed or end == "detached":
        output.aside(f"detached; {program} goes on")
