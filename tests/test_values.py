"""A value is the same byte for byte in the profile, in an env file, in a made file and in the process that gets it."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from devstack import project_files
from devstack.profile import escape
from devstack.profile.env_file import parse_env
from devstack.profile.model import Profile
from devstack.profile.secret import Secret
from devstack.programs import all_programs, command, layout
from devstack.render import render
from devstack.resources import shared
from devstack.state import State
from devstack.system import System

_ECHO = "import json, os; print(json.dumps({n: os.environb[n.encode()].hex() for n in 'ABC'}))"
_VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)


def toml(value: str) -> str:
    return '"' + "".join(f"\\U{ord(character):08x}" for character in escape(value)) + '"'


@given(plain=_VALUES, own=_VALUES, filed=_VALUES)
@example(plain="${env.A} $HOME `x` %(here)s %%", own="'\"\\ \n\r\n\t;#", filed="$$ ${A} $(id) \N{SNOWMAN}\n'")
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.fault("S6", "S7")
def test_values_reach_the_child_as_they_are(
    make_profile: Callable[[str], Profile], make_state: Callable[..., State], system: System, tmp_path: Path, *,
    plain: str, own: str, filed: str,
) -> None:
    argv = shlex.join([sys.executable, "-I", "-S", "-c", _ECHO])
    profile = make_profile(f"""
        name = "p"
        env_file = ".env"
        [env]
        A = {toml(plain)}
        [files]
        "made" = {{ content = {toml(plain)} }}
        [checks]
        c = {{ run = {json.dumps(argv)}, env = {{ B = {toml(own)} }} }}
        [processes.p]
        run = "p"
        env = {{ B = {toml(own)} }}
    """)
    quoted = filed.replace("\\", "\\\\").replace("'", "\\'")
    values = {name: Secret(text) for name, text in parse_env(".env", f"C='{quoted}'".encode()).items()}
    state = make_state(
        profile, root=str(tmp_path), folder=str(tmp_path / ".devstack"), env_files={".env": values}, venv=sys.prefix,
    )
    wanted = {name: text.encode().hex() for name, text in (("A", plain), ("B", own), ("C", filed))}

    check = command(profile, state, profile.checks["c"])
    done = system.capture(check.argv, timeout=60, env=check.revealed(), cwd=tmp_path)
    assert json.loads(done.stdout) == wanted

    # and through the script that supervisord starts
    for file in render(all_programs(profile, state), layout(state), shared("Procfile.template").read_text()):
        if file.path.endswith("/env/p"):
            script = tmp_path / "script"
            system.write(script, file.content, file.mode)
    done = system.capture([str(script), *check.argv], timeout=60, env={"PATH": "/usr/bin:/bin"}, cwd=tmp_path)
    assert json.loads(done.stdout.splitlines()[-1]) == wanted

    (made,) = project_files.wanted(profile, state)
    system.write(tmp_path / "made", made.rendered.content, made.rendered.mode)
    assert (tmp_path / "made").read_bytes() == plain.encode()
