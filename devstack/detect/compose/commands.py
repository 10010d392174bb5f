"""What a container's command is as a process of this machine: Python's or not, its role, where it listens."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from devstack.detect.compose.scripts import Find, follow, unwrapped

#: programs that a Python project installs into its environment
_PROGRAMS = frozenset({
    "python", "python3", "django-admin", "gunicorn", "uvicorn", "daphne", "hypercorn", "granian", "waitress-serve",
    "flask", "fastapi", "celery", "rq", "rqworker", "rqscheduler", "dramatiq", "huey_consumer", "huey_consumer.py",
    "arq", "taskiq", "flower", "alembic", "aerich", "uwsgi", "supervisor", "sanic", "litestar", "streamlit", "jupyter",
    "watchfiles", "watchmedo", "nameko", "faust",
})  # fmt: skip
_WEB = re.compile(
    r"\b(runserver(_plus)?|gunicorn|uvicorn|daphne|hypercorn|granian|waitress-serve|flask( -\S+)*( \S+)? run"
    r"|fastapi (dev|run)|uwsgi|sanic|litestar|streamlit run|flower)\b"
)
_BEAT = re.compile(r"\bcelery\b.*\bbeat\b|\brqscheduler\b")
_WORKER = re.compile(
    r"\bcelery\b.*\bworker\b|\brq(worker)?\b|\bdramatiq\b|\bhuey_consumer|run_huey|\barq\b|\btaskiq\b|\bqcluster\b"
)
#: what runs to its end
_TASK = re.compile(
    r"manage\.py\s+(migrate|collectstatic|loaddata|compilemessages|createcachetable|createsuperuser|setup\w*|init\w*)\b"
    r"|\balembic\b.*\bupgrade\b|\bflask\b.*\bdb upgrade\b|\baerich upgrade\b"
)
#: it waits for an editor on a port of its own; `-m` of what it runs stays
_DEBUGGED = re.compile(r"(?<=\s)-m\s+debugpy(\s+(--listen\s+\S+|--wait-for-client|--log-to\s+\S+))+\s+")
#: for more than words a shell is needed
_SHELL = re.compile(r"[|;<>`*?~\n&]|^\(|^\w+=")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
#: what a command of a shell sets for it, or for itself alone
_ASSIGNED = re.compile(r"(?:(?:export )?\w+=[^\n]*\n|\w+=(?:[^\s'\"]|'[^']*'|\"[^\"]*\")*[ ])+")
#: tools of every machine, with nothing but paths of the project
_OF_FILES = re.compile(r"(mkdir|cp|touch|ln)(\s+-\w+)*(\s+[\w.][\w./-]*)+$")
#: what only hands a text to the program behind it
_TOLD = re.compile(r"(echo|printf)\s[^|;&\n]*\|[^|;&\n]+$|cat\s*<<-?\s*[\"']?\w+[\"']?\s*\|[^|;&\n]+\n")
#: scripts that execute scripts
_DEPTH = 5
_ADDRESS = re.compile(r"(?<![\w.])(?:0\.0\.0\.0|\[::\]|127\.0\.0\.1|localhost|\*)?:(?P<port>\d{2,5})(?![\d/.:])")
_HOST = re.compile(
    r"(--host|-h|--ip|--server\.address|-b|--bind)([= ])(0\.0\.0\.0|::|\[::\]|127\.0\.0\.1|localhost)(?![\w:.])"
)
#: nobody but a proxy in another container asks there
_SOCKET = re.compile(r"\s(--bind|-b)[= ]unix:\S+")
_PORT = re.compile(r"(--port|-p|--server\.port)([= ]?)(\d{2,5})\b")


@dataclass(frozen=True)
class Parsed:
    """One container's command. before: commands that run to their end first. main: the one that stays. is_shell: main
    needs a shell. port: that it is told to listen on, 0 for none. folder: that it changes to, "" for none. env: that it
    sets. skipped: what of a script is left out, and why. is_script: a script of the project says all that."""

    before: tuple[str, ...]
    main: str
    is_shell: bool = False
    port: int = 0
    folder: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    skipped: tuple[tuple[str, str], ...] = ()
    is_script: bool = False

    @property
    def is_python(self) -> bool:
        """Would a Python environment of the project bring all of it?"""
        return is_python(self.main) and all(is_python(one) or _OF_FILES.match(one) for one in self.before)


def parse(words: tuple[str, ...], environ: Mapping[str, str] | None = None, find: Find = lambda _: None) -> Parsed:
    """words: as the engine would execute them. environ: the container's variables. find: a script of the project."""
    return _parsed(words, environ or {}, find, 0)


def _parsed(words: tuple[str, ...], environ: Mapping[str, str], find: Find, depth: int) -> Parsed:
    command = _DEBUGGED.sub("", unwrapped(shlex.join(words)))
    words = tuple(shlex.split(command)) if command else ()
    text, arguments, is_script = _script(words, find)
    simple = Parsed((), command, port=_listens(command))
    if text is None or depth > _DEPTH:
        return simple
    found = follow(text, arguments, environ, find)
    if found is None or not (found.commands or found.rest):
        return simple if is_script else Parsed((), text.strip(), is_shell=True, port=_listens(text))
    env = {**environ, **found.env}
    parts = [_nested(command, env, find, depth) for command in found.commands]
    if found.rest:
        parts.append(_parsed(found.rest, env, find, depth + 1))
    *first, last = parts
    return Parsed(
        tuple(command for part in first for command in (*part.before, part.main)) + last.before,
        last.main, last.is_shell or needs_shell(last.main), last.port or _listens(last.main),
        last.folder or found.folder, {**found.env, **last.env},
        (*found.skipped, *(told for part in parts for told in part.skipped)),
        is_script or any(part.is_script for part in parts),
    )


