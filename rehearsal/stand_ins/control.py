"""How a stand-in reaches the rehearsal: its control port."""

from __future__ import annotations

import http.client
import json
import os
from typing import Any
from urllib.parse import urlsplit


def post(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Ask the control port something; its answer, whatever the HTTP status says."""
    connection = _connect()
    connection.request(
        "POST", path, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    answer: dict[str, Any] = json.loads(connection.getresponse().read())
    return answer


def get(path: str) -> dict[str, Any]:
    """Read something from the control port."""
    connection = _connect()
    connection.request("GET", path)
    answer: dict[str, Any] = json.loads(connection.getresponse().read())
    return answer


def _connect() -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(os.environ["REHEARSAL_CONTROL"]).netloc)
