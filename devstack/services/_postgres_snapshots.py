"""Copies of all databases beside them in the same server, made and exchanged by SQL alone, so on both runtimes.

A copy is a database `devstack_<token>_<number>` that nobody may enter; a file says whose copy each is. Measured: 100 MB
are copied in a third of a second (file_copy), and exchanged by renaming.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from devstack.errors import DataError
from devstack.services import Instance, Runner

if TYPE_CHECKING:
    from psycopg import Connection

INDEX = "databases.json"
#: tries until nobody has come in between the end of the last session and the copy
_TRIES = 40
_PAUSE = 0.05
Connect = Callable[[str], AbstractContextManager["Connection[Any]"]]


def keep(runner: Runner, connect: Connect, token: str) -> None:
    """Copy every database. Whoever is connected loses the connection. Again: the copies are made anew."""
    with connect("postgres") as session:
        names = _names(session)
        for number, name in enumerate(names):
            _drop(session, _copy_name(token, number))
            _copy(session, name, _copy_name(token, number))
    runner.write(INDEX, json.dumps(names).encode())


def recall(instance: Instance, runner: Runner, connect: Connect, token: str, before: tuple[str, Runner]) -> None:
    """Exchange all databases for the copies of `token`, which stay. before: token and files of a snapshot that what was
    there until now becomes. Cut short at any moment, the same call does the rest. Raises DataError where a copy is
    gone: then nothing was changed."""
    wanted: list[str] = json.loads(runner.read(INDEX) or b"[]")
    with connect("postgres") as session:
        missing = [name for number, name in enumerate(wanted) if not _exists(session, _copy_name(token, number))]
        if missing or not wanted:
            raise DataError(
                "snapshot-lost", f"{instance.name} doesn't have the snapshot's copies any more",
                why=f"no copy of {', '.join(missing) or 'any database'}: its data began anew",
                fix="devstack snapshot list",
            )
        old_token, old_runner = before
        # a run that was cut short has said already what was there
        known: list[str] = json.loads(old_runner.read(INDEX) or b"null") or _names(session)
        old_runner.write(INDEX, json.dumps(known).encode())
        for number in range(len(wanted)):
            _drop(session, _new_name(number))
            _copy(session, _copy_name(token, number), _new_name(number))
            session.execute(f'ALTER DATABASE "{_new_name(number)}" ALLOW_CONNECTIONS true')
        for number, name in enumerate(known):
            new = _new_name(wanted.index(name)) if name in wanted else ""
            _exchange(session, name, _copy_name(old_token, number), new)
        for number, name in enumerate(wanted):
            if name not in known:
                _exchange(session, name, "", _new_name(number))


def clear(runner: Runner, connect: Connect, token: str) -> None:
    """Let go of every database: they become the copies of `token`. Cut short, the same call does the rest."""
    with connect("postgres") as session:
        known: list[str] = json.loads(runner.read(INDEX) or b"null") or _names(session)
        runner.write(INDEX, json.dumps(known).encode())
        for number, name in enumerate(known):
            _exchange(session, name, _copy_name(token, number), "")


def sweep(connect: Connect, kept: Collection[str]) -> None:
    """Remove the copies of all tokens but these, and what an exchange left."""
    with connect("postgres") as session:
        rows = session.execute("SELECT datname FROM pg_database WHERE datname LIKE 'devstack\\_%%'").fetchall()
        for (name,) in rows:
            if name.split("_")[1] not in kept:
                _drop(session, name)


def size(connect: Connect, token: str) -> int:
    """Bytes of the copies of a token."""
    with connect("postgres") as session:
        row = session.execute(
            "SELECT coalesce(sum(pg_database_size(datname)), 0) FROM pg_database WHERE datname LIKE %s",
            (f"devstack\\_{token}\\_%",),
        ).fetchone()
    return int(row[0]) if row else 0


def _copy_name(token: str, number: int) -> str:
    return f"devstack_{token}_{number}"


def _new_name(number: int) -> str:
    return f"devstack_new_{number}"


def _names(session: Connection[Any]) -> list[str]:
    """The databases that are somebody's."""
    rows = session.execute(
        "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres' "
        "AND datname NOT LIKE 'devstack\\_%%' ORDER BY 1"
    ).fetchall()
    return [name for (name,) in rows]


def _exists(session: Connection[Any], name: str) -> bool:
    return session.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is not None


def _drop(session: Connection[Any], name: str) -> None:
    from psycopg import sql

    session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _copy(session: Connection[Any], source: str, target: str) -> None:
    """A copy needs the source without a session, and owned by whom the source is."""
    from psycopg import sql

    row = session.execute(
        "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s", (source,)
    ).fetchone()
    strategy = sql.SQL(" STRATEGY file_copy" if session.info.server_version >= 150000 else "")
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}{} ALLOW_CONNECTIONS false").format(
        sql.Identifier(target), sql.Identifier(source), sql.Identifier(row[0] if row else "postgres"), strategy
    )
    _alone(session, (source,), lambda: session.execute(statement))


def _exchange(session: Connection[Any], name: str, old: str, new: str) -> None:
    """In one transaction: `name` becomes `old` ("": it isn't there), `new` becomes `name` ("": nothing does)."""
    from psycopg import sql

    rename = "ALTER DATABASE {} RENAME TO {}"

    def act() -> None:
        with session.transaction():
            if old:
                session.execute(sql.SQL(rename).format(sql.Identifier(name), sql.Identifier(old)))
                session.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(old)))
            if new:
                session.execute(sql.SQL(rename).format(sql.Identifier(new), sql.Identifier(name)))

    if old and _exists(session, old):
        # exchanged by a run that was cut short later: what is there now came from the copy already
        old = ""
        if new and _exists(session, name):
            _drop(session, name)
    _alone(session, (name, new), act)


def _alone(session: Connection[Any], names: tuple[str, ...], act: Callable[[], object]) -> None:
    """Do it while nobody is connected to these databases."""
    from psycopg.errors import ObjectInUse

    for number in range(_TRIES):
        session.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = ANY(%s) AND pid <> pg_backend_pid()",
            (list(names),),
        )
        try:
            act()
        except ObjectInUse:
            if number == _TRIES - 1:
                raise
            time.sleep(_PAUSE)
        else:
            return
