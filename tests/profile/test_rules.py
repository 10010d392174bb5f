"""Rules between keys: names, needs, programs, ports, readiness, paths, options, reserved names."""

import pytest

from tests.profile.loading import mistakes_of, profile_of


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        (
            "[services.redis]\n[tasks.redis]\nrun = 'x'",
            (
                "2: tasks.redis: the name is a service's already (devstack.toml:1) "
                "(services, tasks and processes share one set of names)"
            ),
        ),
        (
            "[tasks.a]\nrun = 'x'\n[processes.a]\nrun = 'x'",
            (
                "3: processes.a: the name is a task's already (devstack.toml:1) "
                "(services, tasks and processes share one set of names)"
            ),
        ),
        (
            "[services.redis]\n[tasks.a]\nrun = 'x'\nneeds = [\n'redis',\n'redsi']",
            "6: tasks.a.needs[1]: `redsi` is no service or task (did you mean `redis`?)",
        ),
        (
            "[tasks.a]\nrun = 'x'\nneeds = ['web']\n[processes.web]\nrun = 'x'",
            "3: tasks.a.needs[0]: `web` is a process (a task can need services and tasks only)",
        ),
        ("[checks.a]\nrun = 'x'\nneeds = ['web']", "3: checks.a.needs[0]: `web` is no service or task or process"),
        (
            "[tasks.a]\nrun = 'x'\nneeds = ['b']\n[tasks.b]\nrun = 'x'\nneeds = ['a']",
            "3: tasks.a.needs: needs go in a circle: a → b → a",
        ),
        (
            "[tasks.a]\nrun = 'x'\nneeds = ['b']\n[tasks.b]\nrun = 'x'",
            (
                "3: tasks.a.needs: needs go in a circle: a → b → a "
                "(`b` has no `needs`, so it needs the tasks declared before it)"
            ),
        ),
        ("[processes.a]\nrun = 'x'\nneeds = ['a']", "3: processes.a.needs: needs go in a circle: a → a"),
        (
            "[processes.w]\nrun = 'x'\nreplicas = 2\n[processes.w-1]\nrun = 'x'",
            (
                "3: processes.w.replicas: replica 1 of `w` "
                "is the program `w-1`, which is a process too (devstack.toml:4) (give one of them another name)"
            ),
        ),
        (
            "[processes.w]\nrun = 'x'\nreplicas = 3\n[tasks.w-3]\nrun = 'x'",
            (
                "3: processes.w.replicas: replica 3 of `w` "
                "is the program `w-3`, which is a task too (devstack.toml:4) (give one of them another name)"
            ),
        ),
        (
            "[services.redis]\nport = 80\n[processes.web]\nrun = 'x'\nport = 80",
            (
                "5: processes.web.port: port 80 is fixed for "
                "`redis` already (devstack.toml:2) (leave one out and it is leased a free one)"
            ),
        ),
        (
            "[processes.web]\nrun = 'x'\nport = 80\nreplicas = 2",
            ("3: processes.web.port: 2 replicas can't share the fixed port 80 (leave it out and each is leased one)"),
        ),
        (
            "[processes.w]\nrun = 'x'\nready = { tcp = true }",
            (
                "3: processes.w.ready: readiness asks the process's port, and "
                'it has none (give it `role = "web"` or a `port`)'
            ),
        ),
        ("[env]\nVIRTUAL_ENV = '/x'", "2: env.VIRTUAL_ENV: `VIRTUAL_ENV` is set by devstack"),
        ("[env]\nDEVSTACK_YES = '1'", "2: env.DEVSTACK_YES: `DEVSTACK_YES` is set by devstack"),
        (
            "home = 'private'\n[checks]\na = {run = 'x', env = {HOME = '/x'}}",
            '3: checks.a.env.HOME: `HOME` is set by devstack (take out `home = "private"`)',
        ),
        (
            "[python]\npackages = ['--index-url=http://x']",
            "2: python.packages[0]: `--index-url=http://x` would be taken for an option",
        ),
        ("[project]\nref = '--upload-pack=x'", "2: project.ref: `--upload-pack=x` would be taken for an option"),
        ("[python.system]\ndebian = ['-o']", "2: python.system.debian[0]: `-o` would be taken for an option"),
        ("[python]\nextras = [' ']", "2: python.extras[0]: is empty"),
        (
            "[files]\n'conf/A.ini' = { directory = true }\n'conf/a.ini' = { directory = true }",
            (
                '3: files."conf/a.ini": `conf/a.ini` and `conf/A.ini` are one file where case doesn\'t '
                "count (give one of them another name)"
            ),
        ),
    ],
)
@pytest.mark.fault("J9", "L3", "L4")
def test_a_broken_rule(text: str, mistake: str) -> None:
    assert mistakes_of(text) == [f"devstack.toml:{mistake}"]


