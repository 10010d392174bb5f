"""The JSON Schema that is shipped for editors."""

import json
from typing import Any

from devstack import services
from devstack.profile.model import Service
from devstack.profile.schema import json_schema, schema_text
from tests.profile.loading import PROFILES


class Toy(Service):
    """A kind of the test's own."""

    colour: str
    """What it looks like."""


def test_the_shipped_schema_is_fresh() -> None:
    shipped = (PROFILES / "schema.json").read_text(encoding="utf-8")
    assert shipped == schema_text(services.declarations()), "run scripts/schema"


def test_a_new_kind_appears_without_a_list_to_edit() -> None:
    schema = json_schema({"toy": Toy})
    assert schema["$defs"]["Toy"]["properties"]["colour"]["description"] == "What it looks like."
    assert list(schema["properties"]["services"]["properties"]) == ["toy"]


def test_every_key_is_described() -> None:
    schema = json_schema(services.declarations())
    nested_in_kinds = {"Exchange"}
    tables = {"profile": schema, **{name: one for name, one in schema["$defs"].items() if name not in nested_in_kinds}}
    bare = [
        f"{name}.{key}"
        for name, table in tables.items()
        for key, value in table.get("properties", {}).items()
        if "description" not in value and "$ref" not in value
    ]
    assert bare == []


def test_nothing_is_required_that_a_base_may_give_and_unknown_keys_are_closed() -> None:
    schema = json_schema(services.declarations())
    tables: dict[str, dict[str, Any]] = {"profile": schema, **schema["$defs"]}
    assert all("required" not in tables[name] for name in ("profile", "Task", "Process", "Check"))
    assert all(table["additionalProperties"] is False for name, table in tables.items())


def test_toml_has_no_null_and_neither_has_the_schema() -> None:
    assert '"null"' not in json.dumps(json_schema(services.declarations()))


def test_every_reference_of_the_schema_leads_somewhere() -> None:
    schema = json_schema(services.declarations())
    text = json.dumps(schema)
    wanted = {part.split('"')[0] for part in text.split('"#/$defs/')[1:]}
    assert wanted == set(schema["$defs"])
