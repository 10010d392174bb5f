"""A folder of files with a server's data in them, and the programs that come with that server to make and read them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from devstack import contained
from devstack.errors import ProcessError
from devstack.services import Copies, kind_of
from devstack.stack.machinery import Tools
from devstack.state import ServiceState

#: seconds that one program may take
_LONG = 3600.0
_INSIDE = "/tmp/devstack-copy"  # noqa: S108 - in a container of our own


def with_copies(services: Mapping[str, ServiceState]) -> dict[str, ServiceState]:
    """The services whose data can be copied."""
    return {name: one for name, one in services.items() if kind_of(name, one.instance.declaration).copies}


def copies_of(service: ServiceState) -> Copies:
    """How the data of a service is copied that `with_copies` has let through."""
    copies = kind_of(service.instance.name, service.instance.declaration).copies
    if copies is None:
        raise LookupError(f"the data of {service.instance.name} can't be copied")
    return copies


def at_once(services: Collection[ServiceState], act: Callable[[ServiceState], None]) -> None:
    """Do it for all services at the same time. Raises the first error, once all have ended."""
    with ThreadPoolExecutor(max(1, len(services))) as pool:
        for done in [pool.submit(act, service) for service in services]:
            done.result()


class Copying:
    """What `Kind.dump` and `Kind.load` are given (`services.Runner`). folder: private, holds the files."""

    def __init__(self, tools: Tools, stack: str, service: ServiceState, folder: Path) -> None:
        self._tools = tools
        self._stack = stack
        self._service = service
        self._folder = tools.system.private_folder(folder)

    def save(self, name: str, argv: tuple[str, ...], env: Mapping[str, str]) -> None:
        if self._service.runtime == "native":
            self._beside(argv, env, self._folder / name)
            return
        engine = self._tools.containers.engine
        self._inside(argv, env)
        try:
            self.write(name, engine.take_file(self._container, _INSIDE))
        finally:
            engine.execute(self._container, ("rm", "-f", _INSIDE))

    def feed(self, name: str, argv: tuple[str, ...], env: Mapping[str, str]) -> None:
        if self._service.runtime == "native":
            self._beside(argv, env, self._folder / name)
            return
        engine = self._tools.containers.engine
        engine.put_file(self._container, _INSIDE, self.read(name))
        try:
            self._inside(argv, env)
        finally:
            engine.execute(self._container, ("rm", "-f", _INSIDE))

    def write(self, name: str, content: bytes) -> None:
        self._tools.system.write(self._folder / name, content)

    def read(self, name: str) -> bytes:
        return self._tools.system.read_bytes(self._folder / name) or b""

    @property
    def _container(self) -> str:
        return contained.container_name(self._stack, self._service.instance.name)

    def _inside(self, argv: tuple[str, ...], env: Mapping[str, str]) -> None:
        words = _placed(argv, _INSIDE)
        status, output = self._tools.containers.engine.execute(self._container, words, env=env, timeout=_LONG)
        self._ensure_done(argv, status, output.splitlines())

    def _beside(self, argv: tuple[str, ...], env: Mapping[str, str], file: Path) -> None:
        server = self._service.server
        sibling = Path(PurePosixPath(server.program).with_name(PurePosixPath(argv[0]).name))
        program = str(sibling) if sibling.exists() else argv[0]
        base = {"PATH": self._tools.system.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", **server.env}
        done = self._tools.system.run(
            (program, *_placed(argv[1:], str(file))), timeout=_LONG, env={**base, **env}, cwd=self._folder
        )
        self._ensure_done(argv, done.returncode, list(done.last_lines()))

    def _ensure_done(self, argv: tuple[str, ...], status: int, output: list[str]) -> None:
        if status:
            name = self._service.instance.name
            raise ProcessError(
                "copy-failed", f"the data of {name} can't be copied",
                why=f"{PurePosixPath(argv[0]).name} ended with status {status}", fix=f"devstack logs {name}",
                evidence=tuple(output[-12:]),
            )


def _placed(argv: tuple[str, ...], file: str) -> tuple[str, ...]:
    return tuple(word.replace("{file}", file) for word in argv)
