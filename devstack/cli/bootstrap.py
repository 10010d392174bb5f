"""`devstack bootstrap [REPO|.|demo]`: what `python3 bootstrap.py REPO` does."""

from __future__ import annotations

import difflib
from pathlib import Path

import click

from devstack.actions import Clone
from devstack.cli.context import Context, common, pass_context, run_flags, seed_flag, stack_flags, timings_flag
from devstack.cli.converge import call, converge, finish, timed
from devstack.errors import UsageError
from devstack.plan import Plan, Up


@click.command("bootstrap")
@click.argument("repository", default="", metavar="[REPO|.|demo]")
@click.option("--into", type=click.Path(path_type=Path), help="Folder for the project (default: its name, here).")
@click.option("--ref", help="Branch, tag or commit.")
@click.option("--no-start", is_flag=True, help="Clone, environment and servers only; start nothing.")
@seed_flag
@timings_flag
@stack_flags
@run_flags
@common
@pass_context
def command(
    context: Context, repository: str, *, into: Path | None, ref: str | None, no_start: bool, offline: bool,
    profile: str, runtime: str, trust: bool, yes: bool, new_ports: bool, no_seed: bool,
    timings: bool,
) -> None:
    """Clone a project and bring its whole stack up: environment, services, tasks, processes.

    REPO is a git URL, a folder, `.` for the project here, or `demo` for the shipped shop. Left out: what the profile
    given with --profile calls its `repo`, else `.`. Run again, it goes on.
    """
    from devstack.stack.projects import Wanted, check_out

    if profile and "/" not in profile and (context.here() / profile).is_file():
        profile = f"./{profile}"
    if profile.startswith("."):
        profile = str((context.here() / profile).resolve())
    ensure_no_typo(repository, context.here())
    wanted = Wanted(repository, context.here(), into, ref, profile, offline=offline)
    project = check_out(context.system, wanted, lambda plan: context.output.progress(plan, _title(plan)))
    if project.is_new:
        context.output.done(f"cloned into {project.root}")
    stack = context.stack(
        project.root, profile=profile, runtime=runtime, trust=trust or project.is_shipped, new_ports=new_ports, yes=yes,
        offline=offline, no_seed=no_seed,
    )
    with timed(context, stack, wanted=timings, before=project.journal):
        run = converge(context, stack, Up(start=not no_start, name="bootstrap"), yes=yes)
    if no_start:
        context.output.prepared(stack.profile.name, context.took, call(context, project.root))
        if context.output.is_json:
            context.output.status(run.status, context.system.now())
        return
    finish(context, run, root=project.root)


def _title(plan: Plan) -> str:
    from devstack.checkout.address import hidden

    return next((f"clone {hidden(step.action.url)}" for step in plan.steps if isinstance(step.action, Clone)), "")


def ensure_no_typo(word: str, here: Path) -> None:
    """`bootstrap.py statsu` is no repository. Raises UsageError for a lone word that is nearly a verb."""
    if not word.isalpha() or word == "demo" or (here / word).exists():
        return
    from devstack.cli.verbs import VERBS

    if near := difflib.get_close_matches(word, [*VERBS, "demo"], 1):
        raise UsageError(
            "unknown-verb", f"there is no verb {word!r}, and no folder of that name here",
            why=f"the nearest is {near[0]}",
            fix="devstack bootstrap demo" if near[0] == "demo" else f"devstack {near[0]}",
        )
