"""What is generated, read back by the programs that read it: sh, honcho's parser, supervisord's parser."""

from __future__ import annotations

import ast
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from honcho.environ import parse_procfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from supervisor.options import ServerOptions

from devstack.errors import UsageError
from devstack.layout import Layout
from devstack.profile.secret import Secret
from devstack.render import Program, RenderedFile, digest, key, render

TEMPLATE = (Path(__file__).parent.parent / "Procfile.template").read_text()
NASTY = "it's 100% é $HOME #1 ;x"
#: prints its words and its environment as bytes
SHOW = "import os, sys; print([os.fsencode(a) for a in sys.argv[1:]]); print(dict(os.environb))"

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True).filter(
    # what Python and the shell make of these isn't the script's doing
    lambda name: not name.startswith(("PYTHON", "LC_", "LANG", "LD_", "MALLOC", "DEVSTACK", "SUPERVISOR"))
    and name not in ("_", "PATH", "IFS", "PWD", "OLDPWD", "SHLVL", "ENV")
)
#: any text that an environment or a command line can hold, bytes that aren't UTF-8 too
values = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40) | st.binary(
    max_size=40
).map(lambda data: os.fsdecode(data.replace(b"\0", b"")))


def layout_at(root: Path) -> Layout:
    return Layout("abc123", str(root), str(root / ".devstack"), "/tmp/ds-x")  # noqa: S108 - only rendered


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return layout_at(tmp_path / NASTY)


def write(files: tuple[RenderedFile, ...], layout: Layout) -> None:
    for name in ("env", "pids", "logs"):
        Path(layout.folder, name).mkdir(parents=True, exist_ok=True)
    for file in files:
        Path(file.path).write_bytes(file.content)
        Path(file.path).chmod(file.mode)


def text_of(files: tuple[RenderedFile, ...], path: str) -> str:
    (file,) = [file for file in files if file.path == path]
    return file.text


def run(layout: Layout, name: str, *argv: str, env: dict[str, str] | None = None, shell: str | None = None) -> str:
    command = [layout.script(name), *argv]
    done = subprocess.run(
        [shell, *command] if shell else command, capture_output=True, check=True, timeout=60, env=env or {"A": "kept"}
    )
    return done.stdout.decode()


def program(layout: Layout, name: str = "web", argv: tuple[str, ...] = ("sleep", "1")) -> Program:
    return Program(name, argv, {}, layout.root)


def configs(layout: Layout) -> dict[str, object]:
    """What supervisord makes of the rendered configuration."""
    options = ServerOptions()
    options.configfile = layout.config
    options.here = layout.folder
    section = options.read_config(layout.config)
    return {group.name: group.process_configs[0] for group in section.process_group_configs}


# --- the environment script ------------------------------------------------------------------------------------------


@given(env=st.dictionaries(names, values, min_size=10, max_size=30), argv=st.lists(values, max_size=10))
@settings(max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@pytest.mark.fault("I15")
def test_environment_and_words_reach_the_process_byte_by_byte(
    layout: Layout, env: dict[str, str], argv: list[str]
) -> None:
    wanted = Program("web", (sys.executable, "-I", "-c", SHOW, *argv), env, layout.root)
    write(render((wanted,), layout, TEMPLATE), layout)
    # the words come from the script, then from the caller: both ways must give the same
    for output in (run(layout, "web"), run(layout, "web", *wanted.argv)):
        _, words, variables = output.splitlines()
        got = ast.literal_eval(variables)
        assert ast.literal_eval(words) == [os.fsencode(word) for word in argv]
        expected = {os.fsencode(name): os.fsencode(value) for name, value in env.items()}
        assert {name: got.get(name) for name in expected} == expected
        assert got.keys() - expected.keys() <= {b"A", b"PWD", b"LC_CTYPE", b"_"}


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
def test_every_shell_passes_on_the_variables_that_it_uses_itself(layout: Layout, shell: str) -> None:
    """`UID` is readonly in bash and `OPTIND` a number in dash, yet projects have them in their environments."""
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"{shell} is not on this machine")
    env = {"UID": "1000", "OPTIND": "x", "SECONDS": "x", "LINENO": "x", "IFS": ":", "PLAIN": "a:b"}
    env["PATH"] = os.environ["PATH"]
    write(render((Program("web", (sys.executable, "-I", "-c", SHOW), env, layout.root),), layout, TEMPLATE), layout)
    words = [path, "sh"] if shell == "busybox" else [path]
    done = subprocess.run([*words, layout.script("web")], capture_output=True, check=True, timeout=60, env={})
    got = ast.literal_eval(done.stdout.decode().splitlines()[-1])
    assert {name: os.fsdecode(got[os.fsencode(name)]) for name in env} == env


