"""Several files become one profile; precedence, sources, digest, and all mistakes in one go."""

import time

import pytest

from devstack.errors import ProfileError
from devstack.profile import Ask, Generate, Service, SourceFile, load, name_from
from tests.profile.loading import loaded, mistakes_of, profile_of, project, shipped

BASE = """
name = "base"
[python]
packages = ["a", "b"]
[services.cache]
kind = "redis"
db = 3
[env]
KEY = { generate = 50 }
TOKEN = { ask = "Token?", secret = true }
[tasks.migrate]
run = "a"
timeout = 5
[processes.web]
run = "serve"
role = "web"
ready = { http = "/", grace = 5 }
stop = { signal = "INT", grace = 3 }
[processes.beat]
run = "beat"
[checks]
test = "pytest"
"""


def test_tables_are_merged_and_lists_and_values_replaced() -> None:
    profile = profile_of(BASE, '[python]\npackages = ["c"]\n[tasks.migrate]\nrun = "b"\n[tasks.seed]\nrun = "c"')
    assert profile.python.packages == ("c",)
    assert (profile.tasks["migrate"].run, profile.tasks["migrate"].timeout) == ("b", 5)
    assert list(profile.tasks) == ["migrate", "seed"]


def test_what_has_several_shapes_is_replaced_whole() -> None:
    above = """
    env = { KEY = "x", TOKEN = { generate = 9 } }
    processes.web = { ready = { tcp = true }, stop = { grace = 9 } }
    checks.test = { run = "tox", shell = true }
    """
    profile = profile_of(BASE, above)
    assert profile.env == {"KEY": "x", "TOKEN": Generate(generate=9)}
    ready = profile.processes["web"].ready
    assert ready is not None
    assert ready.model_dump() == {"tcp": True, "grace": 120}
    assert profile.processes["web"].stop.model_dump() == {"signal": "INT", "grace": 9}
    assert profile.checks["test"].run == "tox"


def test_a_service_of_another_kind_keeps_nothing_of_the_first() -> None:
    cache = profile_of(BASE, '[services.cache]\nkind = "rabbitmq"').services["cache"]
    assert cache.model_fields_set == {"kind"}
    same = profile_of(BASE, '[services.cache]\nkind = "redis"\nversion = "7"').services["cache"]
    assert same.model_fields_set == {"kind", "version", "db"}


def test_false_takes_out_what_a_base_declares() -> None:
    profile = profile_of(BASE, "services.cache = false\nprocesses.beat = false\nchecks.test = false")
    assert (list(profile.services), list(profile.processes), list(profile.checks)) == ([], ["web"], [])


def test_false_with_nothing_to_take_out_is_a_mistake_with_the_nearest_name() -> None:
    assert mistakes_of(BASE, "[processes]\nbeet = false") == [
        (
            "1.toml:2: processes.beet: `false` removes what a profile below declares, and none declares this "
            "(did you mean `beat`?)"
        )
    ]


def test_a_mistake_is_placed_in_the_file_that_wrote_it() -> None:
    assert mistakes_of(BASE, "[processes.web]\nreplicas = 'x'", "[services.cache]\nport = 0") == [
        '1.toml:2: processes.web.replicas: wanted a whole number from 0 to 200, got the text "x"',
        "2.toml:2: services.cache.port: wanted a whole number from 1 to 65535, got the number 0",
    ]


def test_syntax_mistakes_of_all_files_are_told_together() -> None:
    assert [mistake.split(":")[0] for mistake in mistakes_of("a = ", "b = ")] == ["0.toml", "1.toml"]


def test_the_local_file_extends_nothing() -> None:
    with pytest.raises(ProfileError) as caught:
        loaded(project(BASE), project('extends = "minimal"', "devstack.local.toml", "local"))
    assert "devstack.local.toml:1: extends: the local file is laid over" in str(caught.value.mistakes[0])


def test_sources_say_which_file_set_each_key() -> None:
    sources = loaded(project(BASE, "base.toml"), project("env.KEY = 'x'\nprocesses.beat = false")).sources
    assert sources["env.KEY"] == "devstack.toml"
    assert sources["env.TOKEN.secret"] == sources["services.cache.db"] == "base.toml"
    assert not [key for key in sources if key.startswith(("processes.beat", "env.KEY."))]


def test_the_digest_is_of_contents_and_their_order_not_of_names() -> None:
    one, two = project('name = "x"', "a.toml"), project("[env]", "b.toml")
    assert loaded(one, two).digest == loaded(project('name = "x"', "c.toml"), two).digest
    digests = {
        loaded(one, two).digest,
        loaded(two, one).digest,
        loaded(one).digest,
        loaded(project('name = "x" ')).digest,
    }
    assert len(digests) == 4


def test_the_name_is_the_files_else_the_one_given_else_missing() -> None:
    assert load([project("")], {}, default_name="folder").profile.name == "folder"
    assert load([project("name = 'own'")], {}, default_name="folder").profile.name == "own"
    with pytest.raises(ProfileError, match="the key `name` is missing"):
        load([project("")], {})


def test_the_projects_name_is_filled_in() -> None:
    profile = profile_of(
        "[tasks.a]\nrun = 'celery -A ${project.name} x $${project.name}'\nshell = true", 'name = "shop"'
    )
    assert profile.tasks["a"].run == "celery -A shop x $${project.name}"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("My Shop!", "my-shop"),
        ("2024_shop", "shop"),
        ("héé", "h"),
        ("", "stack"),
        ("x" * 60, "x" * 40),
        ("...", "stack"),
    ],
)
def test_a_name_made_from_a_folders(text: str, name: str) -> None:
    assert name_from(text) == name


def test_no_file_at_all_is_a_profile_error() -> None:
    with pytest.raises(ProfileError, match="there is no profile"):
        load([], {})


def test_values_of_every_shape() -> None:
    profile = profile_of(BASE, "[env]\nA = true\nB = 3\nC = 1.5")
    assert [profile.env[name] for name in "ABC"] == ["true", "3", "1.5"]
    assert profile.env["TOKEN"] == Ask(ask="Token?", secret=True)
    assert isinstance(profile.services["cache"], Service)
    assert profile.model_dump()["services"]["cache"]["db"] == 3


def test_a_typical_profile_loads_in_a_few_milliseconds() -> None:
    files = [shipped("django-celery"), project('name = "shop"\n[tasks.seed]\nrun = "python seed.py"')]
    loaded(*files)
    fastest = min(_seconds_to_load(*files) for _ in range(10))
    assert fastest < 0.03


def _seconds_to_load(*files: SourceFile) -> float:
    began = time.process_time()
    loaded(*files)
    return time.process_time() - began
