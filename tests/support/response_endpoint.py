"""CloudFormation's end of a custom resource: an address to which answers are put over HTTPS."""

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
    """What was answered, and how the next answers are received."""

    def __init__(self, port: int) -> None:
        self.url = f"https://127.0.0.1:{port}/answers/one?X-Amz-Signature=of-the-url"
        self.answers: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.statuses: list[int] = []  # of the next ones; 200 when there is none
        self.hanging = 0.0  # seconds for which the next one is not replied to

    @property
    def answer(self) -> dict[str, Any]:
        """The only answer that came."""
        (only,) = self.answers
        return only


@contextlib.contextmanager
def serve(directory: Path) -> Iterator[tuple[Endpoint, Path]]:
    """Run an endpoint on a free port; also gives the certificate by which it is trusted."""
    certificate, key = write_loopback_certificate(directory)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            assert self.path == endpoint.url.partition(str(server.server_port))[2]
            hanging, endpoint.hanging = endpoint.hanging, 0.0
            if hanging:
                time.sleep(hanging)
            else:
                endpoint.answers.append(body)
                endpoint.headers.append({k.lower(): v for k, v in self.headers.items()})
            with contextlib.suppress(OSError):  # whoever asked may have gone
                self.send_response(endpoint.statuses.pop(0) if endpoint.statuses else 200)
                self.send_header("content-length", "0")
                self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

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
