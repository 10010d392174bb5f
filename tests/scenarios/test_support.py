"""A report for who helps: it is there whatever is broken, and no secret is in it."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path

import pytest

from tests.scenarios.machine import Done, Project

CANARIES = {
    "env file": "canary-of-the-env-file", "exported": "canary-of-the-shell", "profile": "canary-of-the-profile",
    "asked": "canary-that-was-asked", "log": "canary-in-a-url-of-a-log", "local": "canary-of-the-local-file",
}  # fmt: skip
LOUD = f"""import os
print("connecting to postgresql://app:{CANARIES['log']}@db.example.org/x")
print("all I know:", dict(os.environ), flush=True)
"""


@pytest.fixture
def full(mini: Project) -> Project:
    """A project with a secret of every sort, each of which a task has printed."""
    mini.write(".env", f"STRIPE={CANARIES['env file']}\nDEBUG=true\n")
    mini.write("loud.py", LOUD)
    mini.write("devstack.local.toml", f'[env]\nMAIL_PASSWORD = "{CANARIES["local"]}"\n')
    ask = f'ASKED = {{ ask = "the key", secret = true, default = "{CANARIES["asked"]}" }}'
    mini.edit("devstack.toml", "[env]", f'[env]\nOWN_TOKEN = "{CANARIES["profile"]}"\n{ask}')
    mini.edit("devstack.toml", "[tasks.seed]", (
        '[tasks.loud]\nrun = "python loud.py"\nenv_file = ".env"\n\n[tasks.seed]'
    ))  # fmt: skip
    mini.trust()
    mini.machine.environ["GITHUB_TOKEN"] = CANARIES["exported"]
    mini.run("up")
    return mini


def _secrets(project: Project) -> dict[str, str]:
    found: dict[str, str] = json.loads((project.folder / "secrets.json").read_text())
    return found | CANARIES


def _read(done: Done) -> str:
    """The text of a report that was written below the project."""
    path = Path(done.document["file"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert done.document["bytes"] == path.stat().st_size
    text = path.read_text()
    for part in done.document["parts"]:
        assert f"===== {part} =====" in text
    return text


def _assert_tells_nothing(text: str, secrets: dict[str, str]) -> None:
    for name, secret in secrets.items():
        assert secret not in text, name


@pytest.mark.fault("S29", "S32")
def test_everything_that_helps_is_in_it_and_no_secret(full: Project) -> None:
    assert all(secret in (full.folder / "logs" / "loud.log").read_text() for name, secret in CANARIES.items()
               if name in ("env file", "profile", "asked", "log", "local"))  # fmt: skip
    text = _read(full.run("support", "--json"))
    _assert_tells_nothing(text, _secrets(full))
    for said in (
        "devstack 0", "Python 3", "disk free", "service redis", "process web", "nothing is wrong", "nothing to do",
        "[tasks.loud]", '"event": "finished"', "loud | connecting to postgresql://***:***@db.example.org/x",
        "OWN_TOKEN", "supervisord |",
    ):  # fmt: skip
        assert said in text, said
    assert full.machine.environ["HOME"] not in text
    shown = full.run("support").text
    assert ".devstack/support/" in shown
    assert "In it: versions, machine, status, plan, doctor, record, profile devstack.toml" in shown
    assert "Secrets are ***" in shown


@pytest.mark.fault("S29")
def test_a_profile_that_can_not_be_read_is_reported_without_its_secrets(full: Project) -> None:
    secrets = _secrets(full)
    full.write("devstack.toml", full.read("devstack.toml").replace("[tasks.seed]", "[tasks.seed\n"))
    text = _read(full.run("support", "--json"))
    _assert_tells_nothing(text, secrets)
    assert "profile-invalid" in text
    assert "[tasks.seed\n" in text
    assert "loud | connecting" in text


@pytest.mark.fault("S29")
def test_secrets_of_a_damaged_store_are_not_told(full: Project) -> None:
    secrets, path = _secrets(full), full.folder / "secrets.json"
    path.write_text(path.read_text()[:-4])
    text = _read(full.run("support", "--json"))
    _assert_tells_nothing(text, secrets)


def test_it_works_without_an_engine_and_without_trust(full: Project) -> None:
    full.replace("[services.redis]", '[services.redis]\nruntime = "docker"')
    full.write("seed.py", "changed")
    text = _read(full.run("support", "--json", env={"DOCKER_HOST": "unix:///nowhere/docker.sock"}))
    assert "no engine: " in text
    _assert_tells_nothing(text, _secrets(full))
    full.replace('\nruntime = "docker"', "")


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="only root can mount")
def test_a_project_that_can_not_be_written_is_reported_elsewhere(full: Project) -> None:
    script = 'mount --bind . . && mount -o remount,bind,ro . && cd . && cd "$PWD" && exec "$@"'
    done = full.run("support", "--json", prefix=("unshare", "-m", "sh", "-c", script, "sh"))
    assert not Path(done.document["file"]).is_relative_to(full.root)
    _assert_tells_nothing(_read(done), _secrets(full))
    assert "service redis" in _read(done)
    Path(done.document["file"]).unlink()


def test_it_goes_to_stdout_or_a_file_if_that_is_asked_for(full: Project) -> None:
    text = full.run("support", "-").out
    assert text.startswith("===== versions =====\n")
    _assert_tells_nothing(text, _secrets(full))
    assert json.loads(full.run("support", "-", "--json").out)["text"].startswith("=====")
    full.run("support", "report.txt")
    assert stat.S_IMODE((full.root / "report.txt").stat().st_mode) == 0o600
    assert full.run("support", "report.txt", "--json", code=2).error["id"] == "not-confirmed"
    full.run("support", "report.txt", "--yes")


def test_outside_of_a_project_the_machine_is_reported(full: Project) -> None:
    done = full.run("support", "--json", cwd=full.machine.folder)
    assert done.document["parts"] == ["versions", "machine", "doctor"]
    Path(done.document["file"]).unlink()
