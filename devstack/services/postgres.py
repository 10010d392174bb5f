"""PostgreSQL: declaration, ways to a server, process form, URL, probe, provisioning.

Two ways in, and no third: the application's role over TCP on 127.0.0.1 with its password (SCRAM), and the superuser
`postgres`, without a password, over a Unix socket in a folder that only this user can enter. Provisioning uses the
second, so it can repair a changed password; in a container, whose socket is out of reach, the superuser has the same
password and comes by TCP. Data survives `kill -9`; a power cut only with `durable = true`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

from pydantic import BeforeValidator, Field

from devstack.errors import DataError, PrerequisiteError, ProcessError
from devstack.profile.model import Service, one_or_many
from devstack.profile.secret import Secret
from devstack.services import (
    Client,
    ContainerService,
    Copies,
    Hint,
    Instance,
    Kind,
    NativeService,
    Prepare,
    Probe,
    Question,
    Server,
    ServerFile,
    Source,
)
from devstack.services._postgres_container import VERSION, Wanted, container, image, initial
from devstack.services._postgres_keeping import PostgresCopies
from devstack.services._postgres_scram import is_verifier_of, verifier_of
from devstack.services._postgres_sessions import ADMIN, admin, connect, line
from devstack.services._postgres_sources import HINTS, SOURCES, extension_package
from devstack.wire import ask

if TYPE_CHECKING:
    from psycopg import Connection

    Session = Connection[Any]

#: folder of the cluster below the instance's data folder
CLUSTER = "pgdata"
Identifiers = Annotated[
    tuple[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_$-]{0,62}$")], ...], BeforeValidator(one_or_many)
]
_RESERVED = frozenset({ADMIN, "none", "public", "template0", "template1"})
#: seconds that one question may take while data is copied
_COPYING = 3600.0
#: extensions that only work when the server has loaded them from its start
_PRELOADED = frozenset({"pg_stat_statements", "timescaledb"})


class Postgres(Service):
    """`[services.postgres]`."""

    databases: Identifiers = ()
    """Databases to make, UTF-8, owned by the application's role; the first is the one in the URL. Left out: one named
    like the stack."""
    extensions: Identifiers = ()
    """Extensions to create in every declared database."""
    roles: Identifiers = ()
    """Further roles that may log in with the same password; what they may do is for migrations to grant."""
    icu: bool = False
    """Collations of ICU, which not every build has."""
    durable: bool = False
    """Survive a crash of the machine too (fsync, full page writes); slower."""


class PostgresKind:
    """The kind `postgres`."""

    declaration: type[Service] = Postgres
    default_version = VERSION
    ports: Mapping[str, int] = {"main": 5432}
    sources: tuple[Source, ...] = SOURCES
    memory_mb = 60
    hints: tuple[Hint, ...] = HINTS
    patch_glob = ""

    def account(self, declaration: Service, stack: str) -> str:
        return _identifier(stack)

    def needs(self, declaration: Service) -> frozenset[str]:
        declared = _declared(declaration)
        return frozenset(declared.extensions) | ({"icu"} if declared.icu else frozenset())

    def patch(self, server: Server, path: str, text: str) -> str | None:
        return None

    def native(self, instance: Instance, server: Server) -> NativeService:
        """The postmaster. Its settings and access rules lie beside the cluster, so a copied or restored cluster never
        brings those of another place along; what `ALTER SYSTEM` sets travels with the cluster."""
        env = {"LC_ALL": "C", "TZ": "UTC", **server.env}
        return NativeService(
            argv=(
                server.program, "-D", f"{instance.data}/{CLUSTER}", "-c",
                f"config_file={instance.data}/postgresql.conf",
            ),
            env=env,
            cwd=instance.data,
            files=(
                ServerFile("postgresql.conf", "\n".join(_settings(instance)) + "\n"),
                ServerFile("pg_hba.conf", _access()),
            ),
            pid_files=(f"{CLUSTER}/postmaster.pid",),
            prepare=_prepare(server, env),
            stop_signal="INT",
            stop_grace=30.0,
        )

    def image(self, declaration: Service) -> str:
        return image(declaration)

    def container(self, instance: Instance) -> ContainerService:
        declared = _declared(instance.declaration)
        verifier = verifier_of(instance.password.reveal())
        wanted = Wanted((instance.user, *declared.roles), _databases(instance), declared.extensions)
        form = container(instance, verifier, _preloaded(declared), durable=declared.durable)
        return replace(form, initial=(initial(wanted, verifier),))

    def url(self, instance: Instance) -> Secret:
        user, password = quote(instance.user, safe=""), quote(instance.password.reveal(), safe="")
        return Secret(f"postgresql://{user}:{password}@{instance.host}:{instance.port}/{quote(_databases(instance)[0])}")

    def variables(self, instance: Instance) -> Mapping[str, str | Secret]:
        return {
            "url": self.url(instance),
            "host": instance.host,
            "port": str(instance.port),
            "user": instance.user,
            "password": instance.password,
            "database": _databases(instance)[0],
        }

    def question(self, instance: Instance) -> Question:
        declared = _declared(instance.declaration)
        return {
            "protocol": "postgres", "port": instance.port, "user": instance.user,
            "password": instance.password.reveal(), "databases": list(_databases(instance)),
            "roles": list(declared.roles), "extensions": list(declared.extensions), "identity": instance.identity,
        }

    def probe(self, instance: Instance, timeout: float) -> Probe:
        """Log in to the first database as the application would, and ask who the server is and what it has."""
        return ask(self.question(instance), timeout)

    def provision(self, instance: Instance, timeout: float) -> tuple[str, ...]:
        """Make roles, databases and extensions that are missing and set passwords that differ. Waits for the server
        to accept connections. Raises ProcessError where it doesn't in time or refuses something, PrerequisiteError for
        an extension that this build doesn't have."""
        import psycopg

        deadline = time.monotonic() + timeout
        try:
            with admin(instance, deadline) as session:
                done = [*_provision_roles(session, instance), *_provision_databases(session, instance)]
            for name in _databases(instance) if _declared(instance.declaration).extensions else ():
                with connect(instance, name, deadline) as session:
                    done += _provision_extensions(session, instance, name)
        except psycopg.Error as error:
            raise ProcessError(
                "provision-failed", f"{instance.name} could not be set up", why=line(error),
                fix=f"devstack logs {instance.name}",
            ) from None
        return tuple(done)

    def client(self, instance: Instance, server: Server) -> Client:
        """psql, of the server's own version where it is there."""
        login: dict[str, str | Secret] = {
            "PGHOST": "127.0.0.1", "PGPORT": str(instance.port), "PGUSER": instance.user, "PGSSLMODE": "disable",
            "PGDATABASE": _databases(instance)[0], "PGPASSWORD": instance.password, "PGCONNECT_TIMEOUT": "5",
        }  # fmt: skip
        return Client(
            ("psql",), (str(PurePosixPath(server.program).parent),), (), {**server.env, **login},
            install="apt-get install postgresql-client",
        )

    @property
    def copies(self) -> Copies:
        return PostgresCopies(self.provision, _copying, _COPYING)


