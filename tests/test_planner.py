"""Golden plans: what the planner makes of a profile and an observation, as whole texts; what holds of every plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devstack import watching
from devstack.actions import RunTask
from devstack.errors import UsageError
from devstack.plan import CheckedOut, Down, Goal, Plan, Up
from devstack.planner import build, checkout, completion, digest, selected
from devstack.profile.model import Profile
from devstack.programs import all_programs, layout
from devstack.render import render
from devstack.resources import shared
from devstack.services import Probe
from devstack.state import (
    Orphan,
    Parts,
    ProgramState,
    PythonState,
    ReplicaState,
    State,
    SupervisorState,
    TaskState,
)

TEMPLATE = shared("Procfile.template").read_text()

SHOP = """
name = "shop"
[services.postgres]
[services.redis]
[tasks.migrate]
run = "python manage.py migrate"
needs = ["postgres"]
[tasks.seed]
run = "python manage.py seed"
needs = ["migrate"]
[processes.web]
role = "web"
run = "python manage.py runserver ${port}"
needs = ["migrate", "redis"]
ready = { http = "/health/" }
[processes.worker]
run = "celery worker"
needs = ["redis"]
replicas = 2
[files."media"]
directory = true
"""


@dataclass(frozen=True)
class Desk:
    """A profile and the ways to look at its stack."""

    profile: Profile
    fresh: State

    def plan(self, state: State, goal: Goal | None = None) -> Plan:
        return build(self.profile, state, goal or Up(), TEMPLATE)

    def text(self, state: State, goal: Goal | None = None) -> str:
        return "\n" + self.plan(state, goal).text() + "\n"

    @property
    def settled(self) -> State:
        """What is observed right after a successful `up`."""
        state = replace(
            self.fresh,
            python=PythonState(wanted="k1", linked="k1", is_built=True, version="3.11.7"),
            services={
                name: replace(service, is_fetched=True, has_data=True, probe=Probe(True, "logged in"))
                for name, service in self.fresh.services.items()
            },
            tasks={name: TaskState(task.key, task.key) for name, task in self.fresh.tasks.items()},
            missing_paths=frozenset(),
        )
        programs = all_programs(self.profile, state)
        files = (*render(programs, layout(state), TEMPLATE), *watching.files(self.profile, layout(state)))
        (config,) = [file.digest for file in files if file.path == layout(state).config]
        return replace(
            state,
            supervisor=SupervisorState("run1", 100, config, {
                program.name: ProgramState(program.name, "running", 101 + number, 60.0, digest=program.digest)
                for number, program in enumerate(programs)
            }),
            replicas={program.name: ReplicaState(True) for program in programs if program.name not in state.services},
            files={file.path: digest(file) for file in files},
            data=tuple(state.services),
        )  # fmt: skip

    def without(self, *names: str) -> State:
        """Settled, but these programs have died."""
        state = self.settled
        programs = {
            name: ProgramState(name, "fatal", reason="exited too quickly") if name in names else program
            for name, program in state.supervisor.programs.items()
        }
        return replace(
            state, supervisor=replace(state.supervisor, programs=programs),
            replicas={name: ReplicaState(name not in names) for name in state.replicas},
            services={
                name: replace(service, probe=None) if name in names else service
                for name, service in state.services.items()
            },
        )


MakeDesk = Callable[[str], Desk]


@pytest.fixture(scope="session")
def desk(make_profile: Callable[[str], Profile], make_state: Callable[..., State]) -> MakeDesk:
    def make(text: str) -> Desk:
        profile = make_profile(text)
        return Desk(profile, make_state(profile))

    return make


@pytest.fixture(scope="session")
def shop(desk: MakeDesk) -> Desk:
    return desk(SHOP)


def dead(name: str) -> Orphan:
    return Orphan(7, "1", name)


# --- up: golden texts ------------------------------------------------------------------------------------------------


def test_the_first_up(shop: Desk) -> None:
    """Everything, each after what it needs; environment and servers side by side."""
    assert shop.text(shop.fresh) == """
