"""bootstrap.py as people run it: as a program, on small checkouts made here, in a home of its own.

Only `test_the_real_checkout` installs devstack's real dependencies; the others have none, or a wheel made here.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

BOOTSTRAP = Path(__file__).resolve().parents[1] / "bootstrap.py"
PYENV = Path(os.environ.get("PYENV_ROOT") or Path("~/.pyenv").expanduser()) / "versions"
OLD_PYTHONS = sorted(p for p in PYENV.glob("*/bin/python") if p.parts[-3].startswith(("2.7", "3.5", "3.6", "3.8")))
MAIN = """
import json, os, sys
print(json.dumps({"argv": sys.argv[1:], "file": __file__, "python": sys.executable, "version": sys.version_info[:2],
                  "bootstrap": os.environ.get("DEVSTACK_BOOTSTRAP"), "pythonpath": os.environ.get("PYTHONPATH")}))
"""


@dataclass
class Machine:
    """A home, a PATH, and one checkout of a small devstack with bootstrap.py in it."""

    root: Path
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def tool(self) -> Path:
        return self.home / ".local/share/devstack/tool"

    @property
    def tree(self) -> Path:
        return self.root / "tree"

    @property
    def launcher(self) -> Path:
        return self.home / ".local/bin/devstack"

    def environments(self) -> list[Path]:
        return sorted(path for path in self.tool.iterdir() if not path.name.startswith("."))

    def left_overs(self) -> list[str]:
        return [path.name for path in self.tool.glob(".tmp-*")] if self.tool.exists() else []

    def start(
        self, *arguments: str, script: Path | None = None, cwd: Path | None = None, prefix: tuple[str, ...] = (),
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*prefix, sys.executable, str(script or self.tree / "bootstrap.py"), *arguments], env=self.environ,
            cwd=cwd or self.root, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )

    def run(self, *arguments: str, script: Path | None = None, cwd: Path | None = None) -> Run:
        return finished(self.start(*arguments, script=script, cwd=cwd))


@dataclass
class Run:
    code: int
    out: str
    err: str

    @property
    def said(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.out)
        return document

    def failed(self, code: int, id: str) -> dict[str, Any]:
        """The error document of a failed run, which is complete and comes without a traceback."""
        assert self.code == code, self
        assert "Traceback" not in self.err
        error: dict[str, Any] = self.said["error"]
        assert error["id"] == id
        assert error["exit_code"] == code
        assert error["what"] in self.err
        assert error["fix"] in self.err
        return error


def finished(child: subprocess.Popen[str]) -> Run:
    try:
        out, err = child.communicate(timeout=300)
    finally:
        child.kill()
        child.wait()
    return Run(child.returncode, out, err)


def make_machine(root: Path) -> Machine:
    machine = Machine(root)
    machine.home.mkdir(parents=True)
    (root / "bin").mkdir()
    kept = {name: value for name, value in os.environ.items() if name in ("LANG", "SSL_CERT_FILE", "SSL_CERT_DIR")}
    machine.environ = kept | {"PATH": f"{root}/bin:/usr/bin:/bin", "HOME": str(machine.home),
                              "TMPDIR": str(machine.home), "PYENV_ROOT": str(root / "no-pyenv"),
                              "UV_CACHE_DIR": str(root / "uv-cache")}
    make_tree(machine.tree)
    shutil.copy(BOOTSTRAP, machine.tree)
    return machine


def make_tree(tree: Path, *dependencies: str) -> None:
    (tree / "devstack").mkdir(parents=True, exist_ok=True)
    (tree / "devstack/__init__.py").write_text("")
    (tree / "devstack/__main__.py").write_text(MAIN)
    project = f'[project]\nname = "devstack"\nversion = "1.0"\ndependencies = {json.dumps(dependencies)}\n'
    (tree / "pyproject.toml").write_text(project + '\n[tool.other]\nname = "x"\n', encoding="utf-8")


def make_wheel(folder: Path, name: str, files: dict[str, str]) -> Path:
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    files = files | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name}-hello = {name}:hello\n",
    }
    record = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for file, content in (files | {f"{info}/RECORD": record}).items():
            archive.writestr(file, content)
    return path


def real_uv(machine: Machine) -> None:
    import uv

    (machine.root / "bin/uv").symlink_to(uv.find_uv_bin())


def scripted_uv(machine: Machine, body: str) -> None:
    """A uv whose `pip install` does what the test needs: it fails, or stays until it is ended."""
    path = machine.root / "bin/uv"
    path.write_text(f'#!/bin/sh\nif [ "$1" = --version ]; then echo "uv 0.9.0"; exit 0; fi\n{body}\n')
    path.chmod(0o755)


def staying_uv(machine: Machine) -> Path:
    """uv tells its pid and then waits for ever: a run that is caught in the middle of its installation."""
    make_tree(machine.tree, "something")
    pid = machine.root / "uv.pid"
    scripted_uv(machine, f'echo $$ > "{pid}.new"; mv "{pid}.new" "{pid}"; exec tail -f /dev/null')
    return pid


def until(condition: Callable[[], object], child: subprocess.Popen[str] | None = None) -> None:
    """Watch closely, so that a short-lived moment is seen; a child's end is an end too."""
    deadline = time.monotonic() + 60
    while not condition() and (child is None or child.poll() is None):
        assert time.monotonic() < deadline
        os.sched_yield()


def alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return make_machine(tmp_path)


@pytest.fixture
def alone(machine: Machine) -> Path:
    """bootstrap.py in a folder with nothing else."""
    (machine.root / "alone").mkdir()
    return Path(shutil.copy(BOOTSTRAP, machine.root / "alone"))


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that another user may enter: pytest's own is private."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


# --- the usual way ---------------------------------------------------------------------------------------------------


def test_the_real_checkout(machine: Machine) -> None:
    """All of devstack's dependencies install at their pinned versions and work; scripts name the final folder."""
    real_uv(machine)
    machine.environ["UV_CACHE_DIR"] = os.environ.get("UV_CACHE_DIR") or str(Path("~/.cache/uv").expanduser())
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(BOOTSTRAP.parent / name, machine.tree)
    first = machine.run("up")
    if first.code == 4:
        pytest.skip("no package index answers: " + first.err)
    assert first.code == 0, first.err
    [environment] = machine.environments()
    listing = "import importlib.metadata as m; print(*sorted(f'{d.name}=={d.version}' for d in m.distributions()))"
    installed = subprocess.check_output([environment / "bin/python", "-I", "-c", listing], text=True).split()
    pins = {line.split(" ")[0] for line in (BOOTSTRAP.parent / "constraints.txt").read_text().splitlines()}
    assert installed
    assert {name.lower().replace("_", "-") for name in installed} <= pins
    assert not [path for path in (environment / "bin").iterdir() if b".tmp-" in path.read_bytes()]
    subprocess.run([environment / "bin/supervisord", "--version"], check=True, stdout=subprocess.DEVNULL, timeout=60)


def test_constraints_are_exact_and_name_no_host() -> None:
    for line in (BOOTSTRAP.parent / "constraints.txt").read_text().splitlines():
        requirement = line.partition(" ; ")[0]
        assert requirement.count("==") == 1, line
        assert "/" not in line


def test_arguments_pass_unread_and_the_run_is_calm(machine: Machine) -> None:
    run = machine.run("up", "--x=a b", "--", "--json")
    assert run.code == 0, run.err
    assert run.said["argv"] == ["up", "--x=a b", "--", "--json"]
    assert run.said["bootstrap"] == str(machine.tree / "bootstrap.py")
    assert run.said["file"] == str(machine.tree / "devstack/__main__.py")
    assert [line.split(" ")[1] for line in run.err.splitlines()] == ["preparing", "ready"]


def test_second_run_makes_nothing_and_says_nothing(machine: Machine) -> None:
    def snapshot() -> dict[Path, int]:
        files = [path for path in machine.home.rglob("*") if path.name != "used" and "__pycache__" not in path.parts]
        return {path: path.lstat().st_mtime_ns for path in files}

    machine.run()
    before = snapshot()
    second = machine.run()
    assert second.code == 0
    assert second.err == ""
    assert snapshot() == before


