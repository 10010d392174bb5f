"""Calls to supervisord over its Unix socket, and its faults as devstack's errors. Knows no program and no plan."""

from __future__ import annotations

import functools
import http.client
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from devstack.errors import ProcessError

if TYPE_CHECKING:
    import xmlrpc.client

    from devstack.system import System

#: seconds that supervisord may take to answer; under a flood of log lines it takes up to one
DEADLINE = 5.0
#: most questions in one request: starting a process takes supervisord some milliseconds, and all must make the deadline
_TOGETHER = 64

# numbers of supervisor.xmlrpc.Faults
SHUTDOWN_STATE = 6
BAD_NAME, NO_FILE, NOT_EXECUTABLE, SPAWN_ERROR = 10, 20, 21, 50
ALREADY_STARTED, NOT_RUNNING, STILL_RUNNING, CANT_REREAD = 60, 70, 91, 92


class UnreachableError(ProcessError):
    """Nobody listens on the socket, or supervisord is on its way out and takes no orders."""

    def __init__(self, why: str) -> None:
        super().__init__("supervisor-unreachable", "supervisord isn't running", why=why, fix="devstack up")


class FaultError(ProcessError):
    """supervisord refused a call; `code` is its fault's number."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__("supervisor-refused", "supervisord refused a request", why=text, fix="devstack up")
        self.code = code


@dataclass
class _Question:
    """One call of one thread. failed: makes its error, so that no two threads raise the same one."""

    method: str
    args: tuple[Any, ...]
    is_answered: bool = False
    answer: Any = None
    failed: Callable[[], ProcessError] | None = None

    def take(self, answer: Any = None, failed: Callable[[], ProcessError] | None = None) -> None:
        self.answer, self.failed, self.is_answered = answer, failed, True

    def result(self) -> Any:
        if self.failed is not None:
            raise self.failed() from None
        return self.answer


class Rpc:
    """Calls supervisord's methods (http://supervisord.org/api.html). Safe to share between threads.

    supervisord answers one request after the other, so there is never more than one under way: what threads ask
    meanwhile goes together as the next one.
    """

    def __init__(self, system: System, socket: str) -> None:
        self._system = system
        self._socket = socket
        self._turn = threading.Lock()
        self._guard = threading.Lock()
        self._waiting: list[_Question] = []

    def call(self, method: str, *args: Any) -> Any:
        """The method's answer. Raises UnreachableError, FaultError, or ProcessError where no answer came in time."""
        return self._ask(_Question(method, args))[0]

    def calls(self, *methods: str) -> list[Any]:
        """The answers of several methods without arguments, in one round trip. Raises as `call`."""
        return self._ask(*(_Question(method, ()) for method in methods))

    def _ask(self, *questions: _Question) -> list[Any]:
        with self._guard:
            self._waiting += questions
        with self._turn:
            # another thread may have asked for this one too
            while not questions[-1].is_answered:
                with self._guard:
                    batch, self._waiting = self._waiting[:_TOGETHER], self._waiting[_TOGETHER:]
                self._send(batch)
        return [question.result() for question in questions]

    def _send(self, batch: list[_Question]) -> None:
        # whatever goes wrong, nobody waits for ever
        failed: Callable[[], ProcessError] = functools.partial(_silent, "the request was given up")
        answers: list[Any] = []
        try:
            answers = self._answers(batch)
        except ProcessError as error:
            failed = _remake(error)
        finally:
            for question in batch[len(answers):]:
                question.take(failed=failed)
        for question, answer in zip(batch, answers, strict=False):
            if isinstance(answer, dict) and "faultCode" in answer:
                question.take(failed=functools.partial(_refused, answer["faultCode"], answer["faultString"]))
            else:
                question.take(answer)

    def _answers(self, batch: list[_Question]) -> list[Any]:
        if len(batch) == 1:
            return [self._request(batch[0].method, *batch[0].args)]
        calls = [{"methodName": one.method, "params": list(one.args)} for one in batch]
        return list(self._request("system.multicall", calls))

    def _request(self, method: str, *args: Any) -> Any:
        import xmlrpc.client
        from xml.parsers.expat import ExpatError

        transport = _transport()(self._system, self._socket, DEADLINE)
        # the address is only a name: the transport goes to the socket
        proxy = xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=transport)
        try:
            return getattr(proxy, method)(*args)
        except xmlrpc.client.Fault as fault:
            raise _refused(fault.faultCode, fault.faultString) from None
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as error:
            raise UnreachableError(f"{self._socket}: {error.strerror}") from None
        except (OSError, http.client.HTTPException, xmlrpc.client.Error, ExpatError) as error:
            raise _silent(f"{method}: {error or type(error).__name__}") from None
        finally:
            transport.close()


def _silent(why: str) -> ProcessError:
    return ProcessError(
        "supervisor-silent", f"supervisord didn't answer within {DEADLINE:g} s", why=why, fix="devstack down"
    )


def _refused(code: int, text: str) -> FaultError | UnreachableError:
    return UnreachableError("it is shutting down") if code == SHUTDOWN_STATE else FaultError(code, text)


def _remake(error: ProcessError) -> Callable[[], ProcessError]:
    match error:
        case FaultError():
            return functools.partial(FaultError, error.code, error.why)
        case UnreachableError():
            return functools.partial(UnreachableError, error.why)
    return functools.partial(_silent, error.why)


@functools.cache
def _transport() -> Callable[[System, str, float], xmlrpc.client.Transport]:
    """The transport's class, made at the first call: a command that asks nothing doesn't import XML-RPC."""
    import xmlrpc.client

    class UnixTransport(xmlrpc.client.Transport):
        def __init__(self, system: System, socket: str, timeout: float) -> None:
            super().__init__()
            self._dial = functools.partial(system.unix_connection, socket, timeout)

        def make_connection(self, host: tuple[str, dict[str, str]] | str) -> http.client.HTTPConnection:
            connection = self._dial()
            # kept where `close` looks for it
            self._connection = host, connection
            return connection

    return UnixTransport