files:write         not written yet: env/postgres, env/redis, env/web, env/worker-1 and 3 more
paths:make          missing: media
python:create       no environment is built for Python 3.11.7 and these requirements
python:install      into the new environment  (after python:create)
python:link         .venv is not there  (after python:install)
postgres:fetch      postgres 1.2.3 is not on this machine yet
redis:fetch         redis 1.2.3 is not on this machine yet
supervisor:start    not running  (after files:write)
postgres:prepare    it has no data yet  (after postgres:fetch)
postgres:start      not running  (after supervisor:start, postgres:fetch, postgres:prepare)
postgres:provision  after its start  (after postgres:start)
postgres:await      others need it to answer  (after postgres:provision)
redis:prepare       it has no data yet  (after redis:fetch)
redis:start         not running  (after supervisor:start, redis:fetch, redis:prepare)
redis:provision     after its start  (after redis:start)
redis:await         others need it to answer  (after redis:provision)
migrate:run         not done yet with this data  (after python:create, python:install, python:link, paths:make, postgres:await)
seed:run            not done yet with this data  (after python:create, python:install, python:link, paths:make, migrate:run)
web:start           not running  (after supervisor:start, python:create, python:install, python:link, paths:make, migrate:run, redis:await)
web:await           after its start  (after web:start)
worker-1:start      not running  (after supervisor:start, python:create, python:install, python:link, paths:make, redis:await)
worker-1:await      after its start  (after worker-1:start)
worker-2:start      not running  (after supervisor:start, python:create, python:install, python:link, paths:make, redis:await)
worker-2:await      after its start  (after worker-2:start)
stack:verify        all must still be running at the end  (after postgres:await, redis:await, web:await, worker-1:await, worker-2:await)
"""  # noqa: E501 - a plan is shown as it is


def test_nothing_to_do(shop: Desk) -> None:
    plan = shop.plan(shop.settled)
    assert plan.is_empty
    assert plan.warnings == ()


def test_one_program_down(shop: Desk) -> None:
    """The rest isn't touched, nor is supervisord's configuration read again."""
    assert shop.text(shop.without("web")) == """
web:start     not running: exited too quickly
web:await     after its start  (after web:start)
stack:verify  all must still be running at the end  (after web:await)
"""


def test_one_service_down(shop: Desk) -> None:
    """Who needs it is left running: clients connect again by themselves."""
    assert shop.text(shop.without("redis")) == """
redis:start      not running: exited too quickly
redis:provision  after its start  (after redis:start)
redis:await      others need it to answer  (after redis:provision)
stack:verify     all must still be running at the end  (after redis:await)
"""


def test_running_but_not_ready(shop: Desk) -> None:
    """What runs is waited for and provisioned, not restarted."""
    state = shop.settled
    services = {
        "postgres": replace(state.services["postgres"], probe=Probe(True, "in", missing=("database shop",))),
        "redis": replace(state.services["redis"], probe=Probe(False, "the data is still being loaded")),
    }
    replicas = {**state.replicas, "web": ReplicaState(False, "503 busy"), "worker-1": ReplicaState(False)}
    assert shop.text(replace(state, services=services, replicas=replicas)) == """
postgres:provision  missing: database shop
postgres:await      others need it to answer  (after postgres:provision)
redis:provision     the data is still being loaded
redis:await         others need it to answer  (after redis:provision)
web:await           503 busy
worker-1:await      not ready yet
"""


def test_a_server_that_only_a_start_can_help_is_started_anew(shop: Desk) -> None:
    state = shop.settled
    refusing = replace(state.services["redis"], probe=Probe(False, "WRONGPASS", needs_start=True))
    text = shop.text(replace(state, services={**state.services, "redis": refusing}))
    assert text.splitlines()[1] == "redis:stop       only a new start can help: WRONGPASS"
    assert "postgres" not in text


CHANGED_WORKER = """
worker-1:stop      its declaration or environment changed
worker-2:stop      its declaration or environment changed
supervisor:reload  programs of its configuration changed  (after {files}worker-1:stop, worker-2:stop)
worker-1:start     its declaration or environment changed  (after supervisor:reload, worker-1:stop)
worker-1:await     after its start  (after worker-1:start)
worker-2:start     its declaration or environment changed  (after supervisor:reload, worker-2:stop)
worker-2:await     after its start  (after worker-2:start)
stack:verify       all must still be running at the end  (after worker-1:await, worker-2:await)
"""


@pytest.fixture(scope="session")
def louder(desk: MakeDesk) -> Desk:
    """The shop with another command for its workers."""
    return desk(SHOP.replace("celery worker", "celery worker -l info"))


def test_a_changed_program(shop: Desk, louder: Desk) -> None:
    assert louder.text(shop.settled) == (
        "\nfiles:write        changed: env/worker-1, env/worker-2, Procfile, supervisord.conf"
        + CHANGED_WORKER.format(files="files:write, ")
    )


def test_killed_between_writing_and_reloading(shop: Desk, louder: Desk) -> None:
    """The files are right but what runs was started with the old ones."""
    state = replace(shop.settled, files=louder.settled.files)
    assert louder.text(state) == CHANGED_WORKER.format(files="")


def test_killed_between_reloading_and_starting(shop: Desk, louder: Desk) -> None:
    """supervisord knows the new configuration and has nothing running of it."""
    state = louder.without("worker-1", "worker-2")
    assert louder.text(state) == """
