"""What ships with devstack is found, in a checkout and in a wheel."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from devstack import resources
from devstack.resources import shared, shipped_profiles

ROOT = Path(__file__).parent.parent


def test_everything_shipped_is_there() -> None:
    assert "{{ program.name }}" in shared("Procfile.template").read_text()
    assert shared("profiles").is_dir()
    assert (shared("examples") / "shop" / "devstack.toml").is_file()


def test_the_wheel_packs_each_of_them() -> None:
    """What a checkout has at its root, the wheel has below devstack/share."""
    tables = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    packed = tables["force-include"]
    assert {"profiles", "Procfile.template", "examples/shop"} <= packed.keys()
    assert all((ROOT / source).exists() and target == f"devstack/share/{source}" for source, target in packed.items())


def test_what_is_packed_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed devstack never looks beside its package."""
    package = tmp_path / "devstack"
    (package / "share" / "profiles").mkdir(parents=True)
    (package / "share" / "profiles" / "mine.toml").write_text("")
    (tmp_path / "profiles").mkdir()
    monkeypatch.setattr(resources, "__file__", str(package / "resources.py"))
    assert shared("profiles") == package / "share" / "profiles"
    assert shipped_profiles() == ("mine",)


def test_the_reference_is_no_profile_to_extend() -> None:
    assert "reference" not in shipped_profiles()
    assert shipped_profiles() == tuple(sorted(shipped_profiles()))
