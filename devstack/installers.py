"""Runs the steps of an installation with uv or pip: their environment, their patience, and what is tried again.

A request that fails is first looked at: where the host (or the proxy before it) takes no connection at all, waiting
won't help and the cache is asked at once; where it does, the installer tries again with all its patience.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from devstack import interpreters, system_packages
from devstack.detect import install_failure, scrub
from devstack.detect.install_failure import Context
from devstack.detect.install_steps import InstallPlan, InstallStep
from devstack.interpreters import Interpreter
from devstack.system import Completed, System

#: environment variable of every process that writes into an environment: the folder
BUILDER = "DEVSTACK_BUILDS"
OnLine = Callable[[str], None]
_CACHE_NOTE = "offline: used the cache"
#: the first try asks once, and gives a host this long to take a connection
_QUICK = {"UV_HTTP_RETRIES": "0", "UV_HTTP_CONNECT_TIMEOUT": "3", "PIP_RETRIES": "1"}
_REACH = 1.0
_MINORS = tuple(f"3.{minor}" for minor in range(8, 15))
_ASK_DEADLINE = 20.0
#: uv's word → pip's; () where pip needs none
_PIPS = {"--index": ("--extra-index-url",), "--prerelease": ()}


@dataclass(frozen=True)
class Job:
    """One installation. environment: its folder. deadline: on the monotonic clock; timeout: the same in seconds."""

    plan: InstallPlan
    interpreter: Interpreter
    environment: Path
    deadline: float
    timeout: float
    on_line: OnLine | None = None

    @property
    def python(self) -> str:
        return str(self.environment / "bin" / "python")

    def hear(self, line: str) -> None:
        if self.on_line is not None:
            self.on_line(install_failure.told(line))


class Installers:
    """root: of the project. folder: its `.devstack`. offline: never ask the network."""

    def __init__(self, system: System, root: Path, folder: Path, *, offline: bool) -> None:
        self._system = system
        self._root = root
        self._folder = folder
        self._offline = offline

    def install(self, job: Job, *extra: str) -> tuple[str, ...]:
        """Work through the plan; returns notes for the person. extra: options for every call of uv.

        Raises NetworkError, StorageError or ProcessError with the installer's last lines.
        """
        env, notes = self._environment(job.environment)
        if job.plan.installer == "pip" and job.plan.steps:
            notes += self._ensure_pip(job, env)
        for step in job.plan.steps:
            notes += self._step(job, step, env, extra)
        return tuple(dict.fromkeys(notes))

    def forget(self, job: Job, names: Sequence[str]) -> None:
        """Drop what the installer's cache has of these packages: it was damaged."""
        env, _ = self._environment(job.environment)
        program = interpreters.uv_program()
        self._system.capture([program, "cache", "clean", "--", *names], timeout=_ASK_DEADLINE, env=env, cwd=self._root)

    # --- one step ----------------------------------------------------------------------------------------------------

    def _step(self, job: Job, step: InstallStep, env: Mapping[str, str], extra: Sequence[str]) -> tuple[str, ...]:
        done, notes = self._with_patience(job, step, env, extra)
        lines = done.output.splitlines()
        if done.returncode == 0:
            return notes
        skipped = f"{step.what}: skipped, since it has no package of its name"
        if "-e" in step.args and install_failure.is_not_editable(lines):
            target = step.args[step.args.index("-e") + 1]
            place = target if target.startswith((".", "/")) else f"./{target}"
            args = (*step.args[: step.args.index("-e")], place)
            copied = f"{target} was installed as a copy: its build tool can't install it editable"
            then = self._step(job, replace(step, args=args), env, extra)
            return then if skipped in then else (*then, copied)
        if step.is_local and install_failure.is_no_package(lines):
            # Poetry says the same in a warning and goes on
            return (*notes, skipped)
        context = self._context(job)
        can_ask = "UV_OFFLINE" not in env and not install_failure.is_unreachable(lines)
        if can_ask and (release := install_failure.failed_build(lines)):
            context = replace(context, wheels=self._wheels(job, release, env))
        raise install_failure.diagnose(step.what, lines, context)

    def _with_patience(
        self, job: Job, step: InstallStep, env: Mapping[str, str], extra: Sequence[str]
    ) -> tuple[Completed, tuple[str, ...]]:
        if "UV_OFFLINE" in env:
            return self._call(job, step, env, extra), ()
        done = self._call(job, step, {**env, **_QUICK}, extra)
        lines = done.output.splitlines()
        if done.returncode == 0 or not install_failure.is_unreachable(lines):
            return done, ()
        if not self._is_cut_off(lines, env):
            done = self._call(job, step, env, extra)
            lines = done.output.splitlines()
            if done.returncode == 0 or not install_failure.is_unreachable(lines):
                return done, ()
        again = self._call(job, step, {**env, "UV_OFFLINE": "1", "PIP_NO_INDEX": "1"}, extra)
        if again.returncode == 0:
            return again, (_CACHE_NOTE,)
        return replace(again, output="\n".join((*lines, *again.output.splitlines()))), ()

    def _is_cut_off(self, lines: Sequence[str], env: Mapping[str, str]) -> bool:
        """Does nobody take a connection where the installer wanted one?"""
        place = _proxy(env) or install_failure.unreached(lines)
        return place is not None and not any(self._system.reaches(*place, _REACH) for _ in range(2))

    def _call(self, job: Job, step: InstallStep, env: Mapping[str, str], extra: Sequence[str]) -> Completed:
        args = self._with_lines(job, step)
        pip = job.plan.installer == "pip"
        argv = pip_words(job.python, args) if pip else _uv_words(job.python, step, args, extra)
        left = max(job.deadline - self._system.monotonic(), 1.0)
        log = self._system.private_folder(self._folder / "logs") / "install.log"
        done = self._system.run(argv, timeout=left, env=env, cwd=self._root, on_line=job.hear, log=log)
        if done.timed_out:
            lines = done.output.splitlines()
            context = self._context(job)
            if begun := [name for name in install_failure.building(lines) if "==" in name]:
                context = replace(context, wheels=self._wheels(job, begun[0], env))
            raise install_failure.timed_out(step.what, lines, job.timeout, context)
        return done

    def _with_lines(self, job: Job, step: InstallStep) -> tuple[str, ...]:
        """The step's words, its requirements in a file that stays beside the environment, for whoever looks."""
        if not step.lines:
            return step.args
        name = re.sub(r"[^a-z0-9]+", "-", step.what.lower()).strip("-")
        file = job.environment / f"{name}.txt"
        self._system.write(file, "\n".join((*step.lines, "")))
        return (*step.args, "-r", str(file))

    def _ensure_pip(self, job: Job, env: Mapping[str, str]) -> tuple[str, ...]:
        """virtualenv brings no pip for the oldest Pythons; uv then fetches one."""
        if any(job.environment.glob("lib/python3.*/site-packages/pip")):
            return ()
        step = InstallStep("install pip", ("pip", "install", "--", "pip"))
        return self._step(replace(job, plan=replace(job.plan, installer="uv")), step, env, ())

    # --- what helps after a failure ----------------------------------------------------------------------------------

    def _context(self, job: Job) -> Context:
        return Context(system_packages.machine(self._system), job.interpreter.minor)

    def _wheels(self, job: Job, release: str, env: Mapping[str, str]) -> tuple[str, ...]:
        """Minors of Python for which the index has a wheel of `name==version`; () where it doesn't say in time."""
        file = job.environment / "wanted.in"
        self._system.write(file, f"{release}\n")
        quick = {**env, **_QUICK}

        def has_wheel(minor: str) -> bool:
            argv = [
                interpreters.uv_program(), "pip", "compile", "--quiet", "--no-deps", "--no-header", "--only-binary",
                ":all:", "--python", job.python, "--python-version", minor, str(file),
            ]
            done = self._system.capture(argv, timeout=_ASK_DEADLINE, env=quick, cwd=self._folder)
            return not done.timed_out and done.returncode == 0

        others = [minor for minor in _MINORS if minor != job.interpreter.minor]
        with ThreadPoolExecutor(len(others)) as pool:
            answers = list(pool.map(has_wheel, others))
        return tuple(minor for minor, answer in zip(others, answers, strict=True) if answer)

    # --- the environment of an installer -----------------------------------------------------------------------------

    def _environment(self, folder: Path) -> tuple[dict[str, str], tuple[str, ...]]:
        """Its variables, and what the machine's pip configuration gives reason to warn of."""
        environ = self._system.environ
        texts = (self._system.read(path) if path.is_file() else None for path in _pip_files(environ))
        pip = scrub.pip_settings((text for text in texts if text), environ)
        # uv refuses a folder that isn't there, pip overlooks it
        there = tuple(place for place in pip.find_links if "://" in place or Path(place).is_dir())
        pip = replace(pip, find_links=there)
        env = scrub.reaching(environ, pip) | scrub.for_pip(pip) | {
            BUILDER: str(folder), "UV_PROJECT_ENVIRONMENT": str(folder), "UV_PYTHON_DOWNLOADS": "never",
            "UV_NO_PROGRESS": "1", "NO_COLOR": "1",
            # a requirement from git may want a password: nobody is there to type it
            "GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "ssh -oBatchMode=yes -oConnectTimeout=15",
        }
        if self._offline:
            env["UV_OFFLINE"] = "1"
        if "UV_OFFLINE" in env:
            env["PIP_NO_INDEX"] = "1"
        if not _same_device(env, self._folder):
            env.setdefault("UV_LINK_MODE", "copy")
        return env, pip.warnings()