def _copying(instance: Instance) -> Callable[[str], Session]:
    return lambda database: connect(instance, database, time.monotonic() + _COPYING)


# --- the declaration and its files ------------------------------------------------------------------------------------


def _declared(declaration: Service) -> Postgres:
    return declaration if isinstance(declaration, Postgres) else Postgres.model_validate(declaration.model_dump())


def _identifier(stack: str) -> str:
    """A role's and a database's name for a stack: its own name, unless PostgreSQL keeps that for itself."""
    name = stack.replace("-", "_")
    return f"app_{name}" if name in _RESERVED or name.startswith("pg_") else name


def _databases(instance: Instance) -> tuple[str, ...]:
    return _declared(instance.declaration).databases or (_identifier(instance.stack),)


def _prepare(server: Server, env: Mapping[str, str]) -> Prepare:
    program = str(PurePosixPath(server.program).with_name("initdb"))
    locale = _locale(server.version)
    return Prepare(
        # the rules that initdb writes are never used; they let nobody in by TCP should someone start it by hand
        argv=(
            program, "-D", "{target}", "-U", ADMIN, "--auth-local=trust", "--auth-host=reject", "-E", "UTF8", *locale,
            "-N",
        ),
        env=env,
        folder=CLUSTER,
        template=" ".join(("postgres", server.version, server.home, *locale)),
        version_file="PG_VERSION",
        proof=("PG_VERSION", "global/pg_control"),
    )


def _locale(version: str) -> tuple[str, ...]:
    """Sorted by code point, letters known in every script: the same on every machine, whatever locales it has."""
    major = int(version.partition(".")[0]) if version.partition(".")[0].isdigit() else 0
    if major >= 17:
        return "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"
    return "--lc-collate=C", f"--lc-ctype={'en_US.UTF-8' if sys.platform == 'darwin' else 'C.UTF-8'}", "--lc-messages=C"


