"""Indexes that are down, slow to recover, private, intercepted or hostile: what `up` makes of each."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from devstack.errors import DevstackError, NetworkError, ProcessError
from devstack.profile.model import Python
from devstack.python_env import Observed, PythonEnvironments
from devstack.system import Completed, System
from tests.python_bench import Bench, make_bench, wheel
from tests.stub_index import CUT, Index, serving


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A project that wants gamma of an index, and whose machine isn't told to stay offline."""
    made = make_bench(tmp_path)
    (made.root / "requirements.txt").write_text("gamma\n")
    return Bench(made.root, {name: value for name, value in made.environ.items() if name != "UV_OFFLINE"})


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    files = tmp_path / "files"
    wheel(files, "gamma", "1.0")
    wheel(files, "gamma", "2.0")
    with serving(Index(files)) as found:
        yield found


def at(bench: Bench, url: str) -> Bench:
    return replace(bench, environ=bench.environ | {"UV_DEFAULT_INDEX": url})


def old_environment(bench: Bench) -> Observed:
    """One that a later failure must leave in use."""
    bench.require("alpha")
    built = bench.build(UV_OFFLINE="1")
    (bench.root / "requirements.txt").write_text("gamma\n")
    return built


def ensure_in_use(bench: Bench, old: Observed) -> None:
    assert bench.observe().state.linked == old.state.wanted
    assert bench.run("import alpha; print(1)") == "1"


def closed_port() -> int:
    return System({}).free_port()


class Counting(System):
    """Remembers what was started."""

    def __init__(self, environ: dict[str, str]) -> None:
        super().__init__(environ)
        self.started: list[tuple[str, ...]] = []

    def run(self, argv: Sequence[str], **options: Any) -> Completed:
        self.started.append(tuple(argv))
        return super().run(argv, **options)


@pytest.mark.parametrize(("faults", "only"), [([503, 503], "gamma/"), ([503], ".whl"), ([CUT], ".whl")])
@pytest.mark.fault("B8")
def test_an_index_that_recovers_is_waited_for(bench: Bench, index: Index, faults: list[int], only: str) -> None:
    """Faults B6 and B8."""
    index.faults, index.only = faults, only
    assert at(bench, index.url).build().state.is_built
    assert index.faults == []
    assert bench.run("import gamma; print(gamma.VERSION)") == "2.0"


@pytest.mark.fault("B2", "F8")
def test_without_a_network_the_answer_comes_at_once_and_the_old_environment_stays(bench: Bench) -> None:
    """Faults B2 and F8: no installer waits where nobody takes a connection; two calls, the second of the cache."""
    old = old_environment(bench)
    system = Counting({**bench.environ, "UV_DEFAULT_INDEX": f"http://127.0.0.1:{closed_port()}/simple"})
    environments = PythonEnvironments(system, bench.root, bench.root / ".devstack")
    observed = environments.observe(Python())
    environments.create(observed)
    system.started.clear()
    began = system.monotonic()
    with pytest.raises(NetworkError) as caught:
        environments.install(observed)
    assert (caught.value.id, caught.value.exit_code) == ("offline-missing", 4)
    assert "gamma isn't in the cache" in caught.value.what
    assert "devstack up" in caught.value.fix
    assert caught.value.evidence
    assert len(system.started) == 2
    # uv's own patience is over ten seconds
    assert system.monotonic() - began < 9
    ensure_in_use(bench, old)


def test_an_index_that_stays_broken_is_told_with_its_answer(bench: Bench, index: Index) -> None:
    index.faults = [503] * 99
    with pytest.raises(NetworkError) as caught:
        at(bench, index.url).build(UV_HTTP_RETRIES="1")
    assert caught.value.exit_code == 4
    assert any("503" in line for line in caught.value.evidence)


@pytest.mark.fault("B10")
def test_a_private_index_wants_credentials_and_nobody_hangs(bench: Bench, index: Index) -> None:
    """Fault B10."""
    index.faults = [401] * 99
    with pytest.raises(NetworkError) as caught:
        at(bench, index.url).build()
    assert (caught.value.id, caught.value.exit_code) == ("index-refused", 4)
    assert "~/.netrc" in caught.value.fix
    assert caught.value.evidence


