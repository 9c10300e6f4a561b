"""JSON over HTTP: on a port of 127.0.0.1 for the bearer of a token, or on a UNIX socket.

Every user of this machine reaches the port, and so does every web page in a browser on it. The
token keeps out the former; the checks of Host, Origin and Content-Type keep out the latter, also
if the name of a page resolves to 127.0.0.1 (DNS rebinding).
"""

from __future__ import annotations

import hmac
import http.server
import json
import os
import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from localaws.core.api_error import ApiError

Json = Any
# By method and path; given the query or the body.
Routes = Mapping[tuple[str, str], Callable[[Json], Json]]

HOST = "127.0.0.1"
QUEUE = 64


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves the routes of its server."""

    protocol_version = "HTTP/1.1"

    def refusal(self) -> ApiError | None:
        """Why a request is not served, whatever it asks for."""
        return None

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        self._respond("GET", url.path, lambda: query)

    def do_POST(self) -> None:
        self._respond("POST", urlsplit(self.path).path, self._body)

    def _body(self) -> Json:
        try:
            length = int(self.headers.get("Content-Length") or 0)
            return json.loads(self.rfile.read(length) or b"{}")
        except ValueError as error:
            raise ApiError("InvalidJson", str(error)) from error

    def _respond(self, method: str, path: str, given: Callable[[], Json]) -> None:
        status, response = 200, None
        try:
            error = self.refusal()
            if error:
                # The body is not read.
                self.close_connection = True
                raise error
            body = given()
            route = self.server.routes.get((method, path))  # type: ignore[attr-defined]  # ours
            if route is None:
                raise ApiError("NotFound", f"there is no {method} {path}", 404)
            response = route(body)
        except ApiError as error:
            status, response = error.status, {"error": error.code, "message": error.message}
        text = json.dumps(response, default=str).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Log nothing."""


class _GuardedHandler(Handler):
    def refusal(self) -> ApiError | None:
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or hosts[0] not in self.server.hosts:  # type: ignore[attr-defined]  # ours
            return ApiError("ForeignHost", "the header Host has another host or port", 403)
        if "Origin" in self.headers:
            return ApiError("ForeignOrigin", "web pages are not served", 403)
        expected = f"Bearer {self.server.token}"  # type: ignore[attr-defined]  # ours
        given = self.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), expected.encode()):
            return ApiError(
                "Unauthorized",
                "send the header `Authorization: Bearer TOKEN`, with the admin_token that the "
                "local AWS printed when it started",
                401,
            )
        content = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if self.command == "POST" and content != "application/json":
            return ApiError("UnsupportedMediaType", "send Content-Type: application/json", 415)
        return None


class _Threads(socketserver.ThreadingMixIn):
    """A thread for each connection."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report errors, but not that a client has gone."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[misc]  # the server's


class PortServer(_Threads, http.server.HTTPServer):
    """Listens on a port, 0 for any free one; connections wait until `serve`."""

    daemon_threads = True
    request_queue_size = QUEUE

    def __init__(self, port: int, token: str) -> None:
        super().__init__((HOST, port), _GuardedHandler)
        self.token, self.port = token, int(self.server_address[1])
        self.hosts = {f"{HOST}:{self.port}", f"localhost:{self.port}"}


class SocketServer(_Threads, socketserver.UnixStreamServer):
    """Serves a UNIX socket, which only those who can see its file reach."""

    daemon_threads = True

    def __init__(self, listener: socket.socket) -> None:
        super().__init__("", Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener


def serve(server: PortServer | SocketServer, routes: Routes) -> None:
    """Serve requests, in threads."""
    server.routes = routes  # type: ignore[union-attr]  # for our handlers
    threading.Thread(target=server.serve_forever, name="json", daemon=True).start()


def listen_in(directory: Path, name: str) -> socket.socket:
    """Listen on a UNIX socket in a directory, whose path may be longer than an address may be."""
    opened = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(f"/proc/self/fd/{opened}/{name}")
        listener.listen(QUEUE)
    finally:
        os.close(opened)
    return listener
