"""What pydantic finds is told in a user's words, with what was wanted, what is there, and the nearest name."""

import pytest

from tests.profile.loading import mistakes_of

NAME = "wanted a name (lower-case letters, digits, `-` and `_`, a letter first, at most 40)"
PORT = "wanted a whole number from 1 to 65535"


@pytest.mark.parametrize(
    ("value", "got"),
    [
        ("true", "true"),
        ("nan", "`nan`"),
        ("inf", "`inf`"),
        ("80.0", "the number 80.0"),
        ("-1", "the number -1"),
        ("0", "the number 0"),
        ("65536", "the number 65536"),
        ("99999999999999999999", "a huge number"),
        ("2024-01-01", "a date"),
        ("10:00:00", "a time of day"),
        ('"80"', 'the text "80"'),
        ("[80]", "a list"),
        ("{ a = 1 }", "a table"),
        ('""', "an empty text"),
    ],
)
@pytest.mark.fault("L5")
def test_what_is_no_port(value: str, got: str) -> None:
    assert mistakes_of(f"[services.redis]\nport = {value}") == [
        f"devstack.toml:2: services.redis.port: {PORT}, got {got}"
    ]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("[python]\nversion = 3.11", "python.version: wanted a text, got the number 3.11 (write it in quotes)"),
        ("[python]\ninstall = 1", "python.install: wanted a text or a list of texts, got the number 1"),
        ("[python]\ninstall = ['a', 1]", "python.install[1]: wanted a text, got the number 1 (write it in quotes)"),
        ("[python]\ntimeout = nan", "python.timeout: wanted a number above 0 and at most 86400, got `nan`"),
        ("[python]\ntimeout = true", "python.timeout: wanted a number above 0 and at most 86400, got true"),
        ("\nruntime = 'dcker'", 'runtime: wanted "auto", "docker" or "native", got the text "dcker"'),
        ("\nservices = 1", "services: wanted a table, got the number 1"),
        ("[services]\nredis = 1", "services.redis: wanted a table, got the number 1"),
        ("[services]\nredis = {kind = 1}", f"services.redis.kind: {NAME}, got the number 1 (write it in quotes)"),
        (
            "[services]\ncache = {kind = 'reddis'}",
            "services.cache.kind: no service kind is named `reddis` (did you mean `redis`?)",
        ),
        (
            "[services]\npostgress = {}",
            "services.postgress: no service kind is named `postgress` (did you mean `postgres`?)",
        ),
        ("[tasks]\nMigrate = {run = 'x'}", f'tasks.Migrate: {NAME}, got the text "Migrate"'),
        ("[tasks]\na = {}", "tasks.a.run: the key `run` is missing"),
        (
            "[tasks]\na = {run = 'x', needs = 'b'}",
            (
                "tasks.a.needs: wanted a list, each item a name "
                '(lower-case letters, digits, `-` and `_`, a letter first, at most 40), got the text "b"'
            ),
        ),
        ("[tasks]\na = {run = '\"'}", "tasks.a.run: the command can't be split into words: no closing quotation"),
        ("[tasks]\na = {run = ' '}", "tasks.a.run: the command is empty"),
        ('[tasks]\na = {run = "x\\ny"}', "tasks.a.run: a command is one line, unless `shell = true`"),
        ("[tasks]\na = {run = 'x', shell = 1}", "tasks.a.shell: wanted true or false, got the number 1"),
        ("[tasks]\na = {run = 'x', env = {A = []}}", "tasks.a.env.A: wanted a text, got a list"),
        ("[env]\nA = {}", 'env.A: wanted a text, { generate = 50 } or { ask = "question" }, got an empty table'),
        ("[env]\nA = {generate = 7}", "env.A.generate: wanted a whole number from 8 to 4096, got the number 7"),
        ("[env]\nA = {ask = 'x', secrt = 1}", "env.A.secrt: unknown key `secrt` (did you mean `secret`?)"),
        (
            "[env]\n9A = 'x'",
            (
                "env.9A: wanted an environment variable's name (letters, digits and `_`, no digit first), "
                'got the text "9A"'
            ),
        ),
        (
            "[processes]\nw = {run = 'x', ready = true}",
            "processes.w.ready: wanted a table with exactly one of `http`, `tcp`, `command` and `log`, got true",
        ),
        (
            "[processes]\nw = {run = 'x', ready = {log = '('}}",
            ("processes.w.ready.log: not a regular expression: missing ), unterminated subpattern at position 0"),
        ),
        ("[processes]\nw = {run = 'x', ready = {tcp = false}}", "processes.w.ready.tcp: wanted true, got false"),
        (
            "[processes]\nw = {run = 'x', ready = {http = 'a'}}",
            ('processes.w.ready.http: wanted a path that starts with /, got the text "a"'),
        ),
        (
            "[processes]\nw = {run = 'x', ready = {log = 'a', statu = 1}}",
            ("processes.w.ready.statu: unknown key `statu` (known here: log, grace)"),
        ),
        (
            "[processes]\nw = {run = 'x', role = 'web', ready = {http = '/', status = [true]}}",
            "processes.w.ready.status[0]: wanted a whole number from 100 to 599, got true",
        ),
        (
            "[processes]\nw = {run = 'x', stop = {signal = 'SIGTERM'}}",
            (
                'processes.w.stop.signal: wanted "TERM", "INT", '
                '"QUIT", "HUP", "USR1", "USR2" or "KILL", got the text "SIGTERM"'
            ),
        ),
        (
            "[files]\n'a' = {}",
            (
                'files.a: wanted exactly one of `directory = true`, `template = "path"`, `content = "text"` and '
                "`generate = 64`, got an empty table"
            ),
        ),
        (
            "[files]\n'a' = {template = 'b', content = 'c'}",
            (
                'files.a: wanted exactly one of `directory = true`, `template = "path"`, `content = "text"` and '
                "`generate = 64`, got a table with `template`, `content`"
            ),
        ),
        ("[files]\n'a' = {content = 'c', format = 'hex'}", "files.a.format: only what is generated has a format"),
        (
            "[files]\n'a' = {content = '${env.NONE}'}",
            "files.a.content: `${env.NONE}` stands for nothing (there is no `NONE` in `[env]`)",
        ),
        (
            "[files]\n'a' = {generate = 32, format = 'fernet'}",
            'files.a.format: wanted "text", "hex", "base64" or "base64url", got the text "fernet"',
        ),
        (
            "\nenv_file = [{ path = 'a', optional = true }]",
            "env_file[0].optional: unknown key `optional` (known here: path, required)",
        ),
        ("\ninherit = ['DEVSTACK_TRUST']", "inherit[0]: `DEVSTACK_TRUST` is set by devstack"),
        (
            "[files]\n'a' = {directory = true, mode = '777'}",
            'files.a.mode: wanted permissions such as "0600", got the text "777"',
        ),
        ("[checks]\na = 1", "checks.a: wanted a table, got the number 1"),
    ],
)
def test_a_mistake_in_words(text: str, mistake: str) -> None:
    assert mistakes_of(text) == [f"devstack.toml:2: {mistake}"]


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("comand", "did you mean `run`?"),
        ("RUN", "did you mean `run`?"),
        ("depends_on", "did you mean `needs`?"),
        ("replica", "did you mean `replicas`?"),
        ("healthcheck", "did you mean `ready`?"),
        ("environment", "did you mean `env`?"),
        ("port_s", "did you mean `ports`?"),
    ],
)
@pytest.mark.fault("L2")
def test_unknown_keys_name_the_nearest_known_one(key: str, hint: str) -> None:
    text = f"[processes.web]\nrun = 'x'\n{key} = 'x'"
    assert mistakes_of(text) == [f"devstack.toml:3: processes.web.{key}: unknown key `{key}` ({hint})"]


