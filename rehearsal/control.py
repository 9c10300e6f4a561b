"""The control port: what happens in the world is shown here, and what is to happen is planted."""

from __future__ import annotations

import http.server
import json
import socketserver
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from rehearsal.api import ApiError
from rehearsal.inventory import inventory, scope
from rehearsal.seams import ministack

if TYPE_CHECKING:
    from rehearsal.world import World

Json = Any

# What happens to HSMs, backups and users without a request that AWS sees; methods of hsm.Region.
ACTS = ("replace_hsm", "degrade_hsm", "plant_shared_backup", "log_in", "log_out")

# Real seconds.
REST_SECONDS = 10
LOOK_SECONDS = 0.02

_cloudformation = ministack("services.cloudformation")
_states = ministack("services.stepfunctions")


class Control:
    """The requests that the control port answers."""

    def __init__(self, world: World, account: str) -> None:
        self._world = world
        self._account = account
        self.routes: dict[tuple[str, str], Callable[[Json], Json]] = {
            ("GET", "/clock"): lambda query: self.clock(),
            ("GET", "/timeline"): self.timeline,
            ("GET", "/inventory"): lambda query: inventory(world, account, world.region),
            ("GET", "/decisions"): lambda query: world.decisions.all(),
            ("GET", "/processes"): lambda query: self.processes(),
            ("GET", "/answers"): lambda query: list(world.answers),
            ("GET", "/rest"): self.rest,
            ("GET", "/faults"): lambda query: world.faults.unused(),
            ("POST", "/faults"): self.plant,
            ("POST", "/advance"): self.advance,
            ("POST", "/act"): self.act,
            ("POST", "/hsm"): self.data_plane,
            ("POST", "/sleep"): self.sleep,
        }

    def clock(self) -> Json:
        """Virtual time."""
        clock = self._world.clock
        return {
            "now": clock.now(),
            "elapsed": clock.elapsed(),
            "jumps": clock.jumps,
            "paused": clock.paused,
        }

    def timeline(self, query: Json) -> Json:
        """What happened, from `since` on (virtual seconds since the start)."""
        with scope(self._account, self._world.region):
            for model in list(self._world.hsms.values()):
                model.settle()
        return self._world.timeline.events(float(query.get("since", 0)))

    def processes(self) -> Json:
        """The arguments of every process that a script started so far, by instance."""
        with scope(self._account, self._world.region):
            systems = self._world.ssms.get((self._account, self._world.region))
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
        with scope(self._account, self._world.region):
            if stack is None:
                return any(
                    each["status"] == "RUNNING" for each in list(_states._executions.values())
                )
            return any(
                each["StackStatus"].endswith("_IN_PROGRESS")
                for each in list(_cloudformation._stacks.values())
                if stack in (each["StackName"], each["StackId"])
            )

    def plant(self, faults: Json) -> Json:
        """Plant one fault or a list of them."""
        try:
            self._world.faults.plant(faults)
        except ValueError as nonsense:
            raise ApiError("InvalidFault", str(nonsense)) from nonsense
        return self._world.faults.unused()

    def advance(self, given: Json) -> Json:
        """Move virtual time on by so many seconds; have it stand still first, or go on at last."""
        if given.get("pause"):
            self._world.clock.pause()
        if given.get("resume"):
            self._world.clock.resume()
        if given.get("seconds"):
            self._world.clock.advance(float(given["seconds"]))
        return self.clock()

    def act(self, given: Json) -> Json:
        """Have AWS, or another account, do unasked what the model has a method for.

        {"replace_hsm": {"hsm_id": "hsm-..."}}, {"degrade_hsm": {"hsm_id": "hsm-..."}},
        {"plant_shared_backup": {"admin_password": "..."}}, or
        {"log_in": {"cluster_id": "cluster-...", "username": "kmsuser"}} and so {"log_out": ...}.
        """
        ((act, details),) = given.items()
        if act not in ACTS:
            raise ApiError("UnknownAct", f"{act} is none of {', '.join(ACTS)}")
        model = self._world.hsms.get((self._account, self._world.region))
        if model is None:
            raise ApiError("NothingThere", "CloudHSM was not asked for anything yet")
        with self._world.clock.busy(), scope(self._account, self._world.region):
            return getattr(model, act)(**details)

    def data_plane(self, given: Json) -> Json:
        """What cloudhsm-cli on an instance asks its HSMs; internal, of the stand-ins."""
        with self._world.clock.busy():
            model = self._world.hsms.get((self._account, self._world.region))
            if model is None:
                raise ApiError("Unreachable", "there is no cluster")
            with scope(self._account, self._world.region):
                return model.data_plane(given["op"], given["params"])

    def sleep(self, given: Json) -> Json:
        """Let a script sleep in virtual time; internal, of the stand-ins."""
        command, seconds = given.get("command"), float(given["seconds"])
        systems = list(self._world.ssms.values())
        if not any(each.sleep_in(str(command), seconds) for each in systems):
            raise ApiError("UnknownCommand", f"no script of the command {command} runs")
        return {}


class _Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 64


def serve(world: World, account: str, listener: _Server) -> None:
    """Answer on a listener that `listen` made, in threads of its own."""
    listener.routes = Control(world, account).routes  # type: ignore[attr-defined]  # our handler's
    threading.Thread(target=listener.serve_forever, name="control", daemon=True).start()


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
