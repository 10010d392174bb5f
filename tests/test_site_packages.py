"""The comparison of a folder with what RECORD says of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from devstack import site_packages


def distribution(site: Path, name: str, record: str | None) -> None:
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    if record is not None:
        (info / "RECORD").write_text(record)


@pytest.mark.parametrize(("record", "problem"), [
    ("there.py,sha256=x,4\nempty.py,,0\n", ""),
    ("there.py,sha256=x,4\ngone.pyc,,\n__pycache__/gone.cpython-311.pyc,,\n", ""),
    ('"with, comma.py",sha256=x,4\n', ""),
    ("gone.py,sha256=x,4\n", "package a-b is damaged: 1 file missing"),
    ("gone.py,sha256=x,4\nalso.py,,\n", "package a-b is damaged: 2 files missing"),
    ("empty.py,sha256=x,40\n", "package a-b is damaged: 1 file missing"),
    (None, "package a-b is half-installed: it has no RECORD"),
    ("", ""),
])
def test_what_record_names_must_be_there(tmp_path: Path, record: str | None, problem: str) -> None:
    for name, text in (("there.py", "text"), ("empty.py", ""), ("with, comma.py", "text")):
        (tmp_path / name).write_text(text)
    distribution(tmp_path, "A_b", record)
    assert site_packages.damage(tmp_path) == problem


def test_a_distribution_that_was_there_must_still_be_in_any_version(tmp_path: Path) -> None:
    distribution(tmp_path, "django", "")
    assert site_packages.distributions(tmp_path) == ("django",)
    assert site_packages.damage(tmp_path, ("django",)) == ""
    assert site_packages.damage(tmp_path, ("celery", "django")) == "package celery is gone"


def test_many_problems_are_counted(tmp_path: Path) -> None:
    for number in range(5):
        distribution(tmp_path, f"p{number}", None)
    assert site_packages.damage(tmp_path).endswith("; and 2 more")


def test_a_file_that_two_distributions_brought_is_whole_as_either_has_it(tmp_path: Path) -> None:
    """Old packages bring a top-level `tests` each."""
    (tmp_path / "tests").mkdir()
    shared = tmp_path / "tests" / "__init__.py"
    distribution(tmp_path, "first", "tests/__init__.py,sha256=x,9\n")
    distribution(tmp_path, "second", "tests/__init__.py,sha256=x,0\n")
    for text in ("", "nine char"):
        shared.write_text(text)
        assert site_packages.truncated(tmp_path) == ()
        assert site_packages.damage(tmp_path) == ""

    shared.write_text("nine")
    assert site_packages.truncated(tmp_path) == ("first", "second")
    shared.unlink()
    assert "package first is damaged: 1 file missing" in site_packages.damage(tmp_path)
