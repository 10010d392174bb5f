"""A snapshot's file: what was packed comes out, and nothing comes out of anything else."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from devstack.errors import DataError, StorageError, UsageError
from devstack.snapshot_files import MANIFEST, SEAL, Packed, PackedPart, pack, unpack, unpacked
from devstack.system import System

DATA = b"\x00some\xffdata" * 1000


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A file of two services."""
    folder = tmp_path / "parts"
    for name, files in {"db": {"0.dump": DATA, "roles.json": b"[]"}, "cache": {"keys.jsonl": b"\n"}}.items():
        (folder / name).mkdir(parents=True)
        for file, content in files.items():
            (folder / name / file).write_bytes(content)
    parts = {"db": PackedPart("postgres", "16.4"), "cache": PackedPart("redis", "7")}
    packed = Packed("mine", "shop", 12.5, "abc", parts, {"migrate": "a.b"})
    pack(System(), tmp_path / "mine.snapshot", packed, folder)
    return tmp_path / "mine.snapshot"


def take(file: Path) -> tuple[Packed, Path]:
    folder = file.parent / "out"
    folder.mkdir()
    return unpack(System(), file, folder), folder


def refused(file: Path) -> str:
    """The error's id; nothing was written where it could lead."""
    before = {path for path in file.parent.rglob("*") if "out" not in path.parts}
    with pytest.raises(DataError) as caught:
        take(file)
    assert {path for path in file.parent.rglob("*") if "out" not in path.parts} == before
    assert caught.value.exit_code == 7
    assert caught.value.why
    return caught.value.id


def test_what_was_packed_comes_out(made: Path) -> None:
    packed, folder = take(made)
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    assert (folder / "db" / "0.dump").read_bytes() == DATA
    assert (packed.name, packed.stack, packed.made, packed.revision) == ("mine", "shop", 12.5, "abc")
    assert packed.tasks == {"migrate": "a.b"}
    assert (packed.services["db"].kind, packed.services["db"].version) == ("postgres", "16.4")
    assert packed.services["db"].files["0.dump"].sha256 == hashlib.sha256(DATA).hexdigest()
    assert unpacked(System(), folder) == packed
    assert [path.name for path in made.parent.iterdir() if path.name.startswith(".")] == []


