"""`devstack env [NAME…]`."""

from __future__ import annotations

import difflib

import click

from devstack.cli.completion import process_names
from devstack.cli.context import Context, common, pass_context
from devstack.environment import Variable
from devstack.errors import UsageError
from devstack.masking import secrets_of, shown
from devstack.render import reveal


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
        chosen = [one for one in seen.variables.values() if one.origin != "machine"]
    secrets = secrets_of(seen.state)
    values = {one.name: _value(one, secrets, is_revealed=reveal) for one in chosen}
    if seen.is_new:
        context.output.warn("this stack has never been up: its ports and secrets are decided by `devstack up`")
    if form and not context.output.is_json:
        context.output.environment_text(form, values)
        if any(value != _value(one, (), is_revealed=True) for one, value in zip(chosen, values.values(), strict=True)):
            context.output.warn("secrets are masked; --reveal shows them")
    else:
        context.output.environment(chosen, values, is_explained=bool(explain))


def _find(variables: dict[str, Variable], name: str) -> Variable:
    if name in variables:
        return variables[name]
    near = difflib.get_close_matches(name, variables, 1)
    raise UsageError(
        "unknown-variable", f"the project's commands get no variable {name!r}",
        why=f"the nearest is {near[0]}" if near else "neither the profile nor devstack sets it",
        fix=f"devstack env {near[0]}" if near else "devstack env",
    )


def _value(variable: Variable, secrets: tuple[str, ...], *, is_revealed: bool) -> str:
    return reveal(variable.value) if is_revealed else shown(variable.name, variable.value, secrets)
