"""`devstack check [NAME…]`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from devstack.cli.completion import names_of
from devstack.cli.context import Context, common, pass_context, run_flags
from devstack.cli.converge import converge
from devstack.errors import ProcessError, UsageError
from devstack.plan import Up
from devstack.profile.needs import check_needs
from devstack.stack import Stack, by_hand


@click.command("check")
@click.argument("names", nargs=-1, shell_complete=names_of("checks"))
@run_flags
@common
@pass_context
def command(context: Context, names: tuple[str, ...], *, trust: bool, yes: bool, new_ports: bool, offline: bool) -> int:
    """Run the project's checks in its environment, with what they need brought up first.

    All of them, or those named, one after the other; ends with the exit code of the first that fails.
    """
    stack = context.stack(trust=trust, new_ports=new_ports, yes=yes, offline=offline)
    wanted = names or tuple(stack.profile.checks)
    for name in wanted:
        if name not in stack.profile.checks:
            known = ", ".join(stack.profile.checks) or "none"
            raise UsageError(
                "unknown-check", f"the profile has no check {name!r}", why=f"it has {known}", fix="devstack check"
            )
    if not wanted:
        raise UsageError("no-checks", "the profile has no checks", fix='test = "pytest -q" below [checks]')
    needs = tuple(dict.fromkeys(need for name in wanted for need in check_needs(stack.profile, name)))
    converge(context, stack, Up(needs, start=bool(needs), name="check"), yes=yes)
    return _run(context, stack, wanted)


def _run(context: Context, stack: Stack, names: tuple[str, ...]) -> int:
    outcomes: dict[str, int] = {}
    for name, resolved in by_hand.check_commands(stack, names).items():
        declared = stack.profile.checks[name]
        context.output.say(f"{name}: {declared.run}")
        try:
            outcomes[name] = context.system.foreground(
                context.system.as_user(declared.user, resolved.argv), env=resolved.revealed(), cwd=Path(resolved.cwd),
                is_aside=context.output.is_json, timeout=declared.timeout,
            )
        except TimeoutError as error:
            raise ProcessError(
                "check-timeout", f"the check {name} did not end: {declared.run}", why=str(error),
                fix=f"devstack check {name}",
            ) from None
        if outcomes[name]:
            break
    _tell(context, outcomes, len(names))
    return next((code for code in outcomes.values() if code), 0)


def _tell(context: Context, outcomes: Mapping[str, int], wanted: int) -> None:
    if context.output.is_json:
        context.output.document({"checks": outcomes})
    name, code = list(outcomes.items())[-1]
    if code:
        rest = f"; {wanted - len(outcomes)} more not run" if wanted > len(outcomes) else ""
        context.output.failed(f"{name} failed: exit status {code}{rest}")
    else:
        context.output.done(f"{', '.join(outcomes)} passed")
