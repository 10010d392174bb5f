"""A shell script as a tree of what it does: commands, conditions, loops, functions. Read, never run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

#: what stands for itself: escapes, quoted texts, variables
_WHOLE = re.compile(
    r"\\.|'[^']*'|\"(?:\\.|\$\((?:[^()\"]|\"[^\"]*\"|\([^()]*\))*\)|[^\"\\])*\"|`[^`]*`|\$\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}",
    re.DOTALL,
)
_HEREDOC = re.compile(r"<<(-?)\s*([\"']?)([\w.-]+)\2")
_OPENING = re.compile(r"(if|elif|while|until|for|select)\s+(.*)|(then|do|else|\{|!)(?:\s+(.*)|$)", re.DOTALL)
_CLOSING = re.compile(r"(fi|done|esac|\})(?=\s|$|[|&><])")
_FUNCTION = re.compile(r"(?:function\s+([\w:.-]+)\s*(?:\(\s*\))?|([\w:.-]+)\s*\(\s*\))\s*(.*)", re.DOTALL)
_CASE = re.compile(r"case\s+(\S+|\"[^\"]*\")\s+in\b\s*(.*)", re.DOTALL)


@dataclass(frozen=True)
class Simple:
    """One command with its redirections, or several that are joined by `&&`, `||` or `|`."""

    text: str


@dataclass(frozen=True)
class If:
    """arms: condition and what is done then, in order."""

    arms: tuple[tuple[str, Body], ...]
    otherwise: Body = ()


@dataclass(frozen=True)
class Loop:
    body: Body


@dataclass(frozen=True)
class Case:
    """arms: patterns and what is done then."""

    word: str
    arms: tuple[tuple[tuple[str, ...], Body], ...]


@dataclass(frozen=True)
class Function:
    name: str
    body: Body


Node = Simple | If | Loop | Case | Function
Body = tuple[Node, ...]


def parse(text: str) -> Body:
    """Raises ValueError for what can't be read."""
    return _Parser(list(_marked(re.sub(r"[ \t]*\\\n[ \t]*", " ", text.replace("\r\n", "\n"))))).whole()


def split(text: str, operator: str) -> list[str]:
    """The parts of a command between an operator that stands in no quotes."""
    parts, now, at = [], "", 0
    while at < len(text):
        if text.startswith(operator, at):
            parts.append(now)
            now, at = "", at + len(operator)
            continue
        end = _end_of_whole(text, at) or at + 1
        now += text[at:end]
        at = end
    return [part.strip() for part in (*parts, now)]


def is_word(text: str) -> bool:
    """Is it a single one, or none, with no command behind it?"""
    return words(text) in ([], [text])


def words(text: str) -> list[str]:
    """The words of a list, each as it is written."""
    found: list[str] = []
    at, is_open = 0, False
    while at < len(text):
        end = _end_of_whole(text, at) or at + 1
        if text[at].isspace():
            is_open = False
        elif is_open:
            found[-1] += text[at:end]
        else:
            found.append(text[at:end])
            is_open = True
        at = end
    return found


# --- pieces ----------------------------------------------------------------------------------------------------------


def _end_of_whole(text: str, at: int) -> int:
    """Where what begins here and stands for itself ends; 0 where nothing does."""
    if text[at] == "(" or text.startswith("$(", at):
        return _closing(text, text.index("(", at))
    found = _WHOLE.match(text, at)
    return found.end() if found else 0


