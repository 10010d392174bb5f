"""Files as a hostile or a full machine meets them: umasks, planted links, refused folders, no space, two at once."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devstack.errors import InterruptedRunError, StorageError
from devstack.system import System, storage_errors

ROOT = Path(__file__).parent.parent
Act = Callable[[System, Path], object]


def open_private(system: System, path: Path) -> None:
    with system.open_private(path) as descriptor:
        os.write(descriptor, b"new")


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest, system: System) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return path.lstat().st_mode & 0o777


# --- modes and links -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("umask")
@pytest.mark.fault("C14")
def test_modes_are_as_asked_whatever_the_umask(system: System, tmp_path: Path) -> None:
    """Secrets are private and scripts executable under umask 000 and 777."""
    system.write(tmp_path / "secret", "s")
    system.write(tmp_path / "script", "s", 0o700)
    system.write(tmp_path / "shared", "s", 0o644)
    system.append(tmp_path / "log", "s")
    with system.lock(tmp_path / "lock", 1) as held:
        assert held
    assert [mode(tmp_path / name) for name in ("secret", "script", "shared", "log")] == [0o600, 0o700, 0o644, 0o600]
    assert mode(tmp_path / "lock") & 0o077 == 0
    assert mode(system.private_folder(tmp_path / "folder")) == 0o700


def test_a_file_that_is_too_open_is_closed(system: System, tmp_path: Path) -> None:
    """Left by another tool or an older release."""
    for name, act in (("log", System.append), ("file", System.write)):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o666)
        act(system, tmp_path / name, "s")
        assert mode(tmp_path / name) == 0o600
    (tmp_path / "folder").mkdir(mode=0o755)
    assert mode(system.private_folder(tmp_path / "folder")) == 0o700


def test_write_replaces_a_planted_link_and_not_its_target(system: System, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "file").symlink_to(victim)
    system.write(tmp_path / "file", "new")
    assert victim.read_text() == "mine"
    assert (tmp_path / "file").read_text() == "new"
    assert not (tmp_path / "file").is_symlink()


def test_a_planted_link_is_never_written_through(system: System, tmp_path: Path) -> None:
    """open_private says so; append, which only informs, does nothing."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "log").symlink_to(victim)
    with pytest.raises(StorageError) as caught:
        open_private(system, tmp_path / "log")
    assert caught.value.id == "symlink-refused"
    system.append(tmp_path / "log", "new")
    assert victim.read_text() == "mine"