worker-1:start  not running: exited too quickly
worker-1:await  after its start  (after worker-1:start)
worker-2:start  not running: exited too quickly
worker-2:await  after its start  (after worker-2:start)
stack:verify    all must still be running at the end  (after worker-1:await, worker-2:await)
"""


def test_a_program_that_supervisord_restarts_this_moment(shop: Desk, louder: Desk) -> None:
    """What it was started as isn't noted yet: it is waited for, unless supervisord has another configuration."""
    state = shop.without("worker-1")
    programs = {**state.supervisor.programs, "worker-1": ProgramState("worker-1", "starting", 7)}
    state = replace(state, supervisor=replace(state.supervisor, programs=programs))
    assert shop.text(state) == "\nworker-1:await  not ready yet\n"
    assert "worker-1:stop" in [step.id for step in louder.plan(state).steps]


def test_a_changed_service(shop: Desk, desk: MakeDesk) -> None:
    """Although its command line is the same: the files that its server reads have changed."""
    changed = desk(SHOP.replace("[services.redis]", "[services.redis]\npassword = false"))
    assert changed.text(replace(shop.settled, services=changed.settled.services)) == """
files:write        changed: env/redis, supervisord.conf
redis:stop         its declaration or environment changed
supervisor:reload  programs of its configuration changed  (after files:write, redis:stop)
redis:start        its declaration or environment changed  (after supervisor:reload, redis:stop)
redis:provision    after its start  (after redis:start)
redis:await        others need it to answer  (after redis:provision)
stack:verify       all must still be running at the end  (after redis:await)
"""


def test_a_changed_python_environment(shop: Desk) -> None:
    """What runs is stopped only when the new one is complete: an installation that fails costs nothing."""
    python = PythonState(wanted="k2", linked="k1", version="3.11.7")
    state = replace(shop.settled, python=python, venv="/srv/shop/.devstack/venvs/k2")
    assert shop.text(state, Up(("web",))).splitlines()[1:7] == [
        "files:write        changed: env/web, env/worker-1, env/worker-2, supervisord.conf",
        "python:create      no environment is built for Python 3.11.7 and these requirements",
        "python:install     into the new environment  (after python:create)",
        "python:link        another environment is linked as .venv  (after python:install)",
        "web:stop           its declaration or environment changed  (after python:create, python:install, python:link)",
        "worker-1:stop      its declaration or environment changed  (after python:create, python:install, python:link)",
    ]


def test_an_environment_of_somebody_else_is_never_linked_over(shop: Desk) -> None:
    python = PythonState(wanted="k1", linked="", is_built=True, foreign=True)
    assert shop.plan(replace(shop.settled, python=python)).is_empty


def test_a_broken_environment_is_built_again_and_says_why(shop: Desk) -> None:
    python = PythonState(wanted="k1", linked="k1", problem="its interpreter is gone")
    assert shop.text(replace(shop.settled, python=python)) == """
python:create   its interpreter is gone
python:install  into the new environment  (after python:create)
"""


def test_orphans_are_ended_before_anything_starts(shop: Desk) -> None:
    state = shop.without("web")
    orphans = (dead("web"), dead("worker-1"), dead(""))
    state = replace(state, supervisor=replace(state.supervisor, orphans=orphans))
    assert shop.text(state) == """
supervisor:reap  3 left over from a killed run (unnamed, web, worker-1)
web:start        not running: exited too quickly  (after supervisor:reap)
web:await        after its start  (after web:start)
stack:verify     all must still be running at the end  (after web:await)
"""


def test_a_file_that_was_lost_is_written_before_the_start(shop: Desk) -> None:
    state = shop.without("web")
    files = {path: found for path, found in state.files.items() if not path.endswith("env/web")}
    assert shop.text(replace(state, files=files)) == """
files:write   not written yet: env/web
web:start     not running: exited too quickly  (after files:write)
web:await     after its start  (after web:start)
stack:verify  all must still be running at the end  (after web:await)
"""


