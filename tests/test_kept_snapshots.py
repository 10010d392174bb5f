"""Which snapshots of one name are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from devstack.snapshots import Manifest, Origin, Snapshots
from devstack.system import System


@pytest.fixture
def snapshots(system: System, tmp_path: Path) -> Snapshots:
    return Snapshots(system, tmp_path / "snapshots")


def save(snapshots: Snapshots, name: str, token: str, origin: Origin = "") -> None:
    manifest = Manifest(name, token, made=float(token), origin=origin)
    snapshots.begin(manifest.key)
    snapshots.finish(manifest)
    snapshots.replaced(manifest)


def kept(snapshots: Snapshots) -> dict[str, str]:
    assert len(snapshots.every()) == len(snapshots.all())
    return {one.name: one.token for one in snapshots.all()}


def test_a_persons_own_is_replaced_by_the_next_of_its_name(snapshots: Snapshots) -> None:
    for token in ("1", "2"):
        save(snapshots, "before-import", token)
    assert kept(snapshots) == {"before-import": "2"}


def test_what_a_restore_put_aside_outlives_the_next_one(snapshots: Snapshots, tmp_path: Path) -> None:
    """Someone whose restore was cut short repeats it: what it had put aside is the data that counts."""
    for token in ("1", "2", "3"):
        save(snapshots, "before-restore", token, "replaced")
    assert kept(snapshots) == {"before-restore": "3", "before-restore-earlier": "2"}
    snapshots.sweep()
    assert snapshots.get("before-restore-earlier").key == "before-restore-2"
    assert sorted(path.name for path in (tmp_path / "snapshots").iterdir()) == ["before-restore-2", "before-restore-3"]


def test_of_many_left_by_runs_that_were_cut_short_the_last_is_kept(snapshots: Snapshots) -> None:
    for token in ("1", "2", "3"):
        manifest = Manifest("before-reset", token, made=float(token), origin="replaced")
        snapshots.begin(manifest.key)
        snapshots.finish(manifest)
    snapshots.replaced(snapshots.get("before-reset"))
    assert kept(snapshots) == {"before-reset": "3", "before-reset-earlier": "2"}
