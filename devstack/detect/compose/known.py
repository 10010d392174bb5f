"""Images that a service kind of devstack stands for, and what of their settings it takes over."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from devstack.detect.compose.dockerfile import Stage
from devstack.detect.compose.interpolation import plain
from devstack.detect.compose.report import Report
from devstack.detect.compose.shapes import Composed

#: the official image, and those that are made from it or speak the same protocol: kind, and an extension they are for
_KINDS: Mapping[str, tuple[str, str]] = {
    "postgres": ("postgres", ""),
    "postgis/postgis": ("postgres", "postgis"),
    "imresamu/postgis": ("postgres", "postgis"),
    "pgvector/pgvector": ("postgres", "vector"),
    "ankane/pgvector": ("postgres", "vector"),
    "timescale/timescaledb": ("postgres", "timescaledb"),
    "timescale/timescaledb-ha": ("postgres", "timescaledb"),
    "redis": ("redis", ""),
    "valkey/valkey": ("redis", ""),
    "rabbitmq": ("rabbitmq", ""),
    **{
        f"{maker}/{name}": (kind, "")
        for maker in ("bitnami", "bitnamilegacy")
        for name, kind in (
            ("postgresql", "postgres"), ("redis", "redis"), ("valkey", "redis"), ("rabbitmq", "rabbitmq"),
        )
    },
}
#: makers of images of their own form: what they call the settings of the official ones
_OTHERS = {
    "POSTGRESQL_USERNAME": "POSTGRES_USER", "POSTGRESQL_PASSWORD": "POSTGRES_PASSWORD",
    "POSTGRESQL_DATABASE": "POSTGRES_DB", "RABBITMQ_USERNAME": "RABBITMQ_DEFAULT_USER",
    "RABBITMQ_PASSWORD": "RABBITMQ_DEFAULT_PASS", "RABBITMQ_VHOST": "RABBITMQ_DEFAULT_VHOST",
    "RABBITMQ_DEFAULT_USER": "RABBITMQ_DEFAULT_USER", "RABBITMQ_DEFAULT_PASS": "RABBITMQ_DEFAULT_PASS",
}  # fmt: skip
#: what the server is called where a command starts it
_SERVERS = {"postgres": "postgres", "redis": "(redis|valkey)-server", "rabbitmq": "rabbitmq-server"}
#: of a Redis, that devstack sets too, or that are read elsewhere
_OWN_OPTIONS = re.compile(
    r"--(requirepass\s+(\"[^\"]*\"|'[^']*'|\S+)|appendonly\s+\S+|port(\s+6379|(?=\s+--|\s*$))|save\s+[\d ]*)"
)
_PROXIES = frozenset({"nginx", "nginx-unprivileged", "openresty", "caddy", "traefik", "haproxy", "httpd", "envoy"})
_PORTS = {"postgres": 5432, "redis": 6379, "rabbitmq": 5672}
#: where servers listen that no kind stands for, by the last word of their image's name
_USUAL = {
    "mysql": 3306, "mariadb": 3306, "percona": 3306, "mongo": 27017, "memcached": 11211, "elasticsearch": 9200,
    "opensearch": 9200, "minio": 9000, "nats": 4222, "kafka": 9092, "clickhouse-server": 8123, "mailpit": 1025,
    "mailhog": 1025, "maildev": 1025, "smtp": 25, "clamav": 3310, "localstack": 4566, "keycloak": 8080, "solr": 8983,
    "neo4j": 7687, "influxdb": 8086, "etcd": 2379, "typesense": 8108, "meilisearch": 7700, "qdrant": 6333,
}
_VERSION = re.compile(r"v?(\d+(?:\.\d+)*)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$-]{0,62}")
#: settings that stand for what devstack decides itself, or that a container of its own already has
_QUIET = re.compile(
    r"POSTGRES_(USER|PASSWORD|DB|PASSWORD_FILE|USER_FILE|DB_FILE|MULTIPLE_DATABASES|INITDB_ARGS|INITDB_WALDIR)"
    r"|POSTGRES_HOST_AUTH_METHOD|PG(DATA|USER|PASSWORD|DATABASE|PORT)|TZ|LANG|LC_\w+|\w*PASSWORD\w*"
    r"|POSTGRESQL_(USERNAME|DATABASE)|RABBITMQ_(DEFAULT_(USER|PASS|VHOST)(_FILE)?|ERLANG_COOKIE|NODENAME|USERNAME|VHOST)|REDIS_\w+|VALKEY_\w+|ALLOW_EMPTY_PASSWORD"
)
_SETTINGS = {
    "postgres": "set it in the database: ALTER SYSTEM, from a task",
    "redis": "set it with CONFIG SET, from a task",
    "rabbitmq": "declare it in `vhosts` or `exchanges`, or set it from a task",
}


@dataclass(frozen=True)
class Known:
    """A service that becomes a kind. table: of the profile. ports: inside, by what the kind calls them. user, password,
    database: as the file has them, to be found again in others' environments; "" where there is none."""

    kind: str
    table: Mapping[str, Any]
    port: int
    user: str = ""
    password: str = ""
    database: str = ""
    comments: tuple[str, ...] = field(default=())