def test_a_dropped_process(shop: Desk, desk: MakeDesk) -> None:
    """It is stopped and supervisord forgets it, in the order of its configuration."""
    before, _, rest = SHOP.partition("[processes.worker]")
    fewer = desk(before + rest[rest.index("[files") :])
    assert fewer.text(shop.settled) == """
files:write        changed: Procfile, supervisord.conf
worker-1:stop      the profile doesn't have it any more
worker-2:stop      the profile doesn't have it any more
supervisor:reload  programs of its configuration changed  (after files:write, worker-1:stop, worker-2:stop)
"""


def test_more_replicas(shop: Desk, desk: MakeDesk) -> None:
    """Those that run are left alone."""
    three = desk(SHOP.replace("replicas = 2", "replicas = 3"))
    assert three.text(shop.settled) == """
files:write        changed: env/worker-3, Procfile, supervisord.conf
supervisor:reload  programs of its configuration changed  (after files:write)
worker-3:start     not running  (after supervisor:reload)
worker-3:await     after its start  (after worker-3:start)
stack:verify       all must still be running at the end  (after worker-3:await)
"""


def test_no_replica_at_all(shop: Desk, desk: MakeDesk) -> None:
    assert desk(SHOP.replace("replicas = 2", "replicas = 0")).text(shop.settled) == """
files:write        changed: Procfile, supervisord.conf
worker-1:stop      the profile doesn't have it any more
worker-2:stop      the profile doesn't have it any more
supervisor:reload  programs of its configuration changed  (after files:write, worker-1:stop, worker-2:stop)
"""


def test_one_replica_has_another_name_than_the_first_of_two(shop: Desk, desk: MakeDesk) -> None:
    assert desk(SHOP.replace("replicas = 2", "replicas = 1")).text(shop.settled) == """
files:write        changed: env/worker, Procfile, supervisord.conf
worker-1:stop      the profile doesn't have it any more
worker-2:stop      the profile doesn't have it any more
supervisor:reload  programs of its configuration changed  (after files:write, worker-1:stop, worker-2:stop)
worker:start       not running  (after supervisor:reload)
worker:await       after its start  (after worker:start)
stack:verify       all must still be running at the end  (after worker:await)
"""


def test_changed_inputs_of_a_task(shop: Desk) -> None:
    """The task alone: what ran before it goes on running."""
    tasks = {**shop.settled.tasks, "migrate": TaskState("new", "key-migrate")}
    assert shop.text(replace(shop.settled, tasks=tasks)) == """
migrate:run  its inputs, command, environment or data changed
"""


@pytest.mark.parametrize(
    ("keys", "state", "cause"),
    [
        ("", TaskState("d1.r1"), "not done yet with this data"),
        ("", TaskState("d1.r1", "d1.r1"), ""),
        ("", TaskState("d1.r2", "d1.r1"), "its inputs, command, environment or data changed"),
        ("once = true", TaskState("d1.r1"), "not done yet with this data"),
        ("once = true", TaskState("d1.r2", "d1.r1"), ""),
        ("once = true", TaskState("d2.r1", "d1.r1"), "the data it was done with began anew"),
        ("outputs = ['dist']", TaskState("d1.r1", "d1.r1"), ""),
        ("outputs = ['dist']", TaskState("d1.r1", "d1.r1", ("dist",)), "not there any more: dist"),
        ("once = true\noutputs = ['dist']", TaskState("d1.r2", "d1.r1", ("dist",)), "not there any more: dist"),
        # asked when its turn comes, and only if there is another reason to run
        ("unless = 'true'", TaskState("d1.r1", "d1.r1"), ""),
        ("unless = 'true'", TaskState("d1.r1"), "not done yet with this data"),
    ],
)
def test_when_a_task_runs_again(desk: MakeDesk, keys: str, state: TaskState, cause: str) -> None:
    made = desk(f"name = 'one'\n[tasks.task]\nrun = 'x'\n{keys}")
    plan = made.plan(replace(made.settled, tasks={"task": state}))
    assert [step.cause for step in plan.steps] == ([cause] if cause else [])


