"""An environment in forms that other programs read: what comes back is what went in."""

from __future__ import annotations

import io
import subprocess

import dotenv
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from devstack.output import variables

#: what an environment can hold: anything but NUL and half characters
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
AWKWARD = (
    "", " ", "it's", 'say "x"', "a\nb", "a\r\nb", "end\\", "end\\\\", "\\'", "${HOME}", "$${HOME}", "${:-x}", "a # b",
    "$(id)", "`id`", "!1", "\\n", "'\\", "\t", "ünï", "export X=1", "a=b", "\x1b[31m", "end\\\n", '"', "'",
)  # fmt: skip


def read(text: str) -> dict[str, str | None]:
    return dict(dotenv.dotenv_values(stream=io.StringIO(text, newline=None)))


@pytest.mark.parametrize("value", AWKWARD)
def test_python_dotenv_reads_awkward_values_back(value: str) -> None:
    assert read(variables.formatted("dotenv", {"A": value, "B": "it's \\", "C": value})) == {
        "A": value, "B": "it's \\", "C": value
    }  # fmt: skip


@given(st.lists(TEXTS, min_size=1, max_size=4))
@example(["a\\", "b'", 'c"'])
def test_python_dotenv_reads_everything_back(values: list[str]) -> None:
    wanted = {f"N{number}": value for number, value in enumerate(values)}
    assert read(variables.formatted("dotenv", wanted)) == wanted


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
def test_a_shell_reads_everything_back(shell: str) -> None:
    wanted = {f"N{number}": value for number, value in enumerate(AWKWARD)}
    script = f'{variables.formatted("shell", wanted)}exec env -0\n'
    env = {"PATH": "/usr/bin:/bin"}
    done = subprocess.run([shell], input=script.encode(), capture_output=True, check=True, env=env)
    found = dict(line.split("=", 1) for line in done.stdout.decode().split("\0") if line)
    assert {name: found[name] for name in wanted} == wanted


def test_a_variable_that_a_shell_keeps_for_itself_breaks_nothing() -> None:
    script = variables.formatted("shell", {"UID": "7", "A": "1"})
    done = subprocess.run(["/bin/bash", "-ec", f"{script}\necho $A"], capture_output=True, check=True, text=True)
    assert done.stdout == "1\n"
