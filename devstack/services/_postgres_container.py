"""PostgreSQL as a container of its official image, or of one made from that (hub.docker.com/_/postgres).

The superuser `postgres` logs in by TCP with the stack's password; over the socket inside, the image trusts everyone who
can enter the container. The data lies below a folder of its own, since the one that images declare has moved (18).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from devstack.profile.model import Service
from devstack.services import ContainerService, Instance, ServerFile

#: taken where the profile names none
VERSION = "16"
_VOLUME = "/var/lib/postgresql"
_CLUSTER = f"{_VOLUME}/devstack"
_PASSWORD = "/etc/devstack/password"  # noqa: S105 - a path
_INITIAL = "/docker-entrypoint-initdb.d/devstack.sql"
_REPAIR = "/etc/devstack/password.sql"


def image(declaration: Service) -> str:
    return declaration.image or f"postgres:{declaration.version or VERSION}"


def container(
    instance: Instance, verifier: str, preloaded: Sequence[str], *, durable: bool
) -> ContainerService:
    """verifier: what the password can be checked with (SCRAM). preloaded: libraries loaded at the start."""
    settings = [word for setting in _settings(instance, preloaded, durable=durable) for word in ("-c", setting)]
    return ContainerService(
        image=image(instance.declaration),
        ports={"main": 5432},
        volumes={"data": _VOLUME},
        command=("postgres", *settings),
        env={
            "POSTGRES_PASSWORD_FILE": _PASSWORD,
            "POSTGRES_INITDB_ARGS": "--encoding=UTF8 --lc-collate=C --lc-ctype=C.UTF-8 --no-sync",
            "PGDATA": _CLUSTER,
        },
        files=(
            ServerFile(_PASSWORD, instance.password.reveal(), 0o444),
            ServerFile(_REPAIR, f"ALTER ROLE postgres PASSWORD '{verifier}';\n", 0o400),
        ),
        repair=("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", "postgres", "-f", _REPAIR),
        health=("pg_isready", "-q", "-h", "127.0.0.1", "-U", "postgres"),
        version_file=f"{_CLUSTER}/PG_VERSION",
        version_variable="PG_MAJOR",
        dump=("pg_dumpall", "-U", "postgres"),
        foreign_data=r"initialized by PostgreSQL version ([\d.]+), which is not compatible with this version ([\d.]+)",
        # a fast shutdown; the image's own signal is the same
        stop_signal="INT",
    )


@dataclass(frozen=True)
class Wanted:
    """What an empty cluster lacks. roles: the first owns the databases."""

    roles: Sequence[str]
    databases: Sequence[str]
    extensions: Sequence[str]


def initial(wanted: Wanted, verifier: str) -> ServerFile:
    """What the image's entrypoint runs as the superuser once it has made an empty cluster."""
    owner = _name(wanted.roles[0])
    lines = [f"CREATE ROLE {_name(role)} LOGIN PASSWORD '{verifier}';" for role in dict.fromkeys(wanted.roles)]
    lines += [
        f"CREATE DATABASE {_name(name)} OWNER {owner} ENCODING 'UTF8' TEMPLATE template0;" for name in wanted.databases
    ]
    for name in wanted.databases if wanted.extensions else ():
        lines.append(f"\\connect {_name(name)}")
        lines += [f"CREATE EXTENSION IF NOT EXISTS {_name(extension)} CASCADE;" for extension in wanted.extensions]
    return ServerFile(_INITIAL, "\n".join(lines) + "\n", 0o444)


def _name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _settings(instance: Instance, preloaded: Sequence[str], *, durable: bool) -> Iterator[str]:
    yield f"cluster_name={instance.identity}"
    yield "max_connections=100"
    yield "shared_buffers=32MB"
    yield "password_encryption=scram-sha-256"
    for name in ("fsync", "full_page_writes"):
        yield f"{name}={'on' if durable else 'off'}"
    yield "jit=off"
    yield "timezone=UTC"
    yield "log_timezone=UTC"
    if preloaded:
        # an image may load some of its own; only what is declared replaces those
        yield f"shared_preload_libraries={','.join(preloaded)}"