def _settings(instance: Instance) -> Iterator[str]:
    declared = _declared(instance.declaration)
    cluster = f"{instance.data}/{CLUSTER}"
    # initdb's own choices for this machine, such as the kind of shared memory
    yield f"include_if_exists = {_quoted(cluster + '/postgresql.conf')}"
    yield f"data_directory = {_quoted(cluster)}"
    yield f"hba_file = {_quoted(instance.data + '/pg_hba.conf')}"
    yield f"cluster_name = {_quoted(instance.identity)}"
    yield "listen_addresses = '127.0.0.1'"
    yield f"port = {instance.port}"
    # a list of folders, so the one folder is quoted twice
    sockets = '"' + instance.sockets.replace('"', '""') + '"'
    yield f"unix_socket_directories = {_quoted(sockets)}"
    yield "unix_socket_permissions = 0700"
    yield "password_encryption = 'scram-sha-256'"
    yield "max_connections = 100"
    yield "shared_buffers = 32MB"
    for setting in ("fsync", "full_page_writes"):
        yield f"{setting} = {'on' if declared.durable else 'off'}"
    yield "synchronous_commit = on"
    # compiling queries needs a library that moved servers lack, and costs small databases more than it gains
    yield "jit = off"
    yield "lc_messages = 'C'"
    yield "timezone = 'UTC'"
    yield "log_timezone = 'UTC'"
    yield "logging_collector = off"
    yield "log_destination = 'stderr'"
    yield "log_line_prefix = '%m [%p] %q%u@%d '"
    yield f"shared_preload_libraries = {_quoted(','.join(_preloaded(declared)))}"


def _preloaded(declared: Postgres) -> tuple[str, ...]:
    return tuple(one for one in declared.extensions if one in _PRELOADED)


def _access() -> str:
    return "\n".join((
        f"local all {ADMIN} trust",
        f"local replication {ADMIN} trust",
        f"host all {ADMIN} 127.0.0.1/32 reject",
        "host all all 127.0.0.1/32 scram-sha-256",
    )) + "\n"  # fmt: skip


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


# --- talking to the server --------------------------------------------------------------------------------------------

def _provision_roles(session: Session, instance: Instance) -> Iterator[str]:
    from psycopg import sql

    rows = session.execute("SELECT rolname, rolpassword, rolcanlogin, rolsuper FROM pg_authid").fetchall()
    existing = {name: (verifier or "", is_login, is_super) for name, verifier, is_login, is_super in rows}
    password = instance.password.reveal()
    for name in dict.fromkeys((instance.user, *_declared(instance.declaration).roles)):
        is_main = name == instance.user
        verifier, is_login, is_super = existing.get(name, ("", False, False))
        if name == ADMIN or (is_login and is_super >= is_main and is_verifier_of(verifier, password)):
            continue
        # the server gets, and may log, only what the password can be checked with
        secret = session.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
        session.execute(sql.SQL("{verb} ROLE {name} LOGIN {rights} PASSWORD {secret}").format(
            verb=sql.SQL("ALTER" if name in existing else "CREATE"), name=sql.Identifier(name),
            rights=sql.SQL("SUPERUSER" if is_main else ""), secret=sql.Literal(secret),
        ))  # fmt: skip
        yield f"password of role {name}" if is_login and name in existing else f"role {name}"


def _provision_databases(session: Session, instance: Instance) -> Iterator[str]:
    from psycopg import sql

    existing = dict(session.execute("SELECT datname, pg_encoding_to_char(encoding) FROM pg_database").fetchall())
    for name in _databases(instance):
        if name not in existing:
            session.execute(sql.SQL("CREATE DATABASE {} OWNER {} ENCODING 'UTF8' TEMPLATE template0").format(
                sql.Identifier(name), sql.Identifier(instance.user)
            ))  # fmt: skip
            yield f"database {name}"
        elif existing[name] != "UTF8":
            raise DataError(
                "database-encoding", f"database {name} has the encoding {existing[name]}, not UTF8",
                why="it was made by something else", fix=f"drop it, or take it out of [services.{instance.name}]",
            )


def _lacking(session: Session, wanted: Sequence[str]) -> list[str]:
    """Extensions that the session's database doesn't have."""
    rows = session.execute("SELECT extname::text FROM pg_extension").fetchall() if wanted else []
    return [name for name in wanted if (name,) not in rows]


def _provision_extensions(session: Session, instance: Instance, database: str) -> Iterator[str]:
    from psycopg import sql

    for name in _lacking(session, _declared(instance.declaration).extensions):
        if not session.execute("SELECT 1 FROM pg_available_extensions WHERE name = %s", (name,)).fetchone():
            raise PrerequisiteError(
                "extension-missing", f"this PostgreSQL has no extension {name}",
                why=f"{instance.name} asks for it in database {database}",
                fix=f"image = \"…\" below [services.{instance.name}]: an image of PostgreSQL that has {name}"
                if instance.is_contained else _bringing(session, name) or "devstack up --runtime docker",
            )
        session.execute(sql.SQL("CREATE EXTENSION IF NOT EXISTS {} CASCADE").format(sql.Identifier(name)))
        yield f"extension {name} in {database}"


def _bringing(session: Session, extension: str) -> str:
    """What installs an extension into this server, "" where that isn't known."""
    row = session.execute("SELECT setting::text FROM pg_config WHERE name = 'BINDIR'").fetchone()
    package = extension_package(str(row[0]) if row else "", extension)
    return f"sudo apt-get install -y {package}" if package else ""


KIND: Kind = PostgresKind()
