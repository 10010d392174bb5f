"""The short way to know that a stack stands: what the last look found, and whether anything of it has changed since.

An `up` that ends with nothing left to do leaves `.devstack/standing.json`: all that its last observation depended on
(`evidence`), who was running, and how to ask each of them. Where all of that is still so and everyone answers as
before, an observation would see the same and a plan would be empty; that is told without either, and without the
libraries that they need. In any doubt the answer is None, and the long way is taken. Why: docs/decisions/0007.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from devstack import evidence, wire
from devstack.wire import http
from devstack.wire.stream import Stream, after

NAME = "standing.json"
#: another form of memo is another number
FORM = 2
#: seconds for all answers together; a stack that needs longer is looked at the long way
_PATIENCE = 2.0
_MARKS = ("devstack.toml", "pyproject.toml", ".devstack")
Memo = dict[str, Any]


def memo_of(folder: str) -> tuple[str, Memo] | None:
    """Root and memo of the project that `folder` is in, where the nearest has one."""
    while True:
        memo = _read(f"{folder}/.devstack/{NAME}")
        if memo is not None:
            return (folder, memo) if memo.get("root") == folder else None
        # this folder may be the project; that isn't for here to say
        if folder == "/" or any(os.path.lexists(f"{folder}/{name}") for name in _MARKS):
            return None
        folder = os.path.dirname(folder)


def stands(memo: Memo, *, whole: bool) -> bool:
    """Is everything as the memo says? whole: also what only `up` looks at: environment, tasks, generated files."""
    try:
        if not _is_vouched_for(memo) or time.time() < memo["from"]:
            return False
        return _is_same_devstack(memo) and not _is_held(memo) and not _changed(memo, whole=whole) and _all_well(memo)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return False


def uptimes(memo: Memo) -> dict[str, float]:
    """Seconds that each program has been running, as supervisord counts them."""
    now = int(time.time())
    return {name: float(max(0, now - began)) for name, began in memo["began"].items()}


def touch(memo: Memo) -> None:
    """Note that the stack was used now."""
    os.utime(memo["used"])


def devstack_itself() -> list[str]:
    """What tells one devstack from another: its interpreter, and its modules as they are on the disk."""
    found = hashlib.sha256()
    for folder, folders, files in os.walk(os.path.dirname(__file__)):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(files):
            path = f"{folder}/{name}"
            found.update(f"{path} {evidence.signed(path, 'plain')}\0".encode(errors="surrogateescape"))
    return [sys.executable, sys.version, found.hexdigest()]


def digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def variables_digest(environ: Mapping[str, str]) -> str:
    """A digest, since values may be secret."""
    return digest(json.dumps(evidence.variables(environ), sort_keys=True).encode(errors="surrogateescape"))


def identity(pid: int) -> list[Any] | None:
    """Pid and start time of a process that lives and isn't stopped, as Linux tells them."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b") ")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X", b"T", b"t") else [pid, fields[19].decode()]


def _read(path: str) -> Memo | None:
    try:
        with open(path, "rb") as file:
            text = file.read()
        memo = json.loads(text)
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(memo, dict) or memo.get("form") != FORM:
        return None
    return memo | {"digest": digest(text)}


def _is_vouched_for(memo: Memo) -> bool:
    """Did this user's devstack write it? It lies in the project's folder, where a repository could bring one along, and
    names commands: so its digest lies outside."""
    state = os.environ.get("XDG_STATE_HOME") or f"{os.environ['HOME']}/.local/state"
    stack = memo["status"]["stack"]["id"]
    if "/" in stack or memo["used"] != f"{state}/devstack/used/{stack}":
        return False
    with open(memo["used"], "rb") as file:
        return file.read().decode() == str(memo["digest"])


def _is_same_devstack(memo: Memo) -> bool:
    now = {"devstack": devstack_itself(), "variables": variables_digest(os.environ)}
    return all(memo[name] == value for name, value in now.items())


def _is_held(memo: Memo) -> bool:
    """Is another devstack working on the stack now?"""
    import fcntl

    descriptor = os.open(f"{memo['root']}/.devstack/lock", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        # given back at once: whoever wants to work on the stack doesn't wait
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _changed(memo: Memo, *, whole: bool) -> bool:
    found = memo["looked"] if whole else memo["glanced"]
    if evidence.changed(found["files"], found["listings"]):
        return True
    if whole and memo["walks"]:
        from devstack.globs import matching

        return any(matching(root, globs) != matched for root, globs, matched in memo["walks"])
    return False


def _all_well(memo: Memo) -> bool:
    """Everyone who ran is there and runs, and answers as before."""
    if any(identity(pid) != [pid, start] for pid, start in memo["processes"]):
        return False
    questions: list[Callable[[], bool]] = []
    if memo["socket"]:
        questions.append(lambda: http.status_line(memo["socket"], "/", _PATIENCE)[0] > 0)
    questions += [partial(_answers, *one) for one in memo["services"]]
    questions += [partial(_is_image, memo["engine"], *one) for one in memo["images"].items()]
    questions += [partial(_is_ready, one) for one in memo["checks"]]
    answers: list[bool] = []

    def ask(question: Callable[[], bool]) -> None:
        try:
            answers.append(question())
        except Exception:  # whatever it is, the long way tells it better
            answers.append(False)

    threads = [threading.Thread(target=ask, args=(question,), daemon=True) for question in questions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(answers) == len(questions) and all(answers)


def _answers(question: wire.Question, known: list[Any]) -> bool:
    probe = wire.ask(question, _PATIENCE)
    return [probe.ok, probe.version, list(probe.missing)] == known


def _is_image(engine: str, name: str, digest: str) -> bool:
    """Has the engine no other image under this name? Its answer begins with that; what runs needs the name no more."""
    status, _, body = http.beginning(engine, f"/images/{name}/json", _PATIENCE)
    return status == 404 or (status == 200 and digest.encode() in body)


def _is_ready(check: Mapping[str, Any]) -> bool:
    if "http" in check:
        return http.status_line(check["port"], check["http"], _PATIENCE)[0] in check["status"]
    if "tcp" in check:
        with Stream(check["tcp"], after(_PATIENCE)):
            return True
    # a command of the project: what it takes to load what runs it is little beside it
    from pathlib import Path

    from devstack.system import System

    done = System().run(check["argv"], timeout=check["timeout"], env=check["env"], cwd=Path(check["cwd"]))
    return done.returncode == 0