OUTSIDE = ["/etc", "../x", "a/../../x", "~/x", "~root", "..", "a\\\\..\\\\b", "", " "]


@pytest.mark.parametrize("path", [*OUTSIDE, "**/../../x", "*/.."])
def test_paths_out_of_the_project_are_refused(path: str) -> None:
    quoted = f'"{path}"'
    assert len(mistakes_of(f"[tasks.a]\nrun = 'x'\ninputs = [{quoted}]")) == 1


@pytest.mark.parametrize("path", OUTSIDE)
@pytest.mark.parametrize(
    "text",
    [
        "[processes.a]\nrun = 'x'\ncwd = {}",
        "[files]\n{} = {{ directory = true }}",
        "[files.a]\ntemplate = {}",
        "[python]\nconstraints = [{}]",
        "[python]\ninstall = [{}]",
        "env_file = {}",
        "[checks.a]\nrun = 'x'\nenv_file = [{{ path = {} }}]",
    ],
    ids=["cwd", "files", "template", "constraints", "install", "env_file", "own env_file"],
)
def test_every_path_of_a_profile_is_checked(text: str, path: str) -> None:
    assert mistakes_of(text.format(f'"{path}"'))


def test_gits_and_devstacks_folders_are_not_the_projects_to_make() -> None:
    for path in (
        ".git/hooks/pre-commit", "a/../.git/config", ".devstack/env", ".", ".venv/bin/python", "sub/.GIT/config",
        "devstack.toml", "a/../devstack.local.toml",
    ):
        assert "is not the project's to make" in mistakes_of(f"[files.'{path}']\ntemplate = 'a'")[0]


def test_paths_inside_the_project_are_fine() -> None:
    profile = profile_of("""
        python = { install = [".[dev]", "sub/../requirements.txt", "."], constraints = "c..d.txt" }
        tasks.a = { run = "x", cwd = "./a/..", inputs = ["**/*.py", "..a/*"] }
        files."..hidden" = { directory = true }
    """)
    assert profile.tasks["a"].cwd == "./a/.."


def test_port_wishes_may_meet_since_they_are_leased() -> None:
    wish = "ports = { smtp = 2525 }"
    profile = profile_of(f"[processes.a]\nrun = 'x'\n{wish}\n[processes.b]\nrun = 'x'\n{wish}")
    assert profile.processes["a"].ports == profile.processes["b"].ports


