"""What the last destructive command was: the trash's names have whole seconds, snapshots have less."""

from __future__ import annotations

import calendar
import os
from pathlib import Path

import pytest

from devstack.stack import undoing

SECOND = calendar.timegm((2026, 11, 28, 19, 3, 12))


@pytest.mark.parametrize(("name", "filled", "at"), [
    ("20261128-190312-service-postgres", SECOND + 0.75, SECOND + 0.75),
    # filled for longer than a second, or touched since
    ("20261128-190312-data", SECOND + 900, SECOND + 0.999999),
    ("20261128-190312-environment", SECOND - 900, SECOND),
    ("20261128-190312-000123-profile", SECOND + 0.75, SECOND + 0.000123),
])
def test_what_went_to_the_trash_is_dated_within_its_second(tmp_path: Path, name: str, filled: float, at: float) -> None:
    (tmp_path / name).mkdir()
    os.utime(tmp_path / name, (filled, filled))
    found = undoing.last(tmp_path)
    assert found is not None
    assert found.at == pytest.approx(at, abs=1e-5)
