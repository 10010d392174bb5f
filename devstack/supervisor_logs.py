"""What the logs of supervisord and of its programs tell: why a program ended, what its present process has said."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from devstack.errors import ProcessError

if TYPE_CHECKING:
    from devstack.layout import Layout
    from devstack.system import System

_LIMIT = 1 << 20
_FOLDED = 2000
_DIGITS = re.compile(r"\d+")
_SUPERVISOR_LIMIT = 64 << 10
#: supervisord's words for "look into the log of exits"
_TOO_QUICKLY = "Exited too quickly"
_ENDING = r"exited: {name} \((?:exit status (?P<status>\d+)|terminated by (?P<signal>\w+)[^;)]*)"


def tail(path: Path, limit: int = _LIMIT) -> str:
    """The end of a log, whole lines, at most `limit` bytes; "" where there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - limit))
            data = file.read(limit)
    except OSError:
        return ""
    if size > limit:
        data = data.partition(b"\n")[2]
    return data.decode(errors="replace")


def last_words(log: str, name: str, runs: int = 1) -> str:
    """What the last of a program's processes that said anything said, without the lines their environment scripts began
    with; the whole log where none of those is there any more. runs: so many of them, since one that has just begun
    hasn't come to it yet."""
    spoken, told = _told(log, name)
    return "".join(told[-runs:]) if told else spoken


def dying_words(log: str, name: str, runs: int) -> str:
    """What the last of a program's processes that came to its end said. runs: how many it has had since its start; the
    newest of several may be about to say the same again, and has come to the middle of it."""
    spoken, told = _told(log, name)
    newest, before = (told or [spoken])[-1], "".join(told[-2:-1] if runs > 1 else ())
    said, again = (_DIGITS.sub("0", text) for text in (before, newest))
    return before if said != again and said.startswith(again) else newest


def _told(log: str, name: str) -> tuple[str, list[str]]:
    """What stands before a program's first process, and what each of those said that said anything."""
    spoken, *runs = re.split(rf"^\[devstack\] {re.escape(name)} pid \d+\n", log, flags=re.MULTILINE)
    return spoken, [run for run in runs if run.strip()]


def folded(lines: Sequence[str]) -> tuple[str, ...]:
    """Neighbours that differ in digits only, such as a server's line for each try of a check, as one and their number.

    Otherwise the cause of a failure would be pushed out by the echoes of asking for it.
    """
    found: list[tuple[str, int]] = []
    for line in lines[-_FOLDED:]:
        if found and _DIGITS.sub("0", found[-1][0]) == _DIGITS.sub("0", line):
            found[-1] = (line, found[-1][1] + 1)
        else:
            found.append((line, 1))
    return tuple(line if count == 1 else f"{line}  ({count} times)" for line, count in found)


def since_start(log: str, name: str, pid: int) -> str:
    """The lines after the one with which this process's environment script began."""
    before, marker, after = log.rpartition(f"[devstack] {name} pid {pid}\n")
    if marker:
        return after
    # rotated or removed since, unless another process's beginning is there: then this one hasn't said anything yet
    return "" if f"[devstack] {name} pid " in before + after else log


def ending(system: System, layout: Layout, name: str, spawn_error: str) -> tuple[int | None, str]:
    """How a program's last process ended: its exit status, if it had one, and why in words.

    spawn_error: what supervisord says of a program that it gave up or is about to try again. supervisord's answers
    leave the status out, so it is read from its log.
    """
    if spawn_error and not spawn_error.startswith(_TOO_QUICKLY):
        return None, spawn_error
    log = tail(Path(layout.supervisor_log), _SUPERVISOR_LIMIT)
    endings = tuple(re.finditer(_ENDING.replace("{name}", re.escape(name)), log))
    if not endings:
        return None, spawn_error or "it ended"
    found = endings[-1]
    if found["signal"]:
        hint = " (the machine may be out of memory)" if found["signal"] == "SIGKILL" else ""
        return None, f"it was ended by {found['signal']}{hint}"
    status = int(found["status"])
    words = {
        0: "it ends by itself with status 0; does it go to the background?",
        125: "the folder it runs in is missing",
        126: "its command can't be executed",
        127: "its command wasn't found",
    }
    return status, words.get(status, f"it ends with status {status}")


def not_started(said: str, config: str) -> ProcessError:
    """Why supervisord didn't come up, from what it printed."""
    lines = said.splitlines()[-10:]
    if limit := next((line for line in lines if '"minfds"' in line), ""):
        return ProcessError(
            "descriptors-limited", "supervisord didn't start: too few files may be open at once",
            why=f"it needs {_DIGITS.findall(limit)[0]}, and `ulimit -Hn` says less", fix="ulimit -n 4096",
            evidence=(limit.removeprefix("Error: "),),
        )
    errors = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]
    return ProcessError(
        "supervisor-not-started", "supervisord didn't start", why=(errors or lines or ["it said nothing"])[-1],
        fix=f"supervisord -n -c {config}", evidence=tuple(lines),
    )
