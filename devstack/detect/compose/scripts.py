"""What a shell script of the project does in a container, as far as it can be told without running it: the commands one
after the other, the last of which stays. What devstack does itself (waiting for servers) isn't among them.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from devstack.detect.compose import shell
from devstack.detect.compose.interpolation import plain
from devstack.detect.compose.shell_values import Values, words

#: text of a shell script by its path in the container, None for what is none of the project's
Find = Callable[[str], str | None]

#: before a command, they change nothing that devstack doesn't do itself
_WRAPPERS = re.compile(
    r"^(exec|eval|time|poetry run|pipenv run|uv run( --?[\w-]+(=\S+)?)*|pdm run|hatch run|(\S*/)?tini( -\w)* --"
    r"|(\S*/)?dumb-init( --)?|(\S*/)?(gosu|su-exec) \S+|(\S*/)?env --?(?=\s)|nice( -n \d+)?|ionice( -c\d)?"
    r"|(\./|/)?(\S*/)?(wait-for-it|wait-for|wait_for_it)(\.sh)?( [^\s-]\S*)*"
    r"( --?(timeout|strict|quiet|[tsq])([= ]\d+)?)* --"
    r"|dockerize( -wait \S+| -timeout \S+)* )\s*"
)
_ASSIGNED = re.compile(
    r"(?:(?:export|readonly|local|declare|typeset)(?:\s+-\w+)*\s+)?([A-Za-z_]\w*)(\+?)=(.*)", re.DOTALL
)
#: commands that prepare nothing which outlives them, or that wait for what devstack has up by then
_IDLE = re.compile(
    r"(?:>&2\s+)?(?:set|sleep|echo|printf|wait|trap|umask|ulimit|chmod|chown|id|date|pwd|ls|env|printenv|true|:|whoami|"
    r"export|unset|readonly|local|declare|shopt|hostname|cat|nc|ncat|netcat|pg_isready|which|command|type|stty|clear|break|"
    r"continue|return)(?:\s|$)|rm\s.*(?:\.pid|celerybeat-schedule\S*)['\"]?$|\(\(|(?:\./|/)?(?:\S*/)?wait[-_]for\S*"
    r"|(?:\S*python3?\s+)?(?:\./)?manage\.py\s+(?:wait_\w+|check)\b|(?:source|\.)\s+\S*activate$"
    r"|celery\s+(?:\S+\s+)*(?:status|inspect)\b|dockerize(?:\s+-(?:wait|timeout)\s+\S+)+$|mkdir\s+(?:-p\s+)?/\S+$"
)
#: what the environment of the project has anyway
_INSTALLS = re.compile(
    r"(?:(?:\S*python3?\s+-m\s+)?pip3?|uv(?:\s+pip)?|poetry|pipenv|pdm)\s+(?:un)?(?:install|sync)\b"
    r"|(?:\S*python3?\s+)?setup\.py\s+(?:develop|install)\b"
)
_EMPTIES = re.compile(r"manage\.py\s+(?:flush|reset_db|sqlflush)\b|\b(?:drop_all|downgrade\s+base|dropdb)\b")
_TEST = re.compile(r"(?:!\s*)?(?:\[\[?\s|test\s)")
#: in the background, they are processes of their own that the container must not lose
_STAYS = re.compile(r"\b(celery|rq|dramatiq|huey\w*|gunicorn|uvicorn|daphne|runserver|uwsgi|\w*worker|beat|nginx)\b")
_ALONE = "it goes on in the background"
_UNDECIDED = "whether it is done depends on what can't be told here"


@dataclass(frozen=True)
class Followed:
    """commands: for a shell where they need one. env: variables that it sets for them. skipped: what is left out, and
    why. folder: that it changes to, "" for none. rest: what of its arguments it executes at its end, None where it
    doesn't."""

    commands: tuple[str, ...]
    env: Mapping[str, str]
    skipped: tuple[tuple[str, str], ...]
    folder: str = ""
    rest: tuple[str, ...] | None = None


def unwrapped(command: str) -> str:
    while found := _WRAPPERS.match(command):
        command = command[found.end():]
    return command


