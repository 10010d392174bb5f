"""The verbs as a person meets them: from a path to a running stack, and a day's work with it."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from typing import Any

import pytest

from tests.scenarios.machine import Machine, Project, finish, get, git, make_repository, until

_STACK = {"id": str, "name": str, "root": str, "profile": str, "state": str}
_SERVICE = {
    "name": str, "kind": str, "version": str, "runtime": str, "state": str, "ready": bool, "port": int, "url": str,
    "reason": (str, type(None)),
}
_PROCESS = {
    "name": str, "replica": int, "role": str, "state": str, "ready": bool, "pid": (int, type(None)),
    "port": (int, type(None)), "url": (str, type(None)), "restarts": int, "uptime_s": (float, type(None)),
    "reason": (str, type(None)),
}


def assert_shape(row: Mapping[str, Any], shape: Mapping[str, Any]) -> None:
    assert list(row) == list(shape)
    for name, kind in shape.items():
        assert isinstance(row[name], kind), (name, row[name])


def test_a_repository_is_cloned_and_brought_up_with_its_own_profile(machine: Machine) -> None:
    make_repository(machine.folder / "origin")
    project = machine.bootstrap(str(machine.folder / "origin"), "--trust", into=machine.folder / "mini")

    status = project.assert_up()

    assert list(status) == ["stack", "services", "processes", "busy", "shortage"]
    assert_shape(status["stack"], _STACK)
    assert status["stack"]["root"] == str(project.root)
    assert [row["name"] for row in status["services"]] == ["redis"]
    assert [(row["name"], row["replica"]) for row in status["processes"]] == [
        ("web", 1), ("worker", 1), ("worker", 2), ("beat", 1),
    ]  # fmt: skip
    for row in status["services"]:
        assert_shape(row, _SERVICE)
    for row in status["processes"]:
        assert_shape(row, _PROCESS)
    assert status["processes"][0]["url"] == f"http://127.0.0.1:{project.state['ports']['web']}"
    assert get(project.state["ports"]["web"], "/health")[0] == 200
    assert project.seeded() == 1
    assert project.redis("GET", "goods") == b"mug,bowl"
    assert git(project.root, "status", "--porcelain") == ""


def test_a_repository_without_a_profile_comes_up_with_one_that_is_given_and_remembered(machine: Machine) -> None:
    make_repository(machine.folder / "origin")
    profile = machine.folder / "mine.toml"
    (machine.folder / "origin" / "devstack.toml").rename(profile)
    git(machine.folder / "origin", "-c", "user.name=one", "-c", "user.email=one@localhost", "commit", "-qam", "less")

    project = machine.bootstrap(
        str(machine.folder / "origin"), "--profile", "./mine.toml", into=machine.folder / "mini"
    )

    assert project.assert_up()["stack"]["profile"] == str(profile)
    assert project.run("plan", "--json").document["steps"] == []


@pytest.mark.fault("E5")
def test_a_second_up_does_nothing_and_a_plan_says_so(mini: Project) -> None:
    planned = mini.run("plan", "--exit-code", "--json", code=10).document
    mini.run("up")
    journals, pids = mini.journals(), mini.pids()

    again = mini.run("up")

    assert "mini is up" in again.out
    assert mini.journals() == journals
    assert mini.pids() == pids
    assert mini.seeded() == 1
    assert list(planned) == ["goal", "steps", "warnings"]
    assert planned["goal"] == "up"
    assert all(
        list(step) == ["id", "target", "action", "cause", "needs", "destructive"] and step["cause"]
        for step in planned["steps"]
    )
    ids = [step["id"] for step in planned["steps"]]
    assert all(set(step["needs"]) <= set(ids[:place]) for place, step in enumerate(planned["steps"]))
    assert mini.run("plan", "--exit-code", "--json").document == {"goal": "up", "steps": [], "warnings": []}


def test_a_plan_that_is_shown_changes_nothing(mini: Project) -> None:
    mini.run("plan", "--exit-code", code=10)

    assert not mini.folder.exists()


def test_every_stack_of_the_user_is_listed_the_last_used_first(machine: Machine) -> None:
    one, two = (machine.new_project(machine.folder / name) for name in ("one", "two"))
    for project in (one, two):
        project.run("up")
    two.run("down")
    one.run("up")

    listed = machine.run("list", "--json", cwd=machine.folder).document

    assert list(listed) == ["stacks"]
    ours = [row for row in listed["stacks"] if row["root"] in (str(one.root), str(two.root))]
    assert [(row["root"], row["state"]) for row in ours] == [(str(one.root), "up"), (str(two.root), "down")]
    for row in ours:
        assert list(row) == ["id", "name", "root", "state", "runtime", "ports", "last_used"]
        assert set(row["ports"]) == {"redis", "web"}


def test_urls_show_where_everything_is_without_a_password(mini: Project) -> None:
    mini.run("up")
    ports = mini.state["ports"]

    assert mini.run("urls", "--json").document == {
        "urls": {"web": f"http://127.0.0.1:{ports['web']}", "redis": f"redis://:***@127.0.0.1:{ports['redis']}/0"},
        "notes": [],
    }
    shown = [mini.run(*words).text for words in (["urls"], ["status"], ["status", "--json"], ["plan", "-v"], ["up"])]
    secret = json.loads((mini.folder / "secrets.json").read_text())["env.SECRET_KEY"]
    assert not any(mini.password in text or secret in text for text in shown)


def test_logs_show_each_line_with_its_source(mini: Project) -> None:
    mini.run("up")
    lines: list[dict[str, str]] = []

    def is_told() -> bool:
        """A program answers, and so is ready, before supervisord has written what it printed."""
        lines[:] = [json.loads(line) for line in mini.run("logs", "--json", "-n", "1000").out.splitlines()]
        return {"web", "seed", "worker-1", "worker-2", "beat", "redis"} == {line["name"] for line in lines} and (
            {"name": "web", "line": "web begins"} in lines
        )

    assert until(is_told), lines
    assert all(list(line) == ["name", "line"] for line in lines)
    assert {"name": "seed", "line": "seeded 2 goods"} in lines
    assert mini.run("logs", "seed").out.split("|")[1].strip() == "seeded 2 goods"
    assert "webb" in mini.run("logs", "webb", "--json", code=2).error["what"]


def test_followed_logs_are_ndjson_until_ctrl_c(mini: Project) -> None:
    mini.run("up")
    child = mini.popen("logs", "-f", "--json", "worker", "-n", "0")
    assert child.stdout is not None
    first = json.loads(child.stdout.readline())
    child.send_signal(signal.SIGINT)

    done = finish(child, ("logs", "-f"), 130)

    assert first["name"] in ("worker-1", "worker-2")
    assert first["line"]
    documents = [json.loads(line) for line in done.out.splitlines()]
    assert all(set(line) in ({"name", "line"}, {"error"}) for line in documents)


def test_restart_starts_one_process_anew_and_leaves_the_others(mini: Project) -> None:
    mini.run("up")
    before = mini.pids()

    mini.run("restart", "web")

    after = mini.pids()
    assert {name for name in before if before[name] != after[name]} == {"web 1"}
    mini.assert_up()
    mini.assert_single()


def test_run_brings_up_what_a_task_needs_and_runs_it_again(mini: Project) -> None:
    mini.run("run", "seed")
    assert (mini.seeded(), set(mini.programs())) == (1, {"supervisord", "redis"})

    mini.run("run", "seed")

    assert mini.seeded() == 2


def test_a_failing_task_is_told_with_its_last_lines(mini: Project) -> None:
    mini.write("seed.py", "import sys; print('no goods today'); sys.exit(3)")

    done = mini.run("run", "seed", code=8)

    assert "no goods today" in done.err
    assert "exit status 3" in done.err
    assert "devstack run seed" in done.err


def test_exec_passes_the_exit_code_and_words_on(mini: Project) -> None:
    mini.run("up")

    assert mini.run("exec", "--", "sh", "-c", "exit 7", code=7).err == ""
    assert mini.run("exec", "--", "sh", "-c", "kill -9 $$", code=137).err == ""
    assert mini.run("exec", "--", "printf", "%s|", "a b", "--json", "-v").out == "a b|--json|-v|"
    assert mini.run("exec", "--", "no-such-command", code=3).err


@pytest.mark.fault("F6")
def test_commands_of_the_project_see_only_what_they_should(mini: Project) -> None:
    meddling = {
        "VIRTUAL_ENV": "/elsewhere", "PYTHONPATH": mini.machine.environ["PYTHONPATH"], "PYTHONWARNINGS": "ignore",
        "PIP_REQUIRE_VIRTUALENV": "1", "PGHOST": "elsewhere", "PGPASSWORD": "x", "DJANGO_SETTINGS_MODULE": "other",
        "DATABASE_URL": "postgresql://elsewhere/", "REDIS_URL": "redis://elsewhere/", "SECRET_KEY": "other",
        "AWS_SECRET_ACCESS_KEY": "x",
    }  # fmt: skip
    wanted = {"HTTPS_PROXY": "http://127.0.0.1:9", "no_proxy": "localhost", "SSL_CERT_FILE": "/dev/null", "LANG": "C"}
    mini.run("up", env=meddling | wanted)

    seen = mini.run("exec", "--", "env", "-0", env=meddling | wanted).out
    of_exec = dict(entry.split("=", 1) for entry in seen.split("\0") if entry)
    of_web = json.loads(get(mini.state["ports"]["web"], "/env")[1])

    for found in (of_exec, of_web):
        assert not {name for name in found if name.startswith(("PIP_", "PG", "DJANGO_", "AWS_", "DATABASE"))}
        assert {name for name in found if name.startswith("PYTHON")} <= {"PYTHONUNBUFFERED"}
        assert found["VIRTUAL_ENV"] == str(mini.root / ".devstack/venvs" / (mini.root / ".venv").readlink().name)
        assert found["PATH"].startswith(f"{found['VIRTUAL_ENV']}/bin:")
        assert "127.0.0.1" in found["REDIS_URL"]
        assert found["SECRET_KEY"].isalnum()
        assert len(found["SECRET_KEY"]) == 24
        assert wanted.items() <= found.items()


def test_down_stops_everything_and_keeps_data_and_addresses(mini: Project) -> None:
    mini.run("up")
    ports, password = mini.state["ports"], mini.password
    mini.redis("SET", "mine", "kept")

    mini.run("down")

    mini.assert_gone()
    assert mini.status()["stack"]["state"] == "down"
    assert "already" in mini.run("down").out
    mini.run("up")
    assert (mini.state["ports"], mini.password) == (ports, password)
    assert mini.redis("GET", "mine") == b"kept"
    assert mini.seeded() == 1


@pytest.mark.fault("G17")
def test_data_is_discarded_only_with_a_yes_and_into_the_trash(mini: Project) -> None:
    mini.run("up")
    mini.redis("SET", "mine", "kept")

    refused = mini.run("down", "--volumes", "--json", code=2).error

    assert refused["fix"].endswith(" --yes")
    mini.assert_up()
    mini.run("down", "--volumes", "--yes")
    mini.assert_gone()
    assert not (mini.folder / "data" / "redis").exists()
    assert [path.name for path in (mini.folder / "trash").glob("*/data/*")] == ["redis"]
    mini.run("up")
    assert mini.redis("GET", "mine") is None
    assert mini.redis("GET", "seeds") == b"1"
    assert mini.seeded() == 2


@pytest.mark.fault("J5")
def test_a_reader_that_has_seen_enough_gets_no_traceback(mini: Project) -> None:
    mini.run("up")
    for verb in ("status", "logs", "urls"):
        child = mini.popen(verb)
        assert child.stdout is not None
        child.stdout.close()
        child.stdout = None

        assert finish(child, (verb,), 0).err == ""


def test_verbs_work_in_any_folder_of_the_project(mini: Project) -> None:
    mini.run("up", cwd=mini.root / "fixtures")

    assert mini.run("exec", "--", "pwd", cwd=mini.root / "fixtures").out.strip() == str(mini.root / "fixtures")
    assert "ready" in mini.run("logs", "beat", "-n", "1000", cwd=mini.root / "fixtures").out


def test_a_server_that_lacks_what_the_migrations_want_is_told_before_anything_is_done(machine: Machine) -> None:
    """Not after they have run for minutes; and the line that helps does."""
    shop = machine.project(machine.folder / "shop")
    # a build of exactly this version that has hardly any extension
    profile = '[python]\ninstall = []\n[tasks.migrate]\nrun = "true"\n[services.postgres]\nversion = "18.4"\n'
    shop.write("devstack.toml", profile)
    shop.write("app/migrations/0002_search.py", "operations = [\n    BtreeGinExtension(),\n]\n")

    refused = shop.run("plan", "--json", code=2)
    error = refused.error

    assert error["id"] == "migrations-want-more"
    assert error["what"] == "the project's migrations want btree_gin, which postgres would lack"
    assert "btree_gin: app/migrations/0002_search.py" in refused.err
    edit, _, place = error["fix"].partition(" below ")
    assert place == "[services.postgres]"
    shop.write("devstack.toml", f"{profile}{edit}\n")
    assert "postgres:prepare" in [step["id"] for step in shop.run("plan", "--json").document["steps"]]
