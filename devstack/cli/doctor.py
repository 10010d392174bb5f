"""`devstack doctor [--fix]`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from devstack.cli.context import Context, common, pass_context
from devstack.cli.converge import converge
from devstack.errors import UsageError
from devstack.plan import Up

if TYPE_CHECKING:
    from devstack.doctor import Finding
    from devstack.stack import Stack

_FAULTS = 8


@click.command("doctor")
@click.argument("ids", nargs=-1, metavar="[ID…]")
@click.option("--fix", is_flag=True, help="Put right what `up` can: all of it, or what is found by these IDs.")
@common
@pass_context
def command(context: Context, ids: tuple[str, ...], *, fix: bool) -> int:
    """What is wrong with this stack, each with its cause and one command. Changes nothing; never waits long.

    Outside of a project: what can be said of the machine. Exit code 8 where something is at fault, 0 for warnings.
    """
    from devstack.doctor import findings
    from devstack.stack.examining import examine, machine
    from devstack.stack.paths import find_root

    try:
        find_root(context.here())
    except UsageError:
        found = findings(machine(context.system, context.here()))
        context.output.findings(found)
        return _code(found)
    stack = context.stack()
    found = findings(examine(stack))
    wanted = [one for one in found if one.is_fixable and (not ids or one.id in ids)]
    if fix and wanted:
        stack.ensure_trusted()
        converge(context, stack, _goal(stack, wanted, is_limited=bool(ids)), yes=False)
        stack = context.stack()
        found = findings(examine(stack))
    context.output.findings(found)
    return _code(found)


def _goal(stack: Stack, wanted: list[Finding], *, is_limited: bool) -> Up:
    """What puts these right. is_limited: nothing besides, where each of them is a service's or a process's."""
    known = (*stack.profile.services, *stack.profile.processes)
    names = {one.target for one in wanted if one.target in known}
    is_all = not is_limited or len(names) < len({one.target for one in wanted})
    return Up(() if is_all else tuple(sorted(names)), frozenset(one.target for one in wanted if one.is_stuck))


def _code(found: tuple[Finding, ...]) -> int:
    return _FAULTS if any(one.severity == "fault" for one in found) else 0
