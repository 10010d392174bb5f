"""A command is killed at one moment, and what follows must end as if nothing had happened."""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from devstack.output import documents
from devstack.services._redis_snapshots import FILE, parts
from devstack.stack import Options, Stack, Up
from devstack.system import System
from tests.scenarios.machine import MINI, Machine, Project, below, finish, lives
from tests.sweep.taps import Point, Tap

#: what differs from run to run: tokens, ids, times, numbers of processes and ports
_CHANCE = re.compile(r"[0-9a-f]{16}|-[0-9a-f]{8}(?=/|$)")
#: what tells about a run, or belongs to a program; who held the stack when it was killed counts only while it lives
_TOLD = ("journal/", "logs/", "pids/", "data/", "venvs/", "lock.json")
_FACTS = ("pid", "uptime_s", "restarts", "port", "url", "id", "root")
SNAPSHOT = '[tasks.seed]\nsnapshot = "seeded"'


@dataclass(frozen=True)
class Verb:
    """words: of the command that is killed. prepare: what the project is before it, each time. keeps: the snapshot that
    has the data of before. is_cold: with a project that has never been up. is_gone: nothing runs when it is done."""

    words: tuple[str, ...]
    prepare: Callable[[Project, int], None] = lambda project, number: None
    keeps: str = ""
    is_cold: bool = False
    is_gone: bool = False


def _change(project: Project, number: int) -> None:
    """Something for every sort of step: another environment, other inputs of the task."""
    project.write("devstack.toml", re.sub(r"\nMORE = .*", "", project.read("devstack.toml")))
    project.replace("[env]\n", f'[env]\nMORE = "{number}"\n')
    project.write("fixtures/more.txt", f"more{number}\n")


def _use(project: Project, number: int) -> None:
    """Data that no snapshot has."""
    project.redis("SET", "canary", f"before {number}")


VERBS = {
    "up, for the first time": Verb(("up",), is_cold=True),
    "up, after changes": Verb(("up",), _change),
    "snapshot save": Verb(("snapshot", "save", "mine"), _use, keeps="mine"),
    "snapshot restore": Verb(("snapshot", "restore", "first", "--yes"), _use, keeps="before-restore"),
    "reset --data": Verb(("reset", "--data", "--yes"), _use, keeps="before-reset"),
    "down": Verb(("down",), _use, is_gone=True),
}


def new(machine: Machine) -> Project:
    project = machine.new_project(trusted=False)
    project.edit("devstack.toml", "[tasks.seed]", SNAPSHOT)
    project.trust()
    return project


def tapped(project: Project, words: tuple[str, ...], tap: Tap) -> tuple[int, str]:
    """Run a command with a listener; its exit code and what it said."""
    child = project.popen(*words, prefix=tap.prefix, pass_fds=tap.pass_fds)
    tap.follow(child.pid)
    done = finish(child, words)
    return done.code, done.text


def killed_at(project: Project, words: tuple[str, ...], number: int) -> Point | None:
    """Run the command and kill it at its so-manieth call; None where it was done before."""
    hit: list[Point] = []

    def strike(point: Point) -> int:
        if len(tap.points) == number:
            hit.append(point)
            tap.kill()
        return 0

    tap = Tap(strike)
    code, text = tapped(project, words, tap)
    assert code == (-signal.SIGKILL if hit else 0), text
    return hit[0] if hit else None


def refusing(number: int, error: int) -> Tap:
    """Refuses the so-manieth call with this error, if it is the command's own and makes something."""

    def strike(point: Point) -> int:
        is_meant = point.caller == "own" and not point.call.startswith(("unlink", "rmdir"))
        return error if len(tap.points) == number and is_meant else 0

    tap = Tap(strike)
    return tap


def digest(project: Project) -> dict[str, Any]:
    """Everything that must not depend on whether a run was killed on the way."""
    status, plan = look(project)
    for row in (*status["services"], *status["processes"]):
        # supervisord calls it so for its first second
        row["state"] = "running" if row["ready"] and row["state"] == "starting" else row["state"]
    rows = [{key: row[key] for key in row if key not in _FACTS} for row in (*status["services"], *status["processes"])]
    return {
        "status": [status["stack"]["state"], *rows],
        "plan": plan,
        "files": files(project),
        "git": _changed(project),
        "keys": keys(project) if status["stack"]["state"] == "up" else {},
    }


