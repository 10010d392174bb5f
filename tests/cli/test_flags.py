"""Every flag of every verb has its variable, and a variable that devstack gives to programs is no flag's."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from devstack.cli.main import cli
from devstack.cli.verbs import VERBS

GUIDE = Path(__file__).parents[2] / "docs" / "guide.md"
#: what devstack itself puts into environments, or reads there, and is no flag
OWN = {"STACK", "PROGRAM", "DIGEST", "RUN", "TASK", "CONFIG", "BOOTSTRAP", "NO_SKIP"}


def options(verb: str) -> list[click.Option]:
    command = cli.get_command(click.Context(cli), verb)
    assert command is not None
    return [param for param in command.params if isinstance(param, click.Option) and not param.is_eager]


@pytest.mark.parametrize("verb", VERBS)
def test_every_flag_has_its_variable(verb: str) -> None:
    for option in options(verb):
        (name,) = [one for one in option.opts if one.startswith("--")]
        assert option.envvar == f"DEVSTACK_{name[2:].replace('-', '_').upper()}"
        assert name[2:].replace("-", "_").upper() not in OWN


def test_the_guide_lists_every_variable() -> None:
    listed = set(re.findall(r"^\| `(DEVSTACK_[A-Z_]+)`", GUIDE.read_text(), re.MULTILINE))
    assert listed == {str(option.envvar) for verb in VERBS for option in options(verb)}
