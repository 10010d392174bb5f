"""`devstack init [--from FILE]`."""

from __future__ import annotations

import os
import shlex
from functools import partial
from typing import TYPE_CHECKING

import click

from devstack.cli.context import Context, common, pass_context
from devstack.cli.converge import call
from devstack.errors import UsageError

if TYPE_CHECKING:
    from devstack.detect.framework import Detected
    from devstack.profile.model import Ask
    from devstack.stack.initial import Draft


@click.command("init")
@click.option("--from", "files", multiple=True, metavar="FILE", help="A compose file, or several.")
@click.option("--yes", is_flag=True, help="Replace a devstack.toml that is there; the old one goes to the trash.")
@common
@pass_context
def command(context: Context, files: tuple[str, ...], *, yes: bool) -> None:
    """Write devstack.toml: from what this repository is, or from its compose file.

    With --from (a folder: the files that compose reads there; several: laid over each other), images of PostgreSQL,
    Redis and RabbitMQ become services of those kinds, other images containers, and Python commands of this project
    processes of this machine. What could not be carried over is told, and stands at the end of the file. Secrets are
    not copied.
    """
    from devstack.stack import initial

    root = context.here()
    if files:
        inside = [os.path.relpath(root / file, root) for file in files]
        draft = initial.from_compose(root, inside, context.system.environ)
    else:
        draft = initial.from_repository(root, partial(_chosen, context), partial(_asked, context))
    _ensure_may_write(context, draft, files, yes=yes)
    trashed = initial.write(context.system, draft)
    context.root = draft.root
    hint = "" if files else initial.compose_file(root)
    context.output.initialised(draft, str(trashed or ""), hint, call(context, draft.root))


def _ensure_may_write(context: Context, draft: Draft, files: tuple[str, ...], *, yes: bool) -> None:
    """Raises UsageError where a profile is there and nobody says yes, Abort on a no."""
    if yes or not draft.path.exists():
        return
    if not context.output.is_interactive:
        words = [f"--from {shlex.quote(file)} " for file in files]
        raise UsageError(
            "not-confirmed", f"there is a {draft.path.name} already", why="it would be replaced",
            fix=f"devstack init {''.join(words)}--yes",
        )
    context.output.say(f"There is a {draft.path.name} already. Replaced, it goes to .devstack/trash.")
    if not context.confirm("Replace it?"):
        raise click.Abort


def _chosen(context: Context, found: Detected) -> str | None:
    """Nothing was recognised: a person may know."""
    if not context.output.is_interactive:
        return None
    from devstack.cli import questions
    from devstack.resources import shipped_profiles

    return questions.choice(context.system, "Which profile fits this project?", shipped_profiles(), found.profile)


def _asked(context: Context, name: str, question: Ask) -> str | None:
    return context.ask(name, question) if context.output.is_interactive else None
