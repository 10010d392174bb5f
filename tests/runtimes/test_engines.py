"""Which engine is asked, and what is told of one that can't be: real sockets, real files of the `docker` command."""

from __future__ import annotations

import gc
import hashlib
import json
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer

import pytest
from docker.errors import APIError

from devstack.errors import DevstackError, PrerequisiteError
from devstack.runtimes import engines
from devstack.runtimes.docker import Engine
from devstack.runtimes.engine_answers import PATIENCE, refused, unavailable
from devstack.runtimes.engines import Address
from devstack.system import System
from tests.engine_bench import this_machines_engine


@contextmanager
def listening(path: Path) -> Iterator[Address]:
    """A socket that accepts and never answers."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        yield Address(f"unix://{path}")


@contextmanager
def answering(path: Path, api_version: str, greeting: str = "") -> Iterator[Address]:
    """Something that says of itself that it is an engine with this version of the API. greeting: as engines since
    2017 begin every answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"Version": "1.9.1", "ApiVersion": api_version, "MinAPIVersion": "1.12"}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            if greeting:
                self.send_header("Api-Version", api_version)
            self.end_headers()
            self.wfile.write(body)

        def version_string(self) -> str:
            return greeting

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

        def address_string(self) -> str:
            return ""

    with ThreadingUnixStreamServer(str(path), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield Address(f"unix://{path}")
        finally:
            server.shutdown()
            thread.join()


def context(home: Path, name: str, host: str) -> None:
    """What `docker context create` and `docker context use` write."""
    folder = home / ".docker" / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text(json.dumps({"Name": name, "Endpoints": {"docker": {"Host": host}}}))
    (home / ".docker" / "config.json").write_text(json.dumps({"currentContext": name}))


def refusal(address: Address) -> PrerequisiteError:
    with warnings.catch_warnings():
        # the SDK forgets to close a socket that couldn't be connected
        warnings.simplefilter("ignore", ResourceWarning)
        with pytest.raises(PrerequisiteError) as caught:
            Engine(System(), address)
        error = PrerequisiteError(caught.value.id, caught.value.what, why=caught.value.why, fix=caught.value.fix)
        del caught
        gc.collect()
    return error


@pytest.mark.parametrize(("host", "url"), [
    ("unix:///srv/docker.sock", "unix:///srv/docker.sock"), ("tcp://127.0.0.1:2375", "tcp://127.0.0.1:2375"),
    ("localhost:2375", "tcp://localhost:2375"),
])
def test_the_environment_chooses(environ: dict[str, str], host: str, url: str) -> None:
    context(Path(environ["HOME"]), "other", "unix:///srv/other.sock")
    assert engines.find(System({**environ, "DOCKER_HOST": host})) == Address(url, "DOCKER_HOST")


def test_the_current_context_chooses(environ: dict[str, str]) -> None:
    context(Path(environ["HOME"]), "mine", "unix:///srv/mine.sock")

    assert engines.find(System(environ)) == Address("unix:///srv/mine.sock", "the docker context mine")
    default = engines.find(System({**environ, "DOCKER_CONTEXT": "default"}))
    assert default is None or not default.origin


@pytest.mark.parametrize("text", ["", "[]", "{", '{"currentContext": 1}', "[" * 100_000])
def test_a_damaged_configuration_chooses_nothing(environ: dict[str, str], text: str) -> None:
    (Path(environ["HOME"]) / ".docker").mkdir()
    (Path(environ["HOME"]) / ".docker" / "config.json").write_text(text)

    found = engines.find(System(environ))

    assert found is None or not found.origin


def test_a_context_of_which_nothing_is_known_is_told(environ: dict[str, str]) -> None:
    with pytest.raises(PrerequisiteError) as caught:
        engines.find(System({**environ, "DOCKER_CONTEXT": "gone"}))
    assert (caught.value.id, caught.value.fix) == ("engine-unknown", "docker context use default")


@pytest.mark.parametrize("host", ["tcp://10.1.2.3:2375", "ssh://ann@builder", "npipe:////./pipe/docker_engine"])
def test_an_engine_of_another_machine_is_refused(environ: dict[str, str], host: str) -> None:
    with pytest.raises(PrerequisiteError) as caught:
        engines.find(System({**environ, "DOCKER_HOST": host}))
    assert (caught.value.id, caught.value.fix) == ("engine-remote", "devstack up --runtime native")
    assert host in caught.value.what


def test_a_rootless_engine_is_looked_for_after_the_one_for_all(environ: dict[str, str]) -> None:
    usual = [address.url for address in engines._usual(System({**environ, "XDG_RUNTIME_DIR": "/run/user/7"}))]

    assert usual[:2] == ["unix:///var/run/docker.sock", "unix:///run/user/7/docker.sock"]
    assert "unix:///run/user/7/podman/podman.sock" in usual


def test_a_plain_file_is_no_engine(short_folder: Path) -> None:
    path = short_folder / "docker.sock"
    path.touch()
    assert not engines._is_socket(Address(f"unix://{path}"))
    with listening(short_folder / "s") as address:
        assert engines._is_socket(address)


@pytest.mark.fault("A4")
@pytest.mark.parametrize(("url", "why"), [
    ("unix:///srv/nobody.sock", "no such file or directory"), ("tcp://127.0.0.1:1", "connection refused"),
])
def test_an_engine_that_is_not_there_is_told_in_few_words(url: str, why: str) -> None:
    error = refusal(Address(url))
    assert (error.id, error.why, error.fix) == ("engine-unavailable", f"{url}: {why}", "docker info")


@pytest.mark.fault("A5")
def test_an_engine_that_hangs_costs_its_deadline_and_no_more(short_folder: Path) -> None:
    with listening(short_folder / "s") as address:
        began = time.monotonic()
        error = refusal(address)
        took = time.monotonic() - began
    assert error.id == "engine-unavailable"
    assert "doesn't answer within 5 s" in error.why
    # a loaded machine is forgiven, a wait without end is not
    assert PATIENCE <= took < 4 * PATIENCE


@pytest.mark.fault("A6")
def test_an_engine_that_is_too_old_is_told_with_what_is_needed(short_folder: Path) -> None:
    with answering(short_folder / "s", "1.21") as address:
        error = refusal(address)
    assert error.id == "engine-old"
    assert "1.21" in error.why
    assert "1.24" in error.why


def test_what_answers_and_is_no_engine_is_told(short_folder: Path) -> None:
    with answering(short_folder / "s", "nonsense") as address:
        error = refusal(address)
    assert error.id == "engine-unavailable"
    assert "no container engine" in error.why


@pytest.mark.parametrize(("server", "title", "is_podman"), [
    ("Libpod/4.3.1 (linux)", "Podman 4.3.1", True), ("Docker/28.2.2 (linux)", "Docker 28.2.2", False),
    ("", "Docker 1.9.1", False),
])  # fmt: skip
def test_an_engine_is_known_by_its_greeting_else_by_its_longer_answer(
    server: str, title: str, is_podman: bool, tmp_path: Path
) -> None:
    with answering(tmp_path / "s", "1.41", server) as address:
        engine = Engine(System(), address)
        assert (engine.title, engine.is_podman, engine.api.api_version) == (title, is_podman, "1.41")
        # what a person is told to run is what that engine's own command understands
        assert engine.program == ("podman" if is_podman else "docker")
        engine.api.close()


@pytest.mark.parametrize(("said", "fix"), [
    ("no space left on device", "podman system df"), ("what it says", "podman info"),
])
def test_what_a_podman_refuses_is_answered_with_its_own_command(said: str, fix: str, tmp_path: Path) -> None:
    with answering(tmp_path / "s", "1.41", "Libpod/4.3.1 (linux)") as address:
        engine = Engine(System(), address)
        with pytest.raises(DevstackError) as caught, engine.asking():
            raise APIError(said)
        assert caught.value.fix == fix
        with pytest.raises(PrerequisiteError) as gone, engine.asking():
            raise OSError("it went")
        assert gone.value.fix == "podman info"
        engine.api.close()


@pytest.mark.parametrize(("said", "fix"), [
    ("Permission denied", "systemctl --user enable --now podman.socket"), ("timed out", "podman info"),
])
def test_a_podman_that_never_answered_is_known_by_its_socket(said: str, fix: str) -> None:
    assert unavailable(Address("unix:///run/podman/podman.sock"), said).fix == fix


def test_the_processor_is_the_machines_own() -> None:
    assert this_machines_engine().processor in ("amd64", "arm64")


def test_a_podman_without_the_init_that_its_package_only_recommends_is_told() -> None:
    said = "container create: container-init binary not found on the host: stat /usr/libexec/podman/catatonit: no such"
    error = refused(Exception(said), "podman")
    assert (error.id, error.exit_code, error.fix) == ("engine-incomplete", 3, "sudo apt-get install catatonit")
