"""A stub of the admin API."""

from __future__ import annotations

import http.server
import json
import threading
from typing import Any


class AdminApiStub:
    """Serves chosen responses.

    `responses` has a response, or a function of the body, by path; `requests` are path and body.
    """

    def __init__(self) -> None:
        self.responses: dict[str, Any] = {}
        self.requests: list[tuple[str, Any]] = []
        admin = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                admin.requests.append((self.path, json.loads(body)))
                self._respond(admin.requests[-1][1])

            def do_GET(self) -> None:
                admin.requests.append((self.path, None))
                self._respond(None)

            def _respond(self, body: Any) -> None:
                response = admin.responses.get(self.path, {})
                text = json.dumps(response(body) if callable(response) else response).encode()
                self.send_response(400 if b'"error":' in text else 200)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
