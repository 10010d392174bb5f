"""What a profile may say of containers, and what it may not."""

from __future__ import annotations

import pytest

from devstack import services
from devstack.profile.load import load
from devstack.profile.model import Mount, Profile
from devstack.profile.source import SourceFile
from devstack.stack.sources import fields
from tests.profile.loading import mistakes_of

BOX = '[processes.box]\nimage = "busybox"\n'


def _profile(text: str) -> Profile:
    source = SourceFile("devstack.toml", f'name = "shop"\n{text}', "project")
    return load([source], services.declarations(), fields=fields()).profile


def test_what_runs_in_a_container_may_read_names_that_no_shell_takes() -> None:
    assert _profile(f"{BOX}env = {{ 'discovery.type' = 'single-node' }}").processes["box"].env["discovery.type"]


def test_a_process_in_a_container_may_leave_its_command_to_the_image() -> None:
    process = _profile(BOX).processes["box"]
    assert (process.is_contained, process.argv(), process.inside_port) == (True, (), 8000)


def test_a_short_build_is_a_folder() -> None:
    build = _profile('[processes.box]\nbuild = "api"').processes["box"].build
    assert build is not None
    assert (build.context, build.dockerfile, build.target) == ("api", "Dockerfile", None)


def test_volumes_are_folders_of_the_project_or_have_names() -> None:
    process = _profile(f'{BOX}volumes = [".:/app", "./a b:/x:ro", "cache:/root/.cache"]').processes["box"]
    assert process.mounts == (
        Mount(".", "/app", False), Mount("./a b", "/x", True), Mount("cache", "/root/.cache", False),
    )  # fmt: skip
    assert [one.is_volume for one in process.mounts] == [False, False, True]


@pytest.mark.parametrize(("text", "said"), [
    ("[processes.box]\nrole = 'web'", "processes.box.run: the key `run` is missing"),
    ("[processes.box]\nrun = ''", "processes.box.run: the command is empty"),
    ("[processes.box]\nrun = 'x'\nvolumes = '.:/app'", "processes.box.volumes: only a process in a container has it"),
    ("[processes.box]\nrun = 'x'\ncontainer_port = 1", "processes.box.container_port: only a process in a container"),
    ("[processes.p]\nrun = 'x'\nenv = { 'a.b' = '1' }", 'processes.p.env."a.b": `a.b` is a variable that only a'),
    ("[tasks.t]\nrun = 'x'\nenv = { 'a.b' = '1' }", 'tasks.t.env."a.b": `a.b` is a variable that only a'),
    (f"{BOX}env = {{ 'a b' = '1' }}", 'processes.box.env."a b": wanted an environment variable'),
    (f"{BOX}build = '.'", "processes.box.build: an image is named already"),
    (f"{BOX}cwd = 'app'", "processes.box.cwd: `app` is no folder of a container"),
    (f"{BOX}watch = '*.py'", "processes.box.watch: a process in a container can't have `watch`"),
    (f"{BOX}run = 'x'\nschedule = '* * * * *'", "processes.box.schedule: a process in a container can't have"),
    (f"{BOX}volumes = ['a:/x', './b:/x']", "processes.box.volumes: two volumes at `/x`"),
    (f"{BOX}volumes = '/etc:/x'", "processes.box.volumes[0]: `/etc` is not relative to the project"),
    (f"{BOX}volumes = '../other:/x'", "processes.box.volumes[0]: `../other` leaves the project"),
    (f"{BOX}volumes = '/var/run/docker.sock:/s'", "is not relative to the project"),
    (f"{BOX}volumes = 'data:x'", "processes.box.volumes[0]: wanted `SOURCE:/INSIDE`"),
    (f"{BOX}volumes = '.:/x:rx'", "processes.box.volumes[0]: wanted `SOURCE:/INSIDE`"),
    (f"{BOX}container_port = 80\nports = {{ a = 80 }}", "processes.box.ports: two of its ports are one number inside"),
    ("[processes.box]\nbuild = '..'", "processes.box.build.context: `..` leaves the project"),
    ("[processes.box]\nbuild = { dockerfile = '/etc/passwd' }", "build.dockerfile: `/etc/passwd` is not relative"),
    ("[processes.box]\nimage = 'Not An Image'", "processes.box.image: wanted a text that matches"),
    (f"{BOX}needs = ['redis']\n[services.redis]\nruntime = 'native'",
     "processes.box.needs[0]: `redis` runs natively and can't be reached from a container"),
    ("[env]\nS = { generate = 9 }\n[processes.box]\nbuild = { args = { S = '${env.S}' } }",
     "processes.box.build.args.S: `${env.S}` is secret"),
    ("[services.s]\nkind = 'container'", "services.s.image: the key `image` is missing"),
    ("[services.s]\nkind = 'container'\nimage = 'x'\nversion = '1'", "services.s.version: the image's tag says"),
    ("[services.s]\nkind = 'container'\nimage = 'x'\nruntime = 'native'", "services.s.runtime: a service of the kind"),
    ("[services.s]\nkind = 'container'\nimage = 'x'\nports = { a = 1 }", "services.s.ports: one of them must be"),
    ("[services.s]\nkind = 'container'\nimage = 'x'\nport = 1", "services.s.port: no port inside is named"),
    ("[services.s]\nkind = 'container'\nimage = 'x'\nports = { main = 1, b = 1 }", "two of its ports are one number"),
    ("[services.s]\nkind = 'container'\nimage = 'x'\nvolumes = { a = 'x' }", "services.s.volumes.a: wanted a text"),
    ("[services.s]\nkind = 'container'\nimage = 'x'\ncommand = \"a 'b\"",
     "services.s.command: the command can't be split"),
    ("[env]\nS = { generate = 9 }\n[services.s]\nkind = 'container'\nimage = 'x'\ncommand = 'run ${env.S}'",
     "services.s.command[1]: `${env.S}` is secret"),
    ("[env]\nU = '${services.s.url}'\n[services.s]\nkind = 'container'\nimage = 'x'",
     "env.U: `${services.s.url}` stands for nothing"),
    ("[services.s]\nkind = 'container'\nimage = 'x'\nenvironment = { A = '${env.NONE}' }",
     "services.s.environment.A: `${env.NONE}` stands for nothing"),
])  # fmt: skip
def test_what_does_not_go_together_is_told(text: str, said: str) -> None:
    found = mistakes_of(text)
    assert any(said in one for one in found), found
    assert len(found) == 1, found


def test_any_image_offers_its_ports_and_takes_secrets_in_its_environment() -> None:
    profile = _profile("""
[env]
KEY = { generate = 20 }
URL = "${services.s.url} ${services.s.host}:${services.s.ports.admin}"
[services.s]
kind = "container"
image = "x"
ports = { main = 9200, admin = 9300 }
environment = { "discovery.type" = "single-node", KEY = "${env.KEY}", N = 3 }
""")
    assert services.ports_of("s", profile.services["s"]) == {"main": 9200, "admin": 9300}


def test_a_port_that_only_root_may_have_is_wished_for_above() -> None:
    profile = _profile('[services.s]\nkind = "container"\nimage = "x"\nports = { main = 80 }')
    assert services.ports_of("s", profile.services["s"]) == {"main": 8080}