@pytest.mark.fault("G12")
def test_a_file_cut_anywhere_is_refused(made: Path) -> None:
    content = made.read_bytes()
    for number in range(20):
        short = made.with_name(f"short-{number}")
        short.mkdir()
        (short / "file").write_bytes(content[: len(content) * number // 20])
        assert refused(short / "file") == "snapshot-file-damaged"


@pytest.mark.fault("G12")
def test_a_file_with_any_byte_turned_is_refused_or_says_the_same(made: Path) -> None:
    content, whole = made.read_bytes(), take(made)[0]
    with zipfile.ZipFile(made) as archive:
        entry = archive.getinfo("db/0.dump")
        inside = entry.header_offset + 200
    places = {inside, *range(0, len(content), len(content) // 60), *range(len(content) - 600, len(content), 7)}
    changed = 0
    for place in sorted(places):
        folder = made.with_name(f"turned-{place}")
        folder.mkdir()
        (folder / "file").write_bytes(content[:place] + bytes([content[place] ^ 0x41]) + content[place + 1:])
        try:
            assert take(folder / "file")[0] == whole, "a byte that says nothing, such as a date"
        except DataError:
            changed += 1
    assert changed > 60


def forge(made: Path, change: Callable[[dict[str, bytes]], object], mode: int = stat.S_IFREG | 0o600,
          name: str = "", how: int = zipfile.ZIP_STORED) -> Path:  # fmt: skip
    """Pack it again as somebody would who means harm: every hash is right. name: a member of this mode."""
    with zipfile.ZipFile(made) as archive:
        content = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    change(content)
    manifest = json.loads(content[MANIFEST])
    for part, declared in manifest["services"].items():
        declared["files"] = {
            one.partition("/")[2]: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
            for one, data in content.items() if one.partition("/")[0] == part
        }
    content[MANIFEST] = json.dumps(manifest).encode()
    content[SEAL] = hashlib.sha256(content[MANIFEST]).hexdigest().encode()
    (made.parent / "forged").mkdir()
    forged = made.parent / "forged" / "file"
    with zipfile.ZipFile(forged, "w", how) as archive:
        for one, data in content.items():
            entry = zipfile.ZipInfo(one)
            entry.external_attr = (mode if one == name else stat.S_IFREG | 0o600) << 16
            archive.writestr(entry, data, how)
    return forged


def test_the_forger_is_believed_where_he_does_nothing_wrong(made: Path) -> None:
    packed, folder = take(forge(made, lambda content: content.update({"db/0.dump": b"other"})))
    assert (folder / "db" / "0.dump").read_bytes() == b"other"
    assert packed.name == "mine"


@pytest.mark.fault("S22")
@pytest.mark.parametrize("name", [
    "../evil", "db/../../evil", "/evil", "db/./x", "db/a/b", "db\\evil", "db/.hidden", "db/", "evil", "db/x\x00y",
    "DB/0.dump", "other/file", "db/0.DUMP",
])  # fmt: skip
def test_a_name_that_leads_elsewhere_is_refused(made: Path, name: str) -> None:
    assert refused(forge(made, lambda content: content.update({name: b"evil"}))) == "snapshot-file-refused"


@pytest.mark.fault("S22")
@pytest.mark.parametrize("mode", [
    stat.S_IFLNK | 0o777, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFDIR, stat.S_IFSOCK,
])  # fmt: skip
def test_what_is_no_regular_file_is_refused(made: Path, mode: int) -> None:
    forged = forge(made, lambda content: content.update({"db/0.dump": b"/etc/passwd"}), mode, "db/0.dump")
    assert refused(forged) == "snapshot-file-refused"


@pytest.mark.fault("S22")
def test_a_mode_is_not_taken_over(made: Path) -> None:
    _, folder = take(forge(made, lambda content: None, stat.S_IFREG | 0o6777, "db/0.dump"))
    assert stat.S_IMODE((folder / "db" / "0.dump").stat().st_mode) == 0o600


@pytest.mark.fault("S22")
def test_a_bomb_is_refused_before_anything_is_written(made: Path) -> None:
    bomb = forge(made, lambda content: content.update({"db/0.dump": bytes(50_000_000)}), how=zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 1_000_000
    assert refused(bomb) == "snapshot-file-refused"
    assert list((bomb.parent / "out").rglob("*")) == []


@pytest.mark.fault("S22")
def test_members_that_share_their_bytes_are_refused(made: Path) -> None:
    """A directory that names the same bytes many times makes much of little."""
    forged = forge(made, lambda content: content.update({f"db/{number}.x": DATA for number in range(50)}))
    with zipfile.ZipFile(forged, "a") as archive:
        first = archive.getinfo("db/0.x")
        for number in range(1, 50):
            archive.getinfo(f"db/{number}.x").header_offset = first.header_offset
        archive._didModify = True  # type: ignore[attr-defined]
    assert refused(forged).startswith("snapshot-file")


def test_a_newer_format_is_told(made: Path) -> None:
    def newer(content: dict[str, bytes]) -> None:
        content[MANIFEST] = content[MANIFEST].replace(b'"format": 1', b'"format": 2')

    with pytest.raises(DataError, match="format 2"):
        take(forge(made, newer))


@pytest.mark.parametrize("text", [b"", b"not an archive", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_such_file_is_told(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "file").write_bytes(text)
    assert refused(tmp_path / "file").startswith("snapshot-file")


def test_a_pipe_and_a_missing_file_are_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, expected in (("pipe", "not-a-file"), ("none", "no-file")):
        with pytest.raises(UsageError) as caught:
            unpack(System(), tmp_path / name, tmp_path)
        assert caught.value.id == expected


@pytest.mark.fault("G11")
def test_a_disk_that_refuses_leaves_the_file_that_was_there(made: Path) -> None:
    before, packed = made.read_bytes(), Packed("a", "b", 0.0, "", {"db": PackedPart("postgres", "1")})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    try:
        with pytest.raises(StorageError, match=r"mine\.snapshot can't be written"):
            pack(System(), made, packed, made.parent / "parts")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert made.read_bytes() == before
    assert [path.name for path in made.parent.iterdir() if path.name.startswith(".")] == []