def test_a_dependency_is_installed_and_its_change_makes_a_new_environment(machine: Machine) -> None:
    real_uv(machine)
    wheel = make_wheel(machine.root, "kleinod", {"kleinod/__init__.py": "def hello(): print('hello')"})
    machine.run()
    make_tree(machine.tree, f"kleinod @ {wheel.as_uri()}")
    run = machine.run()
    assert run.code == 0, run.err
    assert len(machine.environments()) == 2
    python = Path(run.said["python"])
    assert subprocess.check_output([python.parent / "kleinod-hello"], text=True, timeout=60) == "hello\n"


def test_settings_of_other_tools_in_pyproject_are_no_reason_for_a_new_environment(machine: Machine) -> None:
    machine.run()
    with (machine.tree / "pyproject.toml").open("a") as file:
        file.write('[tool.ruff]\nline-length = 1\n')
    assert machine.run().err == ""
    assert len(machine.environments()) == 1


def test_folders_with_spaces_and_letters_of_the_world(tmp_path: Path) -> None:
    machine = make_machine(tmp_path / "Mes projets é ‘x’ $HOME")
    run = machine.run()
    assert run.code == 0, run.err
    assert run.said["file"] == str(machine.tree / "devstack/__main__.py")
    assert subprocess.run([machine.launcher, "x"], env=machine.environ, check=False, timeout=60).returncode == 0


def test_a_hostile_current_folder_is_not_imported(machine: Machine) -> None:
    """A cloned project may hold modules named like devstack, or like what bootstrap.py and its tools import."""
    project = machine.root / "project"
    for name in ("devstack", "json", "venv", "hashlib", "pip", "tomllib", "subprocess"):
        (project / name).mkdir(parents=True)
        (project / name / "__init__.py").write_text("raise SystemExit('caught')")
        (project / name / "__main__.py").write_text("raise SystemExit('caught')")
    machine.environ["PYTHONPATH"] = ""
    for _ in range(2):
        run = machine.run(cwd=project)
        assert run.code == 0, run.err
        assert run.said["file"] == str(machine.tree / "devstack/__main__.py")
    launched = subprocess.check_output([machine.launcher], env=machine.environ, cwd=project, timeout=60)
    assert json.loads(launched)["file"] == str(machine.tree / "devstack/__main__.py")


# --- two at once, killed, interrupted --------------------------------------------------------------------------------


def test_two_runs_at_once_make_one_environment(machine: Machine) -> None:
    runs = [finished(child) for child in [machine.start(str(number)) for number in range(2)]]
    assert [run.code for run in runs] == [0, 0], runs
    assert [run.said["argv"] for run in runs] == [["0"], ["1"]]
    assert sum("preparing" in run.err for run in runs) == 1
    assert len(machine.environments()) == 1
    assert machine.left_overs() == []


@pytest.mark.parametrize("moment", [".lock", ".tmp-*", ".tmp-*/env/bin/python", ".tmp-*/env/lib/*/*/*.pth",
                                    ".tmp-*/env/used", "[!.]*/used"])
def test_killed_at_a_moment_then_run_again(machine: Machine, moment: str) -> None:
    """Whatever was half made is swept, and the environment is whole."""
    child = machine.start()
    until(lambda: machine.tool.exists() and next(machine.tool.glob(moment), None), child)
    child.kill()
    finished(child)
    run = machine.run()
    assert run.code == 0, run.err
    (machine.tree / "constraints.txt").write_text("# another key, so that something is made and swept\n")
    assert machine.run().code == 0
    assert machine.left_overs() == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux ends a child with its killed parent")
def test_killed_while_installing_leaves_no_installer_behind(machine: Machine) -> None:
    pid_file = staying_uv(machine)
    child = machine.start()
    until(pid_file.exists, child)
    pid = int(pid_file.read_text())
    child.kill()
    finished(child)
    until(lambda: not alive(pid))
    make_tree(machine.tree)
    assert machine.run().code == 0
    assert machine.left_overs() == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("ignored", ["", "INT TERM"])