def look(project: Project) -> tuple[dict[str, Any], list[str]]:
    """What `status --json` and `plan --json` say, without a process for each: there are hundreds of points."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(project.machine.environ)
    try:
        stack = Stack(System(), project.root, Options())
        # as JSON says it
        status = json.loads(json.dumps(documents.status(stack.status())))
        return status, [step.id for step in stack.plan(Up()).steps]
    finally:
        os.environ.clear()
        os.environ.update(before)


def _changed(project: Project) -> str:
    words = ("git", "status", "--porcelain", "--ignored=no")
    return subprocess.run(words, cwd=project.root, check=True, capture_output=True, text=True).stdout


def files(project: Project) -> list[str]:
    """What lies in `.devstack`, without what tells about runs and what programs keep."""
    found = []
    for path in sorted(project.folder.rglob("*")):
        name = path.relative_to(project.folder).as_posix()
        depth = 2 if name.startswith(("data/", "venvs/")) else 1
        is_told = name.startswith(_TOLD) and (name.count("/") >= depth or name == "lock.json")
        if not is_told:
            found.append(f"{_CHANCE.sub('*', name)} {path.lstat().st_mode:o}")
    runtime = Path(project.machine.environ["XDG_RUNTIME_DIR"])
    return sorted({*found, *(_CHANCE.sub("*", path.relative_to(runtime).as_posix()) for path in runtime.rglob(".*"))})


def keys(project: Project) -> dict[str, str]:
    """What Redis holds; how often the seed has run is chance."""
    names = sorted(name.decode() for name in project.redis("KEYS", "*"))
    return {name: project.redis("GET", name).decode() for name in names if name != "seeds"}


def kept(project: Project, name: str) -> dict[str, str]:
    """What the newest whole snapshot of a name has of Redis."""
    whole = [(json.loads(path.read_text()), path.parent) for path in project.folder.glob("snapshots/*/manifest.json")]
    made = {found["made"]: folder for found, folder in whole if found["name"] == name}
    if not made:
        return {}
    found: dict[str, str] = {}
    for _, part in parts((made[max(made)] / "redis" / FILE).read_bytes()):
        items = project.redis("EVAL", "return cmsgpack.unpack(ARGV[1])", "0", part)
        for key, value in zip(items[::3], items[2::3], strict=True):
            # only the server reads what it has dumped
            project.redis("RESTORE", "swept", "0", value, "REPLACE")
            found[key.decode()] = project.redis("GET", "swept").decode()
            project.redis("DEL", "swept")
    return found


def orphans(project: Project) -> list[str]:
    """Processes of the project that the living supervisord hasn't started."""
    found = below(project.root)
    daemons = [one for one in found if f"{project.folder}/supervisord.conf" in _words(one)]
    known = {one.pid for daemon in daemons[:1] for one in (daemon, *daemon.children(recursive=True))}
    return [f"{one.pid} {' '.join(_words(one))}" for one in found if one.pid not in known and lives(one)]


