"""A registry of images on the loopback interface, with faults on request; engines use it without TLS.

It serves one image under any name: layers of random bytes, which no engine has yet.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import os
import tarfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CHUNK = 64 * 1024


@dataclass
class StubRegistry:
    """faults: statuses to answer with before the truth, first to last. status: the one for every request. cut: bytes
    after which each connection ends. stall: bytes after which all that is sent ends, the connections stay. mute: no
    answer ever. flowing: set when it stalls. over: ends what waits. sent: bytes of layers."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifest: bytes = b""
    host: str = ""
    faults: list[int] = field(default_factory=list)
    status: int = 0
    cut: int = 0
    stall: int = 0
    mute: bool = False
    flowing: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    asked: list[str] = field(default_factory=list)
    sent: int = 0

    @property
    def image(self) -> str:
        return f"{self.host}/shop/server:1"

    def fill_from(self, archive: bytes, size: int) -> None:
        """Serve the image of a `docker save`, with a layer of random bytes above, which no engine has yet."""
        with tarfile.open(fileobj=io.BytesIO(archive)) as saved:
            def content(name: str) -> bytes:
                file = saved.extractfile(name)
                assert file is not None
                return file.read()

            [entry] = json.loads(content("manifest.json"))
            config, layers = json.loads(content(entry["Config"])), [content(name) for name in entry["Layers"]]
        packed = [gzip.compress(layer, 1) for layer in layers] + [_layer("unknown", os.urandom(size))]
        config["rootfs"]["diff_ids"].append(_digest(gzip.decompress(packed[-1])))
        config.setdefault("history", []).append({"created_by": "a test"})
        self._serve(config, packed)

    def fill(self, layers: int, size: int, architecture: str = "amd64", program: str = "part") -> None:
        """Make the image: `layers` of `size` random bytes each. program: path of the one file in each."""
        packed = [_layer(program, os.urandom(size)) for _ in range(layers)]
        config = {
            "architecture": architecture, "os": "linux", "config": {"Cmd": [f"/{program}"]},
            "rootfs": {"type": "layers", "diff_ids": [_digest(gzip.decompress(layer)) for layer in packed]},
            "history": [{"created_by": "a test"} for _ in packed],
        }
        self._serve(config, packed)

    def _serve(self, config: Mapping[str, Any], packed: list[bytes]) -> None:
        text = json.dumps(config).encode()
        entries = [_entry(layer, "application/vnd.docker.image.rootfs.diff.tar.gzip") for layer in packed]
        manifest = {
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": _entry(text, "application/vnd.docker.container.image.v1+json"), "layers": entries,
        }
        self.blobs = {_digest(blob): blob for blob in (text, *packed)}
        self.manifest = json.dumps(manifest).encode()


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _entry(data: bytes, kind: str) -> dict[str, Any]:
    return {"mediaType": kind, "size": len(data), "digest": _digest(data)}


def _layer(name: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(content), 0o755
        archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), 1)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    registry: ClassVar[StubRegistry]

    def do_HEAD(self) -> None:
        self._serve(with_body=False)

    def do_GET(self) -> None:
        self._serve(with_body=True)

    def _serve(self, *, with_body: bool) -> None:
        registry = self.registry
        registry.asked.append(self.path)
        if registry.mute:
            registry.over.wait()
            self.close_connection = True
            return
        status = registry.status or (registry.faults.pop(0) if registry.faults and self.path != "/v2/" else 0)
        if status:
            code = {401: "UNAUTHORIZED", 429: "TOOMANYREQUESTS", 404: "MANIFEST_UNKNOWN"}.get(status, "UNAVAILABLE")
            message = {404: "manifest unknown", 429: "You have reached your pull rate limit"}.get(status, "not now")
            said = {"errors": [{"code": code, "message": message}]}
            self._answer(status, json.dumps(said).encode(), "application/json", with_body=with_body)
        elif self.path == "/v2/":
            self._answer(200, b"{}", "application/json", with_body=with_body)
        elif "/manifests/" in self.path:
            self._answer(200, registry.manifest, MANIFEST, with_body=with_body)
        elif (blob := registry.blobs.get(self.path.rpartition("/")[2])) is not None:
            self._blob(blob, with_body=with_body)
        else:
            self._answer(404, b'{"errors": [{"code": "BLOB_UNKNOWN"}]}', "application/json", with_body=with_body)

    def _answer(self, status: int, body: bytes, kind: str, *, with_body: bool) -> None:
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="shop"')
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.send_header("Docker-Content-Digest", _digest(body))
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def _blob(self, blob: bytes, *, with_body: bool) -> None:
        registry = self.registry
        first = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(blob) - 1}/{len(blob)}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(blob) - first))
        self.end_headers()
        if not with_body:
            return
        is_layer, here = len(blob) > _CHUNK, 0
        for at in range(first, len(blob), _CHUNK):
            if is_layer and registry.stall and registry.sent >= registry.stall:
                registry.flowing.set()
                registry.over.wait()
                break
            if is_layer and registry.cut and here >= registry.cut:
                break
            self.wfile.write(blob[at : at + _CHUNK])
            here += _CHUNK
            registry.sent += _CHUNK
        else:
            return
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Engines hang up in the middle; that is what some tests are about."""


@contextlib.contextmanager
def serve(layers: int = 1, size: int = 200_000) -> Iterator[StubRegistry]:
    registry = StubRegistry()
    registry.fill(layers, size)
    handler = type("Handler", (_Handler,), {"registry": registry})
    with _Server(("127.0.0.1", 0), handler) as server:
        registry.host = f"127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield registry
        finally:
            registry.over.set()
            server.shutdown()
            thread.join()
