"""A stub of what the fake commands in a sandbox ask."""

from __future__ import annotations

import http.server
import json
from pathlib import Path
from typing import Any


class DataPlaneStub:
    """Serves chosen responses on the socket `commands` of a directory, by plain_http.serving.

    `responses` has a response, or a function of the body, by path; `requests` are path and body.
    """

    def __init__(self, sockets: Path) -> None:
        self.sockets = sockets
        self.responses: dict[str, Any] = {}
        self.requests: list[tuple[str, Any]] = []

    @property
    def handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        """Handles the requests."""
        stub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                stub.requests.append((self.path, body))
                response = stub.responses.get(self.path, {})
                text = json.dumps(response(body) if callable(response) else response).encode()
                self.send_response(400 if b'"error":' in text else 200)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler
