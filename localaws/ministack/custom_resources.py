"""Custom resources: asynchronous requests to a function, answered at a response URL.

ministack invokes the function synchronously and once, measures ServiceTimeout in real time, accepts
any response, makes cancelled updates and deletions wait for it, never deletes a resource whose
create failed, accepts a new ServiceToken, and has a response URL without TLS.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from localaws.core.api_error import ApiError
from localaws.core.calls import Caller, Invocation, current_caller
from localaws.core.clock import Signal
from localaws.core.partitions import response_host
from localaws.ministack import api_calls
from localaws.ministack.access import ministack
from localaws.ministack.gateway import CONNECTION_LOST
from localaws.ministack.lambda_functions import function_at, invoke_asynchronously

if TYPE_CHECKING:
    from localaws.state import EmulatorState

# Physical id and data.
Result = tuple[str, dict[str, Any]]
Event = dict[str, Any]

# Virtual seconds until CloudFormation processes a response.
PROCESSING = 2.0
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html (F6.11)
MAX_RESPONSE = 4096
MAX_ID = 1024
MAX_TIMEOUT = 3600
# Faults of kind "operation" take this name for the PUT of a response, which no API has.
RESPONSE = "PutResponse"
CANCELLED = {
    "Create": "Resource creation cancelled",
    "Update": "Resource update cancelled",
    "Delete": "Resource deletion cancelled",
}
NO_RESPONSE = (
    "CloudFormation did not receive a response from your Custom Resource. Please check your logs "
    "for requestId [{}]. If you are using the Python cfn-response module, you may need to update "
    "your Lambda function code so that CloudFormation can attach the updated version."
)

_custom = ministack("services.cloudformation.custom_resource")
_provisioners = ministack("services.cloudformation.provisioners")
_stacks = ministack("services.cloudformation.stacks")
_responses = ministack("core.responses")
_app = ministack("app")


class RequestFailedError(Exception):
    """A request failed after it was sent; the message is the reason in the stack event."""

    def __init__(self, reason: str, physical_id: str) -> None:
        super().__init__(reason)
        self.physical_id = physical_id


@dataclass
class Request:
    """A request that waits for its response."""

    event: Event
    done: Signal
    response: Mapping[str, Any] | None = None
    problem: str = ""
    cancelled: bool = False


class Requests:
    """Pending requests, and deliveries that a fault has postponed."""

    def __init__(self, emulator: EmulatorState) -> None:
        self._emulator = emulator
        self._pending: dict[str, Request] = {}
        self._postponed: list[tuple[str, Event]] = []
        self._lock = threading.Lock()

    def send(
        self,
        request_type: str,
        logical_id: str,
        props: Mapping[str, Any],
        stack_name: str,
        stack_id: str,
        resource_type: str,
        physical_id: str | None = None,
        old_props: Mapping[str, Any] | None = None,
    ) -> Result:
        """Send a request to the function in ServiceToken and wait for the response.

        Raises ValueError if it cannot be sent, RequestFailedError if it fails.
        """
        token = str(props.get("ServiceToken", ""))
        # CloudFormation generates an id for a resource whose function returned none.
        generated_id = physical_id or f"{stack_name}-{logical_id}-{os.urandom(6).hex().upper()}"
        function = function_at(token)
        if function is None or token.split(":")[3] != _responses.get_region():
            raise ValueError(f"Function not found: {token}")
        seconds = int(props.get("ServiceTimeout", MAX_TIMEOUT))
        if not 1 <= seconds <= MAX_TIMEOUT:
            raise ValueError("ServiceTimeout must be 1 to 3600 seconds.")
        key = os.urandom(16).hex()
        event = {
            "RequestType": request_type,
            "ServiceToken": token,
            "ResponseURL": self._response_url(stack_id, logical_id, key),
            "StackId": stack_id,
            "RequestId": _responses.new_uuid(),
            "LogicalResourceId": logical_id,
            "ResourceType": resource_type,
            "ResourceProperties": _custom._normalise_resource_properties(props),
        }
        if physical_id is not None:
            event["PhysicalResourceId"] = physical_id
        if old_props is not None:
            event["OldResourceProperties"] = _custom._normalise_resource_properties(old_props)
        self._emulator.records.add_secret("ResponseURL", event["ResponseURL"])
        request = Request(event, self._emulator.clock.signal())
        with self._lock:
            self._pending[key] = request
        try:
            self._deliver(function, event)
            self._emulator.clock.wait([request.done], seconds)
        finally:
            with self._lock:
                del self._pending[key]
        return _result(request, generated_id)

    def _response_url(self, stack_id: str, logical_id: str, key: str) -> str:
        """A presigned URL of S3, which authorizes its bearer and tells its date (F6.15)."""
        name = quote(f"{stack_id}|{logical_id}|{key}", safe="")
        region = self._emulator.region
        now = dt.datetime.fromtimestamp(self._emulator.clock.now(), dt.UTC)
        return (
            f"https://{response_host(region)}/{name}?X-Amz-Algorithm=AWS4-HMAC-SHA256"
            f"&X-Amz-Date={now:%Y%m%dT%H%M%SZ}&X-Amz-SignedHeaders=host&X-Amz-Expires=7200"
            f"&X-Amz-Credential=AKIDEXAMPLE%2F{now:%Y%m%d}%2F{region}%2Fs3%2Faws4_request"
            f"&X-Amz-Signature={os.urandom(32).hex()}"
        )

    def _deliver(self, function: dict[str, Any], event: Event) -> None:
        """Queue the event for the function, and delay or repeat it as injected faults say."""
        request_type = event["RequestType"]
        fault = self._emulator.faults.delivery(request_type)
        if fault and fault["deliver"] == "late":
            self._emulator.spawn(self._deliver_late, function, event, float(fault["seconds"]))
            fault = None
        else:
            invoke_asynchronously(function, event)
        with self._lock:
            repeated = [each for after, each in self._postponed if after == request_type]
            self._postponed = [each for each in self._postponed if each[0] != request_type]
            if fault and fault.get("after"):
                self._postponed.append((fault["after"], event))
        if fault and not fault.get("after"):
            repeated.append(event)
        for each in repeated:
            self._record(each, "DeliveredAgain")
            invoke_asynchronously(function, each)

    def _deliver_late(self, function: dict[str, Any], event: Event, seconds: float) -> None:
        """Deliver an event that waits in Lambda's queue, such as while invocations are throttled.

        Unless the function is deleted by then.
        """
        self._emulator.clock.sleep(seconds)
        if function_at(event["ServiceToken"]) is not None:
            self._record(event, "DeliveredLate")
            invoke_asynchronously(function, event)

    def _record(self, event: Event, what: str) -> None:
        self._emulator.event_log.record(
            "cloudformation",
            event["LogicalResourceId"],
            what,
            stack=event["StackId"].split("/")[1],
            request=event["RequestType"],
        )

    def receive(self, key: str, body: bytes) -> None:
        """Accept the first response to a pending request and ignore any other."""
        self._emulator.responses.append(body.decode(errors="replace"))
        with self._lock:
            request = self._pending.get(key)
        if request is None or request.response is not None or request.problem:
            return
        request.problem = _problem(body, request.event) or ""
        if not request.problem:
            request.response = json.loads(body)
        self._emulator.spawn(self._process, request)

    def _process(self, request: Request) -> None:
        self._emulator.clock.sleep(PROCESSING)
        self._emulator.clock.set(request.done)

    def cancel(self, stack_id: str) -> None:
        """Stop waiting for a stack's pending requests; their functions continue."""
        with self._lock:
            pending = list(self._pending.values())
        for request in pending:
            if request.event["StackId"] == stack_id:
                request.cancelled = True
                self._emulator.clock.set(request.done)


