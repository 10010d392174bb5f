"""A web process: /health, and /env with the environment it was started in."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps(dict(os.environ) if self.path == "/env" else {"path": self.path}).encode()
        self.send_response(200 if self.path in ("/", "/health", "/env") else 404)
        self.end_headers()
        self.wfile.write(body)


print("web begins", flush=True)
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