def _nested(command: str, environ: Mapping[str, str], find: Find, depth: int) -> Parsed:
    """One command of a script, which may be another one."""
    command = unwrapped(command)
    if not needs_shell(command):
        try:
            made = _parsed(tuple(shlex.split(command)), environ, find, depth + 1)
        except ValueError:
            made = Parsed((), command)
        if made.is_script and made.main:
            return made
    return Parsed((), command)


def needs_shell(command: str) -> bool:
    return _SHELL.search(_QUOTED.sub("''", command)) is not None or "$" in command


def script_of(words: tuple[str, ...]) -> str | None:
    """The text that a shell is given with its words, None where there is none."""
    text, _, is_file = _script(words, lambda _: None)
    return None if is_file else text


def _script(words: tuple[str, ...], find: Find) -> tuple[str | None, tuple[str, ...], bool]:
    """The text that a shell is given, its arguments, and whether it is a file of the project; None where there is no
    shell."""
    if not words:
        return None, (), False
    if posixpath.basename(words[0]) not in ("sh", "bash", "dash", "ash"):
        return find(words[0]), words[1:], True
    flags = [number for number, word in enumerate(words[1:], 1) if re.fullmatch(r"-[a-z]*c", word)][:1]
    if flags and len(words) > flags[0] + 1:
        # the word behind the text is what the shell calls itself
        return words[flags[0] + 1], words[flags[0] + 3:], False
    files = [number for number, word in enumerate(words[1:], 1) if not word.startswith("-")][:1]
    return (find(words[files[0]]), words[files[0] + 1:], True) if files and not flags else (None, (), False)


def is_python(command: str) -> bool:
    """Is it one that a Python environment of this project brings?"""
    given = _divided(command)[1]
    if _TOLD.match(given) and (program := given.partition("\n")[0].rpartition("|")[2].strip()):
        given = program
    try:
        first = shlex.split(given.partition("\n")[0])[:1]
    except ValueError:
        return False
    name = posixpath.basename(first[0]) if first else ""
    is_script = first in (["./manage.py"], ["manage.py"])
    return is_script or name in _PROGRAMS or re.fullmatch(r"python3?(\.\d+)?", name) is not None


def _divided(command: str) -> tuple[str, str]:
    """The assignments before a command, and the command."""
    found = _ASSIGNED.match(command)
    return command[: found.end() if found else 0], command[found.end() if found else 0:]


def is_task(command: str) -> bool:
    return _TASK.search(command) is not None


def task_name(command: str) -> str:
    """`migrate` for `python manage.py migrate --noinput`."""
    found = re.search(r"manage\.py\s+([\w-]+)", command)
    if found:
        return found[1]
    return "migrate" if re.search(r"\b(alembic|upgrade)\b", command) else "prepare"


def role(command: str, *, has_port: bool) -> str:
    """`web`, `worker`, `beat` or `daemon`."""
    if _BEAT.search(command) and not _WORKER.search(command):
        return "beat"
    if _WORKER.search(command):
        return "worker"
    return "web" if has_port or _WEB.search(command) else "daemon"


def native(command: str, role: str, name: str = "") -> str:
    """The command as it runs here: this environment's program, 127.0.0.1 alone, the leased port. name: of a process."""
    given, command = _divided(command)
    words = command.split(" ", 1)
    program = re.sub(r"^python3?(\.\d+)?$", "python", posixpath.basename(words[0]))
    if words[0] in ("./manage.py", "manage.py"):
        command = " ".join(["python manage.py", *words[1:]])
    elif is_python(words[0]):
        command = " ".join([program, *words[1:]])
    if program == "celery":
        # it runs as the person already
        command = re.sub(r"\s--[ug]id[= ]\S+", "", command)
    if name and role == "worker" and program == "celery" and not re.search(r"\s(-n|--hostname)\b", command):
        # workers of one machine need names; containers had one each
        command += f" --hostname {name}${{replica}}@%h"
    return given + (_bound(command) if role == "web" else command)


def _listens(command: str) -> int:
    """The port that a web server's command names."""
    if not _WEB.search(command):
        return 0
    found = _ADDRESS.search(command) or re.search(r"runserver\S*\s+(?P<port>\d{2,5})\b", command)
    if found:
        return int(found["port"])
    named = _PORT.search(command)
    return int(named[3]) if named else 0


def _bound(command: str) -> str:
    made = _ADDRESS.sub("127.0.0.1:${port}", _SOCKET.sub("", command))
    made = re.sub(r"(runserver(?:_plus)?)\s+\d{2,5}(?![\d.:])", r"\1 127.0.0.1:${port}", made)
    made = _HOST.sub(r"\1\g<2>127.0.0.1", made)
    made = _PORT.sub(lambda found: f"{found[1]}{found[2]}${{port}}", made)
    if "${port}" in made:
        return made
    for pattern, more in (
        # Flask's, where Django's has no such option
        (r"\brunserver\b.*\s(-h|--host)\b", "--port ${port}"),
        (r"\brunserver(_plus)?\b", "127.0.0.1:${port}"), (r"\bgunicorn\b", "--bind 127.0.0.1:${port}"),
        (r"\b(uvicorn|flask|fastapi|granian|sanic|litestar)\b", "--port ${port}"), (r"\bdaphne\b", "-p ${port}"),
        (r"\bhypercorn\b", "--bind 127.0.0.1:${port}"),
    ):  # fmt: skip
        if re.search(pattern, made):
            return f"{made} {more}"
    return made
