"""`devstack completion bash|zsh|fish`, and what is completed: names of the profile, nothing of it run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem, get_completion_class

from devstack.cli.context import Context, common, pass_context
from devstack.errors import DevstackError

if TYPE_CHECKING:
    from devstack.profile.model import Profile

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
#: what click's scripts call devstack with
VARIABLE = "_DEVSTACK_COMPLETE"


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@common
@pass_context
def command(context: Context, shell: str) -> None:
    """Print the script that makes a shell complete verbs, flags and names.

    bash: eval "$(devstack completion bash)" in ~/.bashrc; zsh: the same in ~/.zshrc; fish: devstack completion fish >
    ~/.config/fish/completions/devstack.fish
    """
    from devstack.cli.main import cli

    found = get_completion_class(shell)
    if found is None:
        raise LookupError(shell)
    script = found(cli, {}, "devstack", VARIABLE).source()
    if context.output.is_json:
        context.output.document({"shell": shell, "script": script})
    else:
        context.output.line(script)


def names_of(*sections: str, suffix: str = "") -> Completer:
    """Completes names of the profile's sections."""

    def complete(ctx: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
        found = _profile()
        given = ctx.params.get(parameter.name or "") or ()
        names = [name for section in sections for name in getattr(found, section)] if found else []
        return [
            CompletionItem(f"{name}{suffix}") for name in names if name.startswith(typed) and name not in given
        ]

    return complete


def process_names(suffix: str = "") -> Completer:
    return names_of("processes", suffix=suffix)


def _profile() -> Profile | None:
    """The profile of the project that the shell is in; None where there is none, or none that can be read."""
    from devstack.stack.paths import find_root
    from devstack.stack.sources import read_profile

    try:
        return read_profile(find_root(Path(os.curdir).absolute())).loaded.profile
    except (DevstackError, OSError):
        return None