def test_a_private_folder_is_no_link_and_nobody_elses(system: System, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(StorageError) as caught:
        system.private_folder(tmp_path / "link")
    assert caught.value.id == "folder-not-yours"
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        system.private_folder(tmp_path / "file")
    if os.geteuid() == 0:
        (tmp_path / "other").mkdir()
        os.chown(tmp_path / "other", 65534, 65534)
        with pytest.raises(StorageError, match="65534"):
            system.private_folder(tmp_path / "other")


# --- replacing -------------------------------------------------------------------------------------------------------


def test_a_reader_sees_the_old_or_the_new_content_only(system: System, tmp_path: Path) -> None:
    """While one replaces the file again and again, another never reads a part of it."""
    path = tmp_path / "file"
    contents = {"a" * 100_000, "b" * 200_000}
    system.write(path, "a" * 100_000)
    over = threading.Event()
    seen: set[str] = set()

    def read() -> None:
        while not over.is_set():
            seen.add(path.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for _round in range(20):
        for content in contents:
            system.write(path, content)
    over.set()
    reader.join()
    assert seen <= contents
    assert [entry.name for entry in tmp_path.iterdir() if entry.is_file()] == ["file"]


def test_a_write_that_fails_changes_nothing_and_leaves_nothing(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old content stays when the disk refuses at the very end."""
    system.write(tmp_path / "file", "old")

    def refuse(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StorageError) as caught:
        system.write(tmp_path / "file", "new")
    assert (caught.value.id, caught.value.exit_code) == ("disk-full", 5)
    assert str(tmp_path / "file") in caught.value.what
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir() if entry.is_file()] == [("file", "old")]


def test_what_a_killed_writer_left_goes_with_the_next_write(system: System, tmp_path: Path) -> None:
    """And nothing else: neither another file's, nor that of one who is still writing, nor what a person put there."""
    script = "import os, sys; from pathlib import Path; from devstack.system import System; path = Path(sys.argv[1])\n"
    script += "os.fsync = lambda descriptor: os.kill(os.getpid(), 9)\nSystem().write(path, 'new')\n"
    for name in ("file", "other"):
        done = subprocess.run([sys.executable, "-c", script, tmp_path / name], cwd=ROOT, check=False)
        assert done.returncode == -9
    [left] = tmp_path.glob(".file.*")
    [others] = tmp_path.glob(".other.*")
    kept = [tmp_path / f".file.{os.getpid()}.abcdefgh", tmp_path / ".file.mine", tmp_path / ".file.1.mine"]
    for path in kept:
        path.touch()

    system.write(tmp_path / "file", "newer")

    assert not left.exists()
    assert {path for path in tmp_path.iterdir() if path.is_file()} == {tmp_path / "file", others, *kept}
    system.sweep_folder(tmp_path.parent)
    assert others.exists()
    system.sweep_folder(tmp_path.parent, depth=1)
    assert {path for path in tmp_path.iterdir() if path.is_file()} == {tmp_path / "file", *kept}


def test_a_folder_in_the_way_is_told(system: System, tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    acts: list[Act] = [lambda s, p: s.write(p, ""), lambda s, p: s.link(p, "x"), open_private]
    for act in acts:
        with pytest.raises(StorageError):
            act(system, tmp_path / "file")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "home"]


REFUSED: dict[str, Act] = {
    "write": lambda system, path: system.write(path, "x"),
    "open_private": open_private,
    "private_folder": lambda system, path: system.private_folder(path),
    "folder": lambda system, path: system.folder(path, 0o755),
    "link": lambda system, path: system.link(path, "x"),
    "lock": lambda system, path: system.lock(path, 0.1).__enter__(),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_folder_that_may_not_be_written_is_told_with_its_path(system: System, tmp_path: Path, name: str) -> None:
    """As an ordinary user; root may write everywhere, so root becomes nobody for it."""
    closed = tmp_path / "closed"
    closed.mkdir()
    program = (
        "import os, sys\nfrom pathlib import Path\nsys.path.insert(0, sys.argv[2])\n"
        "from devstack.system import System\nfrom devstack.errors import StorageError\nimport filelock\n"
        "from tests.test_files import REFUSED\n"
        "if os.geteuid() == 0:\n    os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try:\n    REFUSED[sys.argv[1]](System({}), Path(sys.argv[3]) / 'it')\n"
        "except StorageError as error:\n    print(error.id, error.exit_code, error.what)\n"
    )
    for folder in (tmp_path, *tmp_path.parents):
        if os.geteuid() == 0 and folder.stat().st_uid == 0 and len(folder.parts) > 2:
            folder.chmod(folder.stat().st_mode | 0o011)
    closed.chmod(0o555)
    done = subprocess.run(
        [sys.executable, "-c", program, name, str(ROOT), str(closed)], capture_output=True, text=True, check=False,
        timeout=60,
    )
    assert done.stdout == f"no-permission 5 {closed / 'it'} can't be written\n", done.stderr


FULL = """
mount -t tmpfs -o size=64k none "$1" || exit 77
head -c 60000 /dev/zero >"$1/filler"
echo old >"$1/file"
exec "$2" -c '
import sys
from pathlib import Path
from devstack.errors import StorageError
from devstack.system import System
folder = Path(sys.argv[1])
try:
    System({}).write(folder / "file", "n" * 100_000)
except StorageError as error:
    print(error.id, error.exit_code, folder.joinpath("file").read_text().strip(), len(list(folder.iterdir())))
System({}).append(folder / "log", "x" * 100_000)
print("on")
' "$1"
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
@pytest.mark.fault("C1")
def test_a_full_disk_is_told_and_the_old_file_stays(tmp_path: Path) -> None:
    """And what only informs is left out silently."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("needs unshare")
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        [unshare, "-m", "/bin/sh", "-c", FULL, "sh", str(disk), sys.executable], capture_output=True, text=True,
        check=False, timeout=60, cwd=ROOT,
    )
    if done.returncode in (1, 77) and "Traceback" not in done.stderr:
        pytest.skip(f"no mount here: {done.stderr.strip()}")
    assert done.stdout == "disk-full 5 old 2\non\n", done.stderr


# --- reading ---------------------------------------------------------------------------------------------------------


def test_what_is_not_there_reads_as_nothing(system: System, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "none", tmp_path / "file" / "below"):
        assert system.read(path) is None
        assert system.read_bytes(path) is None
        assert system.read_end(path, 10) is None
        assert system.read_from(path, 0, 10) == b""
        assert system.extent(path) == (0, 0)


def test_what_cannot_be_read_is_told_and_not_taken_for_nothing(system: System, tmp_path: Path) -> None:
    """An unreadable state file that counted as missing would be written anew."""
    for read in (system.read, system.read_bytes):
        with pytest.raises(StorageError, match="can't be read"):
            read(tmp_path)


def test_reading_text_is_forgiving(system: System, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"a\xff\r\nb\rc\n")
    assert system.read(tmp_path / "file") == "a\N{REPLACEMENT CHARACTER}\nb\nc\n"


def test_parts_of_a_file(system: System, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("0123456789")
    assert system.read_from(tmp_path / "file", 3, 4) == b"3456"
    assert system.read_end(tmp_path / "file", 3) == b"789"
    assert system.read_end(tmp_path / "file", 30) == b"0123456789"
    assert system.extent(tmp_path / "file")[1] == 10


def test_append_takes_names_that_are_no_text(system: System, tmp_path: Path) -> None:
    """A journal tells of paths whose bytes aren't UTF-8."""
    system.append(tmp_path / "log", os.fsdecode(b"caf\xe9\n"))
    assert (tmp_path / "log").read_bytes() == b"caf\xe9\n"


# --- globs -----------------------------------------------------------------------------------------------------------

TREE = (
    "manage.py", "a.pyc", "shop/migrations/0001.py", "shop/deep/er/migrations/0002.py", "migrations/0.py",
    ".git/x.py", ".venv/lib/migrations/1.py", "node_modules/a/b.py", "shop/__pycache__/c.py", "templates/a b.html",
)


@pytest.mark.parametrize(
    ("globs", "found"),
    [
        ((), ()),
        (("manage.py",), ("manage.py",)),
        (("./manage.py",), ("manage.py",)),
        (("*.py",), ("manage.py",)),
        (("**/migrations/*.py",), (
            "migrations/0.py", "shop/deep/er/migrations/0002.py", "shop/migrations/0001.py",
        )),
        (("shop/**",), ("shop/deep/er/migrations/0002.py", "shop/migrations/0001.py")),
        (("shop/**/*.py",), ("shop/deep/er/migrations/0002.py", "shop/migrations/0001.py")),
        (("shop/*/*.py",), ("shop/migrations/0001.py",)),
        (("*.html", "templates/a ?.html"), ("templates/a b.html",)),
        (("**/[0-9].py", "manage.py"), ("manage.py", "migrations/0.py")),
        (("shop/?igrations/*",), ("shop/migrations/0001.py",)),
        (("*/*/*/*/*",), ("shop/deep/er/migrations/0002.py",)),
        (("none/**",), ()),
    ],
)  # fmt: skip
def test_globs_find_a_projects_own_files(
    system: System, tmp_path: Path, globs: tuple[str, ...], found: tuple[str, ...]
) -> None:
    """`**` is any number of folders, `*` and `?` never cross one; what tools made is never looked into."""
    root = tmp_path / "project"
    for name in TREE:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")
    assert system.matching(root, globs) == tuple(root / name for name in found)


def test_globs_find_only_what_can_be_read(system: System, tmp_path: Path) -> None:
    """A pipe would block whoever hashes the inputs, a dangling link would stop him."""
    root = tmp_path / "project"
    root.mkdir()
    os.mkfifo(root / "pipe")
    (root / "dangling").symlink_to("nowhere")
    (root / "link").symlink_to("file")
    (root / "file").write_text("")
    folder = Path(os.path.relpath(root))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(min(folder / "socket", root / "socket", key=lambda path: len(str(path)))))
        assert system.matching(root, ["**/*"]) == (root / "file", root / "link")


# --- locks, links, moves ---------------------------------------------------------------------------------------------

HOLD = (
    "import sys\nfrom pathlib import Path\nfrom devstack.system import System\n"
    "with System({}).lock(Path(sys.argv[1]), 10) as held:\n    print(held, flush=True); sys.stdin.read()\n"
)


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds `tmp_path/lock`."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        cwd=ROOT,
    )
    with child:
        assert child.stdout
        assert child.stdout.readline() == "True\n"
        yield child
        child.kill()


def test_a_lock_that_another_process_holds(system: System, tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    """False after the time given; free the moment its holder is killed."""
    with system.lock(tmp_path / "lock", 0.2) as held:
        assert not held
    holder.kill()
    holder.wait()
    with system.lock(tmp_path / "lock", 10) as held:
        assert held


@pytest.mark.usefixtures("holder")
def test_waiting_for_a_lock_ends_with_the_run(system: System, tmp_path: Path) -> None:
    """As an interruption: the lock wasn't refused."""
    system.cancel()
    with pytest.raises(InterruptedRunError), system.lock(tmp_path / "lock", 60):
        pass


@pytest.mark.fault("E6")
def test_a_lock_is_released_when_its_holder_fails(system: System, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), system.lock(tmp_path / "lock", 1):
        raise ZeroDivisionError
    with System({}).lock(tmp_path / "lock", 1) as held:
        assert held


def test_a_link_is_replaced_as_one_act(system: System, tmp_path: Path) -> None:
    """There is always one, the old or the new, and nothing else is left."""
    link = tmp_path / ".venv"
    system.link(link, "one")
    over = threading.Event()
    seen: set[str] = set()

    def look() -> None:
        while not over.is_set():
            seen.add(str(link.readlink()))

    reader = threading.Thread(target=look)
    reader.start()
    for _round in range(200):
        system.link(link, "two")
        system.link(link, "one")
    over.set()
    reader.join()
    assert seen <= {"one", "two"}
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".venv", "home"]


def test_moves_tell_what_is_in_the_way(system: System, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    with pytest.raises(StorageError):
        system.move(tmp_path / "one", tmp_path / "two")
    system.move(tmp_path / "one", tmp_path / "three")
    assert (tmp_path / "three" / "file").read_text() == "one"


def test_what_the_copy_of_a_tree_collects_is_told_by_its_first_cause() -> None:
    with pytest.raises(StorageError) as caught, storage_errors(Path("/some/where/tree")):
        raise shutil.Error([("/a", "/some/where/tree/a", "[Errno 28] No space left on device: '/some/where/tree/a'")])
    assert (caught.value.id, caught.value.fix[:5]) == ("disk-full", "df -h")
    with pytest.raises(StorageError, match="odd") as caught, storage_errors(Path("/some/where/tree")):
        raise shutil.Error("odd")
    assert caught.value.id == "storage-failed"


@pytest.mark.parametrize(
    ("number", "name"),
    [(28, "disk-full"), (122, "disk-full"), (30, "read-only"), (13, "no-permission"), (1, "no-permission"),
     (40, "symlink-refused"), (5, "storage-failed"), (36, "storage-failed")],
)  # fmt: skip
@pytest.mark.skipif(sys.platform != "linux", reason="these are Linux' numbers")
def test_every_refusal_has_a_name_and_a_command(number: int, name: str) -> None:
    with pytest.raises(StorageError) as caught, storage_errors(Path("/some/where/file")):
        raise OSError(number, os.strerror(number))
    assert caught.value.id == name
    assert caught.value.why
    assert "/some/where" in caught.value.fix
