"""What supervisord runs, as text: one environment script per program, the Procfile and supervisord.conf.

The chain is programs → Procfile.template → Procfile → honcho's parser → honcho's exporter → supervisord.conf, and all
of it runs by hand without devstack. Values only: nothing here reads or writes a file, or looks at the machine. Why
environments are scripts: docs/decisions/0004-env-scripts.md.
"""

from __future__ import annotations

import configparser
import contextlib
import functools
import hashlib
import json
import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast, get_args

from devstack.errors import UsageError
from devstack.layout import Layout
from devstack.profile.model import Restart, SignalName
from devstack.profile.secret import Secret

if TYPE_CHECKING:
    import jinja2

#: what a shell won't let itself be told by `export`; env(1) passes them
SHELL_OWN = frozenset(
    {"BASHOPTS", "EUID", "GROUPS", "LINENO", "OPTIND", "PPID", "RANDOM", "SECONDS", "SHELLOPTS", "UID"}
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_STACK = re.compile(r"[A-Za-z0-9._-]+")
_PROGRAM = re.compile(r"[A-Za-z0-9_-]+")
#: longest address of a Unix socket that every system takes, less the `.PID` that supervisord adds while it binds
_LONGEST_SOCKET = 92


@dataclass(frozen=True)
class Program:
    """One process under supervisord. env: everything added to supervisord's own scrubbed environment. cwd: absolute.

    stop_grace: seconds. restart: when it has ended by itself. user: run as this account (needs root and `setpriv`).
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str | Secret]
    cwd: str
    stop_signal: SignalName = "TERM"
    stop_grace: float = 10.0
    user: str | None = None
    restart: Restart = "always"

    @functools.cached_property
    def digest(self) -> str:
        """Changes whenever a running process would have to be replaced."""
        facts = [
            self.name, self.argv, sorted((name, reveal(value)) for name, value in self.env.items()), self.cwd,
            self.stop_signal, self.stop_grace, self.user, self.restart,
        ]
        return digest(json.dumps(facts))

    @property
    def shown_argv(self) -> tuple[str, ...]:
        """The words for the Procfile: none where a word can't stand on one line of text; its script knows them too."""
        return self.argv if all(is_one_line(word) for word in self.argv) else ()


@dataclass(frozen=True)
class RenderedFile:
    """A file to write. text: may hold surrogates that stand for bytes which aren't UTF-8; `content` has the bytes."""

    path: str
    text: str = field(repr=False)
    mode: int = 0o600

    @property
    def content(self) -> bytes:
        return self.text.encode(errors="surrogateescape")

    @functools.cached_property
    def digest(self) -> str:
        return digest(self.text)


def digest(text: str) -> str:
    """The first 16 hex digits of a text's SHA-256."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]


def stops_of(config: str) -> dict[str, tuple[SignalName, float]]:
    """Stop signal and grace (seconds) of each program of a supervisord.conf; {} for a text that is none."""
    parser = configparser.RawConfigParser(strict=False, comment_prefixes=(";",), inline_comment_prefixes=None)
    with contextlib.suppress(configparser.Error):
        parser.read_string(config)
    found: dict[str, tuple[SignalName, float]] = {}
    for section in parser.sections():
        sign = parser.get(section, "stopsignal", fallback="TERM")
        grace = parser.get(section, "stopwaitsecs", fallback="10")
        if section.startswith("program:") and sign in get_args(SignalName) and grace.isdigit():
            found[section.removeprefix("program:")] = (cast("SignalName", sign), float(grace))
    return found


def reveal(value: str | Secret) -> str:
    return value.reveal() if isinstance(value, Secret) else value


def is_one_line(text: str) -> bool:
    """Does the text survive a file that is read line by line as UTF-8?"""
    return len(f"{text}.".splitlines()) == 1 and not re.search(r"[\0\ud800-\udfff]", text)


def key(programs: tuple[Program, ...], layout: Layout, template: str) -> str:
    """Digest of what `render` would make, without the cost of making it; supervisord.conf starts with it."""
    return digest(json.dumps([1, [program.digest for program in programs], vars(layout), template]))


def render(programs: tuple[Program, ...], layout: Layout, template: str) -> tuple[RenderedFile, ...]:
    """All files for these programs. template: text of Procfile.template. Raises UsageError for what can't be said."""
    _check_layout(layout)
    for program in programs:
        _check_program(program)
    procfile = _procfile(programs, layout, template)
    scripts = (RenderedFile(layout.script(program.name), _script(program, layout), 0o700) for program in programs)
    config = _config(programs, layout, procfile, key(programs, layout, template))
    return (*scripts, RenderedFile(layout.procfile, procfile), RenderedFile(layout.config, config))


# --- checks ----------------------------------------------------------------------------------------------------------


def _check_layout(layout: Layout) -> None:
    if not _STACK.fullmatch(layout.stack):
        raise UsageError(
            "stack-unusable", f"{layout.stack!r} can't be a stack's id",
            why="it may have letters, digits, `.`, `_` and `-`", fix="devstack status",
        )
    for path in (layout.root, layout.folder, layout.sockets):
        if not is_one_line(path) or not path.startswith("/"):
            raise UsageError(
                "path-unusable", f"the folder {path!r} can't be written into supervisord's configuration",
                why="it is relative, has a line break, or isn't UTF-8",
                fix=f'mv -- {shlex.quote(path)} "$HOME"/{re.sub("[^A-Za-z0-9._-]+", "-", path.rpartition("/")[2])}',
            )
    if len(layout.socket.encode()) > _LONGEST_SOCKET or re.search(r"\s[;#]|^\s|\s$", layout.sockets):
        raise UsageError(
            "socket-path-unusable", f"no Unix socket can be made at {layout.socket}",
            why=f"over {_LONGEST_SOCKET} bytes, or a name that supervisord can't read",
            fix="export XDG_RUNTIME_DIR=/tmp/devstack-$(id -u)",
        )


def _check_program(program: Program) -> None:
    def refuse(why: str) -> UsageError:
        return UsageError(
            "program-unusable", f"the program {program.name!r} can't be run", why=why, fix="devstack plan"
        )

    if not _PROGRAM.fullmatch(program.name):
        raise refuse("its name may have letters, digits, `_` and `-`")
    if not program.argv or not program.argv[0]:
        raise refuse("its command is empty")
    if not program.cwd.startswith("/"):
        raise refuse(f"its folder {program.cwd!r} isn't absolute")
    texts = [("its command", word) for word in program.argv] + [("its folder", program.cwd)]
    for name, value in program.env.items():
        if not _NAME.fullmatch(name):
            raise refuse(f"{name!r} isn't a variable's name")
        if name in SHELL_OWN and isinstance(value, Secret):
            raise refuse(f"{name} is the shell's own variable and can't hold a secret")
        texts.append((name, reveal(value)))
    for what, text in texts:
        if "\0" in text:
            raise refuse(f"{what} holds a NUL character")


# --- Procfile and supervisord.conf -----------------------------------------------------------------------------------


def _environment(templates: Mapping[str, str]) -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(  # noqa: S701 - this is no HTML
        loader=jinja2.DictLoader(templates), undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    environment.filters["quote"] = shlex.quote
    environment.filters["ini"] = _ini_command
    return environment


def _procfile(programs: tuple[Program, ...], layout: Layout, template: str) -> str:
    import jinja2

    try:
        return _environment({"Procfile": template}).get_template("Procfile").render(programs=programs, layout=layout)
    except jinja2.TemplateError as error:
        raise _bad_template(str(error)) from None


def _bad_template(why: str) -> UsageError:
    return UsageError("template-invalid", "Procfile.template can't be used", why=why, fix="git diff Procfile.template")


def _config(programs: tuple[Program, ...], layout: Layout, procfile: str, key: str) -> str:
    from honcho.environ import expand_processes, parse_procfile
    from honcho.export.supervisord import Export

    try:
        processes = expand_processes(parse_procfile(procfile).processes)
    except AssertionError as error:
        raise _bad_template(str(error)) from None
    # honcho numbers each line's processes: `web` is `web.1`
    names = [process.name.rpartition(".")[0] for process in processes]
    if names != [program.name for program in programs]:
        raise _bad_template(f"its lines are {names}, the programs {[program.name for program in programs]}")
    context: dict[str, Any] = {
        "app": "supervisord", "layout": layout, "key": key, "socket": layout.socket.replace("%", "%%"),
        "programs": [
            _Settings(program, process.cmd) for program, process in zip(programs, processes, strict=True)
        ],
    }
    (file,) = Export(template_env=_environment({"supervisord.conf": _CONFIG})).render(processes, context)
    return str(file.content)


@dataclass(frozen=True)
class _Settings:
    """A program as supervisord's configuration says it. command: its line of the Procfile."""

    program: Program
    command: str

    @property
    def stop_seconds(self) -> int:
        return max(1, math.ceil(self.program.stop_grace))

    @property
    def autorestart(self) -> str:
        return {"always": "true", "on-failure": "unexpected", "never": "false"}[self.program.restart]

    @property
    def start_seconds(self) -> int:
        """supervisord tries a program again that ended before, whatever autorestart says."""
        return 0 if self.program.restart == "never" else 1


def _ini_command(command: str) -> str:
    """A shell's command line as supervisord reads it: `%` expands, and a `;` or `#` after a space starts a comment."""
    words = " ".join(shlex.quote(word) for word in shlex.split(command))
    # only inside quotes can such a pair be left: the quotes are closed around an escaped character
    return re.sub(r"(\s)([;#])", r"\1'\\\2'", words).replace("%", "%%")


# `%(here)s` is the folder of the configuration. supervisord expands a log file's path twice, hence `%%(here)s` there;
# written so, any path works, where a literal one with ` #` would be cut off.
_CONFIG = """\
; devstack {{ key }}
; Made by devstack from the Procfile; changes here are overwritten. By hand: supervisord -c supervisord.conf
[unix_http_server]
file={{ socket }}
chmod=0700

[supervisord]
nodaemon=true
identifier=devstack-{{ layout.stack }}
logfile=%(here)s/logs/supervisord.log
logfile_maxbytes=5MB
logfile_backups=1
pidfile=%(here)s/supervisord.pid
childlogdir=%(here)s/logs
nocleanup=true
strip_ansi=false
minfds=1024
minprocs=16

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://{{ socket }}
{% for item in programs %}
[program:{{ item.program.name }}]
command={{ item.command | ini }}
environment=DEVSTACK_STACK="{{ layout.stack }}",DEVSTACK_PROGRAM="{{ item.program.name }}",\
DEVSTACK_DIGEST="{{ item.program.digest }}"
autostart=false
autorestart={{ item.autorestart }}
startsecs={{ item.start_seconds }}
startretries=3
stopsignal={{ item.program.stop_signal }}
stopwaitsecs={{ item.stop_seconds }}
stopasgroup=false
killasgroup=true
umask=022
redirect_stderr=true
stdout_logfile=%%(here)s/logs/{{ item.program.name }}.log
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=2
{% endfor %}"""


# --- environment scripts ---------------------------------------------------------------------------------------------


def _script(program: Program, layout: Layout) -> str:
    exports = [
        f"export {name}={shlex.quote(reveal(value))}"
        for name, value in sorted(program.env.items()) if name not in SHELL_OWN
    ]
    own = [
        shlex.quote(f"{name}={reveal(value)}") for name, value in sorted(program.env.items()) if name in SHELL_OWN
    ]
    run = f'exec env {" ".join(own)} "$@"' if own else 'exec "$@"'
    return _SCRIPT.format(
        name=program.name, digest=program.digest, record=shlex.quote(layout.record(program.name)),
        cwd=shlex.quote(program.cwd), exports="\n".join(exports), run=run,
        argv=" ".join(map(shlex.quote, program.argv)), user=_user(program.user) if program.user else "",
    )


def _user(user: str) -> str:
    """Lines that become another account. Not supervisord's `user`: that account couldn't read this script."""
    name = shlex.quote(user)
    return (
        f'if [ "$(id -u)" != "$(id -u {name})" ]; then\n'
        f'    set -- setpriv --reuid={name} --regid="$(id -g {name})" --init-groups -- "$@"\nfi\n'
    )


# Builtins only: no process is forked. The record is one write of a fixed width over the last one, without truncating,
# so that nobody ever reads half of it: pid, start time, run, digest, starts before this one in the same run.
_SCRIPT = """\
#!/bin/sh
# Made by devstack: gives the program {name} its environment and becomes it. By hand: this script [COMMAND...]
if [ "${{DEVSTACK_PROGRAM-}}" = {name} ]; then
    _devstack_file={record} _devstack_run= _devstack_count=-1 _devstack_digest={digest}
    [ "${{DEVSTACK_DIGEST-}}" = {digest} ] || _devstack_digest=mixed
    [ -r "$_devstack_file" ] && read -r _devstack_x _devstack_x _devstack_run _devstack_x _devstack_count \\
        <"$_devstack_file"
    [ "$_devstack_run" = "${{DEVSTACK_RUN:--}}" ] || _devstack_count=-1
    case "$_devstack_count" in -1) ;; "" | 0?* | *[!0-9]*) _devstack_count=-1 ;; esac
    _devstack_record() {{
        printf '%-127s\\n' "$$ ${{22:--}} ${{DEVSTACK_RUN:--}} $_devstack_digest $((_devstack_count + 1))"
    }}
    _devstack_stat=
    [ -r /proc/$$/stat ] && read -r _devstack_stat </proc/$$/stat
    _devstack_record $_devstack_stat 1<>"$_devstack_file"
fi
printf '[devstack] {name} pid %s\\n' "$$"
unset SUPERVISOR_ENABLED SUPERVISOR_SERVER_URL SUPERVISOR_PROCESS_NAME SUPERVISOR_GROUP_NAME
cd {cwd} || exit 125
unset OLDPWD
[ $# -gt 0 ] || set -- {argv}
{user}{exports}
{run}
"""