@pytest.mark.fault("B9")
def test_an_intercepted_connection_names_the_authority_and_works_once_it_is_trusted(
    bench: Bench, tmp_path: Path
) -> None:
    """Fault B9: certificates stay checked."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl makes a certificate")
    pem = tmp_path / "proxy.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(pem), "-out", str(tmp_path / "c.pem"),
         "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-addext", "basicConstraints=critical,CA:FALSE"],
        check=True, capture_output=True,
    )  # fmt: skip
    certificate = tmp_path / "c.pem"
    pem.write_text(pem.read_text() + certificate.read_text())
    files = tmp_path / "files"
    wheel(files, "gamma")
    with serving(Index(files), pem) as index:
        with pytest.raises(NetworkError) as caught:
            at(bench, index.url).build()
        assert (caught.value.id, caught.value.exit_code) == ("certificate-unknown", 4)
        assert caught.value.evidence
        assert not bench.observe().state.is_built
        assert caught.value.fix.startswith("export SSL_CERT_FILE=")
        assert at(bench, index.url).build(SSL_CERT_FILE=str(certificate)).state.is_built


@pytest.mark.parametrize("line", [
    "private @ git+http://127.0.0.1:{port}/acme/private.git",
    "private @ http://127.0.0.1:{port}/private-1.0-py3-none-any.whl",
])
def test_a_requirement_of_its_own_address_is_named(bench: Bench, line: str) -> None:
    """Without a network such a requirement fails at once."""
    text = line.format(port=closed_port())
    (bench.root / "requirements.txt").write_text(f"{text}\n")
    with pytest.raises(NetworkError) as caught:
        bench.build()
    assert (caught.value.id, caught.value.exit_code) == ("network-unreachable", 4)
    assert text in caught.value.what


def test_a_name_of_two_indexes_is_taken_from_the_profiles_own_alone(bench: Bench, index: Index, tmp_path: Path) -> None:
    """Threat S25: the public index has a higher version of a private package."""
    private = tmp_path / "private"
    wheel(private, "gamma", "0.5")
    with serving(Index(private)) as own:
        python = Python(indexes=(own.url,))
        built = at(bench, index.url).build(python)
    assert bench.run("import gamma; print(gamma.VERSION)") == "0.5"
    assert any(own.url in warning for warning in built.warnings)


def test_a_project_of_long_ago_gets_what_there_was_then(bench: Bench, index: Index) -> None:
    index.uploaded = {
        "gamma-1.0-py3-none-any.whl": "2019-05-01T00:00:00Z", "gamma-2.0-py3-none-any.whl": "2024-05-01T00:00:00Z",
    }
    at(bench, index.url).build(Python(exclude_newer="2019-06-01"))
    assert bench.run("import gamma; print(gamma.VERSION)") == "1.0"


def broken_sdist(folder: Path, said: str) -> None:
    """native 1.0: source that doesn't build, and a wheel for Python 3.9 and 3.10."""
    made = wheel(folder, "native")
    for minor in ("39", "310"):
        shutil.copy(made, folder / f"native-1.0-cp{minor}-none-any.whl")
    made.unlink()
    project = (
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "native"\nversion = "1.0"\n'
    )
    with tarfile.open(folder / "native-1.0.tar.gz", "w:gz") as archive:
        for name, text in (
            ("pyproject.toml", project), ("backend.py", f"def build_wheel(*_):\n    raise SystemExit({said!r})\n"),
            ("PKG-INFO", "Metadata-Version: 2.1\nName: native\nVersion: 1.0\n"),
        ):
            entry = tarfile.TarInfo(f"native-1.0/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))


@pytest.mark.parametrize(("said", "fix"), [
    ("something nobody knows", 'version = "3.10" below [python]'),
    ("fatal error: ffi.h: No such file or directory", "libffi"),
])
@pytest.mark.fault("A13")
def test_a_failing_build_names_the_package_and_the_pythons_that_have_a_wheel(
    bench: Bench, index: Index, said: str, fix: str
) -> None:
    """Fault A13, and F8: the environment before stays."""
    old = old_environment(bench)
    (bench.root / "requirements.txt").write_text("native\n")
    broken_sdist(index.files, said)
    progress: list[str] = []
    environments = at(bench, index.url).environments()
    observed = environments.observe(Python())
    if observed.interpreter.minor in ("3.9", "3.10"):
        pytest.skip("this machine's Python has the wheel")
    environments.create(observed)
    with pytest.raises(ProcessError) as caught:
        environments.install(observed, progress.append)
    assert (caught.value.id, caught.value.exit_code) == ("install-failed", 8)
    assert "native==1.0" in caught.value.what
    assert "there are wheels for Python 3.9, 3.10" in caught.value.why
    assert fix in caught.value.fix
    assert any(said in line for line in caught.value.evidence)
    assert "building native 1.0 from source" in [line.strip() for line in progress]
    ensure_in_use(bench, old)


@pytest.mark.fault("B13")
def test_a_damaged_entry_of_the_cache_is_dropped_and_fetched_again(bench: Bench, index: Index) -> None:
    """Fault B13: half of a file is gone in uv's cache."""
    there = at(bench, index.url)
    first = there.build()
    shutil.rmtree(first.folder)
    cache = Path(bench.environ["HOME"]) / ".cache" / "uv"
    (damaged,) = cache.glob("archive-v*/*/gamma/__init__.py")
    whole = damaged.read_text()
    # a hard link of it may be what is left of an environment
    damaged.unlink()
    damaged.write_text(whole[: len(whole) // 2])
    environments = there.environments()
    observed = environments.observe(Python())
    environments.create(observed)
    assert environments.install(observed) == ("gamma came damaged from the cache: fetched again",)
    environments.verify(observed)
    environments.link(observed)
    assert bench.run("import gamma; print(gamma.VERSION)") == "2.0"


def test_a_damaged_environment_survives_a_repair_that_fails(bench: Bench, index: Index) -> None:
    """Faults F5 and F8 at once: the index is down while a package is to be brought back."""
    (bench.root / "requirements.txt").write_text("gamma\nalpha\n")
    shutil.copytree(bench.root / "wheels", index.files, dirs_exist_ok=True)
    built = at(bench, index.url).build()
    site = next(built.folder.glob("lib/*/site-packages"))
    shutil.rmtree(site / "beta")
    assert bench.observe().state.problem == "package beta is damaged: 3 files missing"
    shutil.rmtree(Path(bench.environ["HOME"]) / ".cache")
    with pytest.raises(DevstackError):
        at(bench, f"http://127.0.0.1:{closed_port()}/simple").build()
    assert bench.run("import gamma; print(gamma.VERSION)") == "2.0"
    assert bench.observe().state.problem == "package beta is damaged: 3 files missing"
    assert at(bench, index.url).build().state.is_built
    assert bench.run("import beta; print(1)") == "1"
    assert [path.name for path in built.folder.parent.glob("*.old")] == []
