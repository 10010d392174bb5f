"""The project's virtual environment: built beside under the key of all its inputs, verified, then switched to.

`.devstack/venvs/<key>` is an environment; its marker `devstack.json`, written last, makes it one. `.venv` in the
project is a link to the one in use. A `.venv` that devstack didn't make is never touched. Every act may be killed at
any point: what has no marker is built again. Nothing here decides when to build: the planner does, from `PythonState`.
A few environments that were used before stay, so that the way back to them is only a link.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from devstack import interpreters, site_packages, system_packages
from devstack.detect import install_failure, python_inputs, scrub
from devstack.detect.install_failure import Context, PythonExcludedError
from devstack.detect.install_steps import InstallPlan
from devstack.errors import DevstackError, PrerequisiteError, ProcessError, StorageError
from devstack.files import storage_error, storage_errors
from devstack.installers import BUILDER, Installers, Job, OnLine
from devstack.interpreters import Interpreter
from devstack.profile.model import Python
from devstack.state import PythonState
from devstack.system import Completed, System

MARKER = "devstack.json"
_CHOICE = "interpreter.json"
#: a complete but damaged environment, while the one in its place is built
_ASIDE = ".old"
#: environments kept besides the one in use, the last used ones
_KEPT = 3
_CREATE_DEADLINE = 120.0
_CHECK_DEADLINE = 60.0
_END_DEADLINE = 5.0


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
        self._installers = Installers(system, root, folder, offline=offline)

    # --- observing ---------------------------------------------------------------------------------------------------

    def observe(self, python: Python) -> Observed:
        """Changes nothing but what is remembered of the last look; starts no process when nothing changed. Raises
        UsageError for requirements that can't be read and PrerequisiteError where no interpreter fits."""
        wanted, asker = python_inputs.wanted_version(self._read, python)
        interpreter = self._chosen(wanted) or interpreters.find(self._system, wanted, asker=asker, root=self._root)
        plan = python_inputs.plan(self._read, python, interpreter.version)
        key = python_inputs.environment_key(plan, f"{interpreter.path} {interpreter.version}", str(self._venvs))
        folder = self._venvs / key
        linked, foreign = self._linked()
        problem = self._problem(folder, interpreter)
        is_built = problem == ""
        if problem is None:
            problem = self._difference(linked, interpreter, plan)
        # asked only where something will be built: the packages of a sound environment are there
        lacks = system_packages.Lacks() if is_built else system_packages.look(self._system, python.system)
        state = PythonState(
            wanted=key, linked=linked, is_built=is_built, interpreter=interpreter.path, version=interpreter.version,
            foreign=foreign, problem=problem, lacks=str(lacks), remedy=lacks.fix if str(lacks) else "",
        )
        warnings = (*plan.warnings, *((lacks.note,) if lacks.note else ()))
        return Observed(state, interpreter, plan, folder, wanted, python.timeout, warnings)

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

    def _choose(self, wanted: str | None, interpreter: Interpreter) -> None:
        choice = {"wanted": wanted, "interpreter": asdict(interpreter)}
        self._system.write(self._venvs / _CHOICE, json.dumps(choice))

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
        """Make the wanted environment, empty; what is left of an earlier try goes. A complete one in its place that is
        damaged is put aside until the new one is sound. Raises DevstackError."""
        self._system.private_folder(self._folder)
        self._system.private_folder(self._venvs)
        self._choose(observed.wanted, observed.interpreter)
        if observed.folder.exists():
            self._end_builders(observed.folder)
        if (observed.folder / MARKER).exists() and not _aside(observed.folder).exists():
            with storage_errors(observed.folder):
                observed.folder.rename(_aside(observed.folder))
        _discard(observed.folder)
        seed = () if self._brings_pip(observed) else ("--no-seed",)
        argv = [
            sys.executable, "-m", "virtualenv", "--quiet", *seed, "--no-periodic-update",
            "--prompt", self._root.name, "--python", observed.interpreter.path, "--", str(observed.folder),
        ]
        env = scrub.plain(self._system.environ) | {BUILDER: str(observed.folder)}
        done = self._system.run(argv, timeout=_CREATE_DEADLINE, env=env, cwd=self._folder)
        if done.timed_out or done.returncode:
            self._restore(observed.folder)
            raise self._not_created(done, observed.interpreter)

    def _brings_pip(self, observed: Observed) -> bool:
        # virtualenv's own wheels begin with this version
        return observed.plan.installer == "pip" and observed.interpreter.numbers >= (3, 9)

    def _not_created(self, done: Completed, interpreter: Interpreter) -> DevstackError:
        if done.timed_out:
            return ProcessError(
                "environment-timeout", f"virtualenv didn't end within {_CREATE_DEADLINE:.0f} s", fix="devstack up",
                evidence=done.last_lines(),
            )
        machine = system_packages.machine(self._system)
        error = install_failure.diagnose("making the environment", done.output.splitlines(), Context(machine))
        if isinstance(error, StorageError):
            return error
        # Debian splits a Python's own library into packages
        is_partial = machine.family == "debian" and "No module named" in done.output
        name = f"python{interpreter.minor}"
        return PrerequisiteError(
            "environment-failed", f"virtualenv can't make an environment for Python {interpreter.version}",
            why=next(reversed(done.last_lines(1)), ""), evidence=done.last_lines(),
            fix=machine.command((name, f"{name}-venv")) if is_partial
            else "set [python] version in devstack.toml to a newer one",
        )

    def install(self, observed: Observed, on_line: OnLine | None = None) -> tuple[str, ...]:
        """Install what the plan says; returns warnings. Repeatable. on_line: called with each line of the installer's
        output, from another thread. Raises NetworkError, StorageError or ProcessError with the installer's last lines;
        an environment that was put aside is back then.
        """
        deadline = self._system.monotonic() + observed.timeout
        job = Job(observed.plan, observed.interpreter, observed.folder, deadline, observed.timeout, on_line)
        try:
            notes = self._installers.install(job)
            if truncated := self._truncated(observed.folder):
                # what is shorter than its RECORD says came from a damaged cache; if it stays so, it was made like that
                self._installers.forget(job, truncated)
                again = [word for name in truncated for word in ("--reinstall-package", name)]
                notes += (f"{', '.join(truncated)} came damaged from the cache: fetched again",)
                notes += self._installers.install(job, *again)
        except PythonExcludedError as error:
            self._restore(observed.folder)
            raise self._other_python(observed, error) from None
        except DevstackError:
            self._restore(observed.folder)
            raise
        return tuple(dict.fromkeys(notes))

    def _other_python(self, observed: Observed, error: PythonExcludedError) -> DevstackError:
        """Where nobody asks for a version, what is installed does: the next run takes a Python that it allows."""
        if observed.wanted is not None:
            return error
        try:
            other = interpreters.find(self._system, error.allowed, asker="what is installed", root=self._root)
        except PrerequisiteError as missing:
            return missing
        self._choose(observed.wanted, other)
        why = f"{error.why.rstrip('.')}; Python {other.version} is there ({other.path}), and is taken from now on"
        return PythonExcludedError(error.allowed, error.what, why=why, fix="devstack up", evidence=error.evidence)

    def _truncated(self, folder: Path) -> tuple[str, ...]:
        site = site_packages.folder_of(folder)
        return site_packages.truncated(site) if site else ()

    def _restore(self, folder: Path) -> None:
        """Bring back what `create` put aside: damaged, it is still more than nothing."""
        if _aside(folder).exists():
            _discard(folder)
            with storage_errors(folder):
                _aside(folder).rename(folder)

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
            self._restore(observed.folder)
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
        _discard(_aside(observed.folder))

    def link(self, observed: Observed) -> None:
        """Switch `.venv` to the environment as one act; a `.venv` that isn't devstack's stays as it is."""
        linked, foreign = self._linked()
        if foreign or linked == observed.folder.name:
            return
        with storage_errors(observed.folder):
            # says when it was used last
            os.utime(observed.folder / MARKER)
        self._switch(os.path.relpath(observed.folder, self._root))
        self._system.sync_folder(self._root)

    def _switch(self, target: str) -> None:
        # made in our own folder, so that a kill leaves nothing in the project
        fresh = self._venvs / ".link"
        with storage_errors(self._link):
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(target)
        try:
            fresh.rename(self._link)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise storage_error(self._link, error) from None
            # `.devstack` is on another file system than the project
            fresh.unlink()
            self._system.link(self._link, target)

    def prune(self, observed: Observed) -> int:
        """Remove environments but this one, the linked one and the few used last; returns how many went."""
        linked, _ = self._linked()
        others = [
            folder for folder in self._venvs.iterdir()
            if folder.is_dir() and not folder.is_symlink() and folder.name not in (observed.folder.name, linked)
        ]
        # what was put aside or is half-built helps nobody
        whole = [folder for folder in others if (folder / MARKER).exists() and folder.suffix != _ASIDE]
        kept = sorted(whole, key=lambda folder: (folder / MARKER).stat().st_mtime, reverse=True)[:_KEPT]
        for folder in others:
            if folder not in kept:
                _discard(folder)
        return len(others) - len(kept)

    def retire(self, target: Path) -> None:
        """Move the linked environment into the folder `target`, and its link away; nothing where devstack has linked
        none."""
        linked, _ = self._linked()
        folder = self._venvs / linked
        if linked and folder.is_dir():
            self._system.private_folder(target)
            self._link.unlink(missing_ok=True)
            self._system.move(folder, target / linked)

    def _end_builders(self, folder: Path) -> None:
        """End what a killed devstack left writing into this folder: an installer outlives the one who started it."""
        for builder in self._system.marked(BUILDER, str(folder)):
            self._system.signal(builder, signal.SIGKILL)
        self._system.until(lambda: not self._system.marked(BUILDER, str(folder)), _END_DEADLINE)


def _aside(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}{_ASIDE}")


def _discard(folder: Path) -> None:
    """Remove an environment. Raises StorageError."""
    with storage_errors(folder):
        # the marker goes first: killed in the middle of the removal, it is a half-built environment
        (folder / MARKER).unlink(missing_ok=True)
        if folder.exists():
            shutil.rmtree(folder)
