"""What is said of a database itself, which no copy brings: variables and limit of `ALTER DATABASE`, grants and comment
`ON DATABASE`. Neither a template nor pg_dump without `--create` takes them along.

They stay with a database that is renamed, so only who makes one of another needs this, as the superuser.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter

from devstack.wire.postgres import literal, name

#: a statement's rows in a session of the superuser
Ask = Callable[[str], Sequence[Sequence[Any]]]
#: variables whose value is a list of names: said as one text, it would be one name (pg_dump's dumputils.c)
_LISTS = frozenset({"local_preload_libraries", "search_path", "session_preload_libraries", "temp_tablespaces"})
_READ = """SELECT json_build_object(
  'variables', (SELECT coalesce(json_agg(json_build_array(coalesce(rolname, ''), said)), '[]')
    FROM pg_db_role_setting LEFT JOIN pg_roles r ON r.oid = setrole, unnest(setconfig) said
    WHERE setdatabase = d.oid),
  'grants', (SELECT json_agg(json_build_array(coalesce(rolname, ''), privilege_type, is_grantable))
    FROM aclexplode(datacl) LEFT JOIN pg_roles r ON r.oid = grantee),
  'limit', datconnlimit,
  'comment', coalesce(shobj_description(d.oid, 'pg_database'), '')
)::text FROM pg_database d WHERE datname = """


class Properties(BaseModel):
    """variables: a role, "" for all, and `name=value`. grants: a role, "" for everybody, what it may, and whether it
    may grant that; None where nothing was ever granted or revoked. limit: of connections, negative for none."""

    variables: list[tuple[str, str]] = []
    grants: list[tuple[str, Literal["CONNECT", "CREATE", "TEMPORARY"], bool]] | None = None
    limit: int = -1
    comment: str = ""


FILE = "properties.json"
_EACH = TypeAdapter(list[Properties])


def read(ask: Ask, database: str) -> Properties:
    ((text,),) = ask(_READ + literal(database))
    return Properties.model_validate_json(text)


def apply(ask: Ask, database: str, properties: Properties) -> None:
    """To a database that was just made. Again: the same."""
    where = f"DATABASE {name(database)}"
    for role, said in properties.variables:
        variable, _, value = said.partition("=")
        whose = f"ROLE {name(role)} IN {where}" if role else where
        if variable in _LISTS:
            ask(f"SELECT set_config({literal(variable)}, {literal(value)}, false)")
            ask(f"ALTER {whose} SET {variable} FROM CURRENT")
            ask(f"RESET {variable}")
        else:
            ask(f"ALTER {whose} SET {name(variable)} TO {literal(value)}")
    if properties.grants is not None:
        ask(f"REVOKE ALL ON {where} FROM PUBLIC")
    for role, privilege, may_grant in properties.grants or ():
        option = " WITH GRANT OPTION" if may_grant else ""
        ask(f"GRANT {privilege} ON {where} TO {name(role) if role else 'PUBLIC'}{option}")
    if properties.limit >= 0:
        ask(f"ALTER {where} CONNECTION LIMIT {properties.limit}")
    if properties.comment:
        ask(f"COMMENT ON {where} IS {literal(properties.comment)}")


def carry(ask: Ask, source: str, target: str) -> None:
    """From a database to one that was just made of it."""
    apply(ask, target, read(ask, source))


def written(each: Sequence[Properties]) -> bytes:
    return _EACH.dump_json(list(each))


def parsed(content: bytes, count: int) -> list[Properties]:
    """Of a file with those of so many databases; "" is of a devstack that kept none. Raises ValueError for another
    one."""
    each = _EACH.validate_json(content) if content else [Properties()] * count
    if len(each) != count:
        raise ValueError(f"it has {len(each)} databases, not {count}")
    return each
