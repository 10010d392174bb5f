"""Ways to break the running demo: each with what `doctor` has to call it. What brings it back is what is printed.

The table is data; `test_broken_shop.py` goes through it, natively and with the servers in containers.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, LiteralString

from tests.demo.scene import Scene
from tests.scenarios.disks import inside, mounted, tmpfs
from tests.scenarios.machine import below, stranger, until

#: what a person does once the cause has a name, where no command can: free a disk, correct a file
Act = Callable[[], object]
Runtime = Literal["native", "docker"]
_BOTH: tuple[Runtime, ...] = ("native", "docker")
_NATIVE: tuple[Runtime, ...] = ("native",)
_DOCKER: tuple[Runtime, ...] = ("docker",)
_SERVERS = ("postgres", "redis", "rabbitmq")
#: cuts an update in two by words that are none
_MIDDLE = """printf '*3\\r\\n+oops\\r\\n' >x; cat "$f" >>x; cat x >"$f"; rm x"""
_FILL = "head -c 2000000000 /dev/zero >{} 2>/dev/null || true"


@dataclass(frozen=True)
class State:
    """sort: of the breakage. named: ids of findings, any of which is the cause's name. act: in words. work: where the
    order of before is afterwards; `gone` where breaking it has destroyed the only copy. is_quick: CI has it too."""

    name: str
    sort: str
    by: Callable[[Scene], Act | None]
    named: tuple[str, ...]
    where: tuple[Runtime, ...] = _BOTH
    faults: tuple[str, ...] = ()
    act: str = ""
    work: Literal["there", "trash", "aside", "gone"] = "there"
    quick: tuple[Runtime, ...] = ()


# --- folders and files ------------------------------------------------------------------------------------------------


def _lose_environment(scene: Scene) -> None:
    shutil.rmtree(scene.environment)


def _unlink_environment(scene: Scene) -> None:
    (scene.root / ".venv").unlink()


def _lose_generated(scene: Scene) -> None:
    for name in ("Procfile", "supervisord.conf"):
        (scene.folder / name).unlink()
    shutil.rmtree(scene.folder / "env")


def _lose_sockets(scene: Scene) -> None:
    shutil.rmtree(scene.sockets)


def _lose(name: str, scene: Scene) -> None:
    (scene.folder / name).unlink()


def _overwrite(name: str, text: str, scene: Scene) -> None:
    (scene.folder / name).write_text(text)


def _lose_package(scene: Scene) -> None:
    shutil.rmtree(scene.packages / "celery")


def _empty_module(scene: Scene) -> None:
    # another file of that name: this one may be shared with a cache
    module = scene.packages / "celery" / "app" / "base.py"
    module.unlink()
    module.touch()


def _beside(text: str, scene: Scene) -> Act:
    scene.beside(text)
    return (scene.root / "devstack.local.toml").unlink


def _change_profile(scene: Scene) -> None:
    scene.beside('[env]\nMORE = "1"\n')


def _another_major(scene: Scene) -> Act:
    scene.beside('[services.postgres]\nversion = "15"\n')
    # what `fix` says
    return lambda: scene.beside('[services.postgres]\nversion = "16"\n')


def _lose_data(service: str, scene: Scene) -> None:
    scene.lose_data(service)


def _damage(service: str, script: str, scene: Scene) -> None:
    """Then the server is started on it, as it is after a new start of the machine, and dies of it."""
    scene.end(service)
    scene.at_data(service, script)
    scene.begin(service)
    assert until(lambda: scene.has_died(service), 60), service


def _damage_appended(scene: Scene) -> None:
    for number in range(50):
        scene.project.redis("SET", f"broken-{number}", "value")
    _damage("redis", f"f=$(ls appendonlydir/*.incr.aof); {_MIDDLE}", scene)


def _other_cluster(scene: Scene) -> Act:
    """Data of another major version is put where the stack's own was."""
    scene.end("postgres")
    scene.at_data("postgres", "cp -p PG_VERSION PG_VERSION.own; echo 14 >PG_VERSION")
    scene.begin("postgres")
    assert until(lambda: scene.has_died("postgres"), 60)

    def put_back() -> None:
        scene.end("postgres")
        scene.at_data("postgres", "mv PG_VERSION.own PG_VERSION")
        # what its server said last is about the data of then
        scene.project.run("up")

    return put_back