def test_a_key_near_nothing_lists_what_there_is() -> None:
    assert mistakes_of("[project]\nxyzzy = 1") == [
        "devstack.toml:2: project.xyzzy: unknown key `xyzzy` (known here: repo, ref, sparse, submodules, lfs)"
    ]


def test_all_mistakes_come_at_once_in_the_order_of_the_file() -> None:
    text = """name = "Shop"
[services.redis]
port = true
[tasks.a]
run = "x"
needs = ["redsi"]
cwd = "/tmp"
[processes.web]
comand = "x"
replicas = 2.5
[processes.a]
run = "${port}"
"""
    assert [int(mistake.split(":")[1]) for mistake in mistakes_of(text)] == [1, 3, 6, 7, 8, 9, 10, 11, 12]


def test_what_has_a_mistake_of_its_own_is_not_reported_missing_too() -> None:
    text = """[services.redis]
port = true
[env]
URL = "${services.redis.url}"
[processes.web]
role = 5
run = "x"
needs = ["redis", "a"]
[tasks.a]
run = ""
[processes.b]
run = "x ${processes.web.port}"
needs = ["web"]
"""
    assert [mistake.split(": ")[1] for mistake in mistakes_of(text)] == [
        "services.redis.port",
        "processes.web.role",
        "tasks.a.run",
    ]


def test_a_kinds_own_keys_are_checked_like_any_other() -> None:
    text = """[services.redis]
dbb = 3
[services.events]
kind = "rabbitmq"
exchanges = [{ name = "a" },
  { nam = "b" }]
"""
    assert mistakes_of(text) == [
        "devstack.toml:2: services.redis.dbb: unknown key `dbb` (did you mean `db`?)",
        "devstack.toml:6: services.events.exchanges[1].name: the key `name` is missing",
        "devstack.toml:6: services.events.exchanges[1].nam: unknown key `nam` (did you mean `name`?)",
    ]
