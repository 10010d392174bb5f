"""A package index on the loopback interface, over a folder of files, with faults on request."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

#: answers that a fault can be: a status, or a body that ends in its middle
CUT = -1


@dataclass
class Index:
    """files: what it serves. faults: answers to come before the true one, first to last, for every path or for paths
    that end with a text. uploaded: time by file name, for the index's JSON."""

    files: Path
    faults: list[int] = field(default_factory=list)
    only: str = ""
    uploaded: Mapping[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def fault(self, path: str) -> int:
        self.asked.append(path)
        return self.faults.pop(0) if self.faults and path.endswith(self.only) else 0

    def listing(self, name: str) -> bytes | None:
        found = [path.name for path in self.files.iterdir() if _name(path.name) == name]
        entries = [
            {"filename": file, "url": f"../../files/{file}", "hashes": {}}
            | ({"upload-time": self.uploaded[file]} if file in self.uploaded else {})
            for file in sorted(found)
        ]
        return json.dumps({"meta": {"api-version": "1.1"}, "name": name, "files": entries}).encode() if found else None


def _name(file: str) -> str:
    return file.partition("-")[0].lower()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    index: ClassVar[Index]

    def do_HEAD(self) -> None:
        self._serve(0)

    def do_GET(self) -> None:
        self._serve(self.index.fault(self.path))

    def _serve(self, fault: int) -> None:
        if fault > 0:
            self._answer(fault, b"")
            return
        parts = self.path.strip("/").split("/")
        if parts[0] == "simple":
            listing = self.index.listing(parts[1])
            self._answer(200 if listing else 404, listing or b"", "application/vnd.pypi.simple.v1+json")
            return
        path = self.index.files / parts[-1]
        body = path.read_bytes() if path.is_file() else b""
        self._answer(200 if body else 404, body, cut=fault == CUT)

    def _answer(self, status: int, body: bytes, kind: str = "application/zip", *, cut: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="private"')
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is what some tests are about."""


@contextlib.contextmanager
def serving(index: Index, certificate: Path | None = None) -> Iterator[Index]:
    """certificate: of a server that speaks TLS, with its key in the same file."""
    with _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"index": index})) as server:
        scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
            scheme = "https"
        index.url = f"{scheme}://127.0.0.1:{server.server_address[1]}/simple"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield index
        finally:
            server.shutdown()
            thread.join()