def _words(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []


@dataclass
class Decoys:
    """Strangers that look like processes of the stack; none may be touched."""

    children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def dead(self) -> list[object]:
        return [child.args for child in self.children if child.poll() is not None]


def _begins(server: Path, environ: dict[str, str]) -> bool:
    done = subprocess.run([server, "--version"], env=environ, capture_output=True, check=False, timeout=20)
    return done.returncode == 0


@contextlib.contextmanager
def decoys(machine: Machine) -> Iterator[Decoys]:
    """A process with the words of a worker, one with the marks of another stack, one that a stale mark names, and a
    server like the project's."""
    place = machine.folder / "twin"
    shutil.copytree(MINI, place)
    plain = {"PATH": os.environ["PATH"], "PORT": "0"}
    marks = {"DEVSTACK_STACK": "0123456789abcdef", "DEVSTACK_PROGRAM": "worker-1", "DEVSTACK_RUN": "0123456789abcdef"}
    cached = Path(machine.environ["XDG_CACHE_HOME"], "devstack/servers").glob("redis-*/**/bin/*-server")
    # one that was unpacked from packages may look for its libraries
    server = next((one for one in cached if _begins(one, plain)), None)
    commands: list[tuple[list[str], dict[str, str]]] = [
        (["python", "loop.py"], plain), (["python", "web.py"], plain | marks), (["python", "loop.py"], plain | marks),
    ]
    made = Decoys()
    try:
        for words, environ in commands:
            made.children.append(
                subprocess.Popen(
                    words, executable=sys.executable, cwd=place, env=environ, stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL, start_new_session=True,
                )
            )
        if server:
            made.children.append(
                subprocess.Popen(
                    [server, "--port", "0", "--unixsocket", f"{machine.environ['XDG_RUNTIME_DIR']}/s", "--save", ""],
                    cwd=place, env=plain, stdout=subprocess.DEVNULL, start_new_session=True,
                )
            )
        yield made
    finally:
        for child in made.children:
            child.kill()
            child.wait()


@dataclass
class Result:
    """Of one sweep. wrong: what was seen at which point. slowest: seconds that a recovery took at most."""

    verb: str
    points: int = 0
    killed: int = 0
    recovered: int = 0
    lost: int = 0
    orphans: int = 0
    decoys: int = 0
    slowest: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def assert_clean(self) -> None:
        assert not self.wrong, "\n\n".join(self.wrong)
        assert self.killed > 0
        assert self.recovered == self.killed


def sweep(machine: Machine, name: str, numbers: Callable[[int], Iterable[int]]) -> Result:
    """Kill one verb at these of its points. numbers: from how many points there are, those to kill at."""
    verb = VERBS[name]
    result = Result(name)
    project = new(machine)
    with decoys(machine) as strangers:
        wanted, result.points = _undisturbed(project, verb)
        for number in numbers(result.points):
            if verb.is_cold:
                project = _fresh(machine, project)
            _arrange(project, verb, number)
            point = killed_at(project, verb.words, number)
            if point is None:
                break
            result.killed += 1
            found = _recover(project, verb, number, wanted, result)
            if dead := strangers.dead():
                result.decoys += len(dead)
                found.append(f"strangers were ended: {dead}")
                strangers.children = [child for child in strangers.children if child.poll() is None]
            result.recovered += not found
            result.wrong += [f"at {number}, {point}: {one}" for one in found]
    return result


def _undisturbed(project: Project, verb: Verb) -> tuple[dict[str, Any], int]:
    """How everything is after the verb when nothing comes in between, and how many points that has."""
    if not verb.is_cold:
        project.run("up")
        project.run("snapshot", "save", "first")
        # what only the first time makes isn't part of the picture
        _arrange(project, verb, -1)
        project.run(*verb.words)
        _arrange(project, verb, 0)
    tap = Tap()
    code, text = tapped(project, verb.words, tap)
    assert code == 0, text
    return digest(project), len(tap.points)


def _fresh(machine: Machine, project: Project) -> Project:
    """The same project anew, in the same place."""
    project.run("down")
    project.assert_gone()
    machine.projects.remove(project)
    shutil.rmtree(project.root)
    return new(machine)


def _arrange(project: Project, verb: Verb, number: int) -> None:
    if verb.is_gone:
        project.run("up")
    verb.prepare(project, number)


def _recover(project: Project, verb: Verb, number: int, wanted: dict[str, Any], result: Result) -> list[str]:
    """Run it again, with `up` before it every other time; what is wrong afterwards."""
    found: list[str] = []
    began = time.monotonic()
    try:
        if number % 2 == 0 and verb.words != ("up",):
            project.run("up")
            found += _strays(project, result)
        project.run(*verb.words)
        result.slowest = max(result.slowest, time.monotonic() - began)
        found += _strays(project, result)
        if difference := differs(digest(project), _at(wanted, number)):
            found.append(f"it isn't as it would be:\n{difference}")
        if verb.is_gone:
            project.assert_gone()
            project.run("up")
        if verb.prepare is _use and _canary(project, verb) != f"before {number}":
            result.lost += 1
            found.append("what was written before is lost")
    except AssertionError as error:
        found.append(str(error))
        with contextlib.suppress(AssertionError):
            project.run("up")
    return found


def _canary(project: Project, verb: Verb) -> str:
    if not verb.keeps:
        return keys(project).get("canary", "")
    found = kept(project, verb.keeps)
    # the command that was killed may have been as good as done
    return found.get("canary") or kept(project, f"{verb.keeps}-earlier").get("canary", "")


def _strays(project: Project, result: Result) -> list[str]:
    found = orphans(project)
    result.orphans += len(found)
    return [f"an orphan: {one}" for one in found]


def _at(wanted: dict[str, Any], number: int) -> dict[str, Any]:
    """What the undisturbed run had, with this point's own values."""
    text = json.dumps(wanted).replace("more0", f"more{number}").replace('"before 0"', f'"before {number}"')
    return dict(json.loads(text))


def differs(found: object, wanted: object) -> str:
    """What differs, in words; "" for nothing."""
    one, other = (json.dumps(value, indent=1, sort_keys=True).splitlines() for value in (found, wanted))
    return "\n".join(list(difflib.unified_diff(other, one, "undisturbed", "killed", lineterm="", n=1))[:60])
