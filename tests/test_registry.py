"""Port leases and trust, shared by all stacks of one user: real listeners, real processes at the same time."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from devstack.errors import BusyError, ConflictError
from devstack.registry import Entry, Registry, Wish
from devstack.system import System

ROOT = Path(__file__).parent.parent
MakeEntry = Callable[..., Entry]


@pytest.fixture
def registry(system: System, tmp_path: Path) -> Registry:
    return Registry(system, tmp_path / "registry")


@pytest.fixture
def entry(tmp_path: Path) -> MakeEntry:
    """A stack whose project exists."""

    def make(name: str, **ports: int) -> Entry:
        root = tmp_path / "projects" / name
        root.mkdir(parents=True, exist_ok=True)
        return Entry(f"id-{name}", name, str(root), "native", ports, 1000.0)

    return make


@pytest.fixture
def standard(system: System) -> int:
    """A port that is free, as are those after it; far from where the kernel chooses, and from other test workers'."""
    start = 20_000 + os.getpid() * 50 % 10_000
    return next(port for port in range(start, 32_000) if all(system.is_port_free(port + n) for n in range(3)))


@pytest.fixture
def listener(standard: int) -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", standard)) as server:
        yield server


# --- leases ----------------------------------------------------------------------------------------------------------


def test_the_standard_port_where_it_is_free(registry: Registry, entry: MakeEntry, standard: int) -> None:
    leases = registry.lease(entry("shop"), {"web": Wish(standard)}, keep=True)
    assert (leases.ports, leases.notes) == ({"web": standard}, ())
    assert registry.entries()[0].ports == {"web": standard}


def test_a_lease_stays_although_its_port_is_in_use(registry: Registry, entry: MakeEntry, standard: int) -> None:
    """By this stack's own server; of a stranger there the start tells: a lease never moves silently."""
    with socket.create_server(("127.0.0.1", standard)):
        leases = registry.lease(entry("shop", web=standard), {"web": Wish(8000)}, keep=True)
    assert (leases.ports, leases.notes) == ({"web": standard}, ())


@pytest.mark.usefixtures("listener")
@pytest.mark.fault("D7")
def test_a_taken_standard_port_is_left_with_a_note(registry: Registry, entry: MakeEntry, standard: int) -> None:
    """The next one is leased and the note names who has it."""
    leases = registry.lease(entry("shop"), {"web": Wish(standard)}, keep=True)
    assert leases.ports == {"web": standard + 1}
    (note,) = leases.notes
    assert note.startswith(f"web gets port {standard + 1}: {standard} is taken by ")
    assert f"pid {os.getpid()}" in note


@pytest.mark.fault("D2")
def test_two_stacks_never_have_the_same_port(registry: Registry, entry: MakeEntry, standard: int) -> None:
    """Although the first one's server doesn't run now."""
    registry.lease(entry("shop"), {"web": Wish(standard)}, keep=True)
    leases = registry.lease(entry("blog"), {"web": Wish(standard)}, keep=True)
    assert leases.ports == {"web": standard + 1}
    assert leases.notes == (f"web gets port {standard + 1}: {standard} is leased to another stack",)


def test_a_lease_that_another_stack_has_got_meanwhile_moves(
    registry: Registry, entry: MakeEntry, standard: int
) -> None:
    """A copied project brings the original's leases along."""
    registry.lease(entry("shop"), {"web": Wish(standard)}, keep=True)
    leases = registry.lease(entry("copy", web=standard), {"web": Wish(standard)}, keep=True)
    assert leases.ports == {"web": standard + 1}
    assert "another stack" in leases.notes[0]


def test_replicas_that_share_a_wish_get_ports_in_a_row(registry: Registry, entry: MakeEntry, standard: int) -> None:
    """Without a note: nobody but this stack itself is in the way."""
    wishes = {f"web-{number}": Wish(standard) for number in (1, 2, 3)}
    leases = registry.lease(entry("shop"), wishes, keep=True)
    assert leases.ports == {"web-1": standard, "web-2": standard + 1, "web-3": standard + 2}
    assert leases.notes == ()
    more = registry.lease(entry("shop", **leases.ports), {**wishes, "web-4": Wish(standard)}, keep=True)
    assert (len(set(more.ports.values())), more.notes) == (4, ())


def test_a_fixed_port_is_given_even_if_somebody_listens(registry: Registry, entry: MakeEntry, standard: int) -> None:
    """The start will say who is there; another one would not be what the profile says."""
    with socket.create_server(("127.0.0.1", standard)):
        leases = registry.lease(entry("shop"), {"web": Wish(standard, fixed=True)}, keep=True)
    assert (leases.ports, leases.notes) == ({"web": standard}, ())


