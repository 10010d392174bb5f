"""What a model wants at a place, in words that a person who never heard of pydantic understands."""

from __future__ import annotations

import datetime
import math
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, BeforeValidator, Tag
from pydantic.fields import FieldInfo

from devstack.profile.model import ENV_NAME, FOREIGN_ENV_NAME, NAME, one_or_many
from devstack.profile.source import printable

_PATTERNS = {
    rf"^{NAME.pattern}$": "a name (lower-case letters, digits, `-` and `_`, a letter first, at most 40)",
    rf"^{ENV_NAME.pattern}$": "an environment variable's name (letters, digits and `_`, no digit first)",
    rf"^{FOREIGN_ENV_NAME.pattern}$": "an environment variable's name",
    r"^[a-z][a-z0-9-]*$": "a role such as web, worker, beat or daemon",
    r"^/": "a path that starts with /",
    r"^0[0-7]{3}$": 'permissions such as "0600"',
}


def _flat(annotation: Any, metadata: tuple[Any, ...] = ()) -> list[tuple[Any, tuple[Any, ...]]]:
    """The alternatives of an annotation, None left out, each with what is said about it."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *said = get_args(annotation)
        unpacked = [part for item in said for part in (item.metadata if isinstance(item, FieldInfo) else (item,))]
        return _flat(inner, (*metadata, *unpacked))
    if origin in (Union, types.UnionType):
        return [leaf for member in get_args(annotation) if member is not type(None) for leaf in _flat(member, metadata)]
    return [(annotation, metadata)]


def is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def step(annotation: Any, element: str | int) -> Any:
    """The annotation one element of a pydantic location further down; None where it leads nowhere."""
    for kind, said in _flat(annotation):
        if isinstance(element, str) and element.startswith("<"):
            if any(isinstance(item, Tag) and item.tag == element for item in said):
                return Annotated[kind, *said]
        elif is_model(kind):
            if element in kind.model_fields:
                info = kind.model_fields[element]
                return Annotated[info.annotation, *(info.metadata or [None])]
        elif get_origin(kind) is dict:
            return get_args(kind)[0 if element == "[key]" else 1]
        elif get_origin(kind) is tuple:
            return get_args(kind)[0]
    return None


def known_keys(annotation: Any) -> tuple[str, ...]:
    """Keys that the table at this place may have."""
    return tuple(dict.fromkeys(key for kind, _ in _flat(annotation) if is_model(kind) for key in kind.model_fields))


def wanted(annotation: Any) -> str:
    """`a whole number from 1 to 65535`, `a text or a list of texts` …"""
    words = dict.fromkeys(_one(kind, said) for kind, said in _flat(annotation))
    return " or ".join(words) or "something else"


def _one(kind: Any, said: tuple[Any, ...]) -> str:
    if get_origin(kind) is tuple:
        inner = get_args(kind)[0]
        plural = {"a text": "a list of texts", "a table": "a list of tables"}
        many = plural.get(wanted(inner), "a list, each item " + wanted(inner))
        splits = any(isinstance(item, BeforeValidator) and item.func is one_or_many for item in said)
        return f"a text or {many}" if splits else many
    if get_origin(kind) is Literal:
        *most, last = ["true" if value is True else f'"{value}"' for value in get_args(kind)]
        return f"{', '.join(most)} or {last}" if most else last
    if is_model(kind) or get_origin(kind) is dict:
        return "a table"
    if kind is bool:
        return "true or false"
    if kind in (int, float):
        return _number(kind, said)
    pattern = next((item.pattern for item in said if getattr(item, "pattern", None)), None)
    return _PATTERNS.get(pattern, f"a text that matches {pattern}") if pattern else "a text"


def _number(kind: type, said: tuple[Any, ...]) -> str:
    words = "a whole number" if kind is int else "a number"
    low = next((item for item in said if isinstance(item, Ge | Gt)), None)
    high = next((item.le for item in said if isinstance(item, Le)), None)
    if isinstance(low, Ge):
        words += f" from {low.ge}"
    elif isinstance(low, Gt):
        words += f" above {low.gt}"
    return f"{words}{' to' if isinstance(low, Ge) else ' and at most'} {high}" if high is not None else words


def got(value: Any) -> str:
    """What is there instead: `true`, `the number 3.11`, `the text "x"`, `a date`, `a list` …"""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"the number {value}" if abs(value) < 10**18 else "a huge number"
    if isinstance(value, float):
        return f"the number {value}" if math.isfinite(value) else f"`{value}`"
    if isinstance(value, str):
        return f'the text "{printable(value)}"' if value else "an empty text"
    named = ((dict, "a table"), (list | tuple, "a list"), (datetime.date, "a date"), (datetime.time, "a time of day"))
    return next((words for kind, words in named if isinstance(value, kind)), "something else")