def test_the_record_counts_starts_of_one_run(layout: Layout) -> None:
    web = program(layout)
    write(render((web,), layout, TEMPLATE), layout)
    record = Path(layout.record("web"))
    seen = []
    for run_id, known in (("r1", web.digest), ("r1", web.digest), ("r1", "other"), ("r2", web.digest)):
        run(layout, "web", "true", env={"DEVSTACK_PROGRAM": "web", "DEVSTACK_RUN": run_id, "DEVSTACK_DIGEST": known})
        seen.append(tuple(record.read_text().split()[2:]))
    assert seen == [("r1", web.digest, "0"), ("r1", web.digest, "1"), ("r1", "mixed", "2"), ("r2", web.digest, "0")]
    assert record.stat().st_size == 128


@pytest.mark.parametrize("damage", ["", "x", "1 2 r1 d $(touch pwned)", "1 2 r1 d 08", "\0" * 200, "a\nb\nc\n"])
def test_a_damaged_record_neither_stops_a_program_nor_runs_anything(layout: Layout, damage: str) -> None:
    write(render((program(layout),), layout, TEMPLATE), layout)
    Path(layout.record("web")).write_text(damage)
    said = run(layout, "web", "echo", "ran", env={"DEVSTACK_PROGRAM": "web", "DEVSTACK_RUN": "r1"})
    assert said.splitlines()[-1] == "ran"
    assert [path.name for path in Path(layout.root).iterdir()] == [".devstack"]


def test_the_script_says_whose_lines_follow_and_runs_where_it_should(layout: Layout) -> None:
    write(render((program(layout, argv=("sh", "-c", "echo $$; pwd")),), layout, TEMPLATE), layout)
    marker, pid, folder = run(layout, "web").splitlines()
    assert marker == f"[devstack] web pid {pid}"
    assert folder == layout.root


def test_no_record_is_written_for_a_script_run_by_hand(layout: Layout) -> None:
    write(render((program(layout),), layout, TEMPLATE), layout)
    run(layout, "web", "true")
    assert not Path(layout.record("web")).exists()


def test_a_program_may_run_as_another_account(tmp_path: Path) -> None:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root and setpriv")
    layout = layout_at(tmp_path)
    write(render((replace(program(layout, argv=("id", "-un")), user="nobody", cwd="/"),), layout, TEMPLATE), layout)
    assert run(layout, "web", env={"PATH": os.environ["PATH"]}).splitlines()[-1] == "nobody"


# --- Procfile and supervisord.conf -----------------------------------------------------------------------------------


@given(words=st.lists(values, max_size=6))
@settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_honcho_and_supervisord_read_the_same_words(layout: Layout, words: list[str]) -> None:
    web = program(layout, argv=("run", *words))
    files = render((web,), layout, TEMPLATE)
    write(files, layout)
    line = parse_procfile(text_of(files, layout.procfile)).processes["web"]
    shown = web.argv if web.shown_argv else ()
    assert shlex.split(line) == [layout.script("web"), *shown]
    assert shlex.split(configs(layout)["web"].command) == [layout.script("web"), *shown]  # type: ignore[attr-defined]


def test_supervisord_understands_what_was_meant(layout: Layout) -> None:
    web = replace(program(layout), stop_signal="INT", stop_grace=2.5, restart="never")
    write(render((web, program(layout, "worker-1")), layout, TEMPLATE), layout)
    found = configs(layout)
    assert list(found) == ["web", "worker-1"]
    config = found["web"]
    assert {name: getattr(config, name) for name in (
        "stopsignal", "stopwaitsecs", "autorestart", "autostart", "umask", "redirect_stderr", "stopasgroup",
        "killasgroup", "environment", "stdout_logfile",
    )} == {
        "stopsignal": 2, "stopwaitsecs": 3, "autorestart": False, "autostart": False, "umask": 0o022,
        "redirect_stderr": True, "stopasgroup": False, "killasgroup": True, "stdout_logfile": layout.log("web"),
        "environment": {"DEVSTACK_STACK": "abc123", "DEVSTACK_PROGRAM": "web", "DEVSTACK_DIGEST": web.digest},
    }