def test_a_fixed_port_of_another_stack_is_a_conflict(registry: Registry, entry: MakeEntry, standard: int) -> None:
    registry.lease(entry("shop"), {"web": Wish(standard)}, keep=True)
    with pytest.raises(ConflictError) as caught:
        registry.lease(entry("blog"), {"web": Wish(standard, fixed=True)}, keep=True)
    assert (caught.value.id, caught.value.exit_code) == ("port-leased", 6)
    assert "shop" in caught.value.what
    assert [known.name for known in registry.entries()] == ["shop"]


@pytest.mark.parametrize("order", [("web", "api"), ("api", "web")])
def test_a_port_fixed_later_takes_it_from_the_same_stacks_lease(
    registry: Registry, entry: MakeEntry, standard: int, order: tuple[str, str]
) -> None:
    """`web` had it by chance, now `api` demands it; the order in the profile doesn't matter."""
    wishes = {"web": Wish(standard), "api": Wish(standard, fixed=True)}
    leases = registry.lease(entry("shop", web=standard), {name: wishes[name] for name in order}, keep=True)
    assert leases.ports["api"] == standard
    assert leases.ports["web"] != standard
    assert tuple(leases.ports) == order


def test_leases_that_contradict_each_other_are_set_right(
    registry: Registry, entry: MakeEntry, standard: int
) -> None:
    """As a state file edited by hand would have them."""
    wishes = {"web": Wish(standard), "api": Wish(standard)}
    leases = registry.lease(entry("shop", web=standard, api=standard), wishes, keep=True)
    assert leases.ports["web"] == standard
    assert leases.ports["api"] != standard


def test_a_wish_for_any_port(registry: Registry, entry: MakeEntry) -> None:
    leases = registry.lease(entry("shop"), {"dist": Wish(None), "other": Wish(None)}, keep=True)
    assert len({port for port in leases.ports.values() if 1024 <= port <= 65535}) == 2
    assert leases.notes == ()


def test_the_last_port_has_none_after_it(registry: Registry, entry: MakeEntry) -> None:
    """The search ends at 65535 and takes any."""
    leases = registry.lease(entry("shop"), {"a": Wish(65535), "b": Wish(65535)}, keep=True)
    assert len(set(leases.ports.values())) == 2
    assert all(0 < port <= 65535 for port in leases.ports.values())


def test_a_port_that_is_not_wished_any_more_is_given_back(
    registry: Registry, entry: MakeEntry, standard: int
) -> None:
    registry.lease(entry("shop"), {"web": Wish(standard)}, keep=True)
    registry.lease(entry("shop", web=standard), {}, keep=True)
    assert registry.lease(entry("blog"), {"web": Wish(standard)}, keep=True).ports == {"web": standard}


def test_a_plan_that_is_only_shown_leases_nothing(registry: Registry, entry: MakeEntry, tmp_path: Path) -> None:
    registry.lease(entry("shop"), {"web": Wish(None)}, keep=False)
    assert registry.entries() == ()
    assert not (tmp_path / "registry").exists()


def test_leases_of_a_deleted_project_are_free_again(registry: Registry, entry: MakeEntry, standard: int) -> None:
    gone = entry("gone")
    registry.lease(gone, {"web": Wish(standard)}, keep=True)
    shutil.rmtree(gone.root)
    leases = registry.lease(entry("shop"), {"web": Wish(standard, fixed=True)}, keep=True)
    assert leases.ports == {"web": standard}


def test_leases_enter_a_lost_registry_again(
    registry: Registry, entry: MakeEntry, tmp_path: Path, standard: int
) -> None:
    """They are in the project's own state; what the machine forgot must not be leased to the next one."""
    shop = entry("shop", web=standard)
    registry.record(shop)
    (tmp_path / "registry" / "registry.json").unlink()
    registry.lease(shop, {"web": Wish(standard)}, keep=True)
    assert registry.lease(entry("blog"), {"web": Wish(standard)}, keep=True).ports == {"web": standard + 1}


LEASE = """
import sys
from pathlib import Path
from devstack.registry import Entry, Registry, Wish
from devstack.system import System

folder, name, root, standard = sys.argv[1:]
wishes = {f"p{number}": Wish(int(standard)) for number in range(4)}
print("ready", flush=True)
sys.stdin.readline()
leases = Registry(System({}), Path(folder)).lease(Entry(name, name, root, "native", {}, 1.0), wishes, keep=True)
print(*leases.ports.values())
"""


