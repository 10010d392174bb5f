"""What is around a stack and isn't as it should be: memory, disk, clock, planted tools, lost folders."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from tests.scenarios.machine import HOLD, Machine, Project, finish, give, lives, make_repository, stranger, until

_NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a name space of its own")


@_NEEDS_ROOT
@pytest.mark.fault("A12")
def test_too_little_memory_is_told_before_any_work(mini: Project) -> None:
    meminfo = mini.machine.folder / "meminfo"
    real = Path("/proc/meminfo").read_text().splitlines()
    meminfo.write_text("\n".join(
        "MemAvailable:      30000 kB" if line.startswith("MemAvailable:") else line for line in real
    ) + "\n")
    script = 'mount --bind "$0" /proc/meminfo && exec "$@"'

    error = mini.run("up", "--json", prefix=("unshare", "-m", "sh", "-c", script, str(meminfo)), code=3).error

    assert (error["id"], error["fix"].split()[0]) == ("memory-low", "free")
    assert "redis" in error["what"]
    assert "30 MB are free" in error["why"]
    mini.assert_gone()
    mini.run("up")


@_NEEDS_ROOT
@pytest.mark.fault("A12")
def test_too_little_disk_for_a_server_is_told_before_it_is_fetched(mini: Project) -> None:
    cache = mini.machine.folder / "cache"
    cache.mkdir()
    script = 'mount -t tmpfs -o size=20m tmpfs "$0" && exec "$@"'

    error = mini.run(
        "up", "--json", prefix=("unshare", "-m", "sh", "-c", script, str(cache)), env={"XDG_CACHE_HOME": str(cache)},
        code=5,
    ).error

    assert (error["id"], error["fix"]) == ("disk-low", f"df -h {cache / 'devstack'}")
    assert "20 MB are free" in error["why"]
    assert str(cache) in error["what"]
    mini.assert_gone()


@pytest.mark.fault("J10")
def test_tools_planted_in_the_project_are_never_run(mini: Project) -> None:
    """A PATH with `.` in it, and a project that brings its own `git`, `sh` and servers."""
    for name in ("git", "sh", "uv", "python3", "redis-server", "valkey-server", "setpriv", "ps", "dpkg-query"):
        mini.write(name, f"#!/bin/sh\ntouch '{mini.root}/planted-{name}'\nexit 1\n")
        (mini.root / name).chmod(0o755)

    mini.run("up", env={"PATH": f".:{mini.root}:{mini.machine.environ['PATH']}"})
    mini.assert_up()
    mini.run("down", env={"PATH": f".:{mini.machine.environ['PATH']}"})

    assert [path.name for path in mini.root.glob("planted-*")] == []


@pytest.mark.fault("J11")
def test_a_lost_runtime_folder_is_made_again(mini: Project) -> None:
    """After a loss of power nothing runs of what is on record, and what was below the temp folder is gone."""
    mini.run("up")
    mini.redis("SET", "mine", "kept")
    before = [process for each in mini.programs().values() for process in each]
    # an append-only file is written to the disk each second: what power loss may take isn't this test's
    mini.redis("WAITAOF", "1", "0", "5000")
    for process in before:
        process.kill()
    assert until(lambda: not any(map(lives, before)))
    runtime = Path(mini.machine.environ["XDG_RUNTIME_DIR"])
    shutil.rmtree(runtime / "devstack")

    mini.run("up")

    assert mini.redis("GET", "mine") == b"kept"
    assert stat.S_IMODE((runtime / "devstack").stat().st_mode) == 0o700
    mini.assert_up()
    mini.assert_single()
    assert mini.seeded() == 1


@pytest.mark.fault("J6")
@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "Pacific/Apia", "no/such zone", ":"])
def test_any_time_zone_will_do(mini: Project, zone: str) -> None:
    mini.run("up", env={"TZ": zone})
    mini.assert_up()
    assert all(0 <= row["uptime_s"] < 100 for row in mini.status()["processes"])


@pytest.mark.fault("J6")
@pytest.mark.parametrize("shift", [-3600, 10 * 365 * 86400])
def test_a_clock_that_jumps_changes_nothing(mini: Project, shift: int) -> None:
    """An hour back, as after daylight saving or a corrected clock, and ten years on: devstack's own clock, while what
    runs was started by the other one."""
    jumped = mini.machine.with_clock(shift)
    mini.run("up")
    before = mini.programs()

    status = mini.run("status", "--json", env=jumped).document
    assert status["stack"]["state"] == "up"
    assert all(0 <= row["uptime_s"] < 100 for row in status["processes"])
    mini.run("up", env=jumped)
    mini.run("list", env=jumped, cwd=mini.machine.folder)
    assert (mini.programs(), mini.seeded()) == (before, 1)
    mini.run("restart", "worker", env=jumped)
    mini.run("down", env=jumped)
    mini.run("up", env=jumped)
    # and right again
    mini.run("up")
    mini.assert_up()
    mini.assert_single()
    assert mini.seeded() == 1


@pytest.mark.fault("B14")
def test_a_resolver_that_answers_ipv6_first_matters_to_nobody(mini: Project) -> None:
    """Whatever the resolver says of `localhost`: every address that devstack hands out is the literal 127.0.0.1."""
    prefix: tuple[str, ...] = ()
    if os.geteuid() == 0:
        hosts = mini.machine.folder / "hosts"
        hosts.write_text("::1 localhost\n")
        prefix = ("unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', str(hosts))
    mini.run("up", prefix=prefix)
    status = mini.assert_up()

    assert "localhost" not in str(status)
    assert all("127.0.0.1" in row["url"] for row in status["services"])
    assert "localhost" not in "".join(
        path.read_text() for path in (mini.folder / "env").iterdir()
    ).replace(".localhost", "")


@pytest.mark.fault("L9")
@pytest.mark.parametrize("what", ["folder", "pipe", "device", "loop", "unreadable"])
def test_a_profile_that_is_no_file_is_told_at_once(mini: Project, what: str) -> None:
    profile = mini.root / "devstack.toml"
    profile.unlink()
    match what:
        case "folder":
            profile.mkdir()
        case "pipe":
            os.mkfifo(profile)
        case "device":
            profile.symlink_to("/dev/zero")
        case "loop":
            profile.symlink_to("devstack.toml")
        case "unreadable":
            profile.symlink_to("/proc/1/mem")

    error = mini.run("status", "--json", code=5 if what == "unreadable" else 2).error

    assert error["id"] == ("no-permission" if what == "unreadable" else "profile-not-a-file")
    assert "devstack.toml" in error["what"] + error["why"]
    assert error["fix"]
    assert not mini.folder.exists()


@pytest.mark.fault("D5")
def test_a_port_taken_between_the_look_and_the_programs_own_try_is_told_with_its_holder(mini: Project) -> None:
    mini.write("web.py", f"import pathlib, time\n{HOLD}\n{mini.read('web.py')}")
    up = mini.popen("up", "--json")
    assert until((mini.root / "var" / "holds").exists)
    with stranger(mini.state["ports"]["web"]) as (_, process):
        (mini.root / "var" / "go").touch()
        error = finish(up, code=6).error

        assert error["id"] == "port-taken"
        assert f"pid {process.pid}" in error["why"]
        assert error["fix"] == "devstack up --new-ports"
        mini.run("up", "--new-ports")
        mini.assert_up()


@pytest.mark.fault("D6")
def test_a_port_that_only_root_may_use_is_told_as_one(ordinary: Machine) -> None:
    first = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    if first < 82:
        pytest.skip("on this machine everyone may use every port")
    make_repository(ordinary.folder / "low")
    if os.geteuid() == 0:
        give(ordinary.folder / "low")
    low = ordinary.project(ordinary.folder / "low")
    low.edit("devstack.toml", 'role = "web"\n', 'role = "web"\nport = 81\n')

    error = low.run("up", "--json", "--trust", code=6).error

    assert (error["id"], error["fix"]) == ("port-forbidden", "change `port` of web in the profile to one above 1023")
    assert low.programs() == {}
    assert "port 81 of web" in error["what"]


@pytest.mark.fault("D9")
def test_a_demanded_port_that_the_system_gives_to_others_is_told(mini: Project, machine: Machine) -> None:
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    mini.replace('role = "web"\n', f'role = "web"\nport = {(first + last) // 2}\n')

    warnings = mini.run("plan", "--json").document["warnings"]

    assert any("web" in text and f"{first}" in text and "outgoing" in text for text in warnings), warnings
