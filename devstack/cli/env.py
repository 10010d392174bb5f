"""`devstack env [NAME…]`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import click

from devstack.cli.completion import process_names
from devstack.cli.context import Context, common, pass_context
from devstack.environment import Variable
from devstack.errors import UsageError
from devstack.masking import secrets_of, shown
from devstack.render import reveal

if TYPE_CHECKING:
    from devstack.stack.by_hand import Variables

MASKED = "secrets are masked; --reveal shows them"


@click.command("env")
@click.argument("names", nargs=-1)
@click.option("--explain", default="", metavar="NAME", help="Where one value comes from, and what it wins over.")
@click.option("--format", "form", type=click.Choice(["dotenv", "shell", "json"]), help="For another program to read.")
@click.option("--process", default="", shell_complete=process_names(), help="What this process gets.")
@click.option("--reveal", is_flag=True, help="Secrets as they are; without it they are ***.")
@common
@pass_context
def command(
    context: Context, names: tuple[str, ...], *, explain: str, form: str | None, process: str, reveal: bool
) -> None:
    """The environment of the project's commands: what the profile says and what devstack adds, each with its origin.

    In a shell: eval "$(devstack env --format shell --reveal)"
    """
    from devstack.stack import by_hand

    seen = by_hand.variables(context.stack(), process)
    chosen = [_find(seen.variables, name) for name in ((explain,) if explain else names)]
    if not chosen:
        chosen = own(seen)
    values = values_of(seen, chosen, is_revealed=reveal)
    if seen.is_new:
        context.output.warn("this stack has never been up: its ports and secrets are decided by `devstack up`")
    if form and not context.output.is_json:
        context.output.environment_text(form, values)
        if are_masked(chosen, values):
            context.output.warn(MASKED)
    else:
        context.output.environment(chosen, values, is_explained=bool(explain))


def own(seen: Variables) -> list[Variable]:
    """What the project and devstack set."""
    return [one for one in seen.variables.values() if one.origin != "machine"]


def values_of(seen: Variables, chosen: Iterable[Variable], *, is_revealed: bool) -> dict[str, str]:
    """What may be shown of each value."""
    secrets = secrets_of(seen.state)
    return {
        one.name: reveal(one.value) if is_revealed else shown(one.name, one.value, secrets) for one in chosen
    }


def are_masked(chosen: Iterable[Variable], values: Mapping[str, str]) -> bool:
    """Does any of the shown values lack something?"""
    return any(values[one.name] != reveal(one.value) for one in chosen)


def _find(variables: dict[str, Variable], name: str) -> Variable:
    if name in variables:
        return variables[name]
    near = difflib.get_close_matches(name, variables, 1)
    raise UsageError(
        "unknown-variable", f"the project's commands get no variable {name!r}",
        why=f"the nearest is {near[0]}" if near else "neither the profile nor devstack sets it",
        fix=f"devstack env {near[0]}" if near else "devstack env",
    )
