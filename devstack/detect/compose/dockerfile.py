"""What a Dockerfile says of the image it makes: base, folder, command. Read, never built."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

_LINE = re.compile(r"^\s*([A-Za-z]+)\s+(.*)$", re.DOTALL)
_FROM = re.compile(r"(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE)
_PYTHON = re.compile(r"(?:.*/)?python:(\d+\.\d+)")
_REQUIREMENTS = re.compile(r"pip3?\s+install\b[^&|;]*?(?:-r|--requirement)[=\s]+(\S+)")


@dataclass(frozen=True)
class Stage:
    """The stage that is built. python: version of its base image, "" for another. command, entrypoint: None where the
    file says none. requirements: files that its pip installs, as the file names them."""

    python: str = ""
    folder: str = "/"
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    requirements: tuple[str, ...] = ()
    port: int = 0
    env: Mapping[str, str] = field(default_factory=dict)


def stage(text: str, target: str = "") -> Stage:
    """target: the stage wanted; the last one where it is left out or unknown."""
    stages: dict[str, Stage] = {}
    now, name = Stage(), ""
    for word, rest in _instructions(text):
        if word == "FROM" and (found := _FROM.match(rest)):
            if name and name == target:
                break
            name = (found[2] or str(len(stages))).lower()
            base = stages.get(found[1].lower())
            python = _PYTHON.match(found[1])
            now = base or Stage(python=python[1] if python else "")
        else:
            now = _after(now, word, rest)
        stages[name] = now
    return stages.get(target.lower(), now)


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\s*\n", " ", "\n".join(lines))
    for line in joined.split("\n"):
        if found := _LINE.match(line):
            yield found[1].upper(), found[2].strip()


def _after(now: Stage, word: str, rest: str) -> Stage:
    if word == "WORKDIR":
        folder = rest.strip("\"'")
        return replace(now, folder=folder if folder.startswith("/") else f"{now.folder.rstrip('/')}/{folder}")
    if word == "CMD":
        return replace(now, command=_words(rest))
    if word == "ENTRYPOINT":
        # a new entrypoint takes the base's command away
        return replace(now, entrypoint=_words(rest), command=None)
    if word == "EXPOSE" and (port := re.match(r"\d+", rest)):
        return replace(now, port=now.port or int(port[0]))
    if word == "RUN":
        return replace(now, requirements=(*now.requirements, *_REQUIREMENTS.findall(rest)))
    return now


def _words(rest: str) -> tuple[str, ...]:
    """The form with brackets is words, the other a text for a shell."""
    if rest.startswith("["):
        try:
            return tuple(map(str, json.loads(rest)))
        except ValueError:
            return ()
    try:
        plain = tuple(shlex.split(rest))
    except ValueError:
        return ("/bin/sh", "-c", rest)
    return ("/bin/sh", "-c", rest) if re.search(r"[&|;<>$`*]", rest) else plain
