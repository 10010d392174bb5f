"""A stack for other tools, as the text of a file and as a JSON document. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_FORBIDDEN = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
#: words that YAML takes for something else
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def document(form: str, text: str, path: str, notes: Sequence[str]) -> dict[str, Any]:
    """`devstack export --json`. path: of the file that holds the text, "" for none."""
    return {"format": form, "path": path or None, "text": text, "notes": list(notes)}


def yaml(value: Mapping[str, Any], head: Sequence[str]) -> str:
    """Values of JSON as YAML that any version reads alike: every text is quoted. head: lines of a comment."""
    return "".join(f"# {line}\n" for line in head) + "".join(f"{line}\n" for line in _lines(value, ""))


def _lines(value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _entry(f"{indent}{_key(key)}:", item, indent)
    else:
        for item in value:
            if isinstance(item, Mapping) and item:
                first, *others = _lines(item, f"{indent}  ")
                yield f"{indent}- {first.lstrip()}"
                yield from others
            else:
                yield from _entry(f"{indent}-", item, indent)


def _entry(head: str, item: Any, indent: str) -> Iterator[str]:
    if isinstance(item, Mapping | list | tuple) and item:
        yield head
        yield from _lines(item, f"{indent}  ")
    else:
        yield f"{head} {_scalar(item)}"


def _key(key: str) -> str:
    return key if _PLAIN_KEY.fullmatch(key) and key.lower() not in _WORDS else _scalar(key)


def _scalar(value: Any) -> str:
    # a text of JSON is one of YAML, as long as no character stands as two halves and what YAML forbids is spelled
    return _FORBIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))