def _result(request: Request, generated_id: str) -> Result:
    event, response = request.event, request.response
    if request.cancelled:
        raise RequestFailedError(CANCELLED[event["RequestType"]], generated_id)
    if request.problem:
        raise RequestFailedError(request.problem, generated_id)
    if response is None:
        raise RequestFailedError(NO_RESPONSE.format(event["RequestId"]), generated_id)
    physical_id = str(response["PhysicalResourceId"])
    if response["Status"] == "FAILED":
        raise RequestFailedError(
            "Received response status [FAILED] from custom resource. Message returned: "
            f"{response.get('Reason', '')} (RequestId: {event['RequestId']})",
            physical_id,
        )
    return physical_id, dict(response.get("Data") or {})


def _problem(body: bytes, event: Event) -> str | None:
    """Why CloudFormation rejects a response, in its own words where these are known."""
    if len(body) > MAX_RESPONSE:
        return "Response object is too long."
    try:
        response = json.loads(body)
    except ValueError:
        return "Invalid Json response"
    if not isinstance(response, dict) or response.get("Status") not in ("SUCCESS", "FAILED"):
        return "Invalid response: Status must be SUCCESS or FAILED"
    for name in ("StackId", "RequestId", "LogicalResourceId"):
        if response.get(name) != event[name]:
            return f"Invalid response: {name} is not that of the request"
    physical_id = response.get("PhysicalResourceId")
    if not isinstance(physical_id, str) or not 0 < len(physical_id.encode()) <= MAX_ID:
        return "Invalid PhysicalResourceId"
    if response["Status"] == "FAILED" and not response.get("Reason"):
        return "Invalid response: a failure needs a Reason"
    if not isinstance(response.get("Data") or {}, dict):
        return "Invalid response: Data must be an object"
    return None


