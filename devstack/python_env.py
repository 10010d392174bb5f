"""The project's virtual environment: built beside under the key of all its inputs, verified, then switched to.

`.devstack/venvs/<key>` is an environment; its marker `devstack.json`, written last, makes it one. `.venv` in the
project is a link to the one in use. A `.venv` that devstack didn't make is never touched. Every act may be killed at
any point: what has no marker is built again. Nothing here decides when to build: the planner does, from `PythonState`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from devstack import interpreters, site_packages
from devstack.detect import install_failure, python_inputs, scrub
from devstack.detect.python_inputs import InstallPlan, InstallStep
from devstack.errors import DevstackError, PrerequisiteError, ProcessError, StorageError
from devstack.files import storage_errors
from devstack.interpreters import Interpreter
from devstack.profile.model import Python
from devstack.state import PythonState
from devstack.system import Completed, System

MARKER = "devstack.json"
_CHOICE = "interpreter.json"
#: environment variable of every process that writes into an environment: the folder
_BUILDER = "DEVSTACK_BUILDS"
_CREATE_DEADLINE = 120.0
_CHECK_DEADLINE = 60.0
_END_DEADLINE = 5.0
OnLine = Callable[[str], None]


@dataclass(frozen=True)
class Marker:
    """Says that an environment is complete, and what it was made of. inputs: digests by file. site: stamp of
    site-packages when everything in it was last seen sound. made: seconds since the epoch."""

    key: str
    interpreter: Interpreter
    inputs: Mapping[str, str]
    distributions: tuple[str, ...]
    site: str
    made: float


@dataclass(frozen=True)
class Observed:
    """What is there and what is wanted. folder: of the wanted environment, built or not. wanted: the version asked for.
    timeout: seconds for the whole installation."""

    state: PythonState
    interpreter: Interpreter
    plan: InstallPlan
    folder: Path
    wanted: str | None
    timeout: float
    warnings: tuple[str, ...] = ()

    @property
    def bin(self) -> Path:
        """Folder that goes first in PATH of the project's commands."""
        return self.folder / "bin"

    @property
    def python(self) -> Path:
        return self.bin / "python"


