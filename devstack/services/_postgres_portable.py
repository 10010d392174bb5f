"""Copies of databases in a form that the same or a newer PostgreSQL of anybody reads: archives of pg_dump, which name
roles but hold no password; and back into copies beside the databases that are in use."""

from __future__ import annotations

import json
from typing import Any

from devstack.errors import DataError
from devstack.services import Instance, Kept, Runner
from devstack.services import _postgres_properties as properties
from devstack.services._postgres_copies import Connect, asking, login, quoted
from devstack.services._postgres_snapshots import INDEX

_ROLES = "roles.json"
_MOST_NAMES = 1000


def export(instance: Instance, kept: Runner, target: Runner, connect: Connect, token: str) -> None:
    """kept: files of the copies of `token`. Raises ProcessError, DataError where a copy is gone."""
    from psycopg import sql

    names: list[str] = json.loads(kept.read(INDEX) or b"[]")
    allow = "ALTER DATABASE {} ALLOW_CONNECTIONS {}"
    with connect("postgres") as session:
        there = {name for (name,) in session.execute("SELECT datname FROM pg_database").fetchall()}
        copies = {number: f"devstack_{token}_{number}" for number in range(len(names))}
        if missing := [name for number, name in enumerate(names) if copies[number] not in there]:
            raise DataError(
                "snapshot-lost", f"{instance.name} doesn't have the snapshot's copies any more",
                why=f"no copy of {', '.join(missing)}: its data began anew", fix="devstack snapshot list",
            )
        for number, copy in copies.items():
            session.execute(sql.SQL(allow).format(sql.Identifier(copy), sql.SQL("true")))
            try:
                words = ("pg_dump", "--format=custom", "--no-password", f"--dbname={quoted(copy)}", "--file={file}")
                target.save(f"{number}.dump", words, login(instance))
            finally:
                session.execute(sql.SQL(allow).format(sql.Identifier(copy), sql.SQL("false")))
        each = [properties.read(asking(session), copy) for copy in copies.values()]
        roles = session.execute("SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_' ORDER BY 1").fetchall()
    target.write(_ROLES, json.dumps([name for (name,) in roles]).encode())
    target.write(properties.FILE, properties.written(each))
    target.write(INDEX, json.dumps(names).encode())


def adopt(instance: Instance, source: Runner, version: str, kept: Kept, connect: Connect) -> None:
    """Make copies of what a server of this version exported. Raises ProcessError, DataError."""
    from psycopg import sql

    names, roles = _names(instance, source, INDEX), _names(instance, source, _ROLES)
    each = _properties(instance, source, len(names))
    with connect("postgres") as session:
        _ensure_readable(instance, version, session.info.server_version // 10_000)
        there = {name for (name,) in session.execute("SELECT rolname FROM pg_roles").fetchall()}
        for role in roles:
            if role not in there:
                # so that what is owned by it, or granted to it, has somebody; nobody can log in as it
                session.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
        for number in range(len(names)):
            copy = f"devstack_{kept.token}_{number}"
            session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(copy)))
            session.execute(sql.SQL("CREATE DATABASE {} OWNER {} ENCODING 'UTF8' TEMPLATE template0").format(
                sql.Identifier(copy), sql.Identifier(instance.user)
            ))  # fmt: skip
            words = ("pg_restore", "--exit-on-error", "--single-transaction", "--no-tablespaces", "--no-password")
            source.feed(f"{number}.dump", (*words, f"--dbname={quoted(copy)}", "{file}"), login(instance))
            properties.apply(asking(session), copy, each[number])
            session.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(copy)))
    kept.runner.write(INDEX, json.dumps(names).encode())


def _ensure_readable(instance: Instance, version: str, own: int) -> None:
    """version: of the server that the file comes from. own: the major version of this one, whatever its image is
    called. Raises DataError where it can't read the file."""
    first = version.partition(".")[0]
    if (int(first) if first.isdecimal() else 0) > own:
        raise DataError(
            "snapshot-newer", f"the file is of PostgreSQL {version}, newer than {instance.name}",
            why=f"it runs {own}, and an older server doesn't read what a newer one has written",
            fix=f'version = "{first}" below [services.{instance.name}], then: devstack up',
        )


def _names(instance: Instance, source: Runner, file: str) -> list[str]:
    try:
        found: Any = json.loads(source.read(file))
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, list) and len(found) <= _MOST_NAMES and all(map(_is_name, found)):
        return found
    raise _refused(instance, f"{file} is no list of names")


def _properties(instance: Instance, source: Runner, count: int) -> list[properties.Properties]:
    try:
        return properties.parsed(source.read(properties.FILE), count)
    except ValueError:
        raise _refused(instance, f"{properties.FILE} doesn't say what databases are given") from None


def _refused(instance: Instance, why: str) -> DataError:
    return DataError(
        "snapshot-file-refused", f"the part of {instance.name} can't be read", why=why, fix="get the file once more",
    )


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value.encode()) < 64 and "\0" not in value