def test_a_snapshot_that_a_task_still_owes_is_saved_without_the_task(desk: MakeDesk) -> None:
    made = desk("name = 'one'\n[services.redis]\n[tasks.task]\nrun = 'x'\nsnapshot = 'seeded'")
    done = replace(made.settled.tasks["task"], owes="seeded")
    state = replace(made.settled, tasks={"task": done})
    step, spare = made.plan(state).steps
    assert spare.id == "spare copy:make"
    assert (step.id, step.cause) == ("snapshot seeded:save", "it was cut short")
    # what the profile doesn't ask for any more isn't owed
    state = replace(state, snapshots=frozenset({"seeded"}))
    assert made.plan(replace(state, tasks={"task": replace(done, owes="other")})).is_empty


def test_a_task_that_was_asked_for_runs_without_asking_whether_it_is_done(desk: MakeDesk) -> None:
    made = desk("name = 'one'\n[tasks.task]\nrun = 'x'\nonce = true\nunless = 'true'")
    (step,) = made.plan(made.settled, Up(("task",), frozenset({"task"}))).steps
    assert step.action == RunTask("task", is_forced=True)


def test_a_process_that_has_ended_as_it_may_is_left_alone(desk: MakeDesk) -> None:
    made = desk("name = 'one'\n[processes.once]\nrun = 'x'\nrestart = 'never'")
    state = made.settled
    live = replace(state.supervisor.programs["once"], phase="exited", pid=None, exit_status=0)

    def text(**changes: Any) -> str:
        programs = {"once": replace(live, **changes)}
        return made.plan(replace(state, supervisor=replace(state.supervisor, programs=programs))).text()

    assert text() == ""
    assert "its declaration or environment changed" in text(digest="other")
    assert "not running: it ends with status 3" in text(exit_status=3, reason="it ends with status 3")
    always = desk("name = 'one'\n[processes.once]\nrun = 'x'")
    live = replace(live, digest=always.settled.supervisor.programs["once"].digest)
    ended = replace(always.settled.supervisor, programs={"once": live})
    assert "once:start" in always.plan(replace(always.settled, supervisor=ended)).text()


def test_a_process_that_keeps_dying_is_started_anew(shop: Desk) -> None:
    """What made it die may be mended; its deaths are counted from there."""
    state = shop.settled
    worker = replace(state.supervisor.programs["worker-1"], restarts=5)
    programs = {**state.supervisor.programs, "worker-1": worker}
    state = replace(state, supervisor=replace(state.supervisor, programs=programs))
    assert shop.plan(state).is_empty
    state = replace(state, replicas={**state.replicas, "worker-1": ReplicaState(False, "no answer")})
    assert shop.text(state) == """
worker-1:stop   it has died 5 times and isn't ready: no answer
worker-1:start  it has died 5 times and isn't ready: no answer  (after worker-1:stop)
worker-1:await  after its start  (after worker-1:start)
stack:verify    all must still be running at the end  (after worker-1:await)
"""


def test_the_watcher_is_part_of_the_stack_where_somebody_watches(desk: MakeDesk) -> None:
    text = """
name = "one"
[processes.web]
run = "x"
watch = ["*.py"]
[processes.other]
run = "y"
"""
    made, none = desk(text), desk(text.replace("watch", "# "))
    stopped = made.without("devstack-watch")
    assert made.plan(made.settled).is_empty
    assert made.text(stopped) == made.text(stopped, Up(("web",))) == """
devstack-watch:start  not running: exited too quickly
devstack-watch:await  after its start  (after devstack-watch:start)
stack:verify          all must still be running at the end  (after devstack-watch:await)
"""
    assert made.plan(stopped, Up(("other",))).is_empty
    assert "devstack-watch" not in none.plan(none.fresh).text()
    other = desk(text.replace("*.py", "*.txt"))
    assert other.text(made.settled, Up(("other",))) == """
files:write           changed: env/devstack-watch, supervisord.conf, watch.json
devstack-watch:stop   its declaration or environment changed
supervisor:reload     programs of its configuration changed  (after files:write, devstack-watch:stop)
devstack-watch:start  its declaration or environment changed  (after supervisor:reload, devstack-watch:stop)
devstack-watch:await  after its start  (after devstack-watch:start)
stack:verify          all must still be running at the end  (after devstack-watch:await)
"""


def test_a_finished_task_passes_on_what_it_needs(shop: Desk) -> None:
    """The seed needs the migrations alone: they are done, and it still waits for their database."""
    stopped = shop.without("postgres")
    plan = shop.plan(replace(stopped, tasks={**stopped.tasks, "seed": TaskState("new", "old")}))
    needs = {step.id: step.needs for step in plan.steps}
    assert "migrate:run" not in needs
    assert needs["seed:run"] == ("postgres:await",)


