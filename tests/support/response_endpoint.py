"""The HTTPS endpoint to which a custom resource sends its response."""

from __future__ import annotations

import contextlib
import http.server
import json
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from localaws.tls import write_loopback_certificate


class Endpoint:
    """The responses received, and how the next ones are received."""

    def __init__(self, port: int) -> None:
        self.url = f"https://127.0.0.1:{port}/responses/one?X-Amz-Signature=of-the-url"
        self.responses: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.statuses: list[int] = []  # of the next responses; 200 by default
        self.hanging = 0.0  # seconds before the next response is received

    @property
    def response(self) -> dict[str, Any]:
        """The only response."""
        (only,) = self.responses
        return only


@contextlib.contextmanager
def serve(directory: Path) -> Iterator[tuple[Endpoint, Path]]:
    """Run an endpoint on a free port; yields it and its CA certificate."""
    certificate, key = write_loopback_certificate(directory)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            assert self.path == endpoint.url.partition(str(server.server_port))[2]
            hanging, endpoint.hanging = endpoint.hanging, 0.0
            if hanging:
                time.sleep(hanging)
            else:
                endpoint.responses.append(body)
                endpoint.headers.append({k.lower(): v for k, v in self.headers.items()})
            with contextlib.suppress(OSError):  # the client may have disconnected
                self.send_response(endpoint.statuses.pop(0) if endpoint.statuses else 200)
                self.send_header("content-length", "0")
                self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    endpoint = Endpoint(server.server_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield endpoint, certificate
    finally:
        server.shutdown()
        server.server_close()
