"""Custom resources: CloudFormation asks a function asynchronously and waits for its answer.

Otherwise in ministack: the function is invoked synchronously, once; ServiceTimeout runs on real
time; any answer is good; a cancelled update and a deletion wait for the answer; a create that
failed is never deleted; the ServiceToken may change; the response URL is plain HTTP.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from localaws.core.clock import Signal
from localaws.ministack.access import ministack
from localaws.ministack.lambda_functions import function_at, invoke_asynchronously

if TYPE_CHECKING:
    from localaws.state import EmulatorState

Made = tuple[str, dict[str, Any]]
Event = dict[str, Any]

# Virtual seconds until CloudFormation has noticed an answer.
NOTICE = 2.0
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html (F6.11)
LONGEST_ANSWER = 4096
LONGEST_ID = 1024
LONGEST_TIMEOUT = 3600
CANCELLED = {
    "Create": "Resource creation cancelled",
    "Update": "Resource update cancelled",
    "Delete": "Resource deletion cancelled",
}
NO_ANSWER = (
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
    """A request that was sent has failed; the reason is the stack event's."""

    def __init__(self, reason: str, physical_id: str) -> None:
        super().__init__(reason)
        self.physical_id = physical_id


@dataclass
class Request:
    """A request that waits for its answer."""

    event: Event
    over: Signal
    answer: Mapping[str, Any] | None = None
    problem: str = ""
    cancelled: bool = False


class Requests:
    """The requests that wait, and deliveries that are still to come again."""

    def __init__(self, emulator: EmulatorState) -> None:
        self._emulator = emulator
        self._waiting: dict[str, Request] = {}
        self._postponed: list[tuple[str, Event]] = []
        self._lock = threading.Lock()

    def make(
        self,
        request_type: str,
        logical_id: str,
        props: Mapping[str, Any],
        stack_name: str,
        stack_id: str,
        resource_type: str,
        physical_id: str | None = None,
        old_props: Mapping[str, Any] | None = None,
    ) -> Made:
        """Ask the function behind ServiceToken; its physical id and data, or an error."""
        token = str(props.get("ServiceToken", ""))
        # Made up by CloudFormation for a resource that never said its own.
        fallback = physical_id or f"{stack_name}-{logical_id}-{os.urandom(6).hex().upper()}"
        function = function_at(token)
        if function is None or token.split(":")[3] != _responses.get_region():
            raise ValueError(f"Function not found: {token}")
        seconds = int(props.get("ServiceTimeout", LONGEST_TIMEOUT))
        if not 1 <= seconds <= LONGEST_TIMEOUT:
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
        request = Request(event, self._emulator.clock.signal())
        with self._lock:
            self._waiting[key] = request
        try:
            self._deliver(function, event)
            self._emulator.clock.wait([request.over], seconds)
        finally:
            with self._lock:
                del self._waiting[key]
        return self._outcome(request, fallback)

    def _response_url(self, stack_id: str, logical_id: str, key: str) -> str:
        """A URL as secret as a presigned one: whoever has it can answer."""
        name = quote(f"{stack_id}|{logical_id}|{key}", safe="")
        return (
            f"https://localhost:{self._emulator.ports.secure}/_ministack/cfn-response/{name}"
            f"?AWSAccessKeyId=AKIDEXAMPLE&Expires=7200&Signature={os.urandom(20).hex()}"
        )

    def _deliver(self, function: dict[str, Any], event: Event) -> None:
        """Queue the event for the function, and whatever a planted fault delivers with it."""
        invoke_asynchronously(function, event)
        request_type = event["RequestType"]
        again = self._emulator.faults.second_delivery(request_type)
        with self._lock:
            due = [late for after, late in self._postponed if after == request_type]
            self._postponed = [each for each in self._postponed if each[0] != request_type]
            if again and again.get("after"):
                self._postponed.append((again["after"], event))
        if again and not again.get("after"):
            due.append(event)
        for late in due:
            self._emulator.event_log.record(
                "cloudformation",
                late["LogicalResourceId"],
                "DeliveredAgain",
                stack=late["StackId"].split("/")[1],
                request=late["RequestType"],
            )
            invoke_asynchronously(function, late)

    def _outcome(self, request: Request, fallback: str) -> Made:
        event, answer = request.event, request.answer
        if request.cancelled:
            raise RequestFailedError(CANCELLED[event["RequestType"]], fallback)
        if request.problem:
            raise RequestFailedError(request.problem, fallback)
        if answer is None:
            raise RequestFailedError(NO_ANSWER.format(event["RequestId"]), fallback)
        physical_id = str(answer["PhysicalResourceId"])
        if answer["Status"] == "FAILED":
            raise RequestFailedError(
                "Received response status [FAILED] from custom resource. Message returned: "
                f"{answer.get('Reason', '')} (RequestId: {event['RequestId']})",
                physical_id,
            )
        return physical_id, dict(answer.get("Data") or {})

    def answer(self, key: str, body: bytes) -> None:
        """Somebody sent an answer; whoever waits notices it a little later."""
        self._emulator.answers.append(body.decode(errors="replace"))
        with self._lock:
            request = self._waiting.get(key)
        if request is None or request.answer is not None or request.problem:
            return
        request.problem = _flaw(body, request.event) or ""
        if not request.problem:
            request.answer = json.loads(body)
        self._emulator.spawn(self._notice, request)

    def _notice(self, request: Request) -> None:
        self._emulator.clock.sleep(NOTICE)
        self._emulator.clock.set(request.over)

    def cancel(self, stack_id: str) -> None:
        """Give up whatever this stack waits for; the work for it goes on, its answer is late."""
        with self._lock:
            waiting = list(self._waiting.values())
        for request in waiting:
            if request.event["StackId"] == stack_id:
                request.cancelled = True
                self._emulator.clock.set(request.over)


