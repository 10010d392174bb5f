"""The same faults for devstack and for others; each cell says what was seen, `✗` where a person has to mend it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from reliability.contenders import Compose, Contender, Devstack, Honcho, Supervisord
from reliability.report import Thrown
from tests.scenarios.conftest import make_machine
from tests.scenarios.disks import inside, mounted, tmpfs
from tests.scenarios.machine import below, stranger, until
from tests.sweep.taps import Point, Tap

#: a fault: thrown at a contender whose processes aren't up; what was seen
Fault = Callable[[Contender], str]
_CONTENDERS: tuple[type[Contender], ...] = (Devstack, Supervisord, Honcho, Compose)
_DAEMON = "import subprocess, sys\nsubprocess.Popen([sys.executable, 'loop.py'], stdout=subprocess.DEVNULL)\n"
_SLOW = (
    "import os, socket, time\ntime.sleep(2)\ns = socket.create_server(('127.0.0.1', int(os.environ['PORT'])))\n"
    "while True:\n    s.accept()[0].close()\n"
)
_EAGER = (
    "import os, socket, time\nsocket.create_connection(('127.0.0.1', int(os.environ['PORT'])), 1).close()\n"
    "print('ready', flush=True)\ntime.sleep(600)\n"
)
_LEAVES = (
    "import subprocess, sys, time\n"
    # without its pipes, whose end a manager may wait for
    "null = subprocess.DEVNULL\n"
    "subprocess.Popen([sys.executable, 'loop.py'], start_new_session=True, stdout=null, stderr=null)\n"
    "time.sleep(600)\n"
)


def throw(folder: Path, say: Callable[[str], None]) -> list[Thrown]:
    """Throw each fault at each contender. folder: for their projects."""
    found = []
    for fault, act in FAULTS.items():
        seen = {}
        for kind in _CONTENDERS:
            if kind is Compose and (act in _FILES or not Compose.is_here()):
                continue
            say(f"{fault}: {kind.name}")
            with made(kind, folder) as contender:
                try:
                    seen[kind.name] = act(contender)
                except (OSError, AssertionError, psutil.Error) as error:
                    seen[kind.name] = f"✗ {type(error).__name__}: {str(error)[:80]}"
        found.append(Thrown(fault, seen))
    say("a virtualenv: by hand")
    found.append(Thrown("a virtualenv whose making is killed, then run again", _environments(folder)))
    return found


@contextlib.contextmanager
def made(kind: type[Contender], folder: Path) -> Iterator[Contender]:
    """A contender with a project of its own; nothing of it is left at the end."""
    place = Path(tempfile.mkdtemp(prefix=f"{kind.name}-", dir=folder))
    contender = kind(place / "p")
    try:
        with tempfile.TemporaryDirectory(prefix="dsr-", dir="/tmp") as runtime:
            if isinstance(contender, Devstack):
                (place / "state").mkdir()
                contender.machine = make_machine(place, place / "state", Path(runtime))
            try:
                yield contender
            finally:
                contender.down()
    finally:
        contender.clear()


def _kill_manager(contender: Contender) -> str:
    contender.write()
    contender.up()
    for one in contender.manager():
        one.kill()
    until(lambda: not contender.manager(), 5)
    contender.up()
    return _count(contender)


def _count(contender: Contender) -> str:
    web, worker = len(contender.copies("web.py")), len(contender.copies("quiet.py"))
    managers, broken = len(contender.manager()), _broken(contender)
    words = f"{managers} manager{'s' * (managers != 1)}, web ×{web}, worker ×{worker}"
    if isinstance(contender, Compose):
        managers, words = 1, f"web ×{web}, worker ×{worker}"
    well = (managers, web, worker) == (1, 1, 1) and not broken
    return f"each once: {words}" if well else f"✗ {words}{broken}"


def _broken(contender: Contender) -> str:
    said = contender.says()
    return next((f"; it says {word}" for word in ("FATAL", "BACKOFF", "EXITED") if word in said), "")


def _stale_pid(contender: Contender) -> str:
    if isinstance(contender, Honcho):
        return "–"
    contender.write()
    with stranger() as (_, process):
        if isinstance(contender, Devstack):
            contender.up()
            contender.down()
            for name in ("web", "worker"):
                (contender.folder / ".devstack/pids" / name).write_text(f"{process.pid} 1 - - 0\n")
        else:
            (contender.folder / "s.pid").write_text(f"{process.pid}\n")
        contender.up()
        found = _count(contender)
        contender.down()
        return f"{found}; the stranger lives" if process.poll() is None else "✗ the stranger was ended"


def _lost_socket(contender: Contender) -> str:
    if isinstance(contender, Honcho):
        return "–"
    contender.write()
    contender.up()
    place = Path(contender.machine.environ["XDG_RUNTIME_DIR"]) if isinstance(contender, Devstack) else contender.folder
    for path in place.rglob("*.sock"):
        path.unlink()
    contender.up()
    return _count(contender)


def _taken_port(contender: Contender) -> str:
    with stranger() as (port, process):
        contender.port = port
        contender.write()
        code, said = contender.up()
        names = str(process.pid) in said
        if names and code:
            return f"exit {code}, names the stranger's pid {'' if process.poll() is None else '✗ and ended it'}".strip()
        rest = len(contender.copies("quiet.py"))
        return f"✗ exit {code}, doesn't say who has it{_broken(contender)}; worker ×{rest}"


def _slow_database(contender: Contender) -> str:
    (contender.folder / "db.py").write_text(_SLOW)
    (contender.folder / "app.py").write_text(_EAGER)
    contender.commands, contender.needs = {"db": "python db.py", "app": "python app.py"}, {"app": "db"}
    contender.write()
    contender.up()
    died = 0
    if isinstance(contender, Supervisord):
        died = (contender.folder / "s.log").read_text().count("exited: app")
    app, db = len(contender.copies("app.py")), len(contender.copies("db.py"))
    if app != 1:
        return f"✗ app ×{app}, db ×{db}: app died before db was ready"
    return f"✗ app died {died} times before db was ready, then ran" if died else "app is started once db answers"


def _full_logs(contender: Contender) -> str:
    if os.geteuid() != 0:
        return "–"
    logs = ".devstack/logs" if isinstance(contender, Devstack) else "logs"
    fill = f"head -c 3000000 /dev/zero >{logs}/big 2>/dev/null || true"
    holder = make_machine(Path(tempfile.mkdtemp(dir=contender.folder.parent)), contender.folder, contender.folder)
    (contender.folder / logs).mkdir(parents=True, mode=0o700)
    (contender.folder / logs).parent.chmod(0o700)
    with mounted(holder, contender.folder, tmpfs(logs, "size=2m")) as there:
        contender.prefix = there
        contender.write()
        contender.up()
        inside(there, fill)
        time.sleep(3)
        said, lives = contender.says(), len(contender.copies("quiet.py"))
        contender.down()
        contender.prefix = ()
    if "is full" in said:
        return "`status` says which disk is full; all run on"
    if not lives:
        return "✗ everything was ended"
    return f"✗ no word; lines are lost{', it says RUNNING' if 'RUNNING' in said else ''}"


def _daemon(contender: Contender) -> str:
    (contender.folder / "d.py").write_text(_DAEMON)
    contender.commands = {"d": "python d.py"}
    contender.write()
    code, said = contender.up()
    left = len(contender.copies("loop.py"))
    told = "to the background" in said
    if told and not left:
        return f"exit {code}, says that it goes to the background; none is left"
    contender.down()
    left = len(contender.copies("loop.py"))
    kept = f"; {left} of them lives on, after the stop too" if left else "; none is left"
    return f"✗ exit {code}{_broken(contender)}, doesn't say why it ended{kept}"


def _grandchildren(contender: Contender) -> str:
    (contender.folder / "p.py").write_text(_LEAVES)
    contender.commands = {"p": "python p.py"}
    contender.write()
    contender.up()
    began = len(contender.copies("loop.py"))
    contender.down()
    time.sleep(0.5)
    left = len(contender.copies("loop.py"))
    return f"✗ {left} of {began} lives on" if left else f"none of {began} is left"


def _two_at_once(contender: Contender) -> str:
    contender.write()
    import threading

    codes: list[int] = []
    threads = [threading.Thread(target=lambda: codes.append(contender.up()[0])) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return f"{_count(contender)}; exit codes {', '.join(map(str, sorted(codes)))}"


def _environments(folder: Path) -> dict[str, str]:
    """`python -m venv` as READMEs have it, killed at calls of its own; devstack's own making is part of the sweep."""
    broken = killed = 0
    for number in range(4, 40, 6):
        place = Path(tempfile.mkdtemp(dir=folder)) / "venv"
        killed += _is_killed([sys.executable, "-m", "venv", str(place)], number)
        for one in below(place):
            with contextlib.suppress(psutil.Error):
                one.kill()
        # the usual second run
        if not os.access(place / "bin/python", os.X_OK):
            subprocess.run([sys.executable, "-m", "venv", str(place)], check=True, capture_output=True)
        done = subprocess.run([str(place / "bin/python"), "-m", "pip", "--version"], check=False, capture_output=True)
        broken += done.returncode != 0
    recipe = "`test -x .venv/bin/python \\|\\| python -m venv .venv`"
    return {
        "devstack": "made anew after each (sweep above)",
        "by hand": f"{'✗ ' * bool(broken)}{recipe}: without pip after {broken} of {killed}",
    }


def _is_killed(words: list[str], number: int) -> bool:
    """Run a command and kill it at its so-manieth call; False where it was done before."""

    def strike(point: Point) -> int:
        if len(tap.points) == number:
            tap.kill()
        return 0

    tap = Tap(strike)
    with subprocess.Popen([*tap.prefix, *words], pass_fds=tap.pass_fds, start_new_session=True) as child:
        tap.follow(child.pid)
        return child.wait() == -signal.SIGKILL


FAULTS: dict[str, Fault] = {
    "`kill -9` of the manager, then run again": _kill_manager,
    "a pid file that names a stranger": _stale_pid,
    "the socket is removed while the manager lives, then run again": _lost_socket,
    "the port is a stranger's": _taken_port,
    "a process needs a database that takes 2 s": _slow_database,
    "the disk of the logs is full": _full_logs,
    "a program that goes to the background": _daemon,
    "a child in a session of its own, then stopped": _grandchildren,
    "two runs at once": _two_at_once,
}
#: about files, sockets and managers of a contender's own: the engine has its own, everybody's
_FILES = (_kill_manager, _stale_pid, _lost_socket, _full_logs)