def test_a_running_process_passes_on_what_it_needs(desk: MakeDesk) -> None:
    """The mailer needs the broker's watcher alone: that one runs, and the mailer still waits for the broker."""
    mail = desk("""
name = "mail"
[services.rabbitmq]
[processes.watcher]
run = "watch"
needs = ["rabbitmq"]
[processes.mailer]
run = "mail"
needs = ["watcher"]
""")
    plan = mail.plan(mail.without("rabbitmq", "mailer"))
    needs = {step.id: step.needs for step in plan.steps}
    assert "watcher:await" not in needs
    assert "rabbitmq:await" in needs["mailer:start"]


def test_optional_parts_may_fail(desk: MakeDesk) -> None:
    """Their steps say so, and the end doesn't look at them."""
    text = SHOP.replace("replicas = 2", "optional = true")
    some = desk(text.replace('run = "python manage.py seed"', 'run = "x"\noptional = true'))
    plan = some.plan(some.fresh)
    assert [step.id for step in plan.steps if step.optional] == ["seed:run", "worker:start", "worker:await"]
    verify: Any = plan.steps[-1].action
    assert verify.programs == ("postgres", "redis", "web")


def test_without_services_tasks_or_python(desk: MakeDesk) -> None:
    small = desk('name = "small"\n[processes.ticker]\nrun = "tick"')
    assert small.text(replace(small.fresh, python=None)) == """
files:write       not written yet: env/ticker, Procfile, supervisord.conf
supervisor:start  not running  (after files:write)
ticker:start      not running  (after supervisor:start)
ticker:await      after its start  (after ticker:start)
stack:verify      all must still be running at the end  (after ticker:await)
"""


def test_warnings_come_along(shop: Desk) -> None:
    """Of the observation and of every service's server."""
    services = {**shop.settled.services}
    services["redis"] = replace(services["redis"], warning="Redis 7 is wanted, Valkey is used")
    plan = shop.plan(replace(shop.settled, warnings=("web gets port 8001",), services=services))
    assert plan.warnings == ("web gets port 8001", "Redis 7 is wanted, Valkey is used")


# --- goals -----------------------------------------------------------------------------------------------------------


def test_up_of_one_name_brings_what_it_needs(shop: Desk) -> None:
    """And nothing else: no Postgres, no web."""
    targets = {step.target for step in shop.plan(shop.fresh, Up(("worker",))).steps}
    assert targets == {"files", "paths", "python", "supervisor", "redis", "worker-1", "worker-2", "stack"}


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ((), {"postgres", "redis", "migrate", "seed", "web", "worker"}),
        (("redis",), {"redis"}),
        (("seed",), {"seed", "migrate", "postgres"}),
        (("web", "worker-2"), {"web", "migrate", "postgres", "redis", "worker"}),
    ],
)
def test_names_are_closed_over_their_needs(shop: Desk, names: tuple[str, ...], found: set[str]) -> None:
    """A replica's name stands for its process."""
    assert selected(shop.profile, names) == found