class PythonEnvironments:
    """The environments of one project. folder: its `.devstack`. offline: never ask the network."""

    def __init__(self, system: System, root: Path, folder: Path, *, offline: bool = False) -> None:
        self._system = system
        self._root = root
        self._venvs = folder / "venvs"
        self._folder = folder
        self._link = root / ".venv"
        self._offline = offline

    # --- observing ---------------------------------------------------------------------------------------------------

    def observe(self, python: Python) -> Observed:
        """Changes nothing but what is remembered of the last look; starts no process when nothing changed. Raises
        UsageError for requirements that can't be read and PrerequisiteError where no interpreter fits."""
        plan = python_inputs.plan(self._read, python)
        wanted, asker = python_inputs.wanted_version(self._read, python)
        interpreter = self._chosen(wanted) or interpreters.find(self._system, wanted, asker=asker, root=self._root)
        key = python_inputs.environment_key(plan, f"{interpreter.path} {interpreter.version}", str(self._venvs))
        folder = self._venvs / key
        linked, foreign = self._linked()
        problem = self._problem(folder, interpreter)
        is_built = problem == ""
        if problem is None:
            problem = self._difference(linked, interpreter, plan)
        state = PythonState(
            wanted=key, linked=linked, is_built=is_built, interpreter=interpreter.path, version=interpreter.version,
            foreign=foreign, problem=problem,
        )
        return Observed(state, interpreter, plan, folder, wanted, python.timeout, plan.warnings)

    def damage(self, observed: Observed) -> str:
        """A look at every installed file, for `doctor`: in words what is missing, "" where all is there."""
        marker = self._marker(observed.folder)
        site = site_packages.folder_of(observed.folder)
        return site_packages.damage(site, marker.distributions) if site and marker else "the environment isn't complete"

    def _problem(self, folder: Path, interpreter: Interpreter) -> str | None:
        """Why the environment of the wanted key can't be used: "" for a sound one, None where there is none at all."""
        if not folder.is_dir():
            return None
        marker = self._marker(folder)
        site = site_packages.folder_of(folder)
        if marker is None or marker.key != folder.name or site is None:
            return "the environment is half-built"
        binary = folder / "bin" / "python"
        real = os.path.realpath(binary)
        if not binary.exists():
            return f"the environment's interpreter is gone ({real})"
        # a copied binary (some macOS builds) is its own real path
        if (binary.is_symlink() and real != interpreter.path) or marker.interpreter.stamp != interpreter.stamp:
            return f"the environment was made with another Python {interpreter.version} than {interpreter.path}"
        return "" if interpreters.stamp(site) == marker.site else self._damage(folder, site, marker)

    def _damage(self, folder: Path, site: Path, marker: Marker) -> str:
        found = site_packages.damage(site, marker.distributions)
        if not found:
            # sound after all (something was added by hand): remembered, so that the next look is quick again
            with contextlib.suppress(DevstackError, OSError):
                self._write_marker(folder, replace(marker, site=interpreters.stamp(site)))
        return found

    def _difference(self, linked: str, interpreter: Interpreter, plan: InstallPlan) -> str:
        """Why another environment than the linked one is wanted, in words."""
        before = self._marker(self._venvs / linked) if linked else None
        if before is None:
            return ""
        if (before.interpreter.path, before.interpreter.version) != (interpreter.path, interpreter.version):
            gone = "" if before.interpreter.is_unchanged() else " (no longer there)"
            return f"Python {interpreter.version} instead of {before.interpreter.version}{gone}"
        changed = python_inputs.changed_inputs(dict(before.inputs), plan.digests())
        return changed or "[python] of the profile changed, or the project was moved"

    def _linked(self) -> tuple[str, bool]:
        """Key that `.venv` leads to, and whether a `.venv` is there that isn't devstack's."""
        if not self._link.is_symlink():
            return "", self._link.exists()
        target = Path(os.path.normpath(self._root / self._link.readlink()))
        return (target.name, False) if target.parent == self._venvs else ("", True)

    def _chosen(self, wanted: str | None) -> Interpreter | None:
        """The interpreter used before, as long as it is the same file and the same version is asked for: a Python that
        is installed beside it doesn't rebuild anything."""
        with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
            saved = json.loads(self._system.read(self._venvs / _CHOICE) or "{}")
            interpreter = Interpreter(**saved["interpreter"])
            if saved["wanted"] == wanted and interpreter.is_unchanged():
                return interpreter
        return None

    def _marker(self, folder: Path) -> Marker | None:
        with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
            saved = json.loads(self._system.read(folder / MARKER) or "null")
            return Marker(
                key=str(saved["key"]), interpreter=Interpreter(**saved["interpreter"]), inputs=dict(saved["inputs"]),
                distributions=tuple(saved["distributions"]), site=str(saved["site"]), made=float(saved["made"]),
            )
        return None

    def _write_marker(self, folder: Path, marker: Marker) -> None:
        self._system.write(folder / MARKER, json.dumps(asdict(marker), indent=1) + "\n")

    def _read(self, name: str) -> str | None:
        """A file of the project as text; None for what isn't a file. Raises StorageError where reading is refused."""
        path = self._root / name
        try:
            return path.read_text(errors="replace") if path.is_file() else None
        except OSError as error:
            raise StorageError(
                "no-permission", f"{path} can't be read", why=error.strerror or str(error), fix=f"ls -l {path}"
            ) from None

    # --- building ----------------------------------------------------------------------------------------------------

    def create(self, observed: Observed) -> None:
        """Make the wanted environment, empty; what is left of an earlier try goes. Raises DevstackError."""
        self._system.private_folder(self._folder)
        self._system.private_folder(self._venvs)
        choice = {"wanted": observed.wanted, "interpreter": asdict(observed.interpreter)}
        self._system.write(self._venvs / _CHOICE, json.dumps(choice))
        if observed.folder.exists():
            self._end_builders(observed.folder)
        with storage_errors(observed.folder):
            # the marker goes first: killed in the middle of the removal, it is a half-built environment
            (observed.folder / MARKER).unlink(missing_ok=True)
            if observed.folder.exists():
                shutil.rmtree(observed.folder)
        argv = [
            sys.executable, "-m", "virtualenv", "--quiet", "--no-seed", "--no-periodic-update",
            "--prompt", self._root.name, "--python", observed.interpreter.path, "--", str(observed.folder),
        ]
        env = scrub.plain(self._system.environ) | {_BUILDER: str(observed.folder)}
        done = self._system.run(argv, timeout=_CREATE_DEADLINE, env=env, cwd=self._folder)
        if done.timed_out:
            raise ProcessError(
                "environment-timeout", f"virtualenv didn't end within {_CREATE_DEADLINE:.0f} s", fix="devstack up",
                evidence=done.last_lines(),
            )
        if done.returncode:
            error = install_failure.diagnose("making the environment", done.output.splitlines(), self._family())
            if isinstance(error, StorageError):
                raise error
            raise PrerequisiteError(
                "environment-failed", f"virtualenv can't make an environment for Python {observed.interpreter.version}",
                why=next(reversed(done.last_lines(1)), ""), evidence=done.last_lines(),
                fix="set [python] version in devstack.toml to a newer one",
            )

    def install(self, observed: Observed, on_line: OnLine | None = None) -> tuple[str, ...]:
        """Install what the plan says; returns warnings. Repeatable. on_line: called with each line of the installer's
        output, from another thread. Raises NetworkError, StorageError or ProcessError with the installer's last lines.
        """
        env, warnings = self._environment(observed.folder)
        deadline = self._system.monotonic() + observed.timeout
        for step in observed.plan.steps:
            warnings += self._step(observed, step, env, deadline, on_line)
        return tuple(dict.fromkeys(warnings))

    def verify(self, observed: Observed) -> None:
        """Prove that the environment works and mark it complete. Raises ProcessError."""
        asked = self._system.capture(
            [str(observed.python), "-I", "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"],
            timeout=_CHECK_DEADLINE, env=scrub.plain(self._system.environ), cwd=self._folder,
        )
        version = (asked.stdout.splitlines() or [""])[0]
        site = site_packages.folder_of(observed.folder)
        found = "" if version == observed.interpreter.version else f"its Python says {version or asked.output!r}"
        found = found or (site_packages.damage(site) if site else "it has no site-packages")
        if found or site is None:
            raise ProcessError(
                "environment-unsound", "the environment that was just built doesn't pass its check", why=found,
                fix="devstack up",
            )
        with storage_errors(site):
            # the first import of a single-file module would make it, and change the folder's time
            (site / "__pycache__").mkdir(exist_ok=True)
        self._write_marker(observed.folder, Marker(
            observed.folder.name, observed.interpreter, observed.plan.digests(), site_packages.distributions(site),
            interpreters.stamp(site), self._system.now(),
        ))

    def link(self, observed: Observed) -> None:
        """Switch `.venv` to the environment as one act; a `.venv` that isn't devstack's stays as it is."""
        linked, foreign = self._linked()
        if foreign or linked == observed.folder.name:
            return
        # made in our own folder, so that a kill leaves nothing in the project
        fresh = self._venvs / ".link"
        with storage_errors(self._link):
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(os.path.relpath(observed.folder, self._root))
            fresh.rename(self._link)
        self._system.sync_folder(self._root)

    def _end_builders(self, folder: Path) -> None:
        """End what a killed devstack left writing into this folder: an installer outlives the one who started it."""
        for builder in self._system.marked(_BUILDER, str(folder)):
            self._system.signal(builder, signal.SIGKILL)
        self._system.until(lambda: not self._system.marked(_BUILDER, str(folder)), _END_DEADLINE)

    def _step(
        self, observed: Observed, step: InstallStep, env: Mapping[str, str], deadline: float, on_line: OnLine | None
    ) -> tuple[str, ...]:
        done = self._uv(observed, step, env, deadline, on_line)
        lines = done.output.splitlines()
        if done.returncode and not self._offline and install_failure.is_unreachable(lines):
            again = self._uv(observed, step, {**env, "UV_OFFLINE": "1"}, deadline, on_line)
            if again.returncode == 0:
                return ("offline: used the cache",)
            lines += again.output.splitlines()
        if done.returncode:
            raise install_failure.diagnose(step.what, lines, self._family())
        return ()

    def _uv(
        self, observed: Observed, step: InstallStep, env: Mapping[str, str], deadline: float, on_line: OnLine | None
    ) -> Completed:
        count = 1 if step.is_sync else 2
        argv = [interpreters.uv_program(), *step.args[:count], "--python", str(observed.python), *step.args[count:]]
        left = max(deadline - self._system.monotonic(), 1.0)
        log = self._system.private_folder(self._folder / "logs") / "install.log"
        done = self._system.run(argv, timeout=left, env=env, cwd=self._root, on_line=on_line, log=log)
        if done.timed_out:
            under_way = ", ".join(install_failure.building(done.output.splitlines()))
            raise ProcessError(
                "install-timeout", f"{step.what} took more than {observed.timeout:.0f} s", evidence=done.last_lines(),
                why=f"{under_way} was being built from source: no wheel fits Python {observed.interpreter.minor}"
                if under_way else "",
                fix="set [python] timeout higher, or [python] version to one that has wheels, in devstack.toml",
            )
        return done

    def _environment(self, folder: Path) -> tuple[dict[str, str], tuple[str, ...]]:
        """The environment of an installation, and what the machine's pip configuration gives reason to warn of."""
        environ = self._system.environ
        texts = (self._system.read(path) if path.is_file() else None for path in _pip_files(environ))
        pip = scrub.pip_settings((text for text in texts if text), environ)
        # uv refuses a folder that isn't there, pip overlooks it
        there = tuple(place for place in pip.find_links if "://" in place or Path(place).is_dir())
        env = scrub.reaching(environ, replace(pip, find_links=there)) | {
            _BUILDER: str(folder), "UV_PROJECT_ENVIRONMENT": str(folder), "UV_PYTHON_DOWNLOADS": "never",
            "UV_NO_PROGRESS": "1", "NO_COLOR": "1",
            # a requirement from git may want a password: nobody is there to type it
            "GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "ssh -oBatchMode=yes -oConnectTimeout=15",
        }
        if self._offline:
            env["UV_OFFLINE"] = "1"
        if not _same_device(env, self._venvs):
            env.setdefault("UV_LINK_MODE", "copy")
        return env, pip.warnings()

    def _family(self) -> str:
        if sys.platform == "darwin":
            return "macos"
        release = self._system.read(Path("/etc/os-release")) or ""
        return "fedora" if re.search(r"^ID(_LIKE)?=.*\b(fedora|rhel)\b", release, re.M) else "debian"


def _pip_files(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Where pip looks for its configuration, in its order."""
    home = environ.get("HOME", "")
    config = environ.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else "")
    names = ["/etc/xdg/pip/pip.conf", "/etc/pip.conf", "/Library/Application Support/pip/pip.conf"]
    names += [f"{home}/.pip/pip.conf", f"{home}/Library/Application Support/pip/pip.conf"] if home else []
    names += [f"{config}/pip/pip.conf"] if config else []
    names += [environ["PIP_CONFIG_FILE"]] if environ.get("PIP_CONFIG_FILE") else []
    return tuple(Path(name) for name in names if name.startswith("/"))


def _same_device(env: Mapping[str, str], folder: Path) -> bool:
    """Can uv link files from its cache, or must it copy them?"""
    base = Path(env.get("XDG_CACHE_HOME") or Path(env.get("HOME", "/"), ".cache"))
    cache = Path(env.get("UV_CACHE_DIR") or base / "uv")
    existing = next((place for place in (cache, *cache.parents) if place.exists()), Path("/"))
    with contextlib.suppress(OSError):
        return existing.stat().st_dev == folder.stat().st_dev
    return False