def follow(text: str, arguments: Sequence[str], environ: Mapping[str, str], find: Find) -> Followed | None:
    """environ: variables of the container, as the compose file has them. None for what can't be told."""
    reading = _Reading(Values(environ, list(arguments)), find)
    try:
        reading.run(shell.parse(text))
    except (ValueError, RecursionError):
        return None
    return Followed(
        tuple(reading.commands), reading.values.exported, tuple(reading.skipped), reading.folder, reading.rest
    )


@dataclass
class _Reading:
    values: Values
    find: Find
    commands: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    folder: str = ""
    rest: tuple[str, ...] | None = None
    is_over: bool = False

    def __post_init__(self) -> None:
        self._functions: dict[str, shell.Body] = {}
        self._depth = 0

    def run(self, body: shell.Body) -> None:
        for node in body:
            if self.is_over:
                return
            match node:
                case shell.Simple():
                    self._command(node.text)
                case shell.Function():
                    self._functions[node.name] = node.body
                case shell.Loop():
                    self._skip(node.body)
                case shell.If():
                    self._if(node)
                case shell.Case():
                    self._case(node)

    # --- conditions --------------------------------------------------------------------------------------------------

    def _if(self, node: shell.If) -> None:
        for number, (condition, body) in enumerate(node.arms):
            decided = self._decide(condition)
            if decided is None:
                for _, other in node.arms[number:]:
                    self._skip(other)
                self._skip(node.otherwise)
                return
            if decided:
                self.run(body)
                return
        self.run(node.otherwise)

    def _case(self, node: shell.Case) -> None:
        word = self.values.value(node.word)
        for patterns, body in node.arms:
            if word is None:
                self._skip(body)
            elif any(re.fullmatch(_pattern(one), plain(word)) for one in patterns):
                self.run(body)
                return

    def _skip(self, body: shell.Body, why: str = _UNDECIDED) -> None:
        """What is left out of a condition or a loop, unless nothing is lost with it."""
        aside = _Reading(self.values.beside(), self.find)
        aside._functions = self._functions
        aside._depth = self._depth + 1
        if aside._depth > 20:
            raise ValueError("too deep")
        aside.run(body)
        told = [*aside.commands, *(shlex.join(aside.rest) for _ in (1,) if aside.rest)]
        self.skipped += aside.skipped
        self.skipped += [(text, why) for text in told]
        self.skipped += [(f"export {name}={value}", why) for name, value in aside.values.exported.items()]
        self.values.doubt(aside.values)

    def _decide(self, condition: str) -> bool | None:
        either = shell.split(condition, "||")
        if len(either) > 1:
            found = [self._decide(one) for one in either]
            return True if True in found else None if None in found else False
        both = shell.split(condition, "&&")
        if len(both) > 1:
            found = [self._decide(one) for one in both]
            return False if False in found else None if None in found else True
        text = condition.strip()
        if text.startswith("!"):
            decided = self._decide(text[1:])
            return None if decided is None else not decided
        if text in ("true", "false", ":"):
            return text != "false"
        return self._test(text)

    def _test(self, text: str) -> bool | None:
        found = re.fullmatch(r"\[\[?\s+(.*?)\s+\]\]?|test\s+(.*)", text, re.DOTALL)
        if found is None:
            return None
        inner = found[1] or found[2]
        words: list[str] = re.findall(r"(?:\"[^\"]*\"|'[^']*'|\S)+", inner)
        if words[:1] == ["!"]:
            decided = self._test(f"[ {' '.join(words[1:])} ]")
            return None if decided is None else not decided
        if len(words) == 1:
            words = ["-n", *words]
        if len(words) == 2 and words[0] in ("-n", "-z"):
            value = self.values.value(words[1])
            return None if value is None else bool(plain(value)) == (words[0] == "-n")
        if len(words) == 3 and words[1] in ("=", "==", "!="):
            one, other = self.values.value(words[0]), self.values.value(words[2])
            if one is None or other is None or re.search(r"[*?\[]", other):
                return None
            return (plain(one) == plain(other)) == (words[1] != "!=")
        return None

    # --- commands ----------------------------------------------------------------------------------------------------

    def _command(self, text: str) -> None:
        if not text:
            return
        parts = shell.split(text, "&&")
        if len(parts) > 1:
            if _TEST.match(parts[0]):
                self._if(shell.If(((parts[0], (shell.Simple(" && ".join(parts[1:])),)),)))
            else:
                for part in parts:
                    self._command(part)
            return
        either = shell.split(text, "||")
        if len(either) > 1 and _TEST.match(text):
            self._if(shell.If(((either[0], ()),), (shell.Simple(" || ".join(either[1:])),)))
        elif (found := _ASSIGNED.fullmatch(text)) and shell.is_word(found[3]):
            self.values.assign(found[1], found[3], text, is_more=bool(found[2]))
        elif text.endswith("&"):
            if _STAYS.search(text):
                raise ValueError("it is several processes")
            self._skip((shell.Simple(text.removesuffix("&").strip()),), _ALONE)
        elif not self._is_done(unwrapped(either[0])):
            # a command that fails ends it anyway
            self._add(unwrapped(either[0] if len(either) == 2 and self._gives_up(either[1]) else text))
            self.is_over = self.is_over or text.startswith("exec ")

    def _gives_up(self, text: str) -> bool:
        """Does it only say so, and end?"""
        word = text.partition(" ")[0]
        body = self._functions.get(word, ())
        return word == "exit" or any(isinstance(node, shell.Simple) and node.text.startswith("exit") for node in body)

    def _is_done(self, text: str) -> bool:
        """What is no command of the project's own."""
        word, _, rest = text.partition(" ")
        if word in self._functions:
            self._call(self._functions[word], rest)
        elif word in (".", "source") and (found := self.find(self.values.value(rest) or "")) is not None:
            self.run(shell.parse(found))
        elif word == "exit":
            self.is_over = True
        elif word == "shift":
            del self.values.arguments[:1]
        elif word == "cd":
            self._change(self.values.value(rest) or "")
        elif _EMPTIES.search(text):
            self.skipped.append((text, "it empties the database whenever it runs"))
        elif _INSTALLS.match(text):
            self._install(text)
        else:
            return _is_idle(text)
        return True

    def _call(self, body: shell.Body, rest: str) -> None:
        before, self._depth = self.values.arguments, self._depth + 1
        if self._depth > 20:
            raise ValueError("functions that call each other")
        self.values.arguments = [self.values.value(word) or "" for word in words(rest)]
        self.run(body)
        self.values.arguments, self._depth = before, self._depth - 1

    def _change(self, folder: str) -> None:
        if self.commands and folder not in (".", self.folder):
            raise ValueError("commands of several folders")
        self.folder = folder if folder != "." else self.folder

    def _install(self, text: str) -> None:
        given = [word for word in words(text) if not word.startswith("-")]
        if "uninstall" not in given and not re.search(r"\s(-r|--requirement|-e|--editable)\b|setup\.py|\bsync\b", text):
            names = given[given.index("install") + 1:] if "install" in given else []
            if [name for name in names if not name.startswith(".")]:
                self.skipped.append((text, "the environment has what the project's own files name"))

    def _add(self, ran: str) -> None:
        if re.search(r"\"?\$\{?[@*]\}?\"?", ran):
            inner = re.sub(r"\"?\$\{?[@*]\}?\"?", lambda _: shlex.join(self.values.arguments), ran).strip()
            rest = tuple(words(inner))
            if len(rest) >= len(self.values.arguments) and _is_end(ran):
                self.rest = rest
                self.is_over = True
                return
            ran = inner
        command = self.values.filled(ran)
        self.commands.append("\n".join((*self.values.setup(command), command)))


def _is_idle(text: str) -> bool:
    if re.search(r"(?<![&\d])>{1,2}\s*[^&/\s>]", re.sub(r"'[^']*'|\"[^\"]*\"", "''", text)):
        return False
    return all(_IDLE.match(part) for part in shell.split(text, "|"))


def _is_end(text: str) -> bool:
    """Are its arguments all that it runs, but for what only says how?"""
    return re.fullmatch(r"(setpriv(\s+-\S+)*\s+|(\S*/)?(ba)?sh -c\s+)?\"?\$\{?[@*]\}?\"?", text) is not None


def _pattern(text: str) -> str:
    """A pattern of `case` as a regular expression."""
    text = text.strip("\"'")
    return "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in text)