def kind_of(image: str) -> str:
    """The kind that an image is of, "" for none."""
    return _KINDS.get(repository(image), ("", ""))[0]


def usual_port(image: str) -> int:
    """Where the server of an image listens, as far as its name tells; else 0."""
    return _USUAL.get(repository(image).rpartition("/")[2], 0)


def is_of_others(made: Stage) -> bool:
    """Is an image a server's or a proxy's with settings? What another stage has built makes it the project's own."""
    is_server = bool(kind_of(made.base)) or repository(made.base).rpartition("/")[2] in _PROXIES
    return is_server and not any("--from=" in change for change in made.changes)


def is_server(kind: str, words: Sequence[str]) -> bool:
    """words: what is executed. Its image may be used for something else: its clients, once or by a clock."""
    said = rf"(^|[;&|\n]\s*|\bexec\s+|/)({_SERVERS[kind]}|docker-entrypoint\.sh)(?![\w-])"
    return not words or words[0].startswith("-") or any(re.search(said, word) for word in words)


def repository(image: str) -> str:
    """An image's name without registry, tag and digest: `postgres` for `docker.io/library/postgres:16-alpine`."""
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    name = f"{head}{slash}{last.partition(':')[0]}"
    return re.sub(r"^(docker\.io/|index\.docker\.io/|public\.ecr\.aws/docker/)?(library/)?", "", name)


def known(service: Composed, environment: Mapping[str, str], name: str, report: Report) -> Known:
    """What becomes of a service whose image is of a kind. environment: its own and that of its env files."""
    kind, extension = _KINDS[repository(service.image)]
    table: dict[str, Any] = {} if name == kind else {"kind": kind}
    comments = list(_image(service, kind, table, report))
    if service.memory:
        table["memory"] = service.memory
    standard = _PORTS[kind]
    for port in service.published:
        if port.inside == standard and port.outside not in (0, standard):
            table["port"] = port.outside
        elif port.inside != standard:
            report.drop((service.name, "ports"), f"port {port.inside} of {name} isn't published",
                        'a service of `kind = "container"` publishes any port')  # fmt: skip
    read: Callable[..., Known] = {"postgres": _postgres, "redis": _redis, "rabbitmq": _rabbitmq}[kind]
    values = {key: plain(value) for key, value in environment.items()}
    if is_other := repository(service.image).startswith("bitnami"):
        values |= {_OTHERS[key]: value for key, value in values.items() if key in _OTHERS}
        values.setdefault("RABBITMQ_DEFAULT_USER", "user")
        values.setdefault("RABBITMQ_DEFAULT_PASS", "bitnami")
    if is_other and values.get("REDIS_PASSWORD") and not service.command:
        service = replace(service, command=("redis-server", "--requirepass", values["REDIS_PASSWORD"]))
    made = read(service, values, table, report)
    if extension:
        made = Known(**{**vars(made), "table": {**made.table, "extensions": [extension]}})
    for key in service.environment:
        if not _QUIET.fullmatch(key):
            report.drop((service.name, "environment", key), f"{name} is set up by devstack", _SETTINGS[kind])
    return Known(**{**vars(made), "comments": (*comments, *made.comments)})