def test_interrupted_while_installing(machine: Machine, number: signal.Signals, code: int, ignored: str) -> None:
    """Also where the shell that started it had told its commands to ignore that, as a script does for what it starts
    with `&`."""
    pid_file = staying_uv(machine)
    child = machine.start("--json", prefix=("/bin/sh", "-c", f"trap '' {ignored or 'USR2'}; exec \"$@\"", "sh"))
    until(pid_file.exists, child)
    child.send_signal(number)
    finished(child).failed(code, "interrupted")
    assert not alive(int(pid_file.read_text()))
    assert machine.left_overs() == []
    assert machine.environments() == []


def test_a_run_that_waits_for_another_says_so(machine: Machine) -> None:
    pid_file = staying_uv(machine)
    first = machine.start()
    until(pid_file.exists, first)
    second = machine.start()
    assert second.stderr is not None
    assert "waiting for another run" in second.stderr.readline()
    for child in (second, first):
        child.send_signal(signal.SIGINT)
        assert finished(child).code == 130


def test_an_environment_whose_interpreter_died_is_made_again(machine: Machine) -> None:
    machine.run()
    [environment] = machine.environments()
    (environment / "bin/python").unlink()
    (environment / "bin/python").symlink_to(machine.root / "removed-by-an-upgrade")
    run = machine.run()
    assert run.code == 0, run.err
    assert machine.environments() == [environment]
    assert machine.left_overs() == []


def test_old_environments_go_but_never_one_in_use(machine: Machine) -> None:
    """Two others are kept, and the oldest too, because a process (a supervisor, say) runs from it."""
    made: list[Path] = []
    busy: subprocess.Popen[bytes] | None = None
    try:
        for number in range(5):
            (machine.tree / "constraints.txt").write_text(f"# {number}\n")
            made.append(Path(machine.run().said["python"]).parents[1])
            os.utime(made[-1] / "used", (number + 1, number + 1))
            if busy is None:
                busy = subprocess.Popen([made[0] / "bin/python", "-c", "input()"], stdin=subprocess.PIPE)
    finally:
        assert busy is not None
        busy.communicate(b"\n", timeout=60)
    assert machine.environments() == sorted([made[0], *made[2:]])