def test_processes_without_replicas_or_with_numbers_in_their_names_are_fine() -> None:
    text = "[processes.w]\nrun='x'\nreplicas = {}\n[processes.w-3]\nrun='x'\n[processes.w-x]\nrun='x'"
    for replicas in (0, 1, 2):
        assert len(profile_of(text.format(replicas)).processes) == 3


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("[processes.supervisor]\nrun = 'x'", "1: processes.supervisor: `supervisor` is a name of devstack's own"),
        ("[tasks.python]\nrun = 'x'", "1: tasks.python: `python` is a name of devstack's own"),
        ("[processes.devstack-watch]\nrun = 'x'", "1: processes.devstack-watch: `devstack-watch` is a name of"),
        ("[tasks.a]\nrun = 'x'\nonce = true\ninputs = ['*']", "3: tasks.a.once: a task that runs a single time"),
        ("[tasks.a]\nrun = 'x'\noutputs = ['/dist']", "3: tasks.a.outputs[0]: `/dist` is not relative"),
        ("[tasks.a]\nrun = 'x'\noutputs = ['a/**.js']", "3: tasks.a.outputs[0]: `a/**.js`: `**` stands between"),
        ("[tasks.a]\nrun = 'x'\nunless = \"it's\"", "3: tasks.a.unless: the command can't be split"),
        (
            "[services.redis]\n[tasks.a]\nrun = 'x'\nunless = 'ask ${services.redis.url}'",
            "4: tasks.a.unless: `${services.redis.url}` is secret",
        ),
        ("[tasks.a]\nrun = 'x'\nunless = 'ask ${port}'", "3: tasks.a.unless: `${port}` stands for nothing"),
        ("[processes.a]\nrun = 'x'\nwatch = ['../*']", "3: processes.a.watch[0]: `../*` leaves the project"),
        ("[processes.a]\nrun = 'x'\nrestart = 'no'", '3: processes.a.restart: wanted "always", "on-failure" or'),
        ("[processes.a]\nrun = 'x'\nschedule = '* * * *'", "3: processes.a.schedule: wrong number of fields: wanted"),
        ("[processes.a]\nrun = 'x'\nschedule = '61 * * * *'", "3: processes.a.schedule: bad minute: wanted"),
        ("[processes.a]\nrun = 'x'\nschedule = '@daily'", "3: processes.a.schedule: write five fields"),
        ("[processes.a]\nrun = 'x'\nschedule = '0 0 30 2 *'", "3: processes.a.schedule: bad day-of-month"),
        ("[processes.a]\nrun = 'x'\nschedule = '0 0 * 2 1#5/x'", "3: processes.a.schedule: bad day-of-week"),
        (
            "[processes.a]\nrun = 'x'\nschedule = '* * * * *'\nready = { log = 'x' }",
            "4: processes.a.ready: a command with a `schedule` can't have `ready`",
        ),
        (
            "[processes.a]\nrun = 'x'\nschedule = '* * * * *'\nreplicas = 2",
            "4: processes.a.replicas: a command with a `schedule` can't have `replicas`",
        ),
    ],
)
def test_what_is_done_again_is_checked_when_it_is_read(text: str, mistake: str) -> None:
    (found,) = mistakes_of(text)
    assert found.startswith(f"devstack.toml:{mistake}"), found


@pytest.mark.parametrize(("text", "key", "mistake"), [
    ('indexes = ["http://packages.example/simple"]', "indexes[0]", "is not encrypted"),
    ('indexes = ["https://me:secret@packages.example/simple"]', "indexes[0]", "~/.netrc: machine packages.example"),
    ('indexes = ["--find-links=/"]', "indexes[0]", "this is no URL of a package index"),
    ('installer = "pip"\nexclude_newer = 2019-06-01', "exclude_newer", 'pip doesn\'t know this (installer = "uv")'),
    ('installer = "pip"\nprerelease = "explicit"', "prerelease", "pip doesn't know `explicit`"),
    ('only_binary = [":none:"]', "only_binary[0]", "`:none:` is no package's name"),
    ('system.binaries = ["/bin/sh"]', "system.binaries[0]", "`/bin/sh` is no command's name"),
    ('exclude_newer = "yesterday"', "exclude_newer", "wanted a date or an RFC 3339 time: 2019-06-01"),
])
def test_mistakes_of_the_python_table(text: str, key: str, mistake: str) -> None:
    (found,) = mistakes_of(f"[python]\n{text}")
    assert f"python.{key}: " in found
    assert mistake in found
    assert "secret" not in found


@pytest.mark.parametrize(("text", "value"), [
    ("2019-06-01", "2019-06-01"), ('"2019-06-01"', "2019-06-01"), ("2019-06-01T10:00:00Z", "2019-06-01T10:00:00+00:00"),
])
def test_a_moment_is_a_date_of_toml_or_a_text(text: str, value: str) -> None:
    assert profile_of(f"[python]\nexclude_newer = {text}").python.exclude_newer == value


def test_an_index_on_this_machine_needs_no_tls() -> None:
    assert profile_of('[python]\nindexes = "http://127.0.0.1:3141/root/dev"').python.indexes