def _image(service: Composed, kind: str, table: dict[str, Any], report: Report) -> Iterator[str]:
    """Version and image. The official image by version alone runs natively too; any other is kept as it is named."""
    tag = service.image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    found = _VERSION.match(tag)
    is_plain = repository(service.image) == kind and found is not None and found[0] == tag and "@" not in service.image
    name = repository(service.image)
    # another product's numbers mean nothing to the kind
    counts = name.split("/")[-1] in (kind, "postgis", "pgvector", "postgresql")
    if found and counts:
        table["version"] = found[1]
    if not tag or tag == "latest":
        report.drop((service.name, "image"), f"{service.image} is another version every day",
                    f'`version = "…"` below [services] says which one {service.name} needs')  # fmt: skip
    if name.startswith("bitnami"):
        report.drop((service.name, "image"), f"{name} keeps its settings and data elsewhere",
                    f"the official image of {kind}, which runs in its place")  # fmt: skip
        return
    if "@" in service.image or (not is_plain and tag and not (tag == "latest" and repository(service.image) == kind)):
        table["image"] = service.image.removeprefix("docker.io/").removeprefix("library/")
        natively = "`version` natively" if "version" in table else "natively any version does"
        yield f"`image` counts in a container, {natively}."


def _postgres(
    service: Composed, environment: Mapping[str, str], table: dict[str, Any], report: Report
) -> Known:
    user = environment.get("POSTGRES_USER") or "postgres"
    first = environment.get("POSTGRES_DB") or user
    others = re.split(r"[\s,]+", environment.get("POSTGRES_MULTIPLE_DATABASES", ""))
    databases = [name for name in dict.fromkeys((first, *others)) if _NAME.fullmatch(name)]
    # the administrator's own database is no application's
    table["databases"] = [name for name in databases if name != "postgres"]
    if not table["databases"]:
        del table["databases"]
    for mount in service.mounts:
        if mount.target.startswith("/docker-entrypoint-initdb.d"):
            report.drop((service.name, "volumes"), f"{mount.source} isn't run when the database is made",
                        f'a task: run = "devstack shell {service.name} -- -f FILE", once = true')  # fmt: skip
    _drop_command(service, report, "set it in the database: ALTER SYSTEM, from a task")
    return Known("postgres", table, 5432, user, environment.get("POSTGRES_PASSWORD", ""), first)


def _redis(service: Composed, environment: Mapping[str, str], table: dict[str, Any], report: Report) -> Known:
    words = " ".join((*(service.entrypoint or ()), *(service.command or ())))
    found = re.search(r"--requirepass\s+(?:\"([^\"]*)\"|'([^']*)'|(\S+))", words)
    password = next((part for part in found.groups() if part is not None), "") if found else ""
    # a shell's variable: the value is in the environment
    if variable := re.fullmatch(r"\$\{?(\w+)\}?", password):
        password = environment.get(variable[1], "")
    if found is None:
        table["password"] = False
    rest = _OWN_OPTIONS.sub("", words)
    for option in re.findall(r"--([a-z][a-z-]+)", rest):
        report.drop((service.name, "command"), f"--{option}: {service.name} is set up by devstack", _SETTINGS["redis"])
    if re.search(r"\.conf\b", words):
        report.drop((service.name, "command"), "a configuration file of its own isn't read", _SETTINGS["redis"])
    comments = () if found else ("No password, as in the compose file; only 127.0.0.1 reaches it.",)
    return Known("redis", table, 6379, "default", password, "", comments)


def _rabbitmq(service: Composed, environment: Mapping[str, str], table: dict[str, Any], report: Report) -> Known:
    vhost = environment.get("RABBITMQ_DEFAULT_VHOST") or "/"
    if vhost != "/":
        table["vhosts"] = [vhost]
    user = environment.get("RABBITMQ_DEFAULT_USER", "guest")
    password = environment.get("RABBITMQ_DEFAULT_PASS", "guest")
    for mount in service.mounts:
        if mount.target.startswith("/etc/rabbitmq"):
            report.drop((service.name, "volumes"), f"{mount.source} isn't read: users and exchanges are declared",
                        "`vhosts` and `exchanges` below the service")  # fmt: skip
    _drop_command(service, report, _SETTINGS["rabbitmq"])
    return Known("rabbitmq", table, 5672, user, password, vhost)


def _drop_command(service: Composed, report: Report, instead: str) -> None:
    for key, words in (("command", service.command), ("entrypoint", service.entrypoint)):
        is_usual = words and re.search(r"(^|/)(postgres|rabbitmq-server|docker-entrypoint\.sh)$", " ".join(words))
        if words and not is_usual:
            report.drop((service.name, key), f"{service.name} is started by devstack", instead)
