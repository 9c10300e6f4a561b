"""How a fake command reaches the rehearsal: its admin API.

By hand over a socket: importing Python's HTTP client takes longer than all the rest of a fake command.
"""

from __future__ import annotations

import json
import os
import socket

Json = dict[str, object]


def post(path: str, body: Json) -> Json:
    """Ask the admin API something; its answer, whatever the HTTP status says."""
    text = json.dumps(body)
    return _exchange(
        f"POST {path} HTTP/1.0\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(text)}\r\n\r\n{text}"
    )


def get(path: str) -> Json:
    """Read something from the admin API."""
    return _exchange(f"GET {path} HTTP/1.0\r\n\r\n")


def _exchange(request: str) -> Json:
    _, _, place = os.environ["LOCALAWS_ADMIN_URL"].partition("://")
    host, _, port = place.rstrip("/").partition(":")
    received = b""
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(request.encode())
        while chunk := connection.recv(65536):
            received += chunk
    answer: Json = json.loads(received.partition(b"\r\n\r\n")[2])
    return answer