def _reject_new_service_token() -> None:
    """Reject a changed ServiceToken before anything has to be rolled back (F6.11)."""
    original = _provisioners._custom_named_replacement_error

    def replacement_error(
        kind: str,
        old: Mapping[str, Any],
        new: Mapping[str, Any],
        physical_id: str | None = None,
    ) -> str | None:
        custom = kind.startswith("Custom::") or kind == "AWS::CloudFormation::CustomResource"
        if custom and old.get("ServiceToken") != new.get("ServiceToken"):
            return "Modifying service token is not allowed."
        error: str | None = original(kind, old, new, physical_id)
        return error

    _provisioners._custom_named_replacement_error = replacement_error
    _stacks._custom_named_replacement_error = replacement_error


def install(emulator: EmulatorState) -> Requests:
    """Replace ministack's protocol."""
    requests = Requests(emulator)
    _custom.invoke_custom_resource = requests.send
    _reject_new_service_token()
    shortcuts = _app._handle_post_body_shortcuts

    async def receive_response(
        method: str, path: str, headers: Mapping[str, str], body: bytes, *rest: Any
    ) -> Any:
        if method != "PUT" or headers.get("host") != response_host(emulator.region):
            return await shortcuts(method, path, headers, body, *rest)
        if headers.get("content-type"):
            # The URL is signed without a content type (F6.15).
            text = b"<Error><Code>SignatureDoesNotMatch</Code></Error>"
            return 403, {"Content-Type": "application/xml"}, text
        caller = Caller(Invocation("", ""))
        api_calls.record(emulator, caller, "s3", RESPONSE)
        token = current_caller.set(caller)
        try:
            with emulator.faults.during(RESPONSE):
                requests.receive(path.rpartition("|")[2], body)
        except ApiError as error:
            return error.status, _lost(error), f"<Error><Code>{error.code}</Code></Error>".encode()
        finally:
            current_caller.reset(token)
        return 200, {api_calls.DIE: "yes"} if caller.dies else {}, b""

    _app._handle_post_body_shortcuts = receive_response
    return requests


def _lost(error: ApiError) -> dict[str, str]:
    """The headers of a failure, with which the gateway may drop the connection."""
    lost = {CONNECTION_LOST: "yes"} if error.code == "ConnectionLost" else {}
    return {"Content-Type": "application/xml", **lost}
