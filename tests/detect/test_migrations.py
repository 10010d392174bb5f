"""What migrations of real projects ask of Postgres."""

from __future__ import annotations

import pytest

from devstack.detect import migrations


@pytest.mark.parametrize(("text", "needs"), [
    ("    operations = [\n        BtreeGinExtension(),\n        TrigramExtension(),\n", {"btree_gin", "pg_trgm"}),
    ("        django.contrib.postgres.operations.CITextExtension(),\n", {"citext"}),
    ("        BloomExtension(),\n        CryptoExtension(),\n", {"bloom", "pgcrypto"}),
    ("        # HStoreExtension(),\n", set()),
    ("from django.contrib.postgres.operations import HStoreExtension\n", set()),
    ("        CreateExtension('postgis'),\n        CreateExtension(name=\"uuid-ossp\"),\n", {"uuid-ossp"}),
    ("    migrations.RunSQL('create extension if not exists \"unaccent\"')\n", {"unaccent"}),
    ("            name='natural_sort',\n            provider='icu',\n", {"icu"}),
    ("    CREATE COLLATION numeric (provider = icu, locale = 'en')\n", {"icu"}),
    ("    migrations.AddField('a', 'icu'),\n    provider='stripe'\n", set()),
])
def test_what_a_migration_needs(text: str, needs: set[str]) -> None:
    assert migrations.needs(text) == needs
