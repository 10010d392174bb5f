"""`devstack scale [NAME=N …]`."""

from __future__ import annotations

import difflib

import click

from devstack.cli.completion import process_names
from devstack.cli.context import Context, common, pass_context, run_flags
from devstack.cli.converge import converge, finish
from devstack.errors import ProfileError, UsageError
from devstack.plan import Up
from devstack.profile.model import Profile
from devstack.stack import Stack
from devstack.stack.status import scale_rows


@click.command("scale")
@click.argument("sizes", nargs=-1, metavar="[NAME=N …]", shell_complete=process_names("="))
@run_flags
@common
@pass_context
def command(
    context: Context, sizes: tuple[str, ...], *, trust: bool, yes: bool, new_ports: bool, offline: bool
) -> None:
    """Run N of a process from now on; `NAME=` goes back to what the profile says. Without a NAME: how many there are.

    Starts and stops only these replicas; what runs keeps running. A stack that is down stays down and comes up so.
    """
    stack = context.stack(trust=trust, new_ports=new_ports, yes=yes, offline=offline)
    names = keep(stack, sizes)
    if names and stack.is_running():
        finish(context, converge(context, stack, Up(names, name="scale"), yes=yes))
        return
    context.output.scale(scale_rows(stack.profile))
    if names:
        context.output.done(f"kept for the next {context.spelled('devstack up')}")


def keep(stack: Stack, sizes: tuple[str, ...]) -> tuple[str, ...]:
    """Keep what `NAME=N` says; returns the processes. Raises UsageError before anything is kept."""
    wanted = [_parsed(stack.profile, size) for size in sizes]
    scale = dict(stack.scale)
    for name, count in wanted:
        scale.pop(name, None)
        if count is not None:
            scale[name] = count
    if scale != stack.scale:
        try:
            profile = stack.scaled(scale)
        except ProfileError as error:
            raise UsageError(
                "cannot-scale", f"the profile can't be had with {' '.join(sizes)}", why=error.why,
                fix="devstack scale", evidence=error.evidence,
            ) from None
        # a number that is the profile's own anyway isn't kept: a later change of the profile counts
        own = {name for name, process in profile.processes.items() if process.replicas == process.declared_replicas}
        stack.keep_scale({name: count for name, count in scale.items() if name not in own})
    return tuple(dict.fromkeys(name for name, _ in wanted))


def _parsed(profile: Profile, size: str) -> tuple[str, int | None]:
    name, equals, number = size.partition("=")
    if not equals or not (number == "" or (number.isdecimal() and number.isascii() and len(number) < 6)):
        raise UsageError(
            "not-a-size", f"{size!r} is not NAME=N", why="N is a whole number; `NAME=` goes back to the profile's",
            fix=f"devstack scale {name or 'NAME'}=2",
        )
    if name not in profile.processes:
        near = difflib.get_close_matches(name, profile.processes, 1)
        raise UsageError(
            "unknown-process", f"the profile has no process {name!r}",
            why=f"it has {', '.join(profile.processes) or 'none'}",
            fix=f"devstack scale {near[0]}={number}" if near else "devstack scale",
        )
    process = profile.processes[name]
    count = int(number) if number else None
    if count is not None and count > 1 and process.role == "beat" and count != process.declared_replicas:
        raise UsageError(
            "one-only", f"there can be only one {name}",
            why="it is a beat: each one more sends every scheduled task once more", fix=f"devstack scale {name}=1",
        )
    return name, count
