"""HTTP as sent: on UNIX sockets, as sandboxes use it, and on ports without a client's help."""

from __future__ import annotations

import http.client
import http.server
import socket
import socketserver
import threading
from collections.abc import Iterator, Mapping
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


def send(
    endpoint: str, method: str, path: str, body: str = "", headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    """Send a request to a port, with nothing added to it; status and body of the response."""
    host = endpoint.removeprefix("http://")
    connection = http.client.HTTPConnection(host)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in {"Host": host, "Content-Length": str(len(body)), **(headers or {})}.items():
        connection.putheader(name, value)
    connection.endheaders(body.encode())
    response = connection.getresponse()
    found = response.status, response.read()
    connection.close()
    return found