def test_stacks_that_lease_at_the_same_moment_share_no_port(tmp_path: Path, standard: int) -> None:
    """Real processes, let go together, all wanting the same ports."""
    words = [sys.executable, "-c", LEASE, str(tmp_path / "registry")]
    children = [
        subprocess.Popen(
            [*words, f"stack{number}", str(tmp_path), str(standard)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, cwd=ROOT,
        )
        for number in range(5)
    ]
    for child in children:
        assert child.stdout
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin
        child.stdin.write("go\n")
        child.stdin.flush()
    ports = [int(port) for child in children for port in child.communicate(timeout=60)[0].split()]
    assert [child.returncode for child in children] == [0] * 5
    assert len(ports) == len(set(ports)) == 20
    known = json.loads((tmp_path / "registry" / "registry.json").read_text())
    assert sorted(port for stack in known.values() for port in stack["ports"].values()) == sorted(ports)


def test_a_registry_that_stays_held_is_told(entry: MakeEntry, tmp_path: Path) -> None:
    """With the exit code for it, not as a broken disk."""

    class Impatient(System):
        def lock(self, path: Path, timeout: float):  # type: ignore[no-untyped-def]  # System's own
            return super().lock(path, 0.1)

    (tmp_path / "registry").mkdir()
    with System({}).lock(tmp_path / "registry" / "registry.lock", 1) as held:
        assert held
        with pytest.raises(BusyError) as caught:
            Registry(Impatient({}), tmp_path / "registry").record(entry("shop"))
    assert (caught.value.id, caught.value.exit_code) == ("registry-busy", 75)


# --- entries ---------------------------------------------------------------------------------------------------------


def test_entries_are_newest_first(registry: Registry, entry: MakeEntry) -> None:
    for name, moment in (("old", 1.0), ("new", 3.0), ("middle", 2.0)):
        registry.record(replace(entry(name, web=8000), last_used=moment))
    assert [known.name for known in registry.entries()] == ["new", "middle", "old"]
    assert registry.entries()[0] == replace(entry("new", web=8000), last_used=3.0)


def test_a_forgotten_stack_is_gone(registry: Registry, entry: MakeEntry) -> None:
    registry.record(entry("shop"))
    registry.forget("id-shop")
    registry.forget("id-unknown")
    assert registry.entries() == ()


GOOD = '{"id": {"name": "shop", "root": "/x", "runtime": "native", "ports": {"web": 8000}, "last_used": 1.0}}'


@pytest.mark.parametrize("text", [
    "", "{", "[]", "null", "[" * 100_000, '{"id": 1}', '{"id": {}}', '{"id": null}',
    GOOD.replace('{"web": 8000}', "[]"), GOOD.replace('{"web": 8000}', "null"),
    GOOD.replace("8000", '"x"'), GOOD.replace("8000", "1e999"),
    GOOD.replace("1.0", '"never"'), GOOD.replace("1.0", "null"), GOOD[:-20],
])  # fmt: skip
def test_a_damaged_registry_reads_as_empty_and_is_mended(
    registry: Registry, entry: MakeEntry, tmp_path: Path, text: str
) -> None:
    """No crash; the next stack that is used enters itself again."""
    registry.record(entry("shop"))
    (tmp_path / "registry" / "registry.json").write_text(text)
    assert registry.entries() == ()
    registry.record(entry("blog"))
    assert [known.name for known in registry.entries()] == ["blog"]


def test_one_damaged_entry_spoils_no_other(registry: Registry, entry: MakeEntry, tmp_path: Path) -> None:
    registry.record(entry("shop"))
    path = tmp_path / "registry" / "registry.json"
    path.write_text(json.dumps({"bad": 7, **json.loads(path.read_text())}))
    assert [known.name for known in registry.entries()] == ["shop"]


def test_a_root_that_is_no_text_is_no_crash(registry: Registry, entry: MakeEntry, tmp_path: Path) -> None:
    registry.record(entry("shop"))
    (tmp_path / "registry" / "registry.json").write_text(GOOD.replace('"/x"', "7"))
    assert registry.lease(entry("shop"), {"web": Wish(None)}, keep=True).ports


def test_everything_is_private(registry: Registry, entry: MakeEntry, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        registry.record(entry("shop"))
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "registry").iterdir()}
    assert modes == {"registry.json": 0o600, "registry.lock": 0o600, "used": 0o700}
    assert (tmp_path / "registry").stat().st_mode & 0o777 == 0o700
