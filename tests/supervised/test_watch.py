"""What the watcher looks at and whom it would restart; that it starts light. Restarts are scenarios."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from devstack import watching
from devstack.layout import Layout
from devstack.supervised.watch import changed_at, folders, read
from tests.profile.loading import profile_of

PROFILE = """
[processes.web]
run = "x"
watch = ["shop/**/*.py", "settings.toml"]
replicas = 2
stop = { grace = 3 }
[processes.worker]
run = "x"
watch = "**/tasks.py"
[processes.none]
run = "x"
watch = ["*"]
replicas = 0
"""


def test_what_the_plan_writes_is_what_the_watcher_reads(tmp_path: Path) -> None:
    layout = Layout("abc", str(tmp_path), str(tmp_path / ".devstack"), "/run/ds/abc")
    (file,) = watching.files(profile_of(PROFILE), layout)
    path = tmp_path / "watch.json"
    path.write_bytes(file.content)

    config = read(path)

    assert file.path == f"{tmp_path}/.devstack/watch.json"
    assert config.globs == ("shop/**/*.py", "settings.toml", "**/tasks.py")
    web, worker = config.processes
    assert [(one.name, str(one.record), one.grace) for one in web.programs] == [
        ("web-1", layout.record("web-1"), 3.0), ("web-2", layout.record("web-2"), 3.0),
    ]
    hits = {name: [p.name for p in (web, worker) if p.pattern.fullmatch(name)] for name in (
        "shop/views.py", "shop/a/b/tasks.py", "settings.toml", "other/settings.toml", "tasks.py", "shop/a.pyc",
    )}  # fmt: skip
    assert hits == {
        "shop/views.py": ["web"], "shop/a/b/tasks.py": ["web", "worker"], "settings.toml": ["web"],
        "other/settings.toml": [], "tasks.py": ["worker"], "shop/a.pyc": [],
    }


def test_nobody_watches_nothing() -> None:
    assert watching.process(profile_of("[processes.web]\nrun = 'x'")) is None


@pytest.mark.parametrize(("globs", "found"), [
    (["shop/**/*.py"], [".", "shop", "shop/a", "shop/a/b"]),
    (["**/*.py"], [".", "docs", "shop", "shop/a", "shop/a/b"]),
    (["shop/a/*.py", "docs/**"], [".", "docs", "shop", "shop/a"]),
    (["s*/?/*.py"], [".", "shop", "shop/a"]),
    (["settings.toml", "missing/x"], ["."]),
])  # fmt: skip
def test_only_folders_that_matter_are_watched(tmp_path: Path, globs: list[str], found: list[str]) -> None:
    for name in ("shop/a/b", "docs", ".git/objects", "shop/node_modules/x", "shop/a/__pycache__", ".devstack/data"):
        (tmp_path / name).mkdir(parents=True)

    assert sorted(str(one.relative_to(tmp_path)) for one in folders(tmp_path, globs)) == found


def test_a_removed_file_changed_when_its_folder_did(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "a.py"
    path.parent.mkdir()
    assert changed_at(path) == path.parent.stat().st_ctime
    path.parent.rmdir()
    assert changed_at(path) == tmp_path.stat().st_ctime


@pytest.mark.parametrize("module", ["devstack.supervised.watch", "devstack.supervised.schedule"])
def test_they_start_without_the_profile_and_what_it_is_made_of(module: str) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    assert module in loaded.split()
    assert not {"pydantic", "rich", "click", "jinja2", "honcho", "devstack.profile"} & set(loaded.split())
