"""The admin API: what happens in the emulator is shown here, and what is to happen is planted."""

from __future__ import annotations

import http.server
import json
import socketserver
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from localaws.core.api_error import ApiError
from localaws.inventory import inventory, scope
from localaws.ministack.access import ministack

if TYPE_CHECKING:
    from localaws.state import EmulatorState

Json = Any

# What happens to HSMs, backups and users without a request that AWS sees; methods of hsm.Region.
ACTS = ("replace_hsm", "degrade_hsm", "share_backup", "log_in", "log_out")

# Real seconds.
REST_SECONDS = 10
LOOK_SECONDS = 0.02

_cloudformation = ministack("services.cloudformation")
_states = ministack("services.stepfunctions")


class AdminApi:
    """The requests that the admin API answers."""

    def __init__(self, emulator: EmulatorState, account: str) -> None:
        self._emulator = emulator
        self._account = account
        self.routes: dict[tuple[str, str], Callable[[Json], Json]] = {
            ("GET", "/clock"): lambda query: self.clock(),
            ("GET", "/event-log"): self.event_log,
            ("GET", "/inventory"): lambda query: inventory(emulator, account, emulator.region),
            ("GET", "/decisions"): lambda query: emulator.decisions.all(),
            ("GET", "/processes"): lambda query: self.processes(),
            ("GET", "/answers"): lambda query: list(emulator.answers),
            ("GET", "/rest"): self.rest,
            ("GET", "/faults"): lambda query: emulator.faults.unused(),
            ("POST", "/faults"): self.inject,
            ("POST", "/advance"): self.advance,
            ("POST", "/act"): self.act,
            ("POST", "/hsm"): self.data_plane,
            ("POST", "/sleep"): self.sleep,
        }

    def clock(self) -> Json:
        """Virtual time."""
        clock = self._emulator.clock
        return {
            "now": clock.now(),
            "elapsed": clock.elapsed(),
            "jumps": clock.jumps,
            "paused": clock.paused,
        }

    def event_log(self, query: Json) -> Json:
        """What happened, from `since` on (virtual seconds since the start)."""
        with scope(self._account, self._emulator.region):
            for model in list(self._emulator.hsms.values()):
                model.run_due()
        return self._emulator.event_log.events(float(query.get("since", 0)))

    def processes(self) -> Json:
        """The arguments of every process that a script started so far, by instance."""
        with scope(self._account, self._emulator.region):
            systems = self._emulator.ssms.get((self._account, self._emulator.region))
            return systems.processes() if systems else {}

    def rest(self, query: Json) -> Json:
        """Whether a `stack` (name or id) is at rest, or else all workflows are.

        If not, that is waited for, a few real seconds long: to ask AWS again and again takes both
        sides a lot of their time.
        """
        end = time.monotonic() + REST_SECONDS
        while (moving := self._moves(query.get("stack"))) and time.monotonic() < end:
            time.sleep(LOOK_SECONDS)
        return {"rests": not moving}

    def _moves(self, stack: str | None) -> bool:
        with scope(self._account, self._emulator.region):
            if stack is None:
                return any(
                    each["status"] == "RUNNING" for each in list(_states._executions.values())
                )
            return any(
                each["StackStatus"].endswith("_IN_PROGRESS")
                for each in list(_cloudformation._stacks.values())
                if stack in (each["StackName"], each["StackId"])
            )

    def inject(self, faults: Json) -> Json:
        """Plant one fault or a list of them."""
        try:
            self._emulator.faults.inject(faults)
        except ValueError as nonsense:
            raise ApiError("InvalidFault", str(nonsense)) from nonsense
        return self._emulator.faults.unused()

    def advance(self, given: Json) -> Json:
        """Move virtual time on by so many seconds; have it stand still first, or go on at last."""
        if given.get("pause"):
            self._emulator.clock.pause()
        if given.get("resume"):
            self._emulator.clock.resume()
        if given.get("seconds"):
            self._emulator.clock.advance(float(given["seconds"]))
        return self.clock()

    def act(self, given: Json) -> Json:
        """Have AWS, or another account, do unasked what the model has a method for.

        {"replace_hsm": {"hsm_id": "hsm-..."}}, {"degrade_hsm": {"hsm_id": "hsm-..."}},
        {"share_backup": {"admin_password": "..."}}, or
        {"log_in": {"cluster_id": "cluster-...", "username": "kmsuser"}} and so {"log_out": ...}.
        """
        ((act, details),) = given.items()
        if act not in ACTS:
            raise ApiError("UnknownAct", f"{act} is none of {', '.join(ACTS)}")
        model = self._emulator.hsms.get((self._account, self._emulator.region))
        if model is None:
            raise ApiError("NothingThere", "CloudHSM was not asked for anything yet")
        with self._emulator.clock.busy(), scope(self._account, self._emulator.region):
            return getattr(model, act)(**details)

    def data_plane(self, given: Json) -> Json:
        """What cloudhsm-cli on an instance asks its HSMs; internal, of the fake commands."""
        with self._emulator.clock.busy():
            model = self._emulator.hsms.get((self._account, self._emulator.region))
            if model is None:
                raise ApiError("Unreachable", "there is no cluster")
            with scope(self._account, self._emulator.region):
                return model.data_plane(given["op"], given["params"])

    def sleep(self, given: Json) -> Json:
        """Let a script sleep in virtual time; internal, of the fake commands."""
        command, seconds = given.get("command"), float(given["seconds"])
        systems = list(self._emulator.ssms.values())
        if not any(each.sleep_in(str(command), seconds) for each in systems):
            raise ApiError("UnknownCommand", f"no script of the command {command} runs")
        return {}


class _Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 64


def serve(emulator: EmulatorState, account: str, listener: _Server) -> None:
    """Answer on a listener that `listen` made, in threads of its own."""
    listener.routes = AdminApi(emulator, account).routes  # type: ignore[attr-defined]  # our handler's
    threading.Thread(target=listener.serve_forever, name="admin", daemon=True).start()


def listen(port: int) -> _Server:
    """Listen on a port, 0 for a free one, without answering yet."""
    return _Server(("127.0.0.1", port), _Handler)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        self._answer("GET", url.path, query)

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self._answer("POST", urlsplit(self.path).path, json.loads(self.rfile.read(length) or b"{}"))

    def _answer(self, method: str, path: str, given: Json) -> None:
        route = self.server.routes.get((method, path))  # type: ignore[attr-defined]  # see serve
        status, answer = 404, {"error": "NotFound", "message": f"there is no {method} {path}"}
        if route:
            try:
                status, answer = 200, route(given)
            except ApiError as refused:
                status = refused.status
                answer = {"error": refused.code, "message": refused.message}
        body = json.dumps(answer, default=str).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""
