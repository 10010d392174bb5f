"""All of a PostgreSQL as text that any newer or equal one can read: roles, then each database, by its own programs.

The programs come with the server: beside its binaries, or inside its container, where the socket trusts them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from devstack.services import Instance, Runner
from devstack.services import _postgres_properties as properties

if TYPE_CHECKING:
    from psycopg import Connection

_INDEX = "databases.json"
_ROLES = "roles.sql"
_QUIET = ("-X", "-q", "-v", "VERBOSITY=terse")
#: opens a session of the superuser in a database
Connect = Callable[[str], AbstractContextManager["Connection[Any]"]]


def dump(instance: Instance, runner: Runner, connect: Connect) -> None:
    """Every database but the superuser's own. Raises ProcessError."""
    env = login(instance)
    with connect("postgres") as session:
        rows = session.execute(
            "SELECT datname FROM pg_database "
            "WHERE datallowconn AND NOT datistemplate AND datname <> 'postgres' "
            "AND datname NOT LIKE 'devstack\\_%%' ORDER BY 1"
        ).fetchall()
        names = [name for (name,) in rows]
        each = [properties.read(asking(session), name) for name in names]
    runner.save(_ROLES, ("pg_dumpall", "--roles-only", "--no-role-passwords", "--file={file}"), env)
    for number, name in enumerate(names):
        runner.save(f"{number}.sql", ("pg_dump", "--no-password", f"--dbname={quoted(name)}", "--file={file}"), env)
    runner.write(properties.FILE, properties.written(each))
    runner.write(_INDEX, json.dumps(names).encode())


def load(instance: Instance, runner: Runner, connect: Connect) -> None:
    """Into a server that has just been provisioned. Each database whole or not at all. Raises ProcessError."""
    from psycopg import sql

    env = login(instance)
    # those that are there already are no mistake
    runner.feed(_ROLES, ("psql", *_QUIET, "-d", "postgres", "-f", "{file}"), env)
    names: list[str] = json.loads(runner.read(_INDEX))
    each = properties.parsed(runner.read(properties.FILE), len(names))
    for number, name in enumerate(names):
        with connect("postgres") as session:
            if session.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is None:
                session.execute(sql.SQL("CREATE DATABASE {} OWNER {} ENCODING 'UTF8' TEMPLATE template0").format(
                    sql.Identifier(name), sql.Identifier(instance.user)
                ))  # fmt: skip
        strict = ("-1", "-v", "ON_ERROR_STOP=1", f"--dbname={quoted(name)}", "-f", "{file}")
        runner.feed(f"{number}.sql", ("psql", *_QUIET, *strict), env)
        with connect("postgres") as session:
            properties.apply(asking(session), name, each[number])


def asking(session: Connection[Any]) -> properties.Ask:
    """Statements that are complete as they are."""
    def ask(statement: str) -> Sequence[Sequence[Any]]:
        cursor = session.execute(statement.encode())
        return cursor.fetchall() if cursor.description else ()

    return ask


def login(instance: Instance) -> Mapping[str, str]:
    """The superuser's way in over the socket."""
    if instance.is_contained:
        return {"PGUSER": "postgres"}
    return {"PGHOST": instance.sockets, "PGPORT": str(instance.port), "PGUSER": "postgres"}


def quoted(name: str) -> str:
    """A database's name where a connection string may stand (libpq, 34.1.1)."""
    escaped = name.replace("\\", "\\\\").replace("'", "\\'")
    return f"dbname='{escaped}'"
