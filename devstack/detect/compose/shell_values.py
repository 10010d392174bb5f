"""What a shell script's variables are worth, as far as it can be told without running it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from devstack.detect.compose import shell

#: a default may hold variables with defaults
_DEFAULT = r"(?:[^{}]|\$\{(?:[^{}]|\$\{[^{}]*\})*\})*"
_VARIABLE = re.compile(rf"'[^']*'|\\.|\$\{{(\w+)(?:(:?)([-=])({_DEFAULT}))?\}}|\$(\w+)")
_LOOKED_UP = re.compile(r"(?:\$\(|`)(?:which|command -v|type -[pP])\s+([\w.-]+)(?:\)|`)")
_QUOTED_VARIABLE = re.compile(r"\"(\$\{\w+(?::?[-=][^{}\"]*)?\}|\$\w+)\"")
#: a value that stands in a command as it is, and names nobody
_SIMPLE = re.compile(r"[\w.,/+-]+")
#: all of a list, and the longer way of saying so where it may not be there
_LIST = re.compile(r"\"?\$\{(\w+)\[[@*]\][:+-]*\"?\$\{\1\[[@*]\]\}\"?\}\"?|\"?\$\{(\w+)\[[@*]\]\}\"?")


class Values:
    """environ: variables of the container. arguments: of the script, or of the function that is read. exported: what it
    sets for its commands. known: values by name."""

    def __init__(self, environ: Mapping[str, str], arguments: list[str]) -> None:
        self.environ = environ
        self.arguments = arguments
        self.exported: dict[str, str] = {}
        self.known = dict(environ)
        #: None for one with a word that only a shell knows
        self._lists: dict[str, list[str] | None] = {}
        #: assignments whose values only a shell knows, by name
        self._computed: dict[str, str] = {}
        #: names of what was assigned where it isn't known whether it is
        self._unsure: set[str] = set()

    def beside(self) -> Values:
        """For what may not be done: it begins as it is here."""
        other = Values({**self.environ, **self.known}, self.arguments)
        other._lists = dict(self._lists)
        return other

    def doubt(self, other: Values) -> None:
        """Another reading went where this one may not go: what it changed isn't known any more."""
        changed = [name for name, value in other.known.items() if self.known.get(name) != value]
        self._unsure.update(changed, other._computed)
        self._lists |= {name: None for name, found in other._lists.items() if self._lists.get(name) != found}

    def setup(self, command: str) -> list[str]:
        """The assignments that a command needs before it, in their order."""
        wanted: set[str] = set()
        texts = [command]
        while texts:
            text = texts.pop()
            for name in re.findall(r"\$\{?(\w+)", text):
                if name in self._computed and name not in wanted:
                    wanted.add(name)
                    texts.append(self._computed[name])
        return [line for name, line in self._computed.items() if name in wanted]

    def assign(self, name: str, text: str, whole: str, *, is_more: bool = False) -> None:
        if text.startswith("("):
            before = self._lists.get(name) if is_more else []
            found = [self.value(word) for word in shell.words(text[1:-1])]
            made = [one for one in found if one is not None]
            self._lists[name] = [*before, *made] if before is not None and len(made) == len(found) else None
            return
        value = self.value(text)
        if is_more:
            known = self._lookup(name)
            value = None if value is None or known is None else known + value
        self._computed.pop(name, None)
        self._unsure.discard(name)
        if value is None:
            self._computed[name] = whole
            self.known.pop(name, None)
            return
        self.known[name] = value
        if (whole.startswith("export") or name in self.environ) and self.environ.get(name) != value:
            self.exported[name] = value

    def _lookup(self, name: str) -> str | None:
        """None for what only a shell knows, "" for what nobody sets."""
        if name.isdigit():
            number = int(name)
            return self.arguments[number - 1] if 0 < number <= len(self.arguments) else ""
        return None if name in self._computed or name in self._unsure else self.known.get(name, "")

    def value(self, word: str) -> str | None:
        """The value of a shell's word, None for one that only a shell knows."""
        made, at = "", 0
        for found in re.finditer(r"'([^']*)'|\"((?:\\.|[^\"\\])*)\"|[^'\"]+", word):
            if found.start() != at:
                return None
            at = found.end()
            inner = found[1] if found[1] is not None else self._expanded(found[2] if found[2] is not None else found[0])
            if inner is None:
                return None
            made += inner
        return made if at == len(word) else None

    def _expanded(self, text: str) -> str | None:
        # here it is found as well
        text = _LOOKED_UP.sub(r"\1", text)
        if "`" in text or "$(" in text:
            return None
        unknown = False

        def replacement(found: re.Match[str]) -> str:
            nonlocal unknown
            value = self._of(found)
            unknown = unknown or value is None
            return value or ""

        made = _VARIABLE.sub(replacement, text)
        return None if unknown or re.search(r"\$[{#?$!-]", made) else made

    def _of(self, found: re.Match[str]) -> str | None:
        name = found[1] or found[5]
        if not name:
            return found[0][1:] if found[0].startswith("\\") else found[0]
        value = self._lookup(name)
        if value == "" and found[3] and (found[2] or name not in self.known):
            return self.value(found[4])
        return value

    def filled(self, command: str) -> str:
        """With the variables whose values say nothing but a number, a name or a path, and with its lists. Raises
        ValueError for a list that only a shell knows."""
        command = _LIST.sub(lambda found: shlex.join(self._list(found[1] or found[2])), command)

        def replacement(found: re.Match[str]) -> str:
            name = found[1] or found[5]
            if not name:
                return found[0]
            value = self._of(found)
            if name.isdigit():
                return value or ""
            return value if value is not None and _SIMPLE.fullmatch(value) else found[0]

        def unquoted(found: re.Match[str]) -> str:
            value = _VARIABLE.sub(replacement, found[1])
            return value if _SIMPLE.fullmatch(value) else found[0]

        made = _VARIABLE.sub(replacement, _QUOTED_VARIABLE.sub(unquoted, command))
        if made != command and '"' in made and not re.search(r"[$`|;<>&*?~\n\\]", made):
            made = shlex.join(words(made))
        return made.strip()

    def _list(self, name: str) -> list[str]:
        found = self._lists.get(name, [])
        if found is None:
            raise ValueError("a list that only a shell knows")
        return found


def words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()
