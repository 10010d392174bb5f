"""The pages that are shown without click are click's own."""

from __future__ import annotations

import os
import subprocess
import sys

import click
import pytest

from devstack.cli.help import page
from devstack.cli.main import cli


def test_the_help_page_is_the_one_that_click_would_show() -> None:
    with click.Context(cli, info_name="devstack", terminal_width=78, help_option_names=["-h", "--help"]) as context:
        assert page() == context.get_help() + "\n"


@pytest.mark.parametrize("words", [("--help",), ("-h",), ("--version",)])
@pytest.mark.parametrize("columns", ["60", "80", "200"])
def test_both_ways_show_the_same(words: tuple[str, ...], columns: str) -> None:
    said = [
        subprocess.run(
            [sys.executable, "-P", "-c", f"from devstack.cli.{module} import main; main()", *words], check=True,
            capture_output=True, text=True, env={**os.environ, "COLUMNS": columns}, timeout=60,
        ).stdout
        for module in ("entry", "main")
    ]
    assert said[0] == said[1] != ""


def test_help_loads_next_to_nothing() -> None:
    code = (
        "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); "
        "from devstack.cli.entry import main; main()"
    )
    words = (sys.executable, "-P", "-c", code, "--help")
    done = subprocess.run(words, check=True, capture_output=True, text=True, timeout=60)
    loaded = set(done.stderr.split())
    assert {name for name in loaded if name.startswith("devstack")} == {
        "devstack", "devstack.cli", "devstack.cli.entry", "devstack.cli.help", "devstack.cli.streams",
        "devstack.cli.verbs",
    }  # fmt: skip
    assert not loaded & {"click", "dataclasses", "json", "pathlib", "typing"}
