"""Where the files that a profile names may lie, and that each is read once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from devstack.errors import UsageError
from devstack.stack.inputs import Inputs


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "sub").mkdir(parents=True)
    (root / "sub" / "file").write_text("inside")
    (tmp_path / "outside").write_text("outside")
    (tmp_path / "elsewhere").mkdir()
    (root / "leads-out").symlink_to(tmp_path / "elsewhere")
    (root / "link-out").symlink_to(tmp_path / "outside")
    (root / "link-in").symlink_to("sub/file")
    return root


@pytest.mark.parametrize("name", ["link-out", "leads-out/file", "../outside", "sub/../../outside", "/etc/hosts"])
def test_nothing_leads_out_of_the_project(root: Path, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        Inputs(root).inside(name)
    assert caught.value.id == "path-outside"


def test_a_link_within_the_project_is_followed(root: Path) -> None:
    inputs = Inputs(root)
    assert inputs.inside("link-in") == root / "sub" / "file"
    assert inputs.content(inputs.inside("link-in")) == b"inside"


def test_a_file_is_made_in_place_of_a_link_never_behind_one(root: Path) -> None:
    inputs = Inputs(root)
    assert inputs.target("link-out") == root / "link-out"
    assert inputs.target("new/file") == root / "new" / "file"
    with pytest.raises(UsageError):
        inputs.target("leads-out/file")


def test_templates_may_lie_beside_a_profile_of_the_persons_own(root: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "t.in").write_text("own")
    (own / "link").symlink_to(tmp_path / "outside")
    inputs = Inputs(root, own)
    assert inputs.template("t.in") == own / "t.in"
    assert inputs.template("sub/file") == root / "sub" / "file"
    for name in ("link", "../outside"):
        with pytest.raises(UsageError):
            inputs.template(name)
    with pytest.raises(UsageError):
        Inputs(root).template("../own/t.in")


def test_what_was_read_stays_read(root: Path) -> None:
    """What is trusted is what is used, whatever happens to the file meanwhile."""
    inputs, path = Inputs(root), root / "sub" / "file"
    assert inputs.content(path) == b"inside"
    path.write_text("swapped")
    assert inputs.content(path) == b"inside"
    assert inputs.content(path, fresh=True) == b"swapped"
    assert inputs.content(root / "none") is None


def test_what_is_no_file_is_refused_at_once(root: Path) -> None:
    os.mkfifo(root / "pipe")
    (root / "big").write_bytes(b"x" * 1_000_001)
    for name, kind in (("pipe", "not-a-file"), ("sub", "not-a-file"), ("big", "file-too-big")):
        with pytest.raises(UsageError) as caught:
            Inputs(root).content(root / name)
        assert caught.value.id == kind