# --- what is missing -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("python", OLD_PYTHONS, ids=lambda path: path.parts[-3])
def test_it_parses_on_old_pythons(python: Path) -> None:
    code = f"compile(open({str(BOOTSTRAP)!r}).read(), 'bootstrap.py', 'exec')"
    subprocess.run([python, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("python", OLD_PYTHONS, ids=lambda path: path.parts[-3])
def test_an_old_python_picks_a_newer_one(machine: Machine, python: Path) -> None:
    (machine.root / "bin/python3.11").symlink_to(Path(sys.executable).resolve())
    (machine.root / "shims").mkdir()
    (machine.root / "shims/python3.14").write_text("#!/bin/sh\nexit 1\n")
    (machine.root / "shims/python3.14").chmod(0o755)
    machine.environ["PATH"] = f"{machine.root}/shims:{machine.environ['PATH']}"
    done = subprocess.run([python, machine.tree / "bootstrap.py", "a b"], env=machine.environ, capture_output=True,
                          check=True, timeout=120)
    said = json.loads(done.stdout)
    assert said["argv"] == ["a b"]
    assert tuple(said["version"]) >= (3, 11)


@pytest.mark.parametrize("python", OLD_PYTHONS, ids=lambda path: path.parts[-3])
def test_an_old_python_alone_says_what_is_missing(machine: Machine, python: Path) -> None:
    """The search itself is replaced: this machine may well have a newer Python."""
    code = (f"import sys; path = {str(BOOTSTRAP)!r}; names = dict(__name__='bootstrap', __file__=path)\n"
            "exec(compile(open(path).read(), path, 'exec'), names)\n"
            f"names['interpreters'] = lambda: [{str(python)!r}]\nsys.exit(names['guarded'](['--json']))")
    done = subprocess.run([python, "-c", code], env=machine.environ, capture_output=True, text=True, check=False,
                          timeout=60)
    error = Run(done.returncode, done.stdout, done.stderr).failed(3, "python-too-old")
    assert str(python) in error["why"]
    assert list(machine.home.iterdir()) == []


def test_alone_without_a_source_it_asks_where_devstack_is(machine: Machine, alone: Path) -> None:
    error = machine.run("--json", script=alone).failed(3, "devstack-source-unknown")
    assert "DEVSTACK_SOURCE=" in error["fix"]
    assert list(machine.home.iterdir()) == []


def test_alone_with_a_source_and_later_without(machine: Machine, alone: Path) -> None:
    machine.environ["DEVSTACK_SOURCE"] = str(machine.tree)
    assert machine.run(script=alone).said["file"] == str(machine.tree / "devstack/__main__.py")
    del machine.environ["DEVSTACK_SOURCE"]
    later = machine.run("x", script=alone)
    assert later.said["argv"] == ["x"]
    assert later.err == ""
    shutil.rmtree(machine.tree)
    machine.run("--json", script=alone).failed(3, "devstack-source-unknown")


def test_a_wheel_as_source(machine: Machine, alone: Path) -> None:
    real_uv(machine)
    wheel = make_wheel(machine.root, "devstack", {"devstack/__init__.py": "", "devstack/__main__.py": MAIN})
    machine.environ["DEVSTACK_SOURCE"] = str(wheel)
    run = machine.run(script=alone)
    assert run.code == 0, run.err
    assert run.said["file"].startswith(str(machine.tool))


def test_a_git_url_is_a_direct_reference_whose_password_stays_out_of_sight(machine: Machine, alone: Path) -> None:
    """Not in uv's argv, not in the message, not in what is kept; uv is told the URL, never the bare name."""
    scripted_uv(machine, f'echo "$@" > "{machine.root}/argv"; cat requirements.txt > "{machine.root}/asked"\n'
                         'echo "Git operation failed: https://me:hunter2@git.invalid/devstack.git" >&2; exit 2')
    machine.environ["DEVSTACK_SOURCE"] = "https://me:hunter2@git.invalid/devstack.git"
    run = machine.run("--json", script=alone)
    run.failed(4, "network-failed")
    assert "git.invalid" in run.err
    assert "hunter2" not in run.out + run.err + (machine.root / "argv").read_text()
    asked = (machine.root / "asked").read_text()
    assert asked == "devstack @ git+https://me:hunter2@git.invalid/devstack.git\n"
    assert machine.left_overs() == []


@pytest.mark.parametrize("source", [
    "devstack", "devstack==1.0", "--index-url=https://x.invalid", "https://x.invalid/a.git --pre", "http://x.invalid/a",
    "https://x.invalid/$HOME", "ssh://-oProxyCommand=x/a", "ssh://git@-oProxyCommand=x/a", "bin", "/dev/null",
])
def test_a_source_that_is_no_folder_wheel_or_url_is_refused(machine: Machine, alone: Path, source: str) -> None:
    """Above all a bare name: in a package index the name devstack belongs to somebody else."""
    machine.environ["DEVSTACK_SOURCE"] = source
    machine.run("--json", script=alone).failed(3, "devstack-source-invalid")
    assert list(machine.home.iterdir()) == []


def test_no_network(machine: Machine) -> None:
    real_uv(machine)
    make_tree(machine.tree, "click>=8.1")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound but not listening: nobody can connect to it, nobody else can take it
        machine.environ |= {"UV_DEFAULT_INDEX": f"http://127.0.0.1:{closed.getsockname()[1]}/simple",
                            "UV_HTTP_RETRIES": "0"}
        run = machine.run("--json")
    assert "127.0.0.1" in run.failed(4, "network-failed")["why"]
    assert machine.left_overs() == []
    assert not machine.launcher.exists()


def test_a_full_disk(machine: Machine) -> None:
    make_tree(machine.tree, "something")
    scripted_uv(machine, "echo 'error: failed to copy: No space left on device (os error 28)' >&2; exit 2")
    machine.run("--json").failed(5, "disk-full")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be root under sudo")
def test_under_sudo_nothing_is_made(machine: Machine) -> None:
    machine.environ["SUDO_UID"] = "1000"
    machine.run("--json").failed(3, "running-under-sudo")
    assert list(machine.home.iterdir()) == []


def test_no_home(machine: Machine) -> None:
    del machine.environ["HOME"]
    machine.run("--json").failed(5, "home-unusable")


def test_a_home_that_cannot_be_written(public_folder: Path) -> None:
    machine = make_machine(public_folder / "m")
    machine.home.chmod(0o555)
    root = os.getuid() == 0
    python = shutil.which("python3.11", path="/usr/bin:/usr/local/bin") if root else sys.executable
    if python is None:
        pytest.skip("no Python 3.11 that an ordinary user may run")
    done = subprocess.run(
        [python, machine.tree / "bootstrap.py", "--json"], env=machine.environ, capture_output=True, text=True,
        check=False, timeout=60, cwd="/", user=65534 if root else None, group=65534 if root else None,
    )
    error = Run(done.returncode, done.stdout, done.stderr).failed(5, "storage-failed")
    assert str(machine.home) in error["why"]


# --- the installer's environment, the launcher -----------------------------------------------------------------------


def test_the_users_index_reaches_uv_and_what_would_redirect_it_does_not(machine: Machine) -> None:
    make_tree(machine.tree, "something")
    scripted_uv(machine, f'env > "{machine.root}/seen"; exit 2')
    certificate = machine.root / "ca.pem"
    certificate.write_text("")
    (machine.home / ".config/pip").mkdir(parents=True)
    (machine.home / ".config/pip/pip.conf").write_text(
        f"[global]\nindex-url = https://index.invalid/a%20b/simple\ncert = {certificate}\nextra-index-url = https://x\n")
    machine.environ.pop("SSL_CERT_FILE", None)
    redirecting = dict.fromkeys((
        "VIRTUAL_ENV", "CONDA_PREFIX", "UV_PYTHON", "UV_PROJECT_ENVIRONMENT", "UV_SYSTEM_PYTHON", "UV_TARGET",
        "PIP_TARGET", "PIP_PREFIX", "PYTHONDONTWRITEBYTECODE"), "/nowhere")
    machine.environ |= redirecting | {"UV_HTTP_TIMEOUT": "7", "HTTPS_PROXY": "http://proxy.invalid"}
    machine.run("--json").failed(3, "environment-not-made")
    seen = dict(line.split("=", 1) for line in (machine.root / "seen").read_text().splitlines() if "=" in line)
    assert seen["UV_DEFAULT_INDEX"] == "https://index.invalid/a%20b/simple"
    assert seen["SSL_CERT_FILE"] == str(certificate)
    assert seen["UV_HTTP_TIMEOUT"] == "7"
    assert seen["HTTPS_PROXY"] == "http://proxy.invalid"
    assert not redirecting.keys() & seen.keys()
    assert not [name for name in seen if "EXTRA_INDEX" in name]


def test_launcher_runs_from_anywhere_and_follows_the_environment(machine: Machine) -> None:
    machine.run()
    first = machine.launcher.read_text()
    machine.environ["PYTHONPATH"] = "/nowhere"
    said = json.loads(subprocess.check_output([machine.launcher, "status", "a b"], env=machine.environ, cwd="/",
                                              timeout=60))
    assert said["argv"] == ["status", "a b"]
    assert said["pythonpath"] is None
    (machine.tree / "constraints.txt").write_text("# other\n")
    machine.run()
    assert machine.launcher.read_text() != first


def test_launcher_never_replaces_what_is_not_ours(machine: Machine) -> None:
    machine.launcher.parent.mkdir(parents=True)
    machine.launcher.write_text("#!/bin/sh\necho mine\n")
    digest = hashlib.sha256(machine.launcher.read_bytes()).digest()
    assert machine.run().code == 0
    assert hashlib.sha256(machine.launcher.read_bytes()).digest() == digest
    machine.launcher.unlink()
    machine.launcher.symlink_to(machine.root / "nothing")
    assert machine.run().code == 0
    assert machine.launcher.is_symlink()
