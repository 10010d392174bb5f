"""What should run, with every value filled in: environments, ports, secrets, digests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from devstack.profile.model import Profile
from devstack.profile.secret import Secret
from devstack.programs import (
    Resolved,
    all_programs,
    command,
    free_command,
    layout,
    port_names,
    process_program,
    service_program,
)
from devstack.state import State
from devstack.viewpoint import Viewpoint, environment, lookup

TEXT = """
name = "shop"
[services.postgres]
[services.cache]
kind = "redis"
[env]
DATABASE_URL = "${services.postgres.url}"
CACHE = "redis on ${services.cache.host}:${services.cache.port}"
SELF = "http://127.0.0.1:${processes.web.port}/"
ROOT = "${project.root}/media"
SECOND = "${env.ROOT}/two"
LITERAL = "$${port} $HOME"
PASSWORD = { generate = 20 }
ANSWER = { ask = "What?" }
[tasks.migrate]
run = "python manage.py migrate --path ${project.root}"
cwd = "src"
env = { LEVEL = "debug", DATABASE_URL = "overridden" }
[processes.web]
role = "web"
run = "runserver ${port} ${ports.metrics} 'two words'"
ports = { metrics = 9100 }
env = { WHERE = "${processes.api-server.url}", MINE = "${port}" }
[processes.api-server]
role = "web"
run = "api"
replicas = 2
env = { NUMBER = "${replica}", PEER = "${processes.web.ports.metrics}" }
[processes.ticker]
run = "echo $HOME ${replica}"
shell = true
stop = { signal = "INT", grace = 3 }
[processes.idle]
role = "web"
run = "idle"
replicas = 0
[processes.asks]
run = "asks"
env = { IDLE = "${processes.idle.url}" }
"""

Make = Callable[..., State]


@pytest.fixture(scope="session")
def profile(make_profile: Callable[[str], Profile]) -> Profile:
    return make_profile(TEXT)


@pytest.fixture(scope="session")
def state(profile: Profile, make_state: Make) -> State:
    return make_state(profile, decided={"PASSWORD": Secret("gen-Secret"), "ANSWER": "42"})


def revealed(resolved: Resolved) -> dict[str, str]:
    return resolved.revealed()


# --- environments ----------------------------------------------------------------------------------------------------


def test_a_command_gets_the_scrubbed_base_the_venv_and_its_profile(profile: Profile, state: State) -> None:
    """The whole environment, name by name: nothing else of this machine comes along."""
    made = free_command(profile, state, ("env",), "/srv/shop")
    assert revealed(made) == {
        "PATH": "/srv/shop/.devstack/venvs/k1/bin:/usr/bin:/bin",
        "HOME": "/home/ann",
        "VIRTUAL_ENV": "/srv/shop/.devstack/venvs/k1",
        "PYTHONUNBUFFERED": "1",
        "XDG_RUNTIME_DIR": "/run/ds/abc",
        "DATABASE_URL": "postgresql://shop:postgres-Pass@127.0.0.1:5432/shop",
        "CACHE": "redis on 127.0.0.1:6379",
        "SELF": "http://127.0.0.1:8000/",
        "ROOT": "/srv/shop/media",
        "SECOND": "/srv/shop/media/two",
        "LITERAL": "${port} $HOME",
        "PASSWORD": "gen-Secret",
        "ANSWER": "42",
    }


def test_a_machine_without_path_gets_one(profile: Profile, state: State) -> None:
    made = free_command(profile, replace(state, base={}), ("env",), "/")
    assert made.env["PATH"] == "/srv/shop/.devstack/venvs/k1/bin:/usr/bin:/bin"


def test_a_tasks_own_environment_wins(profile: Profile, state: State) -> None:
    made = command(profile, state, profile.tasks["migrate"])
    assert (made.env["LEVEL"], made.env["DATABASE_URL"]) == ("debug", "overridden")
    assert made.argv == ("python", "manage.py", "migrate", "--path", "/srv/shop")
    assert made.cwd == "/srv/shop/src"
    assert "PORT" not in made.env


def test_a_web_process_gets_its_port(profile: Profile, state: State) -> None:
    """As PORT, as `${port}`, and its further ones by name; quoted words stay whole."""
    made = process_program(profile, state, "web", "web", 1)
    assert made.argv == ("runserver", "8000", "8001", "two words")
    assert (made.env["PORT"], made.env["MINE"]) == ("8000", "8000")


def test_port_is_the_profiles_where_it_says_so(make_profile: Callable[[str], Profile], make_state: Make) -> None:
    profile = make_profile('name = "x"\n[env]\nPORT = "80"\n[processes.web]\nrole = "web"\nrun = "web"')
    assert process_program(profile, make_state(profile), "web", "web", 1).env["PORT"] == "80"


def test_replicas_differ_in_port_number_and_runtime_folder(profile: Profile, state: State) -> None:
    """Control sockets of two replicas must not meet."""
    found = {program.name: program.env for program in all_programs(profile, state)}
    assert [found[f"api-server-{n}"]["NUMBER"] for n in (1, 2)] == ["1", "2"]
    assert [found[f"api-server-{n}"]["PORT"] for n in (1, 2)] == ["8002", "8003"]
    folders = [found[name]["XDG_RUNTIME_DIR"] for name in ("web", "api-server-1", "api-server-2")]
    assert folders == ["/run/ds/abc/web", "/run/ds/abc/api-server-1", "/run/ds/abc/api-server-2"]


def test_ports_of_other_processes(profile: Profile, state: State) -> None:
    """Those of the first replica; of one that is scaled to nothing, none."""
    found = {program.name: program.env for program in all_programs(profile, state)}
    assert found["web"]["WHERE"] == "http://127.0.0.1:8002"
    assert found["api-server-2"]["PEER"] == "8001"
    assert found["asks"]["IDLE"] == ""


def test_a_shell_command_keeps_its_dollars(profile: Profile, state: State) -> None:
    made = process_program(profile, state, "ticker", "ticker", 1)
    assert made.argv == ("/bin/sh", "-c", "echo $HOME 1")
    assert (made.stop_signal, made.stop_grace) == ("INT", 3)


@pytest.mark.parametrize(("home", "found"), [("user", "/home/ann"), ("private", "/srv/shop/.devstack/home")])
def test_home_is_the_persons_or_the_stacks(
    make_profile: Callable[[str], Profile], make_state: Make, home: str, found: str
) -> None:
    profile = make_profile(f'name = "x"\nhome = "{home}"\n[processes.p]\nrun = "p"')
    state = make_state(profile)
    assert process_program(profile, state, "p", "p", 1).env["HOME"] == found
    assert free_command(profile, state, ("env",), "/").env["HOME"] == found


def test_names_of_ports(profile: Profile) -> None:
    names = {name: port_names(name, process) for name, process in profile.processes.items()}
    assert names == {
        "web": ("web", "web.metrics"), "api-server": ("api-server-1", "api-server-2"), "ticker": (), "idle": (),
        "asks": (),
    }


@pytest.mark.parametrize(
    "reference",
    ["", "nothing", "env.NONE", "services.none.url", "services.cache.none", "processes.none.port", "ports.none",
     "processes.web.none", "project.none", "processes.web"],
)  # fmt: skip
def test_what_stands_for_nothing_is_a_key_error(profile: Profile, state: State, reference: str) -> None:
    """The loader has refused it already; a template is told so by its reader."""
    with pytest.raises(KeyError):
        lookup(profile, state, Viewpoint("web"))(reference)


# --- secrets ---------------------------------------------------------------------------------------------------------


def texts_of(value: Any) -> str:
    return f"{value} {value!r} {vars(value) if hasattr(value, '__dict__') else ''}"


def test_no_secret_shows_itself(profile: Profile, state: State) -> None:
    """Not in a program, a command, an observation, nor in what is derived from a secret."""
    values: Mapping[str, str | Secret] = environment(profile, state)
    assert isinstance(values["DATABASE_URL"], Secret)
    assert isinstance(values["PASSWORD"], Secret)
    shown = [*all_programs(profile, state), free_command(profile, state, ("env",), "/"), state, values]
    shown += [program.env for program in all_programs(profile, state)]
    for value in shown:
        for secret in ("gen-Secret", "postgres-Pass", "cache-Pass"):
            assert secret not in texts_of(value)


def test_no_secret_is_in_a_command_line(profile: Profile, state: State) -> None:
    """Everybody on the machine can read those."""
    for program in all_programs(profile, state):
        assert not any("Pass" in word or "Secret" in word for word in program.argv)


# --- services --------------------------------------------------------------------------------------------------------


def test_a_service_runs_with_little_around_it(state: State) -> None:
    """Its own folder as HOME, the machine's PATH, its libraries; behind the words that make it unprivileged."""
    server = replace(state.services["postgres"].server, libraries=("/lib/a", "/lib/b"))
    service = replace(state.services["postgres"], server=server)
    made = service_program(replace(state, wrapper=("setpriv", "--")), service)
    assert made.argv[:4] == ("setpriv", "--", "/cache/postgres/bin/server", "-D")
    assert made.env["HOME"] == made.cwd == "/srv/shop/.devstack/data/postgres"
    assert made.env["LD_LIBRARY_PATH"] == "/lib/a:/lib/b"
    assert "VIRTUAL_ENV" not in made.env
    assert (made.stop_signal, made.stop_grace) == ("INT", 30)


