"""JSON Schema of profiles, for editors: generated from the model and the kinds' declarations.

It describes one file, not the merged profile: whatever a base may have given is not required, and `false` takes out
what the base declares. Rules between keys (needs, references, ports) are the loader's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from devstack.profile.meanings import meanings
from devstack.profile.merge import NAMED
from devstack.profile.model import NAME, Check, Model, Process, Profile, Service, Task

#: keywords whose tables are by the names of a profile's keys, not by the schema's
_BY_NAME = ("properties", "patternProperties", "$defs")
#: tables that a base may have begun
_PARTIAL = (Profile, Task, Process, Check)


def json_schema(services: Mapping[str, type[Service]]) -> dict[str, Any]:
    """The schema; services: declaration models by kind."""
    models: list[type[BaseModel]] = [Profile, *(services[kind] for kind in sorted(services))]
    references, whole = models_json_schema([(model, "validation") for model in models])
    told = {model.__name__: meanings(model) for model in _made_of(Model)}
    definitions: dict[str, Any] = {
        name: _tidied(_described(one, told.get(name, {}))) for name, one in whole["$defs"].items()
    }
    for model in _PARTIAL:
        definitions[model.__name__].pop("required", None)
    profile = definitions.pop(Profile.__name__)
    definitions.pop(Service.__name__, None)
    sections = profile["properties"]
    kinds = {kind: references[services[kind], "validation"] for kind in sorted(services)}
    sections["services"] |= _services(kinds)
    for section in NAMED - {"services"}:
        entries = "additionalProperties" if section == "files" else "patternProperties"
        _allow_false(sections[section], entries)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "devstack profile",
        **profile,
        "$defs": dict(sorted(definitions.items())),
    }


def schema_text(services: Mapping[str, type[Service]]) -> str:
    """The schema as the text of a file."""
    return json.dumps(json_schema(services), indent=2, ensure_ascii=False) + "\n"


def _made_of(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for one in model.__subclasses__():
        yield one
        yield from _made_of(one)


def _described(definition: dict[str, Any], texts: Mapping[str, str]) -> dict[str, Any]:
    """With what each key is for."""
    properties = definition.get("properties", {})
    described = {
        key: dict(sorted({**one, "description": texts[key]}.items())) if key in texts else one
        for key, one in properties.items()
    }
    return {**definition, "properties": described} if properties else definition


def _services(kinds: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """A table named like a kind is of that kind, unless it names another; any other table must name its kind."""
    by_kind = [
        {"if": _kind_is(kind), "then": reference} for kind, reference in kinds.items()
    ]  # fmt: skip
    named = {"required": ["kind"], "properties": {"kind": {"enum": list(kinds)}}}
    tables = {
        kind: {"if": {"required": ["kind"]}, "then": {**named, "allOf": by_kind}, "else": reference}
        for kind, reference in kinds.items()
    }
    # a local file may change one key of an instance whose kind a lower file names, so `kind` can't be required here
    other = {"if": {"required": ["kind"]}, "then": {**named, "allOf": by_kind}, "else": {"type": "object"}}
    return {
        "properties": {kind: {"anyOf": [table, {"const": False}]} for kind, table in tables.items()},
        "patternProperties": {rf"^(?!(?:{'|'.join(kinds)})$){NAME.pattern}$": {"anyOf": [other, {"const": False}]}},
    }


def _kind_is(kind: str) -> dict[str, Any]:
    return {"properties": {"kind": {"const": kind}}, "required": ["kind"]}


def _allow_false(section: dict[str, Any], entries: str) -> None:
    if entries == "additionalProperties":
        section[entries] = {"anyOf": [section[entries], {"const": False}]}
    else:
        section[entries] = {name: {"anyOf": [entry, {"const": False}]} for name, entry in section[entries].items()}


def _tidied(node: Any) -> Any:
    """Without what TOML has not (null), without generated titles, and with named tables closed."""
    if isinstance(node, list):
        return [_tidied(item) for item in node]
    if not isinstance(node, dict):
        return node
    tidy = {
        key: {name: _tidied(one) for name, one in value.items()} if key in _BY_NAME else _tidied(value)
        for key, value in node.items()
        if key != "title" and not (key == "default" and (not value or isinstance(value, dict)))
    }
    if "anyOf" in tidy:
        kept = [one for one in tidy["anyOf"] if one != {"type": "null"}]
        tidy = {**{key: value for key, value in tidy.items() if key != "anyOf"}, **kept[0]} if len(kept) == 1 else {
            **tidy, "anyOf": kept,
        }  # fmt: skip
    if "patternProperties" in tidy:
        tidy.setdefault("additionalProperties", False)
    return tidy
