"""`up --foreground`: a program of the profile on this terminal, as supervisord would run it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from devstack import programs

if TYPE_CHECKING:
    from devstack.stack import Stack


def run_here(stack: Stack, one: programs.Single, *, is_aside: bool) -> int:
    """Run a program of the profile on this terminal as supervisord would, until it ends; returns its exit status.

    is_aside: its output goes to stderr. Raises PrerequisiteError where it can't be executed.
    """
    system, process = stack.system, stack.profile.processes[one.process]
    resolved = programs.command(stack.profile, stack.observe().state, process, one.program, one.replica)
    mark = system.private_folder(stack.project.foreground) / one.program

    def note(pid: int) -> None:
        if identity := system.identity(pid):
            system.write(mark, f"{identity.pid} {identity.start}\n")

    try:
        return system.foreground(
            system.as_user(process.user, resolved.argv), env=resolved.revealed(), cwd=Path(resolved.cwd),
            is_aside=is_aside, on_start=note,
        )
    finally:
        mark.unlink(missing_ok=True)