def test_the_digest_follows_the_files_that_the_server_reads(profile: Profile, state: State) -> None:
    """Another password is in a file, not in the command; a running server must be replaced for it all the same."""
    service = state.services["cache"]
    other = replace(service, instance=replace(service.instance, password=Secret("another")))
    one, two = service_program(state, service), service_program(state, other)
    assert one.argv == two.argv
    assert one.digest != two.digest
    assert one.digest == service_program(state, service).digest


@pytest.mark.parametrize(
    "change",
    [
        {"venv": "/srv/shop/.devstack/venvs/k2"}, {"base": {"PATH": "/opt/bin", "HOME": "/home/ann"}},
        {"decided": {"PASSWORD": Secret("new"), "ANSWER": "42"}},
    ],
    ids=["venv", "base", "secret"],
)
def test_the_digest_follows_the_environment(profile: Profile, state: State, change: dict[str, Any]) -> None:
    before, after = (process_program(profile, one, "web", "web", 1).digest for one in (state, replace(state, **change)))
    assert before != after


def test_services_come_first(profile: Profile, state: State) -> None:
    assert [program.name for program in all_programs(profile, state)] == [
        "postgres", "cache", "web", "api-server-1", "api-server-2", "ticker", "asks",
    ]


def test_the_layout_is_the_states(state: State) -> None:
    place = layout(state)
    assert (place.stack, place.root, place.folder, place.sockets) == (
        "abc", "/srv/shop", "/srv/shop/.devstack", "/run/ds/abc",
    )
