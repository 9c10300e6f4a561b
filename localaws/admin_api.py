"""The admin API: JSON over HTTP, to observe the emulator and to make things happen in it.

GET /clock          virtual time: now (epoch seconds), elapsed (since the start), jumps, paused
GET /timings        how long each AWS operation takes, in virtual seconds
GET /event-log      what happened, in order; ?since=SECONDS skips what is earlier
GET /hsm-roots      the root certificates of AWS and of the HSMs' manufacturer, as PEM
GET /inventory      what exists, by service
GET /decisions      IAM decisions, without repetitions
GET /processes      the argument list of every process that scripts have started, by instance
GET /calls          the API calls of functions, Step Functions' calls for Tasks and the commands of
                    scripts on instances that still exist
GET /records        every text that AWS has recorded or shown, also of deleted resources:
                    [place, text]
GET /secrets        every secret that has existed, and every ResponseURL: [name, value]
GET /responses      the bodies that custom resources have sent to CloudFormation
GET /idle           {"idle": ...}: is a stack (?stack=NAME-OR-ID), or without one every workflow, at
                    rest? Waits up to 10 real seconds for it.
GET /faults         the injected faults that have not been used up
POST /faults        injects a fault or a list of them; core/faults.py has all kinds
POST /clear-faults  forgets the injected faults that have not been used up
POST /advance       {"pause": true}, {"seconds": 60}, {"resume": true}, in this order if combined:
                    pauses virtual time, moves it on, resumes it
POST /aws-events    causes an event that no API request causes:
                    {"replace_hsm": {"hsm_id": "hsm-..."}}
                    {"degrade_hsm": {"hsm_id": "hsm-..."}}
                    {"share_backup": {"admin_password": "..."}}: from another account
                    {"log_in": {"cluster_id": "cluster-...", "username": "kmsuser"}}, "log_out": ...
POST /shell         {"instance": "i-..."}: the command, as a list, that opens a shell in the sandbox
                    of an instance, for the user who runs the local AWS
POST /command       asks whether a command of a script is to fail: {"command": ..., "document": ...}
POST /data-plane    what cloudhsm-cli sends to the HSMs: {"operation": ..., "parameters": {...}}

Every request has the header "Authorization: Bearer TOKEN", with the admin_token that the local AWS
prints when it starts; json_http.py has further checks. An error is {"error": CODE, "message": ...}
with an HTTP status from 400 on.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from localaws import records
from localaws.core.api_error import ApiError
from localaws.inventory import inventory, scope
from localaws.ministack.access import ministack
from localaws.services.cloudhsmv2 import hardware_roots
from localaws.services.cloudhsmv2.provider import CloudHsmProvider

if TYPE_CHECKING:
    from localaws.state import EmulatorState

Json = Any

# Methods of CloudHsmProvider.
AWS_EVENTS = (
    "replace_hsm",
    "degrade_hsm",
    "degrade_cluster",
    "share_backup",
    "log_in",
    "log_out",
)

# Real seconds.
IDLE_SECONDS = 10
POLL_SECONDS = 0.02

_cloudformation = ministack("services.cloudformation")
_states = ministack("services.stepfunctions")


class AdminApi:
    """The requests of the admin API."""

    def __init__(self, emulator: EmulatorState, account: str) -> None:
        self._emulator = emulator
        self._account = account
        self.routes: dict[tuple[str, str], Callable[[Json], Json]] = {
            ("GET", "/clock"): lambda query: self._clock(),
            ("GET", "/timings"): lambda query: dataclasses.asdict(emulator.timings),
            ("GET", "/event-log"): self._event_log,
            ("GET", "/hsm-roots"): lambda query: hardware_roots.all_roots(),
            ("GET", "/inventory"): lambda query: inventory(emulator, account, emulator.region),
            ("GET", "/decisions"): lambda query: emulator.decisions.all(),
            ("GET", "/processes"): lambda query: self._processes(),
            ("GET", "/calls"): lambda query: self._calls(),
            ("GET", "/records"): lambda query: records.texts(emulator, account),
            ("GET", "/secrets"): lambda query: records.secrets(emulator, account),
            ("GET", "/responses"): lambda query: list(emulator.responses),
            ("GET", "/idle"): self._idle,
            ("GET", "/faults"): lambda query: emulator.faults.unused(),
            ("POST", "/faults"): self._inject,
            ("POST", "/clear-faults"): lambda body: emulator.faults.clear(),
            ("POST", "/advance"): self._advance,
            ("POST", "/aws-events"): self._aws_event,
            ("POST", "/data-plane"): self._data_plane,
            ("POST", "/shell"): self._shell,
            ("POST", "/command"): lambda body: {
                "fault": emulator.faults.command_failure(body["command"], body["document"])
            },
        }
        # All that a sandbox may do: its fake commands are as trustworthy as any script.
        self.routes_of_sandboxes = {
            route: self.routes[route] for route in (("POST", "/data-plane"), ("POST", "/command"))
        }

    def _clock(self) -> Json:
        clock = self._emulator.clock
        return {
            "now": clock.now(),
            "elapsed": clock.elapsed(),
            "jumps": clock.jumps,
            "paused": clock.paused,
        }

    def _event_log(self, query: Json) -> Json:
        with scope(self._account, self._emulator.region):
            for model in list(self._emulator.hsms.values()):
                model.run_due()
        return self._emulator.event_log.events(float(query.get("since", 0)))

    def _processes(self) -> Json:
        with scope(self._account, self._emulator.region):
            ssm = self._emulator.ssms.get((self._account, self._emulator.region))
            return ssm.processes() if ssm else {}

    def _calls(self) -> Json:
        with scope(self._account, self._emulator.region):
            ssm = self._emulator.ssms.get((self._account, self._emulator.region))
            return {
                "calls": self._emulator.calls.all(),
                "commands": ssm.commands() if ssm else [],
            }

    def _shell(self, request: Json) -> Json:
        with scope(self._account, self._emulator.region):
            ssm = self._emulator.ssms.get((self._account, self._emulator.region))
            if ssm is None:
                raise ApiError("TargetNotConnected", f"{request['instance']} is not connected.")
            return ssm.shell(str(request["instance"]))

    def _idle(self, query: Json) -> Json:
        """Poll here: to poll over HTTP costs both sides more."""
        end = time.monotonic() + IDLE_SECONDS
        while (busy := self._is_busy(query.get("stack"))) and time.monotonic() < end:
            time.sleep(POLL_SECONDS)
        return {"idle": not busy}

    def _is_busy(self, stack: str | None) -> bool:
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

    def _inject(self, faults: Json) -> Json:
        try:
            self._emulator.faults.inject(faults)
        except ValueError as error:
            raise ApiError("InvalidFault", str(error)) from error
        return self._emulator.faults.unused()

    def _advance(self, request: Json) -> Json:
        clock = self._emulator.clock
        if request.get("pause"):
            clock.pause()
        if request.get("seconds"):
            clock.advance(float(request["seconds"]))
        if request.get("resume"):
            clock.resume()
        return self._clock()

    def _aws_event(self, request: Json) -> Json:
        ((event, details),) = request.items()
        if event not in AWS_EVENTS:
            raise ApiError("UnknownEvent", f"{event} is not one of {', '.join(AWS_EVENTS)}")
        with self._emulator.clock.busy(), scope(self._account, self._emulator.region):
            return getattr(self._cloudhsm("NoCluster"), event)(**details)

    def _data_plane(self, request: Json) -> Json:
        fault = self._emulator.faults.cli_failure(str(request.get("command", "")))
        injected = fault and {
            "data": str(fault.get("data", "The HSM returned an error.")),
            "error_code": int(fault.get("error_code", 1)),
            "exit_code": int(fault.get("exit", 1)),
        }
        if fault and fault.get("when") != "after":
            return {"injected": injected}
        with self._emulator.clock.busy():
            model = self._cloudhsm("Unreachable")
            with scope(self._account, self._emulator.region):
                response = model.data_plane(request["operation"], request["parameters"])
        return {"injected": injected} if injected else response

    def _cloudhsm(self, error: str) -> CloudHsmProvider:
        """The provider, which the first request to CloudHSM creates."""
        model = self._emulator.hsms.get((self._account, self._emulator.region))
        if model is None:
            raise ApiError(error, "there is no cluster")
        return model