def test_secrets_are_in_the_script_alone(layout: Layout) -> None:
    files = render((Program("web", ("run",), {"TOKEN": Secret("hush")}, layout.root),), layout, TEMPLATE)
    assert [file.path for file in files if "hush" in file.text] == [layout.script("web")]
    assert [oct(file.mode) for file in files] == ["0o700", "0o600", "0o600"]
    assert "hush" not in repr(files)


def test_the_procfile_is_made_for_reading() -> None:
    layout = Layout("abc123", "/home/ann/shop", "/home/ann/shop/.devstack", "/run/user/1000/devstack/abc123")
    web = program(layout, "web", ("python", "manage.py", "runserver", "8000"))
    programs = (web, program(layout, "worker-1", ("celery", "-A", "a b")))
    assert text_of(render(programs, layout, TEMPLATE), layout.procfile) == (
        "# Made by devstack from the profile; changes here are overwritten. "
        "By hand: honcho start -f /home/ann/shop/.devstack/Procfile\n"
        "web: /home/ann/shop/.devstack/env/web python manage.py runserver 8000\n"
        "worker-1: /home/ann/shop/.devstack/env/worker-1 celery -A 'a b'\n"
    )


def test_a_stack_without_programs_renders(layout: Layout) -> None:
    write(render((), layout, TEMPLATE), layout)
    assert configs(layout) == {}


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{% for %}", "expression"), ("{{ nothing.here }}", "nothing"), ("other: x\n", "other"),
        ("web: x\nweb: y\n", "unique"),
    ],
)
def test_a_template_that_loses_a_program_is_refused(layout: Layout, template: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        render((program(layout),), layout, template)
    assert caught.value.id == "template-invalid"


# --- what can't be said ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"name": "a b"}, "name"), ({"name": ""}, "name"), ({"argv": ()}, "empty"), ({"argv": ("a\0b",)}, "NUL"),
        ({"env": {"A": "\0"}}, "NUL"), ({"env": {"A-B": "x"}}, "A-B"), ({"cwd": "relative"}, "absolute"),
        ({"env": {"UID": Secret("x")}}, "UID"),
    ],
)
def test_a_program_that_no_shell_could_run_is_refused(layout: Layout, change: dict[str, object], why: str) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        render((replace(program(layout), **change),), layout, TEMPLATE)  # type: ignore[arg-type]
    assert caught.value.id == "program-unusable"


@pytest.mark.parametrize("name", ["a\nb", "a\x85b", "a\udcffb", "a\u2028b"])
def test_a_project_folder_that_no_line_can_hold_is_refused(name: str) -> None:
    layout = layout_at(Path("/srv", name))
    with pytest.raises(UsageError) as caught:
        render((program(layout),), layout, TEMPLATE)
    assert caught.value.id == "path-unusable"


@pytest.mark.parametrize("stack", ["", "a b", "100%", 'x"', "a\nb"])
def test_an_id_that_supervisord_would_expand_or_split_is_refused(layout: Layout, stack: str) -> None:
    with pytest.raises(UsageError) as caught:
        render((program(layout),), replace(layout, stack=stack), TEMPLATE)
    assert caught.value.id == "stack-unusable"


# --- digests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"argv": ("sleep", "2")}, {"env": {"A": "1"}}, {"env": {"A": Secret("1")}}, {"cwd": "/"},
        {"stop_signal": "INT"}, {"stop_grace": 1.0}, {"user": "nobody"}, {"restart": "never"},
    ],
)
def test_whatever_changes_a_process_changes_its_digest_and_the_key(layout: Layout, change: dict[str, object]) -> None:
    before = program(layout)
    after = replace(before, **change)  # type: ignore[arg-type]
    assert before.digest != after.digest
    assert key((before,), layout, TEMPLATE) != key((after,), layout, TEMPLATE)


def test_the_key_is_the_first_line_of_the_configuration(layout: Layout) -> None:
    programs = (program(layout),)
    config = text_of(render(programs, layout, TEMPLATE), layout.config)
    assert config.splitlines()[0] == f"; devstack {key(programs, layout, TEMPLATE)}"
    assert key(programs, layout, TEMPLATE) != key(programs, layout, TEMPLATE + "# more\n")


def test_a_digest_is_of_the_bytes() -> None:
    assert digest("é") == digest(os.fsdecode("é".encode()))
    assert len(digest("")) == 16