def _uv_words(python: str, step: InstallStep, args: Sequence[str], extra: Sequence[str]) -> list[str]:
    count = 1 if step.is_sync else 2
    return [interpreters.uv_program(), *args[:count], "--python", python, *extra, *args[count:]]


def pip_words(python: str, args: Sequence[str]) -> list[str]:
    """A call that is written in uv's words, in pip's."""
    words = list(args[2:])
    found: list[str] = []
    while words:
        word = words.pop(0)
        if word == "--prerelease":
            found += ["--pre"] if words.pop(0) == "allow" else []
        elif word == "--":
            return [python, "-m", "pip", "install", *_pip_options(), *found, "--", *words]
        else:
            found += _PIPS.get(word, (word,))
    return [python, "-m", "pip", "install", *_pip_options(), *found]


def _pip_options() -> tuple[str, ...]:
    # bytecode: docs/decisions/0003-which-python.md
    return ("--no-input", "--disable-pip-version-check", "--no-compile", "--progress-bar", "off")


def _proxy(env: Mapping[str, str]) -> tuple[str, int] | None:
    """The proxy that requests go through. Those of NO_PROXY don't; then it answers all the same."""
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "http_proxy", "HTTP_PROXY"):
        with contextlib.suppress(ValueError):
            parts = urlsplit(env.get(name, ""))
            if parts.hostname:
                return parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
    return None


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
