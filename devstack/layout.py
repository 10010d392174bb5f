"""Where a stack keeps what runs it, as values: the one place that knows the names of its files."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """Where a stack keeps what runs it. stack: its id. root, folder (`ROOT/.devstack`), sockets: absolute folders."""

    stack: str
    root: str
    folder: str
    sockets: str

    def script(self, program: str) -> str:
        return f"{self.folder}/env/{program}"

    def record(self, program: str) -> str:
        """Where a starting program notes its identity."""
        return f"{self.folder}/pids/{program}"

    def log(self, program: str) -> str:
        return f"{self.folder}/logs/{program}.log"

    @property
    def folders(self) -> tuple[str, ...]:
        """All private folders, parents first."""
        return (self.folder, *(f"{self.folder}/{name}" for name in ("env", "pids", "logs")), self.sockets)

    @property
    def procfile(self) -> str:
        return f"{self.folder}/Procfile"

    @property
    def config(self) -> str:
        return f"{self.folder}/supervisord.conf"

    @property
    def socket(self) -> str:
        return f"{self.sockets}/supervisor.sock"

    @property
    def watch(self) -> str:
        """What the watcher is told."""
        return f"{self.folder}/watch.json"

    @property
    def supervisor_log(self) -> str:
        return f"{self.folder}/logs/supervisord.log"

    @property
    def supervisor_pid(self) -> str:
        return f"{self.folder}/supervisord.pid"

    @property
    def supervisor_record(self) -> str:
        return f"{self.folder}/supervisor.json"
