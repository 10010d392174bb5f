"""Which commands a profile executes, and which files they start."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from devstack.profile.executed import Executed, executed, scripts
from devstack.profile.model import Profile


def test_every_command_of_a_profile(make_profile: Callable[[str], Profile]) -> None:
    profile = make_profile("""
        name = "p"
        [tasks.t]
        run = "a | b"
        shell = true
        cwd = "sub"
        unless = "test -e x"
        [processes.p]
        run = "c"
        ready = { command = "d" }
        [checks]
        e = "f"
    """)
    assert list(executed(profile)) == [
        Executed("tasks.t.run", "a | b", True, "sub"), Executed("tasks.t.unless", "test -e x", False, "sub"),
        Executed("processes.p.run", "c", False, "."),
        Executed("processes.p.ready.command", "d", False, "."),
        Executed("checks.e.run", "f", False, "."),
    ]


@pytest.mark.parametrize(
    ("text", "shell", "found"),
    [
        ("./run.sh --fast data/x", False, ("./run.sh",)),
        ("python manage.py migrate", False, ()),
        ("sh run.sh other.sh", False, ("run.sh",)),
        ("/bin/bash -e 'my run.sh'", False, ("/bin/bash", "my run.sh")),
        ("env A=b/c exec bin/serve", False, ("bin/serve",)),
        ("cat data/x | ./load.sh && (. ./env.sh; sh go.sh)", True, ("./load.sh", "./env.sh", "go.sh")),
        ("A=1 tools/x\nbash y.sh", True, ("tools/x", "y.sh")),
        ("echo 'unclosed", True, ()),
    ],
)
def test_files_that_a_command_starts(text: str, found: tuple[str, ...], *, shell: bool) -> None:
    assert scripts(Executed("k", text, shell, ".")) == found