def _closing(text: str, at: int) -> int:
    """Behind the bracket that closes the one here."""
    at += 1
    while at < len(text) and text[at] != ")":
        at = _end_of_whole(text, at) or at + 1
    if at >= len(text):
        raise ValueError("a bracket that nothing closes")
    return at + 1


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """What stands between line ends and semicolons: a text, a pattern of `case`, or the end of its arm."""
    now, at, waiting = "", 0, []
    while at < len(text):
        char = text[at]
        if char == "#" and (not now or now[-1].isspace()):
            at = _line_end(text, at)
            continue
        if found := _HEREDOC.match(text, at):
            waiting.append((found[3], bool(found[1])))
            now, at = now + found[0], found.end()
            continue
        if char == ")":
            yield "pattern", now.strip()
            now, at = "", at + 1
        elif char in ";\n":
            if char == "\n" and waiting:
                more, at = _heredocs(text, at, waiting)
                now, waiting = now + more, []
            at += 1
            if char == "\n" and re.search(r"(&&|\|)\s*$", now):
                now += " "
                continue
            yield "text", now.strip()
            now = ""
            if char == ";" and text.startswith(";", at):
                yield "arm", ""
                at += 1
        else:
            end = _end_of_whole(text, at) or at + 1
            now, at = now + text[at:end], end
    yield "text", now.strip()


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _heredocs(text: str, at: int, waiting: list[tuple[str, bool]]) -> tuple[str, int]:
    """The texts below a line that awaits them, and where the last one ends."""
    start = at
    for name, is_indented in waiting:
        while True:
            if at >= len(text):
                raise ValueError(f"nothing ends <<{name}")
            end = _line_end(text, at + 1)
            line, at = text[at + 1: end], end
            if (line.lstrip("\t") if is_indented else line) == name:
                break
    return text[start:at], at


def _marked(text: str) -> Iterator[tuple[str, str]]:
    """The pieces with words of the shell's own by themselves."""
    for kind, piece in _pieces(text):
        rest = piece
        if found := _CASE.match(rest):
            yield "case", found[1]
            rest = found[2]
        if kind != "text":
            yield kind, rest
            continue
        while rest:
            found = _CLOSING.match(rest)
            if found:
                yield found[1], ""
                rest = rest[found.end():].lstrip() if found[1] == "}" else ""
                continue
            function = _FUNCTION.match(rest)
            if function:
                yield "function", function[1] or function[2]
                rest = function[3]
                continue
            found = _OPENING.match(rest)
            if found is None or found[3] == "!":
                yield "text", rest
                break
            yield found[1] or found[3], found[2] or ""
            rest = "" if found[1] else found[4] or ""


class _Parser:
    def __init__(self, pieces: list[tuple[str, str]]) -> None:
        self._pieces = pieces
        self._at = 0

    def whole(self) -> Body:
        found = self._body()
        if self._at < len(self._pieces):
            raise ValueError(f"{self._kind} without a beginning")
        return found

    @property
    def _kind(self) -> str:
        return self._pieces[self._at][0] if self._at < len(self._pieces) else ""

    def _next(self, *kinds: str) -> str:
        if self._kind not in kinds:
            raise ValueError(f"{self._kind or 'the end'} instead of {kinds[0]}")
        self._at += 1
        return self._pieces[self._at - 1][1]

    def _body(self) -> Body:
        found: list[Node] = []
        while self._kind in ("text", "if", "while", "until", "for", "select", "case", "function", "{"):
            found += self._node()
        return tuple(found)

    def _node(self) -> Iterator[Node]:
        kind = self._kind
        text = self._next(kind)
        if kind == "text":
            yield Simple(text)
        elif kind == "if":
            yield self._if(text)
        elif kind == "case":
            yield self._case(text)
        elif kind in ("function", "{"):
            if kind == "function":
                self._skip_nothing()
                self._next("{")
            body = self._body()
            self._next("}")
            yield from (Function(text, body),) if kind == "function" else body
        else:
            self._until("do")
            body = self._body()
            self._next("done")
            yield Loop(body)

    def _skip_nothing(self) -> None:
        while self._kind == "text" and not self._pieces[self._at][1]:
            self._at += 1

    def _until(self, kind: str) -> list[str]:
        found = []
        while self._kind == "text":
            found.append(self._next("text"))
        self._next(kind)
        return [text for text in found if text]

    def _if(self, text: str) -> If:
        arms = []
        while True:
            condition = " ; ".join((text, *self._until("then")))
            arms.append((condition, self._body()))
            if self._kind != "elif":
                break
            text = self._next("elif")
        otherwise: Body = ()
        if self._kind == "else":
            self._next("else")
            otherwise = self._body()
        self._next("fi")
        return If(tuple(arms), otherwise)

    def _case(self, word: str) -> Case:
        arms = []
        self._skip_nothing()
        while self._kind == "pattern":
            patterns = tuple(one.strip() for one in self._next("pattern").lstrip("(").split("|"))
            arms.append((patterns, self._body()))
            if self._kind == "arm":
                self._next("arm")
            self._skip_nothing()
        self._next("esac")
        return Case(word, tuple(arms))
