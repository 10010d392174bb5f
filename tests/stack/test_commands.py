"""A command that isn't there, and where to get it."""

from __future__ import annotations

from pathlib import Path

import pytest

from devstack import system_packages
from devstack.errors import UsageError
from devstack.programs import Resolved
from devstack.stack.commands import ensure_executable
from devstack.system import System


def test_a_command_of_the_system_is_got_from_the_system(tmp_path: Path) -> None:
    """Not from an index of Python packages, where somebody else may have its name."""
    wanted = Resolved(("msgfmt", "--version"), {"PATH": str(tmp_path)}, str(tmp_path))
    with pytest.raises(UsageError, match="msgfmt is not there") as caught:
        ensure_executable(System(), "task messages", wanted)
    install = system_packages.machine(System()).command(("gettext",))
    assert caught.value.fix == (install or "add what brings msgfmt to packages below [python], or correct `run`")
