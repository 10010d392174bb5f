"""Ports and connections of this machine, for `system.py`. Everything is on the loopback interface."""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from http.client import HTTPConnection

LOOPBACK = "127.0.0.1"
#: characters of a stranger's command line that are told
_SHOWN = 80


@dataclass(frozen=True)
class Holder:
    """Who listens on a port, as far as this user may know."""

    pid: int | None
    name: str
    command: str

    def __str__(self) -> str:
        if self.pid is None:
            return "a process of another user"
        return f"{self.name} (pid {self.pid}: {_short(self.command)})"



def _short(command: str) -> str:
    """A command line of a stranger in few words: its program's name alone, what is long cut at the end."""
    program, _, words = command.partition(" ")
    text = f"{program.rpartition('/')[2]} {words}".rstrip()
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1].rstrip()}…"


class Network:
    """What `System` can do with ports."""

    def is_port_free(self, port: int) -> bool:
        """Could a server listen on 127.0.0.1:port now? Raises ConflictError never; a port below 1024 may be refused."""
        for family, address in ((socket.AF_INET, LOOPBACK), (socket.AF_INET6, "::1")):
            try:
                probe = socket.socket(family, socket.SOCK_STREAM)
            except OSError:
                continue
            with probe:
                # as servers do: a socket in TIME_WAIT doesn't make the port taken
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((address, port))
                except OSError as error:
                    if error.errno == errno.EADDRINUSE or family == socket.AF_INET:
                        return False
        return True

    def is_port_forbidden(self, port: int) -> bool:
        """Is the port one that this user has no right to, whether or not anybody listens on it?"""
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError as error:
                return error.errno == errno.EACCES
        return False

    def free_port(self) -> int:
        """A port that nobody listens on, chosen by the kernel."""
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            port: int = probe.getsockname()[1]
            return port

    def outgoing_ports(self) -> range:
        """The ports that the system gives to outgoing connections; none where that isn't known."""
        with contextlib.suppress(OSError, ValueError):
            first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
            return range(first, last + 1)
        return range(0)

    def port_holder(self, port: int) -> Holder | None:
        """Who listens on this TCP port, or None where nobody does."""
        import psutil

        try:
            connections = psutil.net_connections("tcp")
        except (psutil.Error, OSError):
            connections = []
        for connection in connections:
            if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port:
                try:
                    process = psutil.Process(connection.pid) if connection.pid else None
                    if process:
                        return Holder(process.pid, process.name(), " ".join(process.cmdline()))
                except psutil.Error:
                    pass
                return Holder(None, "", "")
        return None if self.is_port_free(port) else Holder(None, "", "")

    def open_ports(self, pid: int) -> tuple[tuple[str, int], ...]:
        """Address and TCP port of what a process listens on beyond loopback; nothing where it can't be known."""
        import psutil

        try:
            found = psutil.Process(pid).net_connections("tcp")
        except (psutil.Error, OSError):
            return ()
        return tuple(
            (f"[{one.laddr.ip}]" if ":" in one.laddr.ip else one.laddr.ip, one.laddr.port) for one in found
            if one.status == psutil.CONN_LISTEN and not one.laddr.ip.startswith(("127.", "::ffff:127."))
            and one.laddr.ip != "::1"
        )

    def connect(self, port: int, timeout: float) -> str | None:
        """Open and close a TCP connection to 127.0.0.1:port; None: accepted, else why not."""
        try:
            with socket.create_connection((LOOPBACK, port), timeout):
                return None
        except OSError as error:
            return error.strerror or str(error)

    def reaches(self, host: str, port: int, timeout: float) -> bool:
        """Does anybody take a TCP connection at this host? timeout: for looking its name up, too."""
        answered = threading.Event()

        def call() -> None:
            with contextlib.suppress(OSError, UnicodeError), socket.create_connection((host, port), timeout):
                answered.set()

        # a look-up knows no deadline: it is left behind where it takes too long
        caller = threading.Thread(target=call, daemon=True)
        caller.start()
        caller.join(timeout)
        return answered.is_set()

    def http_status(self, port: int, path: str, timeout: float) -> tuple[int | None, str]:
        """Status and first line of the body of GET http://127.0.0.1:port/path; (None, why) where there is no answer."""
        import http.client

        connection = http.client.HTTPConnection(LOOPBACK, port, timeout=timeout)
        try:
            connection.request("GET", path, headers={"Host": f"{LOOPBACK}:{port}", "User-Agent": "devstack"})
            response = connection.getresponse()
            body = response.read(500).decode(errors="replace").strip()
            return response.status, body.splitlines()[0][:200] if body else response.reason
        except (OSError, http.client.HTTPException) as error:
            return None, getattr(error, "strerror", None) or str(error) or type(error).__name__
        finally:
            connection.close()

    def unix_connection(self, path: str, timeout: float) -> HTTPConnection:
        """An HTTP connection over a Unix socket (supervisord's)."""
        from http.client import HTTPConnection

        class UnixConnection(HTTPConnection):
            def connect(self) -> None:
                self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                self.sock.settimeout(self.timeout)
                self.sock.connect(path)

        return UnixConnection("localhost", timeout=timeout)
