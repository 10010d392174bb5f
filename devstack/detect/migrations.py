"""What Django's migrations ask of a Postgres build, read off their text: extensions by name, and `icu`. Pure.

Only what comes with Postgres itself and some build has for certain. Nothing is executed, so a condition around an
operation isn't seen: where it doesn't hold, a build that has more does no harm.
"""

from __future__ import annotations

import re

#: django.contrib.postgres.operations; the name of the extension where it isn't the class's in lower case
_OPERATION = re.compile(
    r"^[^#\n]*\b(Bloom|BtreeGin|BtreeGist|CIText|Crypto|HStore|Trigram|Unaccent)Extension\(", re.MULTILINE
)
_NAMES = {"BtreeGin": "btree_gin", "BtreeGist": "btree_gist", "Crypto": "pgcrypto", "Trigram": "pg_trgm"}
_KNOWN = frozenset({
    "bloom", "btree_gin", "btree_gist", "citext", "cube", "dblink", "earthdistance", "fuzzystrmatch", "hstore",
    "intarray", "isn", "ltree", "pg_stat_statements", "pg_trgm", "pgcrypto", "postgres_fdw", "tablefunc", "unaccent",
    "uuid-ossp",
})
_NAMED = re.compile(r"^[^#\n]*\bCreateExtension\(\s*(?:name\s*=\s*)?[\"']([\w-]+)[\"']", re.MULTILINE)
_SQL = re.compile(r"\bCREATE EXTENSION (?:IF NOT EXISTS )?[\"'`\\]*([a-z][\w-]*)", re.IGNORECASE)
_ICU = re.compile(r"\bprovider\s*=\s*[\"'\\]*icu\b")


def needs(text: str) -> frozenset[str]:
    """Features of the build that one migration needs."""
    found = {_NAMES.get(name, name.lower()) for name in _OPERATION.findall(text)}
    found |= {*_NAMED.findall(text), *(name.lower() for name in _SQL.findall(text))}
    return frozenset((found & _KNOWN) | ({"icu"} if _ICU.search(text) else set()))