# --- environments -----------------------------------------------------------------------------------------------------


def _half_build(scene: Scene) -> None:
    """It is built anew, and devstack is killed while it installs."""
    old = scene.environment.name
    child = scene.project.popen("reset", "--env", "--yes")
    venvs = scene.folder / "venvs"
    assert until(lambda: (venvs / old / "bin" / "python").exists() and not (venvs / old / "devstack.json").exists(), 60)
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate(timeout=20)


def _cut_marker(scene: Scene) -> None:
    (scene.environment / "devstack.json").write_text("{")


def _other_python(scene: Scene) -> None:
    """The interpreter behind the environment is another one by now."""
    path = scene.environment / "devstack.json"
    marker = json.loads(path.read_text())
    marker["interpreter"]["stamp"] = "another"
    path.write_text(json.dumps(marker))


def _lose_interpreter(scene: Scene) -> None:
    link = scene.environment / "bin" / "python"
    link.unlink()
    link.symlink_to("/opt/python-that-was/bin/python3")


# --- processes and servers --------------------------------------------------------------------------------------------


def _kill_supervisord(scene: Scene) -> None:
    scene.kill(scene.supervisord())


def _kill_all(scene: Scene) -> None:
    """A machine that lost its power."""
    scene.kill(scene.supervisord(), *below(scene.root))
    scene.kill(*below(scene.root))
    for service in _SERVERS if scene.engine else ():
        assert scene.engine is not None
        scene.engine.api.kill(scene.container(service))


def _stop(*programs: str) -> Callable[[Scene], None]:
    return lambda scene: scene.stop(*programs)


def _hold(name: str, scene: Scene) -> None:
    scene.hold(name)


def _end(service: str, scene: Scene) -> None:
    scene.end(service)


def _kill_container(service: str, scene: Scene) -> None:
    assert scene.engine is not None
    scene.engine.api.kill(scene.container(service))


def _remove_container(service: str, scene: Scene) -> None:
    assert scene.engine is not None
    scene.engine.api.remove_container(scene.container(service), force=True)


def _pause(service: str, scene: Scene) -> None:
    assert scene.engine is not None
    scene.engine.api.pause(scene.container(service))


def _cut_off(service: str, scene: Scene) -> None:
    scene.cut_off(service)


def _in_its_place(service: str, scene: Scene) -> None:
    scene.in_its_place(service)


# --- ports ------------------------------------------------------------------------------------------------------------


def _take_port(name: str, scene: Scene) -> None:
    port = scene.ports[name]
    if name in _SERVERS and scene.engine is not None:
        _remove_container(name, scene)
    else:
        scene.stop(name)
    scene.until_end.enter_context(stranger(port))


def _take_port_of_all(scene: Scene) -> None:
    """While the stack was down."""
    port = scene.ports["postgres"]
    scene.project.run("down")
    scene.until_end.enter_context(stranger(port))


# --- passwords and what servers were told -----------------------------------------------------------------------------


def _sql(*statements: LiteralString) -> Callable[[Scene], None]:
    def run(scene: Scene) -> None:
        for statement in statements:
            scene.sql(statement)

    return run


def _redis(command: str, *words: str) -> Callable[[Scene], None]:
    def run(scene: Scene) -> None:
        scene.project.redis(command, *words)

    return run


def _ctl(*words: str) -> Callable[[Scene], None]:
    return lambda scene: scene.ctl(*words)


def _rename_database(scene: Scene) -> None:
    scene.sql("ALTER DATABASE shop ALLOW_CONNECTIONS false")
    scene.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'shop'")
    scene.sql("ALTER DATABASE shop RENAME TO aside")
    scene.sql("ALTER DATABASE aside ALLOW_CONNECTIONS true")


# --- disks ------------------------------------------------------------------------------------------------------------


def _no_room_for_broker(scene: Scene) -> Act:
    """What the broker does where its disk is almost full; the limit is moved, not the disk."""
    scene.ctl("set_disk_free_limit", "900GB")
    return lambda: scene.ctl("set_disk_free_limit", "50MB")