@pytest.mark.parametrize("name", ["wbe", "worker-3", "web-1", "", "postgres:start"])
def test_an_unknown_name_is_told_with_the_known_ones(shop: Desk, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        shop.plan(shop.fresh, Up((name,)))
    assert (caught.value.id, caught.value.exit_code) == ("unknown-name", 2)
    assert "migrate, postgres, redis, seed, web, worker" in caught.value.why


def test_restart(shop: Desk) -> None:
    assert shop.text(shop.settled, Up(("web",), frozenset({"web"}))) == """
web:stop      restart was asked for
web:start     restart was asked for  (after web:stop)
web:await     after its start  (after web:start)
stack:verify  all must still be running at the end  (after web:await)
"""


def test_restart_of_one_replica(shop: Desk) -> None:
    ids = [step.id for step in shop.plan(shop.settled, Up(("worker-2",), frozenset({"worker-2"}))).steps]
    assert ids == ["worker-2:stop", "worker-2:start", "worker-2:await", "stack:verify"]


def test_restart_takes_along_what_a_reload_would_stop(shop: Desk, louder: Desk) -> None:
    """supervisord takes over its whole configuration: a changed worker that nobody named must not stay down."""
    ids = [step.id for step in louder.plan(shop.settled, Up(("web",), frozenset({"web"}))).steps]
    assert ids == [
        "files:write", "web:stop", "worker-1:stop", "worker-2:stop", "supervisor:reload", "web:start", "web:await",
        "worker-1:start", "worker-1:await", "worker-2:start", "worker-2:await", "stack:verify",
    ]


def test_a_task_that_is_done_runs_again_when_asked_for(shop: Desk) -> None:
    assert shop.text(shop.settled, Up(("seed",), frozenset({"seed"}))) == "\nseed:run  asked for\n"


def test_prepared_but_not_started(shop: Desk) -> None:
    """`--no-start`: everything that takes long is there."""
    assert shop.text(shop.fresh, Up(start=False)) == """
files:write       not written yet: env/postgres, env/redis, env/web, env/worker-1 and 3 more
paths:make        missing: media
python:create     no environment is built for Python 3.11.7 and these requirements
python:install    into the new environment  (after python:create)
python:link       .venv is not there  (after python:install)
postgres:fetch    postgres 1.2.3 is not on this machine yet
redis:fetch       redis 1.2.3 is not on this machine yet
postgres:prepare  it has no data yet  (after postgres:fetch)
redis:prepare     it has no data yet  (after redis:fetch)
"""


DOWN = """
web:stop         the stack goes down
worker-1:stop    the stack goes down
worker-2:stop    the stack goes down
postgres:stop    the stack goes down  (after web:stop, worker-1:stop, worker-2:stop)
redis:stop       the stack goes down  (after web:stop, worker-1:stop, worker-2:stop)
supervisor:stop  the stack goes down  (after web:stop, worker-1:stop, worker-2:stop, postgres:stop, redis:stop)
"""


def test_down(shop: Desk) -> None:
    """Clients before their servers, and no data is touched."""
    assert shop.text(shop.settled, Down()) == DOWN


def test_down_with_its_data(shop: Desk) -> None:
    plan = shop.plan(shop.settled, Down(volumes=True))
    assert "\n" + plan.text() + "\n" == (
        DOWN + "data:discard     --volumes: the data of postgres, redis goes to the trash  (after supervisor:stop)\n"
    )
    assert [step.id for step in plan.destructive] == ["data:discard"]


def test_down_of_what_is_down(shop: Desk) -> None:
    """Nothing, unless there is data to discard or something has outlived its supervisord."""
    stopped = replace(shop.settled, supervisor=SupervisorState())
    assert shop.plan(stopped, Down()).is_empty
    assert [step.id for step in shop.plan(stopped, Down(volumes=True)).steps] == ["data:discard"]
    assert shop.plan(replace(stopped, data=()), Down(volumes=True)).is_empty
    left = replace(stopped, supervisor=SupervisorState(orphans=(dead("web"),)))
    assert shop.text(left, Down()) == "\nsupervisor:reap  left over from a killed run\n"


def test_what_a_checkout_lacks_comes_before_all_that_reads_it(shop: Desk) -> None:
    parts = Parts(("vendor/a", "vendor/b"), ("vendor/c",), ("film.bin",), ("vendor/d is at 1",))
    state = replace(shop.fresh, parts=parts)
    plan = shop.plan(state)
    moved = "submodule vendor/c is at another commit than the project wants"
    assert completion(parts, "up").text() == "\n".join([
        f"submodules:get  submodules are not there: vendor/a, vendor/b; {moved}",
        "lfs:pull        only pointers to what Git LFS holds: film.bin  (after submodules:get)",
    ])  # fmt: skip
    assert plan.steps[:2] == completion(parts, "up").steps
    needs = {step.id: step.needs for step in plan.steps}
    for step in ("python:create", "paths:make", "migrate:run", "web:start"):
        assert {"submodules:get", "lfs:pull"} <= {*needs[step], *needs["python:create"]}
    assert "lfs:pull" in needs["python:create"]
    assert plan.warnings == ("vendor/d is at 1",)
    assert completion(Parts(), "up").is_empty


def test_a_project_is_cloned_once() -> None:
    goal = CheckedOut("https://example.org/shop.git", "/srv/shop", "main", exists=False)
    assert checkout(goal).text() == "project:clone  /srv/shop is not there"
    assert checkout(replace(goal, exists=True)).is_empty


# --- what holds of every plan ----------------------------------------------------------------------------------------

NAMES = ("a", "b", "c", "d")


@st.composite
def profiles(draw: st.DrawFn) -> str:
    """Texts of valid profiles: services, tasks and processes that need any of those before them."""
    text, before = 'name = "any"\n', list[str]()
    for service in draw(st.lists(st.sampled_from(["postgres", "redis", "rabbitmq"]), unique=True)):
        text += f"[services.{service}]\n"
        before.append(service)
    for name in draw(st.lists(st.sampled_from(NAMES), unique=True)):
        section = draw(st.sampled_from(["tasks", "processes"]))
        kept = [need for need in before if section == "processes" or not need.startswith("p")]
        label = f"{section[0]}-{name}"
        needs = draw(st.none() | st.lists(st.sampled_from(kept), unique=True)) if kept else None
        text += f'[{section}.{label}]\nrun = "true"\n' + (f"needs = {needs}\n" if needs is not None else "")
        text += "optional = true\n" if draw(st.booleans()) else ""
        if section == "processes":
            text += f"replicas = {draw(st.integers(0, 3))}\n"
            text += 'role = "web"\n' if draw(st.booleans()) else ""
        before.append(label)
    return text.replace("'", '"')


@st.composite
def states(draw: st.DrawFn, settled: State, fresh: State) -> State:
    """Anything between nothing and everything, with left-overs of another profile."""
    programs = {
        name: draw(st.sampled_from([
            program, replace(program, digest="old"), ProgramState(name, "fatal", reason="it died"),
        ]))
        for name, program in settled.supervisor.programs.items() if draw(st.booleans())
    }  # fmt: skip
    if draw(st.booleans()):
        programs["left-1"] = ProgramState("left-1", "running", 9, digest="x")
    is_running = draw(st.booleans())
    orphans = tuple(dead(name) for name in draw(st.lists(st.sampled_from(NAMES), max_size=2)))
    supervisor = SupervisorState(
        "run1" if is_running else "", 100, draw(st.sampled_from([settled.supervisor.config, "old"])),
        programs if is_running else {}, orphans,
    )
    either = [settled, fresh]
    return replace(
        settled, supervisor=supervisor, python=draw(st.sampled_from([*[state.python for state in either], None])),
        services={name: draw(st.sampled_from([state.services[name] for state in either])) for name in fresh.services},
        tasks={name: draw(st.sampled_from([state.tasks[name] for state in either])) for name in fresh.tasks},
        replicas={name: ReplicaState(draw(st.booleans())) for name in settled.replicas},
        files=draw(st.sampled_from([settled.files, {}, dict.fromkeys(settled.files, "old")])),
    )


@settings(max_examples=40)
@given(st.data())
def test_every_plan_can_be_walked(desk: MakeDesk, data: st.DataObject) -> None:
    """Needs name earlier steps, ids are unique, causes are words; and the same question has the same answer."""
    some = desk(data.draw(profiles()))
    state = data.draw(states(some.settled, some.fresh))
    known = sorted(selected(some.profile, ()))
    names = data.draw(st.lists(st.sampled_from(known), unique=True)) if known else []
    force = data.draw(st.sets(st.sampled_from(names))) if names else set()
    goals = [Up(tuple(names), frozenset(force)), Up(start=False), Down(), Down(volumes=True)]
    goal: Any = data.draw(st.sampled_from(goals))
    plan = some.plan(state, goal)
    done: set[str] = set()
    for step in plan.steps:
        assert done.issuperset(step.needs)
        assert step.id not in done
        assert step.cause
        done.add(step.id)
    assert some.plan(state, goal).text() == plan.text()


@settings(max_examples=40)
@given(st.data())
def test_what_starts_was_stopped_and_is_awaited(desk: MakeDesk, data: st.DataObject) -> None:
    """No program is started twice at the same time, and none without a look at whether it works."""
    some = desk(data.draw(profiles()))
    state = data.draw(states(some.settled, some.fresh))
    steps = {step.id: step for step in some.plan(state).steps}
    live = {name for name, program in state.supervisor.programs.items() if program.is_running}
    for name in {*some.settled.supervisor.programs, *live}:
        start, stop = steps.get(f"{name}:start"), steps.get(f"{name}:stop")
        assert (start is None) or f"{name}:await" in steps
        assert (name in live and start is not None) <= (stop is not None)
        if start is not None and stop is not None:
            assert stop.id in start.needs


@settings(max_examples=40)
@given(st.data())
def test_an_up_to_date_stack_needs_nothing(desk: MakeDesk, data: st.DataObject) -> None:
    """Whatever the profile: a second `up` is empty."""
    some = desk(data.draw(profiles()))
    assert some.plan(some.settled).text() == ""
