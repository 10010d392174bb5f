"""Copies of all databases beside them in the same server, made and exchanged by SQL alone, so on both runtimes.

A copy is a database `devstack_<token>_<number>` that nobody may enter; a file says whose copy each is. Beside it there
may be a spare, `devstack_<token>_<number>_spare`, made ahead by the server itself while nobody waits: going back is
renaming it then. Measured: 100 MB are copied in a third of a second (file_copy), and exchanged in a hundredth.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager

from devstack.errors import DataError, ProcessError
from devstack.services import Instance, Runner
from devstack.services import _postgres_properties as properties
from devstack.wire import WireError
from devstack.wire.postgres import RefusedError, Session, literal, name

INDEX = "databases.json"
#: seconds until nobody is in a database any more; whoever comes again is sent away again
_ALONE = 5.0
_PAUSE = 0.005
_IN_USE = "55006"
#: bytes of all databases above which no spare is made: it takes as much again
_MOST = 4_000_000_000
#: seconds for all that one call says
_COPYING = 3600.0
Connect = Callable[[], AbstractContextManager[Session]]


def connect(instance: Instance) -> Session:
    """The superuser's session, in its own database."""
    settings = {
        "user": "postgres", "database": "postgres", "application_name": "devstack", "client_encoding": "UTF8",
        # whoever leaves a statement to the server isn't there for its answer, which would be told in the log
        "options": f"-c statement_timeout={math.ceil(_COPYING * 1000)} -c standard_conforming_strings=on "
        "-c log_min_messages=fatal",
    }
    if instance.is_contained:
        return Session(instance.port, settings, instance.password.reveal(), _COPYING)
    return Session(f"{instance.sockets}/.s.PGSQL.{instance.port}", settings, None, _COPYING)


@contextlib.contextmanager
def translated(instance: Instance) -> Iterator[None]:
    """Raises ProcessError for what a session raises."""
    try:
        yield
    except (OSError, WireError, ValueError) as error:
        raise ProcessError(
            "copy-failed", f"the data of {instance.name} can't be copied", why=" ".join(str(error).split()),
            fix=f"devstack logs {instance.name}",
        ) from None


def keep(runner: Runner, connect: Connect, token: str) -> None:
    """Copy every database. Whoever is connected loses the connection. Again: the copies are made anew."""
    with connect() as session:
        names = _names(session)
        for number, database in enumerate(names):
            _drop(session, _copy_name(token, number))
            _copy(session, database, _copy_name(token, number))
            properties.carry(session.rows, database, _copy_name(token, number))
    runner.write(INDEX, json.dumps(names).encode())


def recall(instance: Instance, runner: Runner, connect: Connect, token: str, before: tuple[str, Runner]) -> None:
    """Exchange all databases for the copies of `token`, which stay, or for their spares, which don't. before: token and
    files of a snapshot that what was there until now becomes. Cut short at any moment, the same call does the rest.
    Raises DataError where a copy is gone: then nothing was changed."""
    wanted: list[str] = json.loads(runner.read(INDEX) or b"[]")
    with connect() as session:
        there = _all(session)
        missing = [one for number, one in enumerate(wanted) if _copy_name(token, number) not in there]
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
        if any(_copy_name(old_token, number) in there for number in range(len(known))):
            # that run has exchanged them too
            return
        fresh = [_fresh(session, there, token, number) for number in range(len(wanted))]
        old = {database: _copy_name(old_token, number) for number, database in enumerate(known)}
        _exchange(session, {one: old[one] for one in known if one in there}, dict(zip(wanted, fresh, strict=True)))


def clear(runner: Runner, connect: Connect, token: str) -> None:
    """Let go of every database: they become the copies of `token`. Cut short, the same call does the rest."""
    with connect() as session:
        known: list[str] = json.loads(runner.read(INDEX) or b"null") or _names(session)
        runner.write(INDEX, json.dumps(known).encode())
        there = _all(session)
        _exchange(session, {one: _copy_name(token, number) for number, one in enumerate(known) if one in there}, {})


def spare(runner: Runner, connect: Connect, token: str) -> None:
    """Have the server make what is missing of the spares of a copy, by itself: nobody waits for it, and no user of a
    database does."""
    wanted: list[str] = json.loads(runner.read(INDEX) or b"[]")
    with connect() as session:
        there = _all(session)
        if size(connect, token) > _MOST:
            return
        lacking = [
            number for number in range(len(wanted))
            if _copy_name(token, number) in there and _spare_name(token, number) not in there
        ]
        statements = [_copying(session, _copy_name(token, one), _spare_name(token, one)) for one in lacking]
    _leave(connect, statements)


