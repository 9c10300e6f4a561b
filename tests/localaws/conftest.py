"""Sandboxes to run scripts in, and an admin API that answers what a test tells it."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from localaws.client import LocalAws
from localaws.sandbox.command_server import CommandServer
from localaws.sandbox.sandbox import Sandbox
from tests.localaws.ministack.custom_resource_function import CustomResourceStack
from tests.localaws.ministack.support import SampleStack


class AdminApi:
    """An admin API: `answers` by path, or a function of the body; `asked` is what came."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, Any]] = []
        admin = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                admin.asked.append((self.path, json.loads(body)))
                self._answer(admin.asked[-1][1])

            def do_GET(self) -> None:
                admin.asked.append((self.path, None))
                self._answer(None)

            def _answer(self, body: Any) -> None:
                answer = admin.answers.get(self.path, {})
                text = json.dumps(answer(body) if callable(answer) else answer).encode()
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
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(name="admin")
def _admin() -> Iterator[AdminApi]:
    admin = AdminApi()
    yield admin
    admin.close()


@pytest.fixture(scope="session", name="command_server")
def _command_server() -> Iterator[CommandServer]:
    command_server = CommandServer()
    yield command_server
    command_server.close()


@pytest.fixture(name="make_box")
def _make_box(admin: AdminApi, command_server: CommandServer) -> Iterator[Callable[..., Sandbox]]:
    sandboxes: list[Sandbox] = []

    def make(instance_id: str = "i-0123456789abcdef0", **environment: str) -> Sandbox:
        settings = {"LOCALAWS_ADMIN_URL": admin.url, **environment}
        sandboxes.append(Sandbox(instance_id, settings, command_server))
        return sandboxes[-1]

    yield make
    for sandbox in sandboxes:
        sandbox.destroy()


@pytest.fixture(name="sandbox")
def _box(make_box: Callable[..., Sandbox]) -> Sandbox:
    return make_box()


@pytest.fixture(scope="session", name="aws")
def _aws() -> Iterator[LocalAws]:
    """One local AWS for all tests; each has a stack of its own."""
    with LocalAws() as aws:
        yield aws


@pytest.fixture(name="stack")
def _stack(aws: LocalAws) -> Iterator[SampleStack]:
    """A stack to create; afterwards it is deleted and the clock resumed."""
    stack = SampleStack(aws)
    yield stack
    aws.admin.resume()
    if stack.id != stack.name and stack.status() != "DELETE_COMPLETE":
        stack.wait()
        stack.delete()


@pytest.fixture(name="custom")
def _custom(stack: SampleStack) -> CustomResourceStack:
    """The same stack, with custom resources."""
    return CustomResourceStack(stack)
