"""HTTP over the UNIX sockets that lead out of the sandbox, which has no network."""

from __future__ import annotations

import http.client
import socket

SOCKETS = "/run/localaws/sockets"


class _Connection(http.client.HTTPConnection):
    def __init__(self, name: str) -> None:
        super().__init__("localhost")
        self._name = name

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(f"{SOCKETS}/{self._name}")


def send(
    name: str, method: str, path: str, body: str = "", headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    """Send a request to `aws`, or to the admin API as `commands`; status and body."""
    connection = _Connection(name)
    connection.request(method, path, body.encode() or None, headers or {})
    response = connection.getresponse()
    return response.status, response.read()