def _fill(folder: str, size: str, scene: Scene) -> Act:
    """The folder lies on a small disk, which gets full and is freed again."""
    place, under = f".devstack/{folder}", ".devstack/under"
    scene.project.run("down")
    scene.until_end.callback(lambda: scene.project.run("up"))
    script = f"mkdir {under}; mount --bind {place} {under}; {tmpfs(place, f'size={size}')}; cp -a {under}/. {place}/"
    there = scene.until_end.enter_context(mounted(scene.project.machine, scene.root, script))

    def leave() -> None:
        scene.project.run("down")
        inside(there, f"rm -rf {under}/* && cp -a {place}/. {under}/ && umount {place} {under} && rmdir {under}")

    scene.until_end.callback(leave)
    scene.project.run("up")
    inside(there, _FILL.format(f"{place}/big"))
    return lambda: inside(there, f"rm {place}/big")


# --- all of it --------------------------------------------------------------------------------------------------------

FOLDERS = (
    State("environment deleted", "deleted", _lose_environment, ("environment-unusable",), faults=("F1",)),
    State("link to the environment deleted", "deleted", _unlink_environment, ("environment-unlinked",), quick=_NATIVE),
    State("generated files deleted", "deleted", _lose_generated, ("files-stale",)),
    State("sockets deleted", "deleted", _lose_sockets, ("orphans",), faults=("E4", "J11")),
    State("state file deleted", "deleted", partial(_lose, "state.json"), ("state-lost",), faults=("E8",)),
    State("secrets deleted", "deleted", partial(_lose, "secrets.json"), ("secrets-lost",), faults=("G3",)),
    State("package deleted", "deleted", _lose_package, ("environment-unusable",), faults=("F5",)),
    *(
        State(f"data of {name} deleted", "deleted", partial(_lose_data, name), ("data-missing",), faults=("G10",),
              work="gone" if name == "postgres" else "there")
        for name in _SERVERS
    ),
)
FILES = (
    State("state file cut", "corrupted", partial(_overwrite, "state.json", "{"), ("state-damaged",), faults=("E8",),
          quick=_NATIVE),
    State("secrets cut", "corrupted", partial(_overwrite, "secrets.json", "{"), ("secrets-lost",)),
    State("configuration overwritten", "corrupted", partial(_overwrite, "supervisord.conf", "x\n"), ("files-stale",)),
    State("file of a package emptied", "corrupted", _empty_module, ("environment-damaged",), faults=("F5",)),
    State("profile beside cut", "corrupted", partial(_beside, "name = ["), ("profile-invalid",), faults=("L1",),
          act="the profile is corrected"),
    State("control file of postgres emptied", "corrupted", partial(_damage, "postgres", ": >global/pg_control"),
          ("data-damaged",), faults=("G5",), work="trash"),
    State("control file of postgres overwritten", "corrupted",
          partial(_damage, "postgres", "head -c 8192 /dev/urandom >x; cat x >global/pg_control; rm x"),
          ("data-damaged",), faults=("G5",), work="trash"),
    State("log of postgres' changes deleted", "corrupted", partial(_damage, "postgres", "rm -rf pg_wal/*"),
          ("data-damaged",), faults=("G5",), work="trash"),
    State("append-only file of redis damaged", "corrupted", _damage_appended, ("data-damaged",), faults=("G7",)),
    State("schema of rabbitmq overwritten", "corrupted",
          partial(_damage, "rabbitmq", "for f in $(find . -name schema.DAT); do echo broken >$f; done"),
          ("data-damaged",)),
)
ENVIRONMENTS = (
    State("rebuild of the environment killed", "half-built", _half_build, ("environment-unusable",),
          faults=("B12", "F1")),
    State("marker of the environment cut", "half-built", _cut_marker, ("environment-unusable",), faults=("F1",)),
    State("interpreter gone", "wrong version", _lose_interpreter, ("environment-unusable",), faults=("F2",)),
    State("another interpreter behind the environment", "wrong version", _other_python, ("environment-unusable",),
          faults=("F3",)),
    State("another major of postgres asked for", "wrong version", _another_major, ("data-version",), _NATIVE,
          faults=("G1",), act="the version is put back, as `fix` says"),
    State("data of another major of postgres", "wrong version", _other_cluster, ("data-version",), faults=("G1",),
          act="the data is put back, and `devstack up`"),
    State("profile changed", "wrong version", _change_profile, ("changed", "not-trusted")),
)
PROCESSES = (
    State("supervisord killed", "killed", _kill_supervisord, ("orphans",), faults=("I5",), quick=_NATIVE),
    State("everything killed", "killed", _kill_all, ("ended",), faults=("J11", "H4")),
    State("workers stopped by hand", "killed", _stop("worker-1", "worker-2"), ("not-running",)),
    State("web hangs", "killed", partial(_hold, "web"), ("not-ready",)),
    *(State(f"{name} stopped by hand", "killed", partial(_end, name), ("not-running",), faults=("H4",),
            quick=_NATIVE if name == "postgres" else ()) for name in _SERVERS),
    *(State(f"{name} hangs", "killed", partial(_hold, name), ("not-ready",), _NATIVE) for name in _SERVERS),
    *(State(f"container of {name} killed", "killed", partial(_kill_container, name), ("not-running",), _DOCKER,
            faults=("H4",)) for name in _SERVERS),
    *(State(f"container of {name} removed", "killed", partial(_remove_container, name), ("not-running",), _DOCKER,
            quick=_DOCKER if name == "redis" else ()) for name in _SERVERS),
    *(State(f"container of {name} paused", "killed", partial(_pause, name), ("not-running",), _DOCKER,
            quick=_DOCKER if name == "redis" else ()) for name in _SERVERS),
    State("container of postgres cut off its network", "killed", partial(_cut_off, "postgres"), ("not-running",),
          _DOCKER),
    State("another image in the place of redis", "wrong version", partial(_in_its_place, "redis"), ("name-taken",),
          _DOCKER, faults=("H1",)),
)
PORTS = (
    State("port of web taken", "port taken", partial(_take_port, "web"), ("port-taken",), faults=("D1",),
          quick=_NATIVE),
    State("port of redis taken", "port taken", partial(_take_port, "redis"), ("port-taken",), faults=("D1",)),
    State("port of postgres taken while all was down", "port taken", _take_port_of_all, ("port-taken",),
          faults=("D1", "D7")),
)
PASSWORDS = (
    State("password of postgres changed", "password", _sql("ALTER ROLE shop PASSWORD 'other'"),
          ("service-incomplete",), faults=("G3",), quick=_BOTH),
    State("both passwords of postgres changed", "password",
          _sql("ALTER ROLE postgres PASSWORD 'other'", "ALTER ROLE shop PASSWORD 'other'"), ("service-incomplete",),
          faults=("G3",)),
    State("role of postgres shut out", "password", _sql("ALTER ROLE shop NOLOGIN"), ("service-incomplete",)),
    State("database renamed", "password", _rename_database, ("service-incomplete",), work="aside"),
    State("password of redis changed", "password", _redis("CONFIG", "SET", "requirepass", "other"),
          ("service-incomplete",)),
    State("redis made a copy of another", "password", _redis("REPLICAOF", "127.0.0.1", "1"), ("service-incomplete",)),
    State("password of rabbitmq changed", "password", _ctl("change_password", "shop", "other"),
          ("service-incomplete",)),
    State("rights in rabbitmq taken", "password", _ctl("clear_permissions", "-p", "shop", "shop"),
          ("service-incomplete",)),
    State("vhost of rabbitmq deleted", "password", _ctl("delete_vhost", "shop"), ("service-incomplete",)),
)
DISKS = (
    State("disk of the logs full", "full disk", partial(_fill, "logs", "30m"), ("disk-full",), faults=("C5",),
          act="the disk is freed"),
    State("disk of the data full", "full disk", partial(_fill, "data", "450m"), ("disk-full",), _NATIVE,
          faults=("C3",), act="the disk is freed"),
    State("memory of redis full", "full disk", _redis("CONFIG", "SET", "maxmemory", "1"), ("service-incomplete",)),
    State("disk below the limit of rabbitmq", "full disk", _no_room_for_broker, ("service-incomplete",),
          act="the limit is put back"),
)
STATES = (*FOLDERS, *FILES, *ENVIRONMENTS, *PROCESSES, *PORTS, *PASSWORDS, *DISKS)
