"""Texts for strangers to read: without what is secret in them, in whatever spelling, and whose machine it was. Pure."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote

from devstack.masking import MASK, is_telling

#: shorter values are found by chance in any text; those with a telling name count as whole words
_SHORTEST, _SHORTEST_WORD = 6, 3
#: values of env files that are no secret, and whose absence would make a report hard to read
_PLAIN = frozenset({
    "localhost", "127.0.0.1", "0.0.0.0", "development", "production", "staging", "testing", "disabled", "enabled",  # noqa: S104 - text
})
_URL = re.compile(r"(?<=://)[^/@\s:\"']*:[^/@\s\"']+(?=@)")
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
#: `password=…`, `"api_key": "…"`, `SECRET_KEY = '…'`
_PAIR = re.compile(
    r"(?P<name>[\"']?\b[\w.-]*(?:secret|passw(?:or)?d|passphrase|token|api_?key|access_?key|private_?key|credentials?)"
    r"[\w-]*[\"']?\s*[:=]\s*)(?P<value>\"[^\"\n]*\"|'[^'\n]*'|[^\s,;&(){}\[\]\"'$][^\s,;&)}\]\"']*)",
    re.IGNORECASE,
)
_HEADER = re.compile(r"(?P<name>\b(?:(?:proxy-)?authorization|(?:set-)?cookie)\s*[:=]\s*)[^\n]+", re.IGNORECASE)
#: what well-known services hand out: by their beginnings, JSON web tokens
_KNOWN = re.compile(
    r"\b(?:sk_(?:live|test)_|rk_(?:live|test)_|gh[pousr]_|github_pat_|glpat-|xox[abprs]-|npm_|pypi-|AIza|SG\.)[\w.-]{10,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"
)


class Redactor:
    """secrets: whole values. words: values that count where they stand alone. places: text → what is shown of it, such
    as the person's home folder."""

    def __init__(
        self, secrets: Iterable[str], words: Iterable[str] = (), places: Mapping[str, str] | None = None
    ) -> None:
        texts = {spelled for secret in secrets for spelled in _spellings(secret)}
        alone = {word for word in words if word not in texts}
        choices = [re.escape(text) for text in sorted(texts, key=len, reverse=True)]
        choices += [rf"(?<!\w){re.escape(word)}(?!\w)" for word in sorted(alone, key=len, reverse=True)]
        self._secrets = re.compile("|".join(choices)) if choices else None
        self._places = sorted((places or {}).items(), key=lambda place: -len(place[0]))

    def __call__(self, text: str) -> str:
        if self._secrets:
            text = self._secrets.sub(MASK, text)
        for pattern, shown in (
            (_PEM, MASK), (_URL, f"{MASK}:{MASK}"), (_HEADER, rf"\g<name>{MASK}"), (_KNOWN, MASK),
            (_PAIR, rf"\g<name>{MASK}"),
        ):  # fmt: skip
            text = pattern.sub(shown, text)
        for place, shown in self._places:
            text = re.sub(rf"(?<![\w.-]){re.escape(place)}(?![\w-])", shown, text)
        return text


def worth_hiding(values: Mapping[str, str], known: Iterable[str] = ()) -> tuple[list[str], list[str]]:
    """Of variables by name: the secrets, and the words, for a `Redactor`. known: names that the reader must see."""
    secrets: list[str] = []
    words: list[str] = []
    plain = _PLAIN.union(known)
    for name, value in values.items():
        if is_telling(name) and len(value) >= _SHORTEST_WORD:
            (secrets if len(value) >= _SHORTEST and value not in plain else words).append(value)
        elif len(value) >= _SHORTEST and value not in plain and not value.isdecimal():
            secrets.append(value)
    return secrets, words


def strings(text: str) -> list[str]:
    """Everything in double quotes that is long enough: of a file that can't be read as what it is."""
    return [found for found in re.findall(r'"((?:[^"\\\n]|\\.)*)"', text) if len(found) >= _SHORTEST]


def _spellings(secret: str) -> Iterator[str]:
    """As it is, in a URL, in JSON, in base64; of several lines each."""
    for text in {secret, *(line for line in secret.splitlines() if len(line) >= 2 * _SHORTEST)}:
        if len(text) >= _SHORTEST_WORD:
            yield text
            yield quote(text, safe="")
            yield json.dumps(text)[1:-1]
            yield json.dumps(text, ensure_ascii=False)[1:-1]
            yield base64.b64encode(text.encode(errors="surrogateescape")).decode().rstrip("=")
