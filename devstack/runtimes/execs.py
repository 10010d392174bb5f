"""Commands inside of running containers: for an answer, or with a person's terminal on them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from devstack.errors import ProcessError
from devstack.runtimes.docker import Engine

#: what engines say of a program that an image doesn't have
_NO_PROGRAM = (126, 127)


@dataclass(frozen=True)
class Inside:
    """A command for a container. env: its own, beside the container's; it is on no command line. user, cwd: "" for the
    container's own."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    cwd: str = ""


@dataclass(frozen=True)
class Answer:
    """status: exit status; of one that the image doesn't have 126 or 127, as a shell would say."""

    status: int
    output: str

    @property
    def is_missing(self) -> bool:
        """The container has no such program."""
        return self.status in _NO_PROGRAM


def answer(engine: Engine, container: str, command: Inside, timeout: float) -> Answer:
    """Run a command to its end. timeout: seconds. Raises ProcessError where the container doesn't run."""
    import docker

    with engine.asking(), contextlib.closing(
        docker.APIClient(base_url=engine.address.url, version=engine.api.api_version, timeout=timeout)
    ) as api:
        made = _make(api, container, command, is_terminal=False, has_input=False)
        try:
            output: bytes = api.exec_start(made)
        except docker.errors.APIError as error:
            if lacks_program(str(error.explanation or error)):
                return Answer(127, str(error.explanation or error))
            raise
        return Answer(int(api.exec_inspect(made)["ExitCode"] or 0), output.decode(errors="replace"))


class Session:
    """A command under way inside, whose streams are at `channel`, a descriptor. early: what came with the engine's
    first answer. is_framed: what comes is in frames, each with a head that says whose it is."""

    def __init__(self, engine: Engine, container: str, command: Inside, *, is_terminal: bool) -> None:
        self._engine = engine
        self.is_framed = not is_terminal
        with engine.asking():
            self._id = _make(engine.api, container, command, is_terminal=is_terminal, has_input=True)
            self._stream: Any = engine.api.exec_start(self._id, tty=is_terminal, socket=True)
        self._socket = getattr(self._stream, "_sock", self._stream)
        self.early = self._buffered()
        self.channel: int = self._socket.fileno()

    def _buffered(self) -> bytes:
        """What was read together with the head of the answer; the library leaves it where nobody looks."""
        response = getattr(self._stream, "_response", None)
        reader = getattr(getattr(getattr(response, "raw", None), "_fp", None), "fp", None)
        if reader is None:
            return b""
        self._socket.setblocking(False)
        try:
            return bytes(reader.peek())
        except (OSError, ValueError):
            return b""

    def end_input(self) -> None:
        """Tell the command that no more comes."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(1)

    def resize(self, rows: int, columns: int) -> None:
        """The terminal has another size now; it isn't worth an error."""
        with contextlib.suppress(Exception):
            self._engine.api.exec_resize(self._id, height=rows, width=columns)

    def close(self) -> int:
        """The command's exit status, once its streams have ended."""
        with contextlib.suppress(OSError):
            self._socket.close()
        with self._engine.asking():
            found = self._engine.api.exec_inspect(self._id)
        return int(found["ExitCode"] if found["ExitCode"] is not None else 1)


@contextlib.contextmanager
def session(engine: Engine, container: str, command: Inside, *, is_terminal: bool) -> Iterator[Session]:
    """A session whose connection ends with the block. Raises ProcessError where the container doesn't run."""
    opened = Session(engine, container, command, is_terminal=is_terminal)
    try:
        yield opened
    finally:
        with contextlib.suppress(OSError):
            opened._socket.close()  # noqa: SLF001 - of the same module


def first_present(engine: Engine, container: str, programs: Sequence[str], timeout: float) -> str:
    """The first of these programs that the container has. Raises ProcessError where it has none."""
    for program in programs:
        if not answer(engine, container, Inside((program, "--version")), timeout).is_missing:
            return program
    raise ProcessError(
        "client-missing", f"the container has none of {', '.join(programs)}", why="its image doesn't bring it",
        fix="change `image` in the profile",
    )


def _make(api: Any, container: str, command: Inside, *, is_terminal: bool, has_input: bool) -> str:
    made = api.exec_create(
        container, list(command.argv), tty=is_terminal, stdin=has_input, environment=dict(command.env),
        user=command.user, workdir=command.cwd or None,
    )
    return str(made["Id"])


def lacks_program(said: str) -> bool:
    """Is it this what an engine says of a command that it can't execute?"""
    return "executable file not found" in said or "no such file or directory" in said
