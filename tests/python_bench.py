"""A project for the tests of environments, whose requirements are wheels made on the spot."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path

from devstack.profile.model import Python
from devstack.python_env import Observed, PythonEnvironments
from devstack.system import System


def wheel(folder: Path, name: str, version: str = "1.0", *, requires: str = "", python: str = "") -> Path:
    """A wheel with a package, a console script and an honest RECORD. python: the versions that it allows."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}/__init__.py": f"VERSION = '{version}'\ndef main():\n    print('{name} {version}')\n",
        f"{name}/data.txt": "data\n", f"{name}/more.txt": "more\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        + (f"Requires-Dist: {requires}\n" if requires else "") + (f"Requires-Python: {python}\n" if python else ""),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n",
    }
    record = ""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
            record += f"{file},sha256={digest},{len(text)}\n"
            archive.writestr(file, text)
        archive.writestr(f"{info}/RECORD", record + f"{info}/RECORD,,\n")
    return path


@dataclass(frozen=True)
class Bench:
    """A project whose requirements name wheels of its own folder."""

    root: Path
    environ: dict[str, str]

    def environments(self, **variables: str) -> PythonEnvironments:
        return PythonEnvironments(System(self.environ | variables), self.root, self.root / ".devstack")

    def require(self, *names: str) -> None:
        (self.root / "requirements.txt").write_text("\n".join(("--no-index", "--find-links ./wheels", *names, "")))

    def build(self, python: Python | None = None, **variables: str) -> Observed:
        """What the executor does with a plan: every step, then a second look."""
        environments = self.environments(**variables)
        observed = environments.observe(python or Python())
        environments.create(observed)
        environments.install(observed)
        environments.verify(observed)
        environments.link(observed)
        return environments.observe(python or Python())

    def observe(self, python: Python | None = None) -> Observed:
        return self.environments().observe(python or Python())

    def run(self, code: str) -> str:
        return subprocess.run(
            [self.root / ".venv/bin/python", "-c", code], capture_output=True, text=True, check=True, env={}, cwd="/"
        ).stdout.strip()


def make_bench(tmp_path: Path) -> Bench:
    """A project in a path with a space and an ö, whose `alpha` needs `beta`; no network."""
    root = tmp_path / "my shöp"
    home = tmp_path / "home"
    for folder in (root, home):
        folder.mkdir()
    wheel(root / "wheels", "alpha", requires="beta")
    wheel(root / "wheels", "beta")
    # uv leaves its lock files in TMPDIR
    environ = {"HOME": str(home), "TMPDIR": str(home), "PATH": "/usr/local/bin:/usr/bin:/bin", "UV_OFFLINE": "1"}
    built = Bench(root, environ)
    built.require("alpha")
    return built


#: a build backend that needs nothing from an index; NAME stands for the package, a module beside it
BACKEND = '''
import os, zipfile


def _write(folder, body):
    name = "NAME-1-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as archive:
        for file, text in body.items():
            archive.writestr(file, text)
        info = "NAME-1.dist-info"
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: NAME\\nVersion: 1\\n")
        tag = "Wheel-Version: 1.0\\nGenerator: tests\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        archive.writestr(f"{info}/WHEEL", tag)
        names = [*body, f"{info}/METADATA", f"{info}/WHEEL", f"{info}/RECORD"]
        archive.writestr(f"{info}/RECORD", "".join(f"{name},,\\n" for name in names))
    return name


def build_wheel(folder, config_settings=None, metadata_directory=None):
    return _write(folder, {"NAME.py": open("NAME.py").read()})


def build_editable(folder, config_settings=None, metadata_directory=None):
    return _write(folder, {"NAME.pth": os.getcwd() + "\\n"})
'''
