"""The one door to subprocesses, sockets, clock, files and the environment.

No other module imports subprocess or socket. Nothing here knows what a profile or a service is, decides, or prints.
Every call that could wait has a deadline, measured on the monotonic clock, and ends early when the run is cancelled.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import os
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from devstack.errors import InterruptedRunError, PrerequisiteError, StorageError

LOOPBACK = "127.0.0.1"
_TAIL = 200
_HAS_PROC = Path("/proc/self/stat").exists()


@dataclass(frozen=True)
class Completed:
    """A finished command. `output` holds its last lines (stdout and stderr together unless they were split)."""

    returncode: int
    output: str
    stdout: str = ""
    timed_out: bool = False

    def last_lines(self, count: int = 20) -> tuple[str, ...]:
        return tuple(self.output.splitlines()[-count:])


@dataclass(frozen=True)
class Identity:
    """A process that can't be confused with a later one of the same pid. start: clock ticks since boot (Linux) or
    seconds since the epoch (elsewhere), as text."""

    pid: int
    start: str


@dataclass(frozen=True)
class Holder:
    """Who listens on a port, as far as this user may know."""

    pid: int | None
    name: str
    command: str

    def __str__(self) -> str:
        if self.pid is None:
            return "a process of another user"
        return f"{self.name} (pid {self.pid}: {self.command[:80]})"


class System:
    """The machine, as this process may see and change it."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self.environ: dict[str, str] = dict(os.environ if environ is None else environ)
        self.cancelled = threading.Event()
        self._children: set[subprocess.Popen[bytes]] = set()
        self._guard = threading.Lock()

    # --- clock -------------------------------------------------------------------------------------------------------

    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def pause(self, seconds: float) -> None:
        """Wait, but end at once with InterruptedRunError when the run is cancelled."""
        if self.cancelled.wait(seconds):
            raise InterruptedRunError("interrupted", "stopped on request", fix="devstack up")

    def until(self, check: Callable[[], bool], timeout: float, every: float = 0.05) -> bool:
        """Ask `check` until it says yes (True) or the time is over (False)."""
        deadline = self.monotonic() + timeout
        while not check():
            if self.monotonic() >= deadline:
                return False
            self.pause(every)
        return True

    # --- commands ----------------------------------------------------------------------------------------------------

    def run(
        self, argv: Sequence[str], *, timeout: float, env: Mapping[str, str] | None = None, cwd: Path | None = None,
        on_line: Callable[[str], None] | None = None, log: Path | None = None,
    ) -> Completed:
        """Run a command to its end: no stdin, own process group, killed whole at the deadline or on cancel.

        env: the whole environment of the child; None: this one's. on_line: called with each line of output, from
        another thread. log: file that the output is appended to (0600). Raises PrerequisiteError where the program
        can't be executed, InterruptedRunError on cancel. A non-zero status is an answer, not an error.
        """
        child = self._popen(argv, env, cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        tail: deque[str] = deque(maxlen=_TAIL)
        reader = threading.Thread(target=self._drain, args=(child, tail, on_line, log), daemon=True)
        reader.start()
        timed_out = False
        try:
            deadline = self.monotonic() + timeout
            while child.poll() is None:
                if self.cancelled.is_set():
                    self._end(child)
                    raise InterruptedRunError("interrupted", f"{argv[0]} was stopped on request", fix="devstack up")
                if self.monotonic() > deadline:
                    timed_out = True
                    self._end(child)
                    break
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(0.1)
            # a grandchild may hold the pipe open for ever: what it says after its parent's end isn't waited for
            reader.join(1.0)
        finally:
            with self._guard:
                self._children.discard(child)
        return Completed(child.returncode, "\n".join(tail), timed_out=timed_out)

    def capture(
        self, argv: Sequence[str], *, timeout: float, env: Mapping[str, str] | None = None, cwd: Path | None = None,
        stdin: bytes | None = None,
    ) -> Completed:
        """Run a quick command and keep all of stdout apart from stderr (`output`). Raises as `run`."""
        child = self._popen(
            argv, env, cwd, stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        timed_out = False
        try:
            out, err = child.communicate(stdin, timeout)
        except subprocess.TimeoutExpired:
            timed_out = True
            self._end(child)
            out, err = child.communicate()
        finally:
            with self._guard:
                self._children.discard(child)
        return Completed(child.returncode, err.decode(errors="replace"), out.decode(errors="replace"), timed_out)

    def foreground(self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path) -> int:
        """Run a command on this terminal, its signals its own; returns its status as a shell would (128 + signal)."""
        # the child gets the terminal's Ctrl-C itself; this process only waits for what it makes of it
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            try:
                child = subprocess.Popen(
                    argv, env=dict(env), cwd=cwd,
                    # an ignored signal is inherited through exec; the command must feel Ctrl-C
                    preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no thread runs
                )
            except OSError as error:
                raise _cannot_execute(argv[0], error) from None
            code = child.wait()
        finally:
            signal.signal(signal.SIGINT, previous)
        return 128 - code if code < 0 else code

    def spawn(self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, log: Path) -> int:
        """Start a process that outlives this one (own session, no stdin, output appended to `log`); returns its pid."""
        with self.open_private(log, os.O_APPEND) as output:
            try:
                child = subprocess.Popen(
                    argv, env=dict(env), cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                    start_new_session=True, umask=0o077,
                )
            except OSError as error:
                raise _cannot_execute(argv[0], error) from None
        # reaped in the background, so that its end is seen as an end and not as a zombie
        threading.Thread(target=child.wait, daemon=True).start()
        return child.pid

    def cancel(self) -> None:
        """End every command under way and every wait; called from a signal handler."""
        self.cancelled.set()

    def _popen(
        self, argv: Sequence[str], env: Mapping[str, str] | None, cwd: Path | None, *, stdin: int, stdout: int,
        stderr: int,
    ) -> subprocess.Popen[bytes]:
        try:
            child = subprocess.Popen(
                argv, env=dict(self.environ if env is None else env), cwd=cwd, stdin=stdin, stdout=stdout,
                stderr=stderr, start_new_session=True,
            )
        except OSError as error:
            raise _cannot_execute(argv[0], error) from None
        with self._guard:
            self._children.add(child)
        return child

    def _drain(
        self, child: subprocess.Popen[bytes], tail: deque[str], on_line: Callable[[str], None] | None, log: Path | None
    ) -> None:
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(self.open_private(log, os.O_APPEND)) if log else None
            for raw in child.stdout or ():
                if file is not None:
                    os.write(file, raw)
                line = raw.decode(errors="replace").rstrip("\r\n")
                tail.append(line[-2000:])
                if on_line is not None:
                    on_line(line[-2000:])

    def _end(self, child: subprocess.Popen[bytes]) -> None:
        for sign, grace in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0)):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(grace)
                return

    # --- files -------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def open_private(self, path: Path, flags: int = 0) -> Iterator[int]:
        """A descriptor to write `path` with mode 0600 whatever the umask; a symlink planted there isn't followed."""
        with storage_errors(path):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | flags, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
            yield descriptor
        finally:
            os.close(descriptor)

    def write(self, path: Path, content: str | bytes, mode: int = 0o600) -> None:
        """Replace a file as one act: written beside, synced, renamed. Raises StorageError."""
        data = content.encode() if isinstance(content, str) else content
        with storage_errors(path):
            descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fchmod(descriptor, mode)
                    os.fsync(descriptor)
                Path(temporary).rename(path)
            except BaseException:
                with contextlib.suppress(OSError):
                    Path(temporary).unlink()
                raise
            self.sync_folder(path.parent)

    def sync_folder(self, folder: Path) -> None:
        """Make a rename inside this folder durable."""
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise
        finally:
            os.close(descriptor)

    def read(self, path: Path) -> str | None:
        """A file's text (undecodable bytes replaced), or None where there is no such file."""
        try:
            return path.read_text(errors="replace")
        except (FileNotFoundError, NotADirectoryError):
            return None

    def private_folder(self, path: Path) -> Path:
        """Make the folder (and its parents) with mode 0700. Raises StorageError where it isn't this user's own."""
        with storage_errors(path):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            info = os.lstat(path)
            if stat.S_ISLNK(info.st_mode) or info.st_uid != os.geteuid():
                raise StorageError(
                    "folder-not-yours", f"{path} isn't a folder of this user", why=f"it belongs to uid {info.st_uid}",
                    fix=f"rm -rf -- {path}",
                )
            if stat.S_IMODE(info.st_mode) != 0o700:
                path.chmod(0o700)
        return path

    def link(self, path: Path, target: str) -> None:
        """Point the symlink `path` at `target` as one act."""
        with storage_errors(path):
            temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
            temporary.symlink_to(target)
            temporary.rename(path)

    # --- processes ---------------------------------------------------------------------------------------------------

    def identity(self, pid: int) -> Identity | None:
        """The living process of this pid, or None; a zombie is dead."""
        if _HAS_PROC:
            try:
                fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()
            except OSError:
                return None
            return None if fields[0] in (b"Z", b"X") else Identity(pid, fields[19].decode())
        import psutil

        try:
            process = psutil.Process(pid)
            return None if process.status() == psutil.STATUS_ZOMBIE else Identity(pid, f"{process.create_time():.2f}")
        except psutil.Error:
            return None

    def is_alive(self, identity: Identity) -> bool:
        return self.identity(identity.pid) == identity

    def signal(self, identity: Identity, sign: int) -> bool:
        """Send a signal to exactly this process; False where it is gone."""
        if not self.is_alive(identity):
            return False
        try:
            os.kill(identity.pid, sign)
        except ProcessLookupError:
            return False
        return True

    def marked(self, name: str, value: str) -> tuple[Identity, ...]:
        """Living processes of this user whose environment holds NAME=VALUE; this process and its parents left out."""
        import psutil

        own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
        found = []
        for process in psutil.process_iter():
            try:
                if process.pid not in own and process.environ().get(name) == value:
                    identity = self.identity(process.pid)
                    found += [identity] if identity else []
            except (psutil.Error, OSError):
                continue
        return tuple(found)

    def descendants(self, identity: Identity) -> tuple[Identity, ...]:
        """Living children of a process, and theirs."""
        import psutil

        try:
            children = psutil.Process(identity.pid).children(recursive=True) if self.is_alive(identity) else []
        except psutil.Error:
            return ()
        return tuple(found for child in children if (found := self.identity(child.pid)))

    # --- network -----------------------------------------------------------------------------------------------------

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

    def free_port(self) -> int:
        """A port that nobody listens on, chosen by the kernel."""
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            port: int = probe.getsockname()[1]
            return port

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

    def connect(self, port: int, timeout: float) -> str | None:
        """Open and close a TCP connection to 127.0.0.1:port; None: accepted, else why not."""
        try:
            with socket.create_connection((LOOPBACK, port), timeout):
                return None
        except OSError as error:
            return error.strerror or str(error)

    def http_status(self, port: int, path: str, timeout: float) -> tuple[int | None, str]:
        """Status and first line of the body of GET http://127.0.0.1:port/path; (None, why) where there is no answer."""
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

    def unix_connection(self, path: str, timeout: float) -> http.client.HTTPConnection:
        """An HTTP connection over a Unix socket (supervisord's)."""
        return _UnixConnection(path, timeout)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what a disk or a permission refuses into a StorageError that names the path."""
    try:
        yield
    except OSError as error:
        raise storage_error(path, error) from None


def storage_error(path: Path, error: OSError) -> StorageError:
    """The error for a refused file operation, with the command that helps for its cause."""
    place = Path(error.filename) if isinstance(error.filename, str) else path
    why = error.strerror or str(error)
    refused = f"{place} can't be written"
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return StorageError("disk-full", refused, why=why, fix=f"df -h {place.parent}; df -i {place.parent}")
        case errno.EROFS:
            return StorageError(
                "read-only", refused, why="the file system is read-only", fix=f"findmnt -T {place.parent}"
            )
        case errno.EACCES | errno.EPERM:
            return StorageError("no-permission", refused, why=why, fix=f"ls -ld {place.parent} {place}")
        case errno.ELOOP:
            return StorageError("symlink-refused", refused, why="it is a symbolic link", fix=f"rm -- {place}")
        case _:
            return StorageError("storage-failed", refused, why=why, fix=f"ls -ld {place.parent} {place}")


def _cannot_execute(program: str, error: OSError) -> PrerequisiteError:
    return PrerequisiteError(
        "cannot-execute", f"{program} can't be executed", why=error.strerror or str(error),
        fix=f"command -v {program}",
    )
