"""The HTTPS endpoint to which a custom resource sends its response."""

from __future__ import annotations

import contextlib
import http.server
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from localaws.core.partitions import response_host
from localaws.tls import write_loopback_certificate

HOST = response_host("us-east-1")


class Endpoint:
    """The responses received, and how the next ones are received."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"https://{HOST}/responses/one?X-Amz-Signature=of-the-url"
        self.responses: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.statuses: list[int] = []  # of the next responses; 200 by default
        self.location = ""  # to which responses are redirected, with such a status
        self.hanging = 0.0  # seconds before the next response is received

    @property
    def response(self) -> dict[str, Any]:
        """The only response."""
        (only,) = self.responses
        return only


@contextlib.contextmanager
def serve(directory: Path) -> Iterator[tuple[Endpoint, Path]]:
    """Run an endpoint on a free port; yields it and its CA certificate."""
    certificate, key = write_loopback_certificate(directory, HOST)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            assert self.path == endpoint.url.partition(HOST)[2]
            hanging, endpoint.hanging = endpoint.hanging, 0.0
            if hanging:
                time.sleep(hanging)
            else:
                endpoint.responses.append(body)
                endpoint.headers.append({k.lower(): v for k, v in self.headers.items()})
            with contextlib.suppress(OSError):  # the client may have disconnected
                self.send_response(endpoint.statuses.pop(0) if endpoint.statuses else 200)
                self.send_header("content-length", "0")
                if endpoint.location:
                    self.send_header("location", endpoint.location)
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


def leading_to(port: int) -> Callable[..., Any]:
    """A replacement of socket.getaddrinfo by which the host of responses is a port here."""
    original = socket.getaddrinfo

    def getaddrinfo(host: Any, service: Any, *more: Any, **named: Any) -> Any:
        here = ("127.0.0.1", port) if host == HOST else (host, service)
        return original(*here, *more, **named)

    return getaddrinfo
