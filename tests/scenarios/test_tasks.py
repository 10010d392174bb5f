"""Tasks run when something they depend on has changed, and only then."""

from __future__ import annotations

import shutil

import pytest

from tests.scenarios.machine import Project


def test_a_task_runs_again_when_an_input_changes_and_nothing_else_does(mini: Project) -> None:
    """But that the data of before is kept first, while nobody writes it."""
    mini.run("up")
    before = mini.programs()
    mini.write("fixtures/more.txt", "plate\n")

    steps = mini.run("plan", "--json").document["steps"]
    mini.run("up")

    causes = {step["id"]: step["cause"] for step in steps if not step["id"].endswith((":stop", ":start", ":await"))}
    assert list(causes) == ["data:save", "seed:run", "stack:verify"]
    assert "inputs" in causes["seed:run"]
    assert mini.seeded() == 2
    assert mini.redis("GET", "goods") == b"mug,bowl,plate"
    after = mini.programs()
    assert (after["redis"], after["supervisord"]) == (before["redis"], before["supervisord"])
    assert mini.run("plan", "--json").document["steps"] == []


def test_a_file_that_is_no_input_changes_nothing(mini: Project) -> None:
    mini.run("up")
    mini.write("fixtures/notes.md", "mine")

    assert mini.run("plan", "--json").document["steps"] == []


def test_a_task_runs_again_when_its_command_changes(mini: Project) -> None:
    mini.run("up")
    mini.replace('run = "python seed.py"', 'run = "python -B seed.py"')

    mini.run("up")

    assert mini.seeded() == 2


def test_a_task_runs_again_when_the_data_was_removed_by_hand(mini: Project) -> None:
    mini.run("up")
    mini.run("down")
    shutil.rmtree(mini.folder / "data")

    mini.run("up")

    assert mini.seeded() == 2
    assert mini.redis("GET", "seeds") == b"1"
    mini.assert_up()


@pytest.mark.fault("G15")
def test_after_a_failed_task_is_mended_up_goes_on_from_there(mini: Project) -> None:
    good = mini.read("seed.py")
    mini.write("seed.py", "for n in range(30): print('line', n)\nraise SystemExit('no goods today')\n")

    failed = mini.run("up", code=8)
    redis = mini.programs()["redis"]
    mini.write("seed.py", good)
    steps = [step["id"] for step in mini.run("plan", "--json").document["steps"]]
    mini.run("up")

    assert "no goods today" in failed.err
    assert "line 29" in failed.err
    assert "fix: devstack run seed" in failed.err
    assert "seed:run" in steps
    assert not {"python:create", "redis:prepare", "redis:start"} & set(steps)
    assert mini.programs()["redis"] == redis
    mini.assert_up()


def test_a_task_and_a_process_that_die_are_told_with_their_cause(mini: Project) -> None:
    """Not with the exit status alone, and the command that helps isn't to try again."""
    seed, web = mini.read("seed.py"), mini.read("web.py")
    mini.write("seed.py", "raise SystemExit(\"ModuleNotFoundError: No module named 'acme_seeds'\")\n")
    task = mini.run("up", "--json", code=8).error
    mini.write("seed.py", seed)
    mini.write("web.py", "raise SystemExit(\"KeyError: 'ACME_TOKEN'\")\n")
    process = mini.run("up", "--json", code=8).error

    assert task["why"] == "ModuleNotFoundError: No module named 'acme_seeds' (exit status 1)"
    assert task["fix"].startswith("add what brings the module acme_seeds to packages below [python]")
    assert process["why"].startswith("KeyError: 'ACME_TOKEN' (")
    assert process["fix"] == 'ACME_TOKEN = "…" below [env]'
    mini.write("web.py", web)
    mini.run("up")
    mini.assert_up()


def test_an_optional_task_that_fails_is_told_and_stops_nothing(mini: Project) -> None:
    mini.replace("[tasks.seed]\n", '[tasks.extra]\nrun = "false"\noptional = true\n\n[tasks.seed]\n')

    done = mini.run("up")

    assert "extra (optional) failed" in done.text
    mini.assert_up()


def test_checks_run_in_the_projects_environment_and_pass_their_code_on(mini: Project) -> None:
    mini.replace("[tasks.seed]\n", "[checks]\nenv = 'printenv REDIS_URL'\nbad = 'sh -c \"exit 7\"'\n\n[tasks.seed]\n")

    good = mini.run("check", "env", "--json")
    bad = mini.run("check", code=7)
    unknown = mini.run("check", "tset", code=2)

    assert good.document == {"checks": {"env": 0}}
    assert "redis://" in good.err
    assert "bad: sh -c" in bad.out
    assert "✓ env passed" in good.err
    assert bad.err.endswith("✗ bad failed: exit status 7\n")
    assert "it has env, bad" in unknown.err


def test_files_are_made_from_templates_and_a_wrong_reference_names_its_line(mini: Project) -> None:
    mini.write("settings.in", "port = ${processes.web.port}\nurl = ${services.redsi.url}\n")
    mini.replace("[tasks.seed]\n", '[files."var/settings.ini"]\ntemplate = "settings.in"\n\n[tasks.seed]\n')

    wrong = mini.run("up", code=2)
    mini.edit("settings.in", "redsi", "redis")
    mini.trust()
    mini.run("up")

    assert "settings.in:2: " in wrong.err
    assert "did you mean `redis`?" in wrong.err
    made = mini.root / "var/settings.ini"
    assert f"url = redis://:{mini.password}@" in made.read_text()
    assert made.stat().st_mode & 0o777 == 0o600


def test_once_unless_and_outputs_say_when_a_task_runs_again(mini: Project) -> None:
    mini.write("note.py", "import sys, pathlib\npathlib.Path('var').mkdir(exist_ok=True)\n"
               "with open('var/notes', 'a') as file:\n    file.write(sys.argv[1])\n")  # fmt: skip
    tasks = """
[tasks.once]
run = "python note.py o"
once = true
[tasks.asks]
run = "python note.py a"
unless = "test -e ${project.root}/var/asked"
[tasks.makes]
run = "sh -c 'python note.py m; mkdir -p dist/css; touch dist/css/a.css'"
outputs = ["dist/css", "dist/**/*.css"]
"""
    mini.replace("[processes.web]\n", f"{tasks}\n[processes.web]\n")
    mini.run("up")

    def noted() -> str:
        return mini.read("var/notes")

    assert noted() == "oam"
    assert mini.run("plan", "--json").document["steps"] == []
    # another command of each; one is done by somebody else, and one has lost what it made
    for name in "oa":
        mini.replace(f'run = "python note.py {name}"', f'run = "python -B note.py {name}"')
    mini.write("var/asked", "")
    shutil.rmtree(mini.root / "dist")
    causes = {step["target"]: step["cause"] for step in mini.run("plan", "--json").document["steps"]}
    done = mini.run("up")

    assert causes["makes"] == "not there any more: dist/css, dist/**/*.css"
    assert "asks" in causes
    assert "once" not in causes
    assert noted() == "oamm"
    assert "asks" in done.text
    assert "skipped: `test -e ${project.root}/var/asked` says that it is done" in done.text
    assert mini.run("plan", "--json").document["steps"] == []
    mini.run("run", "asks")
    mini.run("run", "once")
    assert noted() == "oammao"
    shutil.rmtree(mini.root / "dist")
    mini.run("up")
    assert noted() == "oammaom"
    mini.replace("touch dist/css/a.css", "true")
    shutil.rmtree(mini.root / "dist")
    assert mini.run("up", "--json", code=8).error["id"] == "task-output-missing"
