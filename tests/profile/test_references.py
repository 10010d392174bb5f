"""Every `${…}` stands for something, and no secret reaches a command line."""

import pytest

from devstack.errors import ProfileError
from devstack.profile import Fields, secret_env
from devstack.profile.references import ensure_defined
from tests.profile.loading import loaded, mistakes_of, profile_of, project

STACK = """
name = "shop"
[services.redis]
[services.cache]
kind = "redis"
[env]
PLAIN = "p"
KEY = { generate = 50 }
TOKEN = { ask = "?", secret = true }
CITY = { ask = "?" }
URL = "x${services.cache.url}"
DEEP = "${env.DEEPER}"
DEEPER = "${env.KEY}!"
[processes.web]
role = "web"
run = "web ${port} ${ports.admin} ${replica} ${project.root} ${env.PLAIN} ${env.CITY} ${services.redis.port}"
ports = { admin = 9000 }
env = { U = "${services.redis.password}", P = "${port}", S = "${env.KEY}" }
[processes.worker]
run = "worker ${replica} ${processes.web.url} ${processes.web.port} ${processes.web.ports.admin} ${services.cache.db}"
"""


def test_a_note_may_name_an_address_but_no_secret() -> None:
    note = 'notes = ["at ${processes.web.url} in ${env.CITY}"]\n'
    assert profile_of(note + STACK).notes == ("at ${processes.web.url} in ${env.CITY}",)
    for secret in ("env.KEY", "env.DEEP", "services.redis.password", "services.cache.url"):
        (mistake,) = mistakes_of(f'notes = ["log in with ${{{secret}}}"]\n' + STACK)
        assert "is secret" in str(mistake)


def test_everything_that_can_be_referred_to() -> None:
    assert profile_of(STACK).processes["web"].env["S"] == "${env.KEY}"


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        (
            "[tasks.a]\nrun = 'x ${port}'",
            "`${port}` stands for nothing (only a process has a port: `${processes.NAME.port}`)",
        ),
        ("[tasks.a]\nrun = 'x ${replica}'", "`${replica}` stands for nothing (only a process has one)"),
        ("[processes.a]\nrun = 'x ${port}'", '`${port}` stands for nothing (give it `role = "web"` or a `port`)'),
        (
            "[processes.a]\nrun = 'x ${ports.smpt}'\nports = {smtp = 25}",
            "`${ports.smpt}` stands for nothing (did you mean `${ports.smtp}`?)",
        ),
        (
            "[processes.a]\nrun = 'x ${processes.worker.url}'",
            '`${processes.worker.url}` stands for nothing (give it `role = "web"` or a `port`)',
        ),
        (
            "[tasks.a]\nrun = 'x ${services.rediss.port}'",
            "`${services.rediss.port}` stands for nothing (did you mean `redis`?)",
        ),
        (
            "[tasks.a]\nrun = 'x ${services.cache.prt}'",
            "`${services.cache.prt}` stands for nothing (did you mean `${services.cache.port}`?)",
        ),
        ("[tasks.a]\nrun = 'x ${env.PLAN}'", "`${env.PLAN}` stands for nothing (did you mean `PLAIN`?)"),
        ("[tasks.a]\nrun = 'x ${PLAIN}'", "`${PLAIN}` stands for nothing (did you mean `${env.PLAIN}`?)"),
        (
            "[tasks.a]\nrun = 'x ${HOME:-/}'\nshell = true",
            "`${HOME:-/}` stands for nothing (write `$${` for the shell's own `${`)",
        ),
        ("[tasks.a]\nrun = 'x ${'", "a `${` has no `}` (write `$${` for the two characters themselves)"),
        (
            "[tasks.a]\nrun = 'x'\nenv = { A = '${env.NONE_AT_ALL}' }",
            "`${env.NONE_AT_ALL}` stands for nothing (there is no `NONE_AT_ALL` in `[env]`)",
        ),
    ],
)
@pytest.mark.fault("L11")
def test_what_stands_for_nothing(text: str, mistake: str) -> None:
    (found,) = mistakes_of(STACK, text)
    assert found.split(": ", 2)[2] == mistake


@pytest.mark.parametrize(
    "reference",
    ["services.redis.url", "services.cache.password", "env.KEY", "env.TOKEN", "env.URL", "env.DEEP"],
)
@pytest.mark.parametrize(
    "place", ["run = 'x {}'", "run = 'x {}'\nshell = true", "run = 'x'\nready = {{ command = 'x {}' }}"]
)
def test_a_secret_in_a_command_is_refused(reference: str, place: str) -> None:
    (found,) = mistakes_of(STACK, "[processes.a]\n" + place.format(f"${{{reference}}}"))
    assert f"`${{{reference}}}` is secret" in found
    assert found.endswith("(put it into `env` and let the command read it there)")


def test_secret_environment_names_are_followed_through_other_values() -> None:
    assert secret_env(profile_of(STACK), {}) == {"KEY", "TOKEN", "URL", "DEEP", "DEEPER"}


def test_environment_values_in_a_circle_are_printed() -> None:
    assert mistakes_of("[env]\nA = '${env.B}'\nB = '${env.C}'\nC = '${env.B}'") == [
        "devstack.toml:3: env.B: environment values refer to each other in a circle: B → C → B"
    ]


def test_the_caller_says_what_a_kind_offers_and_what_is_secret() -> None:
    fields = {"redis": Fields(frozenset({"socket", "url"}), frozenset({"socket"}))}
    text = "name = 'x'\n[services.redis]\n[tasks.a]\nrun = 'x ${services.redis.%s}'"
    assert loaded(project(text % "url"), fields=fields).profile.tasks["a"].run
    for field, words in (("socket", "is secret"), ("db", "stands for nothing")):
        with pytest.raises(ProfileError) as caught:
            loaded(project(text % field), fields=fields)
        assert words in str(caught.value.mistakes[0])


def test_a_template_is_checked_by_lines() -> None:
    profile = profile_of(STACK)
    ensure_defined(profile, "a.conf", "${services.redis.url} ${project.name}\n$${x}", {})
    with pytest.raises(ProfileError) as caught:
        ensure_defined(profile, "a.conf", "a\n${services.redis.ulr}", {})
    assert [str(mistake) for mistake in caught.value.mistakes] == [
        "a.conf:2: `${services.redis.ulr}` stands for nothing (did you mean `${services.redis.url}`?)"
    ]