def _flaw(body: bytes, event: Event) -> str | None:
    """Why CloudFormation does not accept an answer, in its words where they are known."""
    if len(body) > LONGEST_ANSWER:
        return "Response object is too long."
    try:
        answer = json.loads(body)
    except ValueError:
        return "Invalid Json response"
    if not isinstance(answer, dict) or answer.get("Status") not in ("SUCCESS", "FAILED"):
        return "Invalid response: Status must be SUCCESS or FAILED"
    for name in ("StackId", "RequestId", "LogicalResourceId"):
        if answer.get(name) != event[name]:
            return f"Invalid response: {name} is not that of the request"
    physical_id = answer.get("PhysicalResourceId")
    if not isinstance(physical_id, str) or not 0 < len(physical_id.encode()) <= LONGEST_ID:
        return "Invalid PhysicalResourceId"
    if answer["Status"] == "FAILED" and not answer.get("Reason"):
        return "Invalid response: a failure needs a Reason"
    if not isinstance(answer.get("Data") or {}, dict):
        return "Invalid response: Data must be an object"
    return None


def _refuse_another_token() -> None:
    """Refuse it where a refusal leaves nothing to roll back (F6.11)."""
    known = _provisioners._custom_named_replacement_error

    def refusal(
        kind: str,
        old: Mapping[str, Any],
        new: Mapping[str, Any],
        physical_id: str | None = None,
    ) -> str | None:
        custom = kind.startswith("Custom::") or kind == "AWS::CloudFormation::CustomResource"
        if custom and old.get("ServiceToken") != new.get("ServiceToken"):
            return "Modifying service token is not allowed."
        found: str | None = known(kind, old, new, physical_id)
        return found

    _provisioners._custom_named_replacement_error = refusal
    _stacks._custom_named_replacement_error = refusal


def install(emulator: EmulatorState) -> Requests:
    """Put our own protocol in the place of ministack's."""
    requests = Requests(emulator)
    _custom.invoke_custom_resource = requests.make
    _refuse_another_token()
    shortcuts = _app._handle_post_body_shortcuts
    path_prefix = "/_ministack/cfn-response/"

    async def take_answer(
        method: str, path: str, headers: Mapping[str, str], body: bytes, *rest: Any
    ) -> Any:
        if method != "PUT" or not path.startswith(path_prefix):
            return await shortcuts(method, path, headers, body, *rest)
        if headers.get("content-type"):
            # The URL is signed for no content type (F6.15).
            text = b"<Error><Code>SignatureDoesNotMatch</Code></Error>"
            return 403, {"Content-Type": "application/xml"}, text
        requests.answer(path.rpartition("|")[2], body)
        return 200, {}, b""

    _app._handle_post_body_shortcuts = take_answer
    return requests
