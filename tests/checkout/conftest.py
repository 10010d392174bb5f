"""A repository to clone from, a folder to clone into, and git as its user runs it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from devstack.checkout import Git
from devstack.system import System
from tests.checkout.desk import GIT, Hasty, Run


@pytest.fixture
def system(private_environ: dict[str, str]) -> Hasty:
    return Hasty(private_environ)


@pytest.fixture
def git(system: System) -> Git:
    return Git(system)


@pytest.fixture
def run(private_environ: dict[str, str]) -> Run:
    """git as its user runs it."""
    who = {"GIT_AUTHOR_NAME": "Ann", "GIT_AUTHOR_EMAIL": "ann@localhost"}
    who |= {name.replace("AUTHOR", "COMMITTER"): value for name, value in who.items()}

    def call(folder: Path, *words: str) -> str:
        done = subprocess.run(
            [GIT, *words], cwd=folder, env=private_environ | who, capture_output=True, text=True, check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return call


@pytest.fixture
def shop(tmp_path: Path, run: Run) -> Path:
    """A repository: `main` with two commits, the first tagged v1, and a branch `next`."""
    folder = tmp_path / "origin" / "shop"
    folder.mkdir(parents=True)
    run(folder, "init", "-q", "-b", "main")
    for text, after in (("one", ("tag", "v1")), ("next", ()), ("two", ())):
        if text == "next":
            run(folder, "checkout", "-q", "-b", "next")
        (folder / "file").write_text(text)
        run(folder, "add", "-A")
        run(folder, "commit", "-q", "-m", text)
        if after:
            run(folder, *after)
        if text == "next":
            run(folder, "checkout", "-q", "main")
    return folder


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder
