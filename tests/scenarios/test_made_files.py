"""Files that the profile makes, and env files, on the way to the processes that read them."""

from __future__ import annotations

import base64

from tests.scenarios.machine import Project, until

_PROFILE = """
name = "mini"
inherit = ["LET_THROUGH"]
env_file = [".env", { path = "more.env", required = false }]
[python]
install = []
[env]
FERNET = { generate = 32, format = "base64url" }
LEVEL = "profile"
[files]
"var/media" = { directory = true }
"made/settings.ini" = { template = "settings.in" }
".env" = { content = "WEB=${processes.web.url}\\nLEVEL=file\\n" }
"keys/hex" = { generate = 16, format = "hex" }
[processes.web]
role = "web"
run = "python web.py"
needs = []
"""


def simple(project: Project) -> None:
    """The web process alone, with files."""
    project.write("devstack.toml", _PROFILE)
    project.write("settings.in", "port = ${processes.web.port}\n")


def environment(project: Project, **shell: str) -> dict[str, str]:
    done = project.run("exec", "--", "env", "-0", env=shell)
    return dict(line.split("=", 1) for line in done.out.split("\0") if "=" in line)


def test_files_follow_their_templates_and_keys_stay(mini: Project) -> None:
    simple(mini)
    mini.trust()
    mini.run("up")
    port = mini.state["ports"]["web"]
    key, pids = mini.read("keys/hex"), mini.pids()
    assert mini.read("made/settings.ini") == f"port = {port}\n"
    assert len(bytes.fromhex(key)) == 16
    assert [(mini.root / name).stat().st_mode & 0o777 for name in ("keys/hex", ".env")] == [0o600, 0o600]
    assert mini.run("plan", "--json").document["steps"] == []

    # its template changes: made again, the old one kept, what reads it started anew
    mini.write("settings.in", "# ${project.name}\nport = ${processes.web.port}\n")
    mini.trust()
    steps = mini.run("plan", "--json").document["steps"]
    assert [step["cause"] for step in steps if step["id"] == "paths:make"] == [
        "made/settings.ini: its template changed"
    ]
    mini.run("up")
    assert mini.read("made/settings.ini") == f"# mini\nport = {port}\n"
    (old,) = (mini.folder / "trash").glob("*-files/made/settings.ini")
    assert old.read_text() == f"port = {port}\n"
    assert mini.pids() != pids

    # a person edits it: theirs from now on
    mini.write("made/settings.ini", "mine\n")
    mini.write("settings.in", "another\n")
    mini.trust()
    pids = mini.pids()
    assert "edited and stays as it is" in mini.run("up").text
    assert (mini.read("made/settings.ini"), mini.pids()) == ("mine\n", pids)

    # a key that got lost is the same again
    (mini.root / "keys" / "hex").unlink()
    mini.run("up")
    assert mini.read("keys/hex") == key


def test_what_reaches_a_command(mini: Project) -> None:
    """The profile, its files and what the person let through; nothing else of the shell it was called in."""
    simple(mini)
    mini.write("more.env", "LEVEL=more\nMORE='$X ${Y} %'\n")
    mini.trust()
    mini.run("up")
    names = (
        "VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "PIP_INDEX_URL", "PGHOST", "PGPASSWORD", "DJANGO_SETTINGS_MODULE",
        "DATABASE_URL", "PORT", "DOMAIN", "DB", "SECRET_KEY", "EMAIL", "LD_PRELOAD", "AWS_PROFILE",
    )
    shell = {name: "leaked" for name in names if name not in ("PYTHONPATH", "PYTHONHOME", "LD_PRELOAD")}

    found = environment(mini, **shell, LET_THROUGH="yes")

    assert "leaked" not in found.values()
    assert set(names) & set(found) == {"VIRTUAL_ENV"}
    assert found["LET_THROUGH"] == "yes"
    assert (found["LEVEL"], found["MORE"]) == ("profile", "$X ${Y} %")
    assert found["WEB"] == f"http://127.0.0.1:{mini.state['ports']['web']}"
    assert len(base64.urlsafe_b64decode(found["FERNET"])) == 32

    mini.edit("devstack.toml", 'required = false', 'required = true')
    (mini.root / "more.env").rename(mini.root / "more.env.example")
    mini.trust()
    error = mini.run("up", "--json", code=2).error
    assert (error["id"], error["fix"]) == ("env-file-missing", "cp more.env.example more.env")
    assert until(lambda: mini.status()["stack"]["state"] == "up", 5)


def test_templates_lie_beside_a_profile_of_the_persons_own(mini: Project) -> None:
    own = mini.machine.folder / "own"
    own.mkdir()
    (own / "mine.toml").write_text(
        'name = "mini"\n[python]\ninstall = []\n[files]\n"made" = { template = "t.in" }\n'
    )
    (own / "t.in").write_text("mine\n")
    (own / "link.in").symlink_to("/etc/hostname")

    mini.run("bootstrap", ".", "--profile", str(own / "mine.toml"))
    assert mini.read("made") == "mine\n"

    (own / "mine.toml").write_text((own / "mine.toml").read_text().replace("t.in", "link.in"))
    assert mini.run("up", "--json", code=2).error["id"] == "path-outside"
