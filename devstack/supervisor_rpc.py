"""One call to supervisord over its Unix socket, and its faults as devstack's errors. Knows no program and no plan."""

from __future__ import annotations

import functools
import http.client
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from devstack.errors import ProcessError

if TYPE_CHECKING:
    import xmlrpc.client

    from devstack.system import System

#: seconds that supervisord may take to answer; under a flood of log lines it takes up to one
DEADLINE = 5.0

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


class Rpc:
    """Calls supervisord's methods (http://supervisord.org/api.html). Safe to share between threads."""

    def __init__(self, system: System, socket: str) -> None:
        self._system = system
        self._socket = socket

    def call(self, method: str, *args: Any, timeout: float = DEADLINE) -> Any:
        """The method's answer. Raises UnreachableError, FaultError, or ProcessError where no answer came in time."""
        import xmlrpc.client
        from xml.parsers.expat import ExpatError

        transport = _transport()(self._system, self._socket, timeout)
        # the address is only a name: the transport goes to the socket
        proxy = xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=transport)
        try:
            return getattr(proxy, method)(*args)
        except xmlrpc.client.Fault as fault:
            raise _refused(fault.faultCode, fault.faultString) from None
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as error:
            raise UnreachableError(f"{self._socket}: {error.strerror}") from None
        except (OSError, http.client.HTTPException, xmlrpc.client.Error, ExpatError) as error:
            raise ProcessError(
                "supervisor-silent", f"supervisord didn't answer within {timeout:g} s",
                why=f"{method}: {error or type(error).__name__}", fix="devstack down",
            ) from None
        finally:
            transport.close()

    def calls(self, *methods: str) -> list[Any]:
        """The answers of several methods without arguments, in one round trip. Raises as `call`."""
        answers = self.call("system.multicall", [{"methodName": method, "params": []} for method in methods])
        for answer in answers:
            if isinstance(answer, dict) and "faultCode" in answer:
                raise _refused(answer["faultCode"], answer["faultString"])
        return list(answers)


def _refused(code: int, text: str) -> FaultError | UnreachableError:
    return UnreachableError("it is shutting down") if code == SHUTDOWN_STATE else FaultError(code, text)


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
