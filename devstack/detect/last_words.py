"""What a command died of, read off its last lines: the cause in its own words, and a fix where one is known. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from devstack.detect.system_needs import LIBRARIES, Machine, is_known_command, package_of

_TRACEBACK = "Traceback (most recent call last):"
#: how programs begin the line that says why they end; an exception's is also known without the head of its traceback
_LAST_WORDS = re.compile(
    r"(?:\w+\.)*[A-Z]\w*(?:Error|Exception|Configured):\s+\S"
    r"|(?:[a-z_]\w*\.)+[A-Z]\w+: \S"
    r"|(?:[\w./-]+: )?(?:[Ff]atal|FATAL|FAILED|[Ee]rror|ERROR)(?: \w+)?:\s+\S"
    r"|(?:\S*/)?python[\d.]*: (?:No module named|can't open file) "
    r"|(?:\S*/)?(?:ba|da)?sh: .+: (?:command )?not found$"
)
_LONG = 300
#: ends a line that a log tells once for all its neighbours
_REPEATED = re.compile(r"  \(\d+ times\)$")
#: said over several lines
_AS_ROOT = "Celery doesn't run as root where it accepts pickle"
_SAID_AT_LENGTH = ((re.compile(r"superuser privileges when the\s+worker accepts messages serialized"), _AS_ROOT),)
_VARIABLE = r"['\"`]?([A-Z][A-Z0-9]*_[A-Z0-9_]+|[A-Z]{4,})['\"`]?"
_SETTING = re.compile(
    rf"(?:[Ss]et|[Cc]hange|[Dd]efine|[Pp]rovide|[Mm]issing)(?: required)?(?: the)? {_VARIABLE} env(?:ironment)? var"
    rf"|[Ee]nv(?:ironment)? var(?:iable)? {_VARIABLE} (?:(?:is|was) )?(?:not set|required|missing|not defined|unset)"
    rf"|[Mm]issing(?: required)? env(?:ironment)? var(?:iable)?:? {_VARIABLE}"
    rf"|{_VARIABLE} env(?:ironment)? var(?:iable)? (?:(?:is|was) )?(?:not set|required|missing|must be set|not defined)"
    r"|^KeyError: '([A-Z][A-Z0-9]*_[A-Z0-9_]+)'$"
    r"|\b([A-Z][A-Z0-9_]+) not found\. Declare it as envvar"
)
#: made up by whoever runs it, and told to nobody
_SECRET = re.compile(r"(?:^|_)(?:SECRET_KEY(?:_BASE)?|(?:COOKIE|SESSION|JWT|CSRF|APP)_SECRET|SIGNING_KEY|SALT)$")
#: cause → edit of the profile
_EDITS = (
    # setuptools came with every environment once; pkg_resources left it with 82
    (re.compile(r"No module named '?(?:pkg_resources|setuptools|distutils)\b"),
     'packages = ["setuptools<81"] below [python]'),
    # a name with dots is a module that a package which is there lacks
    (re.compile(r"No module named '?(\w+)'?$"), (
        "add what brings the module {0} to packages below [python]; where it is the project's own, correct its name "
        "or cwd"
    )),
    (re.compile(r"DisallowedHost: .*'([\w.\[\]-]+?)(?::\d+)?'\."), (
        "let the project's ALLOWED_HOSTS have {0}: by the variable that its settings read, below [env]"
    )),
    (re.compile(re.escape(_AS_ROOT)), 'C_FORCE_ROOT = "1" below [env], or run devstack as an ordinary user'),
)
_COMMAND = re.compile(
    r"Can't find (msg\w+)\b|No such file or directory: '([\w.+-]+)'$|: ([\w.+-]+): (?:command )?not found$"
)


def cause(lines: Sequence[str]) -> str:
    """The line that says why it died, "" where none does."""
    lines = [_REPEATED.sub("", line) for line in lines]
    text = "\n".join(lines)
    for pattern, words in _SAID_AT_LENGTH:
        if pattern.search(text):
            return words
    found, is_traceback = "", False
    for line in lines:
        if line.endswith(_TRACEBACK):
            is_traceback = True
        elif (is_traceback and line[:1].strip()) or _LAST_WORDS.match(line):
            found, is_traceback = line, False
    return found.strip() if len(found) <= _LONG else f"{found[:_LONG].strip()}…"


def fix(cause: str, machine: Machine) -> str:
    """The command or the edit of the profile that helps, "" where none is known."""
    if found := _SETTING.search(cause):
        name = next(group for group in found.groups() if group)
        value = "{ generate = 50 }" if _SECRET.search(name) else '"…"'
        return f"{name} = {value} below [env]"
    for pattern, edit in _EDITS:
        if found := pattern.search(cause):
            return edit.format(next((group for group in found.groups() if group), ""))
    for need in LIBRARIES:
        if re.search(need.pattern, cause):
            return need.command(machine)
    asked = _COMMAND.search(cause)
    command = next((group for group in asked.groups() if group), "") if asked else ""
    return machine.command((package_of(command, machine.family),)) if is_known_command(command) else ""
