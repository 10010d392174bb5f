"""What a container's command is as a process of this machine: Python's or not, its role, where it listens."""

from __future__ import annotations

import posixpath
import re
import shlex
from dataclasses import dataclass

#: programs that a Python project installs into its environment
_PROGRAMS = frozenset({
    "python", "python3", "django-admin", "gunicorn", "uvicorn", "daphne", "hypercorn", "granian", "waitress-serve",
    "flask", "fastapi", "celery", "rq", "rqworker", "rqscheduler", "dramatiq", "huey_consumer", "huey_consumer.py",
    "arq", "taskiq", "flower", "alembic", "aerich", "uwsgi", "supervisor", "sanic", "litestar", "streamlit", "jupyter",
})  # fmt: skip
#: before a command, they change nothing that devstack doesn't do itself
_WRAPPERS = re.compile(
    r"^(exec|time|poetry run|pipenv run|uv run( --?[\w-]+(=\S+)?)*|pdm run|tini( -\w)* --|dumb-init( --)?"
    r"|(\./|/)?(\S*/)?(wait-for-it|wait-for|wait_for_it)(\.sh)?( \S+:\d+)?( --?(timeout|strict|quiet|t|s|q)([= ]\d+)?)*"
    r" --"
    r"|dockerize( -wait \S+| -timeout \S+)* )\s*"
)
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
#: for more than words and `&&` a shell is needed
_SHELL = re.compile(r"[|;<>`*?~\n]|\$[({A-Za-z_]|&(?!&)(?<!&&)|\|\|")
#: parts of a script that wait, or say something
_IDLE = re.compile(r"(set|sleep|echo|wait)\b|cd \.$|(\./|/)?(\S*/)?wait[-_]for\S*")
_ADDRESS = re.compile(r"(?<![\w.])(?:0\.0\.0\.0|\[::\]|127\.0\.0\.1|localhost|\*)?:(?P<port>\d{2,5})(?![\d/.:])")
_HOST = re.compile(
    r"(--host|-h|--ip|--server\.address|-b|--bind)([= ])(0\.0\.0\.0|::|\[::\]|127\.0\.0\.1|localhost)(?![\w:.])"
)
_PORT = re.compile(r"(--port|-p|--server\.port)([= ]?)(\d{2,5})\b")


@dataclass(frozen=True)
class Parsed:
    """One container's command. before: commands that run to their end first. main: the one that stays. is_shell: main
    needs a shell. port: that it is told to listen on, 0 for none. folder: that it changes to, "" for none."""

    before: tuple[str, ...]
    main: str
    is_shell: bool = False
    port: int = 0
    folder: str = ""

    @property
    def is_python(self) -> bool:
        """Would a Python environment of the project bring all of it?"""
        return is_python(self.main) and all(map(is_python, self.before))


def parse(words: tuple[str, ...]) -> Parsed:
    """words: as the engine would execute them."""
    text = _script(words)
    if text is None:
        main = _unwrapped(shlex.join(words))
        return Parsed((), main, port=_listens(main))
    lines = [line.strip() for line in re.split(r"&&|;|\n", text) if line.strip() and not line.lstrip().startswith("#")]
    parts = [part for part in map(_unwrapped, lines) if not _IDLE.match(part)]
    folder = next((part[3:].strip() for part in parts[:1] if part.startswith("cd ")), "")
    parts = parts[1:] if folder else parts
    if not parts or any(_SHELL.search(part) for part in parts):
        return Parsed((), text.strip(), is_shell=True, port=_listens(text))
    *before, main = parts
    return Parsed(tuple(before), main, port=_listens(main), folder=folder)


def _script(words: tuple[str, ...]) -> str | None:
    """The text that a shell is given; None where there is no shell."""
    if len(words) < 3 or posixpath.basename(words[0]) not in ("sh", "bash", "dash", "ash"):
        return None
    flags = re.fullmatch(r"-[a-z]*c", words[1])
    return " ".join(words[2:3]) if flags else None


def _unwrapped(command: str) -> str:
    while found := _WRAPPERS.match(command):
        command = command[found.end():]
    return command


def is_python(command: str) -> bool:
    """Is it one that a Python environment of this project brings?"""
    try:
        first = shlex.split(command)[:1]
    except ValueError:
        return False
    name = posixpath.basename(first[0]) if first else ""
    is_script = first in (["./manage.py"], ["manage.py"])
    return is_script or name in _PROGRAMS or re.fullmatch(r"python3?(\.\d+)?", name) is not None


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
    words = command.split(" ", 1)
    program = re.sub(r"^python3?(\.\d+)?$", "python", posixpath.basename(words[0]))
    if words[0] in ("./manage.py", "manage.py"):
        command = " ".join(["python manage.py", *words[1:]])
    elif is_python(words[0]):
        command = " ".join([program, *words[1:]])
    if name and role == "worker" and program == "celery" and not re.search(r"\s(-n|--hostname)\b", command):
        # workers of one machine need names; containers had one each
        command += f" --hostname {name}${{replica}}@%h"
    return _bound(command) if role == "web" else command


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
    made = _ADDRESS.sub("127.0.0.1:${port}", command)
    made = re.sub(r"(runserver(?:_plus)?)\s+\d{2,5}(?![\d.:])", r"\1 127.0.0.1:${port}", made)
    made = _HOST.sub(r"\1\g<2>127.0.0.1", made)
    made = _PORT.sub(lambda found: f"{found[1]}{found[2]}${{port}}", made)
    if "${port}" in made:
        return made
    for pattern, more in (
        (r"\brunserver(_plus)?\b", "127.0.0.1:${port}"), (r"\bgunicorn\b", "--bind 127.0.0.1:${port}"),
        (r"\b(uvicorn|flask|fastapi|granian|sanic|litestar)\b", "--port ${port}"), (r"\bdaphne\b", "-p ${port}"),
        (r"\bhypercorn\b", "--bind 127.0.0.1:${port}"),
    ):  # fmt: skip
        if re.search(pattern, made):
            return f"{made} {more}"
    return made
