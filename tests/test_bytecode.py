"""Bytecode kept from one environment to the next, compiled by a real Python in environments with real packages."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from devstack.bytecode import Bytecode
from devstack.system import System
from tests.python_bench import Bench, make_bench, wheel

#: which file an import loaded, and what that said
LOADED = "import alpha, os; print(os.stat(alpha.__cached__).st_ino, alpha.VERSION)"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return make_bench(tmp_path)


@pytest.fixture
def bytecode(bench: Bench, tmp_path: Path) -> Bytecode:
    return Bytecode(System(bench.environ), tmp_path / "kept")


def compiled(bench: Bench) -> Path:
    """What the first import of `alpha` and `beta` makes; that of `alpha`."""
    bench.run("import alpha, beta")
    (file,) = (bench.root / ".venv" / "lib").glob("python3.*/site-packages/alpha/__pycache__/*.pyc")
    return file


def rebuilt(bench: Bench) -> Path:
    """The same environment, as new; its folder."""
    shutil.rmtree((bench.root / ".venv").resolve())
    return bench.build().folder


def test_the_next_environment_gets_what_the_last_one_compiled(bench: Bench, bytecode: Bytecode) -> None:
    folder = bench.build().folder
    assert bytecode.give(folder) == 0
    inode = compiled(bench).stat().st_ino
    assert (bytecode.keep(folder), bytecode.keep(folder)) == (2, 0)
    folder = rebuilt(bench)
    assert bytecode.give(folder) == 2
    assert bench.run(LOADED).split() == [str(inode), "1.0"]
    assert bench.build().state.is_built


def test_another_version_is_compiled_anew(bench: Bench, bytecode: Bytecode) -> None:
    folder = bench.build().folder
    compiled(bench)
    bytecode.keep(folder)
    wheel(bench.root / "wheels", "alpha", "1.1", requires="beta")
    assert bytecode.give(rebuilt(bench)) == 1
    assert bench.run(LOADED).split()[1] == "1.1"


def test_a_changed_source_wins_over_what_is_kept(bench: Bench, bytecode: Bytecode) -> None:
    folder = bench.build().folder
    source = compiled(bench).parent.parent / "__init__.py"
    bytecode.keep(folder)
    folder = rebuilt(bench)
    bytecode.give(folder)
    text = source.read_text().replace("'1.0'", "'9.9'")
    source.unlink()
    source.write_text(text)
    os.utime(source, (1, 1))
    assert bench.run(LOADED).split()[1] == "9.9"
    # and what was compiled of it replaces what was kept
    assert bytecode.keep(folder) == 1


@pytest.mark.parametrize("size", [0, 40])
def test_a_damaged_one_is_dropped_and_compiled_anew(
    bench: Bench, bytecode: Bytecode, tmp_path: Path, size: int
) -> None:
    """Python itself would fail at the import of half a file."""
    folder = bench.build().folder
    compiled(bench)
    bytecode.keep(folder)
    for file in (tmp_path / "kept").glob("*/*"):
        os.truncate(file, size)
    assert bytecode.give(rebuilt(bench)) == 0
    assert bench.run(LOADED).split()[1] == "1.0"
    assert not list((tmp_path / "kept").glob("*/*"))


def test_it_is_private_and_what_nobody_used_for_a_month_goes(
    bench: Bench, bytecode: Bytecode, tmp_path: Path,
) -> None:
    folder, kept = bench.build().folder, tmp_path / "kept"
    compiled(bench)
    bytecode.keep(folder)
    assert {stat.S_IMODE(place.stat().st_mode) for place in (kept, *kept.iterdir())} == {0o700}
    one, *others = kept.iterdir()
    os.utime(one, (1, 1))
    bytecode.keep(folder)
    assert set(kept.iterdir()) == set(others)


def test_where_nothing_can_be_kept_nothing_fails(bench: Bench, tmp_path: Path) -> None:
    folder = bench.build().folder
    compiled(bench)
    (tmp_path / "file").write_text("")
    bytecode = Bytecode(System(bench.environ), tmp_path / "file" / "kept")
    assert (bytecode.keep(folder), bytecode.give(folder)) == (0, 0)
