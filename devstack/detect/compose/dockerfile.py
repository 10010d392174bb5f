"""What a Dockerfile says of the image it makes: base, folder, command. Read, never built."""

from __future__ import annotations

import itertools
import json
import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

_LINE = re.compile(r"^\s*([A-Za-z]+)\s+(.*)$", re.DOTALL)
_FROM = re.compile(r"(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE)
_FROM_STAGE = re.compile(r"(?:--\S+\s+)*--from=(\S+)")
_PYTHON = re.compile(r"(?:.*/)?python:(\d+\.\d+)")
_REQUIREMENTS = re.compile(r"(?:-r|--requirement)[=\s]*([^\s;&|]+)")
_INSTALLED = re.compile(r"pip3?\s+(?:install|wheel)\b([^&|;]*)")
_SYNCED = re.compile(r"(?:uv\s+sync|(?:poetry|pdm)\s+install)\b([^&|;]*)")
_GROUPS = re.compile(r"--(?:group|with|only|only-group)[=\s]+([\w,-]+)|--(all-groups)")
_EXTRAS = re.compile(r"(?:--extras?|-E|-G)[=\s]+[\"']?([\w,-]+)|--(all-extras)")
_ITSELF = re.compile(r"(?<=\s)\.(?:\[[\w,-]+\])?(?=\s|$)")

#: the end of what stands below an instruction, by the name it goes by
_HEREDOC = re.compile(r"<<-?[\"']?([A-Za-z_]\w*)[\"']?")
#: a loop over words, and what it calls each
_LOOP = re.compile(r"\bfor\s+(\w+)\s+in\s+([^\n]*?)\s*(?:;|\n)\s*do\b")
_ARGUMENT = re.compile(r"\$(?:\{(\w+)(?::?-([^}]*))?\}|(\w+))")
#: they say how it is used, and make no other image of it
_PLAIN = frozenset({"LABEL", "MAINTAINER", "EXPOSE", "ARG", "HEALTHCHECK", "USER", "STOPSIGNAL", "SHELL", "WORKDIR"})
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
#: of the image and its tools, none of the application's business
_OF_IMAGES = re.compile(
    r"PATH|HOME|USER|SHELL|TERM|DEBIAN_FRONTEND|LANG(UAGE)?|LC_\w+|(PIP|UV|POETRY|PDM|PIPENV|VIRTUAL_ENV|NODE)\w*"
    r"|PYTHON(UNBUFFERED|DONTWRITEBYTECODE|HASHSEED|FAULTHANDLER|OPTIMIZE|HOME|IOENCODING|UTF8)"
)


@dataclass(frozen=True)
class Stage:
    """The stage that is built. base: the image that it begins with. python: version of that image, "" for another.
    command, entrypoint: None where the file says none. requirements: files that its pip installs, as the file names
    them, and `.` for the project itself. env: what the application reads, paths relative to `folder`; args: defaults of
    what a build may be given. copies: of the context, source and where it goes. changes: what makes the image another
    than its base. groups, extras: of the project, that it installs; `*` for all. known: values of all variables and
    arguments, for what comes after them."""

    base: str = ""
    python: str = ""
    folder: str = "/"
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    requirements: tuple[str, ...] = ()
    port: int = 0
    env: Mapping[str, str] = field(default_factory=dict)
    args: Mapping[str, str] = field(default_factory=dict)
    copies: tuple[tuple[str, str], ...] = ()
    changes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    known: Mapping[str, str] = field(default_factory=dict)


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
            python = _PYTHON.match(_filled(found[1], now.args))
            first = Stage(base=_filled(found[1], now.args), python=python[1] if python else "")
            now = base or replace(first, args=now.args, known=now.args)
        elif not name:
            # before the first stage there are arguments alone
            now = _after(now, word, rest) if word == "ARG" else now
            continue
        else:
            now = _after(now, word, rest)
            if word == "COPY" and (found := _FROM_STAGE.match(rest)) and (other := stages.get(found[1].lower())):
                now = _with_installed(now, other)
        stages[name] = now
    return stages.get(target.lower(), now) if target else now


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    joined = iter(re.sub(r"\\\s*\n", " ", "\n".join(lines)).split("\n"))
    for line in joined:
        if found := _LINE.match(line):
            below = [other for name in _HEREDOC.findall(line) for other in _until(joined, name)]
            yield found[1].upper(), "\n".join((found[2], *below)).strip()


def _until(lines: Iterator[str], end: str) -> Iterator[str]:
    return itertools.takewhile(lambda line: line.strip() != end, lines)


def _after(now: Stage, word: str, rest: str) -> Stage:
    change: dict[str, Any] = {}
    if word in ("WORKDIR", "COPY", "ADD", "EXPOSE", "RUN"):
        rest = _VARIABLE.sub(lambda found: now.known.get(found[1] or found[2], found[0]), rest)
    match word:
        case "WORKDIR":
            folder = rest.strip("\"'")
            change["folder"] = folder if folder.startswith("/") else f"{now.folder.rstrip('/')}/{folder}"
        case "CMD":
            change["command"] = _words(rest)
        case "ENTRYPOINT":
            # a new entrypoint takes the base's command away
            change |= {"entrypoint": _words(rest), "command": None}
        case "EXPOSE" if port := re.match(r"\d+", rest):
            change["port"] = now.port or int(port[0])
        case "ARG":
            said = dict(_defaults(rest))
            change |= {"args": {**now.args, **said}, "known": {**now.known, **said}}
        case "ENV":
            said = {name: _expanded(now, text) for name, text in _assignments(rest)}
            change["env"] = {**now.env, **_environment(now, said)}
            change["known"] = {**now.known, **{name: value for name, value in said.items() if "\0" not in value}}
        case "RUN":
            text = _written_out(rest)
            installed = " ".join(_INSTALLED.findall(text))
            named = (*_REQUIREMENTS.findall(installed), *_ITSELF.findall(f" {installed}"))
            change["requirements"] = (*now.requirements, *named)
            if installed or _SYNCED.search(text):
                # options may be put together before they are used
                change["groups"] = (*now.groups, *_named(_GROUPS, text))
                change["extras"] = (*now.extras, *_named(_EXTRAS, text))
        case "COPY" | "ADD":
            change["copies"] = (*now.copies, *_copies(now, rest))
    if word not in _PLAIN:
        change["changes"] = (*now.changes, re.sub(r"\s+", " ", f"{word} {rest}"))
    return replace(now, **change)


def _written_out(text: str) -> str:
    """A command with an option that a loop gives for each of its words written as often."""
    for name, words in _LOOP.findall(text):
        text = _each(name, re.findall(r"[\w-]+", words), text)
    return text


def _each(name: str, values: list[str], text: str) -> str:
    option = rf"(--\S+[=\s])\$(?:\{{{name}\}}|{name}\b)"
    return re.sub(option, lambda found: " ".join(f"{found[1]}{value}" for value in values), text)


def _with_installed(now: Stage, other: Stage) -> Stage:
    """What another stage has installed is copied from it, as packages, wheels or a whole environment."""
    return replace(
        now, requirements=tuple(dict.fromkeys((*now.requirements, *other.requirements))),
        groups=(*now.groups, *other.groups), extras=(*now.extras, *other.extras),
    )


def _named(pattern: re.Pattern[str], text: str) -> Iterator[str]:
    for names, everything in pattern.findall(text):
        yield from ["*"] if everything else names.split(",")


def _copies(now: Stage, rest: str) -> Iterator[tuple[str, str]]:
    """Each source and what it is called in the image; a folder's is that of what is in it."""
    flags = re.match(r"(?:--\S+\s+)*", rest)
    given = rest[flags.end() if flags else 0:]
    words = _words(given) if given.startswith("[") else given.split()
    if re.search(r"--from=", flags[0] if flags else "") or len(words) < 2:
        return
    *sources, target = words
    # which files a pattern stands for isn't known here
    sources = [source for source in sources if not re.search(r"[*?$<]", source)]
    inside = posixpath.join(now.folder, target)
    for source in sources:
        is_into = target.endswith("/") or target in (".", "./") or len(words) > 2
        name = posixpath.basename(source.rstrip("/"))
        if is_into and source.rstrip("/") not in (".", ""):
            yield source, posixpath.normpath(posixpath.join(inside, name))
        yield source, posixpath.normpath(inside)


def _filled(text: str, args: Mapping[str, str]) -> str:
    return _ARGUMENT.sub(lambda found: args.get(found[1] or found[3]) or found[2] or "", text)


def _environment(now: Stage, said: Mapping[str, str]) -> dict[str, str]:
    """What of it holds outside of the image too."""
    found: dict[str, str] = {}
    for name, text in said.items():
        here = re.sub(rf"(?<![\w/]){re.escape(now.folder)}(/|(?=[:,\s]|$))", "./", text)
        value = text if now.folder == "/" else here
        is_elsewhere = "\0" in value or re.search(r"(?<![\w.:/])/", value)
        if not (is_elsewhere or _OF_IMAGES.fullmatch(name)):
            found[name] = value
    return found


def _defaults(rest: str) -> Iterator[tuple[str, str]]:
    """`A=1 B C=2`: those that say one."""
    return _assignments(" ".join(word for word in re.findall(r"(?:[^\s\"']|\"[^\"]*\"|'[^']*')+", rest) if "=" in word))


def _expanded(now: Stage, text: str) -> str:
    """A value with the ones before it filled in; a NUL for each that isn't known."""
    return _VARIABLE.sub(lambda found: now.known.get(found[1] or found[2], "\0"), text)


def _assignments(rest: str) -> Iterator[tuple[str, str]]:
    """`A=1 B="2 3"`, or the older `A 1`."""
    if not re.match(r"[A-Za-z_][A-Za-z0-9_]*=", rest):
        name, _, value = rest.partition(" ")
        yield name, value.strip()
        return
    try:
        words = shlex.split(rest)
    except ValueError:
        return
    for word in words:
        name, is_set, value = word.partition("=")
        if is_set:
            yield name, value


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