def sweep(connect: Connect, kept: Collection[str], *, is_awaited: bool) -> None:
    """Remove the copies of all tokens but these, and what an exchange left. is_awaited: else the server does it by
    itself."""
    with connect() as session:
        gone = sorted(one for one in _all(session) if one.startswith("devstack_") and one.split("_")[1] not in kept)
        for one in gone if is_awaited else ():
            _drop(session, one)
    if not is_awaited:
        _leave(connect, [_dropping(one) for one in gone])


def empty(connect: Connect) -> None:
    """Remove every database that is somebody's."""
    with connect() as session:
        for one in _names(session):
            _drop(session, one)


def size(connect: Connect, token: str) -> int:
    """Bytes of the copies of a token, spares apart."""
    with connect() as session:
        rows = session.rows(
            "SELECT coalesce(sum(pg_database_size(datname)), 0)::bigint FROM pg_database "  # noqa: S608 - a token of ours
            f"WHERE datname LIKE 'devstack\\_{token}\\_%' AND datname NOT LIKE '%\\_spare'"
        )
    return int(rows[0][0])


def _copy_name(token: str, number: int) -> str:
    return f"devstack_{token}_{number}"


def _spare_name(token: str, number: int) -> str:
    return f"{_copy_name(token, number)}_spare"


def _new_name(number: int) -> str:
    return f"devstack_new_{number}"


def _all(session: Session) -> frozenset[str]:
    return frozenset(one for (one,) in session.rows("SELECT datname FROM pg_database WHERE NOT datistemplate"))


def _names(session: Session) -> list[str]:
    """The databases that are somebody's."""
    return sorted(one for one in _all(session) if one != "postgres" and not one.startswith("devstack_"))


def _fresh(session: Session, there: Collection[str], token: str, number: int) -> str:
    """A copy of a copy, to be exchanged: the spare where there is one."""
    copy, fresh = _copy_name(token, number), _spare_name(token, number)
    if fresh not in there:
        fresh = _new_name(number)
        _drop(session, fresh)
        _copy(session, copy, fresh)
    properties.carry(session.rows, copy, fresh)
    return fresh


def _leave(connect: Connect, statements: Sequence[str]) -> None:
    for statement in statements:
        with connect() as session:
            session.leave(statement)


def _drop(session: Session, database: str) -> None:
    session.rows(_dropping(database))


def _dropping(database: str) -> str:
    return f"DROP DATABASE IF EXISTS {name(database)} WITH (FORCE)"


def _copy(session: Session, source: str, target: str) -> None:
    """A copy needs the source without a session, and owned by whom the source is."""
    statement = _copying(session, source, target)
    _alone(session, (source,), lambda: session.rows(statement))


def _copying(session: Session, source: str, target: str) -> str:
    rows = session.rows(
        "SELECT pg_get_userbyid(datdba), current_setting('server_version_num')::int >= 150000 FROM pg_database "  # noqa: S608 - quoted
        f"WHERE datname = {literal(source)}"
    )
    owner, is_known = rows[0]
    strategy = " STRATEGY file_copy" if is_known == "t" else ""
    return (
        f"CREATE DATABASE {name(target)} TEMPLATE {name(source)} OWNER {name(owner)}{strategy} ALLOW_CONNECTIONS false"
    )


def _exchange(session: Session, old: dict[str, str], new: dict[str, str]) -> None:
    """All in one transaction. old: what each database becomes; new: what becomes each database."""
    def act() -> None:
        statements = ["BEGIN"]
        for database, later in old.items():
            statements.append(f"ALTER DATABASE {name(database)} RENAME TO {name(later)}")
            statements.append(f"ALTER DATABASE {name(later)} ALLOW_CONNECTIONS false")
        for database, fresh in new.items():
            statements.append(f"ALTER DATABASE {name(fresh)} RENAME TO {name(database)}")
            statements.append(f"ALTER DATABASE {name(database)} ALLOW_CONNECTIONS true")
        try:
            for statement in (*statements, "COMMIT"):
                session.rows(statement)
        except RefusedError:
            session.rows("ROLLBACK")
            raise

    _alone(session, (*old, *new.values()), act)


def _alone(session: Session, databases: Collection[str], act: Callable[[], object]) -> None:
    """Do it while nobody is connected to these databases."""
    those = f"datname IN ({', '.join(map(literal, databases))}) AND pid <> pg_backend_pid()"
    deadline = time.monotonic() + _ALONE
    while True:
        # the server itself looks for those that are about to leave ten times a second only
        while session.rows(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {those}"):  # noqa: S608 - quoted
            if time.monotonic() > deadline:
                break
            time.sleep(_PAUSE)
        try:
            act()
        except RefusedError as error:
            if error.code != _IN_USE or time.monotonic() > deadline:
                raise
        else:
            return
