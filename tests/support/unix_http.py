"""HTTP on UNIX sockets, as sandboxes use it."""

from __future__ import annotations

import http.client
import http.server
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@contextmanager
def serving(path: Path, handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[None]:
    """Serve a socket."""
    with _Server(str(path), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield
        server.shutdown()


def ask(path: Path, method: str, url: str, body: str = "") -> tuple[int, bytes]:
    """Send a request to a socket; status and body of the response."""
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(path))
    connection.request(method, url, body.encode() or None)
    response = connection.getresponse()
    found = response.status, response.read()
    connection.close()
    return found
