"""The verbs of a day: scale, shell, env, config, completion, and words for a task."""

from __future__ import annotations

import json
import subprocess

from tests.scenarios.machine import Project


def test_scale_starts_and_stops_only_what_differs_and_is_kept(mini: Project) -> None:
    mini.run("up")
    before = mini.pids()

    mini.run("scale", "worker=3", "web=2")
    more = mini.pids()
    again = mini.run("up", "--json").document
    shown = mini.run("status").out
    explained = mini.run("config", "--explain", "processes.worker.replicas", "--json").document
    mini.run("scale", "worker=1", "web=")
    fewer = mini.pids()

    assert set(more) == {*before, "worker 3", "web 2"}
    assert {name: more[name] for name in before} == before
    assert [row["pid"] for row in again["processes"]] == list(more.values())
    assert "worker is scaled to 3, the profile says 2" in shown
    assert explained["value"] == 3
    assert [layer["layer"] for layer in explained["layers"]] == ["devstack.toml", "devstack scale"]
    assert fewer == {name: before[name] for name in ("web 1", "worker 1", "beat 1")}
    assert mini.run("plan", "--json").document["steps"] == []
    assert mini.run("logs", "worker-1", "-n", "1").out.startswith("worker-1 |")


def test_scale_refuses_what_can_not_be_and_keeps_nothing_of_it(mini: Project) -> None:
    for words, error in (
        (("worker=x",), "not-a-size"), (("worker",), "not-a-size"), (("wroker=2",), "unknown-process"),
        (("worker=3", "beat=2"), "one-only"), (("worker=999",), "cannot-scale"),
    ):  # fmt: skip
        assert mini.run("scale", *words, "--json", code=2).error["id"] == error

    assert mini.run("scale", "--json").document["processes"][1] == {"name": "worker", "replicas": 2, "declared": 2}


def test_a_stack_that_is_down_stays_down_and_comes_up_as_it_was_scaled(mini: Project) -> None:
    done = mini.run("scale", "worker=1", "beat=0")
    assert "kept for the next devstack up" in done.out
    assert mini.status()["stack"]["state"] == "down"

    mini.run("up", "--scale", "web=2")

    assert set(mini.pids()) == {"web 1", "web 2", "worker 1"}
    mini.replace("replicas = 2", "replicas = 4")
    assert "worker" in mini.run("scale").out
    assert [row["name"] for row in mini.status()["processes"]].count("worker") == 1


def test_a_shell_has_the_projects_environment_and_passes_its_code_on(mini: Project) -> None:
    mini.run("up")
    script = "echo $REDIS_URL; python -c 'import sys; print(sys.prefix)'; exit 7\n"
    done = subprocess.run(
        [*mini.machine.command, "shell"], input=script, cwd=mini.root, env={**mini.machine.environ, "SHELL": "/bin/sh"},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    url, prefix = done.stdout.splitlines()

    assert done.returncode == 7, done
    assert mini.password in url
    assert prefix.startswith(str(mini.folder / "venvs"))


def test_a_services_client_is_logged_in(mini: Project) -> None:
    down = mini.run("shell", "redis", "--json", code=8).error
    mini.run("up")

    assert (down["id"], down["fix"]) == ("service-not-running", "devstack up redis")
    assert mini.run("shell", "redis", "--", "GET", "goods").out.strip().strip('"') == "mug,bowl"
    assert mini.run("shell", "rdis", code=2).err.count("devstack shell redis") == 1


def test_env_masks_secrets_until_it_is_asked_to_reveal_them(mini: Project) -> None:
    mini.run("up")
    secret = mini.run("exec", "--", "printenv", "SECRET_KEY").out.strip()
    forms = [
        mini.run("env", "--json"), mini.run("env", "--explain", "REDIS_URL"), mini.run("env", "--format", "shell"),
    ]  # fmt: skip
    script = f'eval "$({" ".join(mini.machine.command)} env --format shell --reveal)"; printenv SECRET_KEY REDIS_URL'
    done = subprocess.run(
        ["/bin/sh", "-c", script], cwd=mini.root, env=mini.machine.environ, capture_output=True, text=True, check=True
    )

    for form in forms:
        assert secret not in form.text
        assert mini.password not in form.text
        assert "***" in form.out
    assert done.stdout.splitlines()[0] == secret
    assert mini.password in done.stdout.splitlines()[1]
    assert "devstack.toml:9 [env]" in forms[1].out
    port = mini.run("env", "PORT", "--process", "web", "--format", "json").out
    assert json.loads(port) == {"PORT": str(mini.state["ports"]["web"])}
    assert mini.run("env", "REDIS_ULR", "--json", code=2).error["fix"] == "devstack env REDIS_URL"


def test_a_variable_is_a_layer_for_every_verb_and_a_flag_wins(mini: Project) -> None:
    docker = {"DEVSTACK_RUNTIME": "docker"}
    said = mini.run("config", "--explain", "runtime", "--runtime", "native", "--json", env=docker).document
    wrong = mini.run("status", "--json", code=2, env={"DEVSTACK_RUNTIME": "podman"}).error
    asked = mini.run("config", "--path", env={"DEVSTACK_JSON": "1", "DEVSTACK_RUNTIME": ""}).document

    assert [(layer["layer"], layer["value"], layer["wins"]) for layer in said["layers"]] == [
        ("DEVSTACK_RUNTIME", "docker", False), ("--runtime", "native", True)
    ]  # fmt: skip
    assert "DEVSTACK_RUNTIME: runtime" in wrong["why"]
    assert [file["path"] for file in asked["files"]] == [str(mini.root / "devstack.toml")]


def test_completion_knows_the_profiles_names_and_runs_nothing(mini: Project) -> None:
    def complete(*words: str) -> list[str]:
        done = mini.run(env={
            "_DEVSTACK_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(("devstack", *words)),
            "COMP_CWORD": str(len(words)),
        })  # fmt: skip
        assert done.err == ""
        return [line.partition(",")[2] for line in done.out.splitlines() if line]

    assert complete("logs", "w") == ["web", "worker"]
    assert complete("shell", "r") == ["redis"]
    assert complete("run", "s") == ["seed"]
    assert complete("sca") == ["scale"]
    assert complete("no-such-verb", "x") == []
    mini.write("devstack.toml", "name = 3")
    assert complete("logs", "w") == []
    assert not mini.folder.exists()
    for shell in ("bash", "zsh", "fish"):
        assert "_DEVSTACK_COMPLETE" in mini.run("completion", shell).out


def test_more_words_for_a_task_do_not_count_as_its_run(mini: Project) -> None:
    mini.write("say.py", "import sys; print('said', sys.argv[1:], flush=True)")
    mini.replace("[tasks.seed]\n", "[tasks.say]\nrun = 'python say.py a'\n[tasks.tell]\nrun = 'python say.py'\n"
                 "shell = true\n[tasks.seed]\n")  # fmt: skip
    mini.run("run", "say", "--", "-x", "two words")
    mini.run("run", "tell", "--", "$HOME")

    assert "said ['a', '-x', 'two words']" in mini.run("logs", "say").out
    assert "said ['$HOME']" in mini.run("logs", "tell").out
    assert "tell:run" in {step["id"] for step in mini.run("plan", "--json").document["steps"]}


def test_restart_without_a_name_is_every_process_and_no_service(mini: Project) -> None:
    mini.run("up")
    before, redis = mini.pids(), mini.programs()["redis"]
    mini.run("restart")
    after = mini.pids()

    assert set(after) == set(before)
    assert not set(after.values()) & set(before.values())
    assert mini.programs()["redis"] == redis
