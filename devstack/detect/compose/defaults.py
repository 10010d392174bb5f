"""What a project's code takes for a variable that nobody set: in a compose project often another service's name."""

from __future__ import annotations

import re
from collections.abc import Iterable

_NAME = r"[\"'](?P<{0}>[A-Z][A-Z0-9_]*)[\"']"
_TEXT = r"(?:[\"'](?P<{0}>[^\"'\n]*)[\"']|(?P<{0}_number>\d+))"
#: `os.getenv("DB_HOST", "db")`, `env.str("DB_HOST", default="db")`, `config("DB_HOST", "db")`, and what Python's own
#: `os.environ.setdefault("DB_HOST", "db")` leaves to the settings that are imported after it
_CALL = re.compile(
    rf"\b(?:getenv|environ\.(?:get|setdefault)|env(?:\.\w+)?|config)\(\s*{_NAME.format('name')}\s*,\s*(?:default\s*=\s*)?"
    + _TEXT.format("text")
)
#: `os.environ.get("DB_HOST") or "db"`
_OR = re.compile(rf"\b(?:getenv|environ\.get)\(\s*{_NAME.format('name')}\s*\)\s*or\s*" + _TEXT.format("text"))
#: anything else that reads one: without a default that can be seen
_READ = re.compile(rf"\b(?:getenv|environ\.get|env(?:\.\w+)?|config|environ)[\[(]\s*{_NAME.format('name')}")
#: `db_host: str = "db"` of a class of pydantic's
_FIELD = re.compile(
    r"^[ \t]+(?P<name>[A-Za-z][A-Za-z0-9_]*)\s*:\s*[\w.\[\] |]+=\s*" + _TEXT.format("text") + r"\s*(?:#.*)?$",
    re.MULTILINE,
)
#: of the names of such a class
_PREFIX = re.compile(r"\benv_prefix\s*=\s*[\"']([^\"']*)[\"']")


def defaults(texts: Iterable[str]) -> dict[str, str]:
    """texts: of Python files. The first default of each variable, of the first file that has one; "" for one that
    is read without any."""
    found: dict[str, str] = {}
    read: dict[str, str] = {}
    for text in texts:
        read |= {one["name"]: "" for one in _READ.finditer(text)}
        prefix = _PREFIX.search(text)
        patterns = [(_CALL, ""), (_OR, "")]
        if "BaseSettings" in text:
            patterns.append((_FIELD, prefix[1] if prefix else ""))
        for pattern, before in patterns:
            for one in pattern.finditer(text):
                value = one["text"] if one["text"] is not None else one["text_number"]
                found.setdefault(f"{before}{one['name']}".upper(), value)
    return {**read, **found}
