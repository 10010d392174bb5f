"""An archive that isn't what it should be leaves nothing outside its folder and is refused by name."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from devstack.errors import NetworkError
from devstack.runtimes.servers.archive import unpack

FILE, LINK = stat.S_IFREG | 0o644, stat.S_IFLNK | 0o777


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in here"
    folder.mkdir()
    return folder


def archive(tmp_path: Path, *members: tuple[str, int, str]) -> Path:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        for name, mode, content in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            file.writestr(info, content)
    return path


@pytest.mark.parametrize(
    "members",
    [
        [("../out", FILE, "x")],
        [("a/../../out", FILE, "x")],
        [("/out", FILE, "x")],
        [("c:/out", FILE, "x")],
        [("a\\..\\out", FILE, "x")],
        [("link", LINK, "../out")],
        [("link", LINK, "/etc/passwd")],
        [("link", LINK, "link")],
        [("d/up", LINK, ".."), ("d/e/out", LINK, "../up/../out")],
        [("one", LINK, "d"), ("one/out", FILE, "x"), ("d/", stat.S_IFDIR | 0o755, "")],
        [("fifo", stat.S_IFIFO | 0o644, "")],
        [("device", stat.S_IFCHR | 0o644, "")],
        [("twice", FILE, "x"), ("twice", FILE, "y")],
        [("f", FILE, "x"), ("f", LINK, "g"), ("g", FILE, "x")],
    ],
    ids=lambda members: "+".join(member[0] for member in members),
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_hostile_member_is_refused_and_writes_nothing_outside(
    tmp_path: Path, folder: Path, members: list[tuple[str, int, str]]
) -> None:
    path = archive(tmp_path, *members)
    with pytest.raises(NetworkError) as caught:
        unpack(path, folder)
    assert caught.value.id == "archive-refused"
    assert {entry.name for entry in tmp_path.iterdir()} == {"a.zip", "in here"}
    assert all(entry.resolve().is_relative_to(folder) for entry in folder.rglob("*") if entry.is_file())


def test_a_bomb_is_refused_before_it_is_unpacked(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devstack.runtimes.servers.archive._MOST_BYTES", 1000)
    path = archive(tmp_path, ("zeros", FILE, "0" * 1001))
    with pytest.raises(NetworkError, match="far larger"):
        unpack(path, folder)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("cut", [10, 200, -30])
def test_a_truncated_archive_is_called_damaged(tmp_path: Path, folder: Path, cut: int) -> None:
    path = archive(tmp_path, ("a", FILE, "content" * 100))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(NetworkError) as caught:
        unpack(path, folder)
    assert caught.value.id == "archive-damaged"


def test_a_flipped_byte_is_called_damaged(tmp_path: Path, folder: Path) -> None:
    path = archive(tmp_path, ("a", FILE, "content" * 100))
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(NetworkError) as caught:
        unpack(path, folder)
    assert caught.value.id == "archive-damaged"


def test_files_keep_their_mode_but_no_privilege_and_inner_links_work(tmp_path: Path, folder: Path) -> None:
    path = archive(
        tmp_path, ("lib/libx.so", LINK, "libx.so.1"), ("bin/run", stat.S_IFREG | 0o6777, "run"),
        ("lib/libx.so.1", FILE, "code"),
    )  # fmt: skip
    assert unpack(path, folder) == 3
    assert (folder / "bin/run").stat().st_mode & 0o7777 == 0o755
    assert (folder / "lib/libx.so").read_text() == "code"
