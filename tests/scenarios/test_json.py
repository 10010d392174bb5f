"""`--json`: one document on stdout whatever happens, words on stderr."""

from __future__ import annotations

import json

from tests.scenarios.machine import Machine, Project

#: verbs that end well with a stack that is up
GOOD: tuple[tuple[str, ...], ...] = (
    ("status",), ("ps",), ("urls",), ("plan",), ("plan", "down"), ("up",), ("list",), ("trust",), ("scale",),
    ("scale", "beat=1"), ("scale", "worker=1"), ("restart", "beat"), ("run", "seed"), ("check",), ("config",),
    ("config", "--path"), ("config", "--explain", "processes.web.run"), ("env",), ("env", "PATH"),
    ("env", "--explain", "REDIS_URL"), ("env", "--format", "shell"), ("completion", "bash"), ("bootstrap", "."),
    ("down",),
)  # fmt: skip
#: words that are wrong in a project, the id of the error and its exit code
BAD: tuple[tuple[tuple[str, ...], str, int], ...] = (
    (("up", "nope"), "unknown-name", 2), (("restart", "nope"), "unknown-name", 2),
    (("logs", "nope"), "unknown-name", 2),
    (("scale", "nope=2"), "unknown-process", 2), (("run", "nope"), "unknown-task", 2), (("run",), "usage", 2),
    (("check", "nope"), "unknown-check", 2), (("exec", "--", "no-such-program"), "cannot-execute", 3),
    (("shell", "nope"), "unknown-service", 2), (("shell", "redis"), "service-not-running", 8),
    (("env", "NOPE"), "unknown-variable", 2), (("env", "--process", "nope"), "unknown-process", 2),
    (("config", "--explain", "nope"), "unknown-key", 2), (("config", "--path", "--explain", "name"), "usage", 2),
    (("completion", "tcsh"), "usage", 2), (("plan", "sideways"), "usage", 2), (("down", "--nope"), "usage", 2),
    (("nope",), "unknown-verb", 2), (("check", "bad"), "", 7),
)  # fmt: skip
#: in a folder without a project
ASTRAY = ("up", "down", "scale", "trust", "config", "shell")


def test_every_verb_that_succeeds_has_one_document(mini: Project) -> None:
    mini.replace("[tasks.seed]\n", "[checks]\ngood = 'echo words'\n\n[tasks.seed]\n")
    mini.run("up")
    for words in GOOD:
        done = mini.run(*words, "--json")
        assert isinstance(done.document, dict), words
        assert "error" not in done.document


def test_every_verb_that_fails_has_one_document_with_its_exit_code(mini: Project) -> None:
    bad = "[checks]\nbad = { run = 'sh -c \"echo words; exit 7\"', needs = [] }\n"
    mini.replace("[tasks.seed]\n", f"{bad}\n[tasks.seed]\n")
    for words, error, code in BAD:
        dashes = words.index("--") if "--" in words else len(words)
        done = mini.run(*words[:dashes], "--json", *words[dashes:], code=code)
        if error:
            assert done.error["id"] == error, words
        else:
            assert done.document == {"checks": {"bad": code}}


def test_outside_of_a_project_every_verb_says_so_in_one_document(machine: Machine) -> None:
    for verb in ASTRAY:
        assert machine.run(verb, "--json", cwd=machine.folder, code=2).error["id"] == "no-project"
    machine.folder.joinpath("devstack.toml").write_text('name = "one"\nbogus = 1\n[tasks.a]\nrun = "true"\n')
    for verb in ("status", "up", "config"):
        assert machine.run(verb, "--json", cwd=machine.folder, code=2).error["id"] == "profile-invalid"
    machine.folder.joinpath("devstack.toml").write_text('name = "one"\n[tasks.a]\nrun = "true"\n')
    for words in (("run", "a"), ("exec", "true"), ("shell",)):
        error = json.loads(machine.run(*words, "--json", cwd=machine.folder, code=9).out)["error"]
        assert error["id"] == "not-trusted"
