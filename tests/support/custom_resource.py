"""Requests of CloudFormation, and the outcomes of lifecycles, for tests of the custom resource."""

from __future__ import annotations

import json
from typing import Any

from hsm_lifecycle.custom_resource import response_url
from tests.support import resource_properties

STACK_ID = (
    "arn:aws:cloudformation:us-east-1:123456789012:stack/hsm/5b4c7a10-7a35-11ef-8f77-0e0b0c0d0e0f"
)
REQUEST_ID = "b7a1c9c2-6d0e-4f5a-9a55-0d7f1d2c3b4a"
MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:hsm-1-"

HANDLE_REQUEST, CREATE, UPDATE, DELETE, ALIGN, RUN = (
    MACHINE + stem
    for stem in (
        "handle-request",
        "create-cluster",
        "update-cluster",
        "delete-cluster",
        "align-hsms",
        "run-on-client",
    )
)
CLUSTER = "cluster-2example3id"
CLIENT = "i-0123456789abcdef0"
RUN_ON_CLIENT = "hsm-1-run-on-client"
COMMENT = "hsm-lifecycle hsm-1-run-on-client:"
EARLIER = f"update-{REQUEST_ID}-0123456789ab"

# As a template before 1.1.0 sends them.
PROPERTIES = {
    name: value
    for name, value in resource_properties.resource_properties(resource_properties.CLUSTER).items()
    if name != "TemplateVersion"
}


class Context:
    """The context of a Lambda invocation."""

    aws_request_id = "8f507cfc-example"
    seconds = 50.0

    def get_remaining_time_in_millis(self) -> float:
        return self.seconds * 1000


def request(kind: str, url: str, **more: Any) -> dict[str, Any]:
    """A request as CloudFormation sends it."""
    sent: dict[str, Any] = {
        "RequestType": kind,
        "RequestId": REQUEST_ID,
        "StackId": STACK_ID,
        "LogicalResourceId": "rCloudHsmCluster",
        "ResourceType": "Custom::CloudHsmCluster",
        "ResourceProperties": {**PROPERTIES},
        "ResponseURL": url,
    }
    if kind == "Update":
        sent["OldResourceProperties"] = {**PROPERTIES}
    if kind != "Create":
        sent["PhysicalResourceId"] = CLUSTER
    return {**sent, **more}


def outcome(kind: str, url: str, **end: Any) -> dict[str, Any]:
    """The event that handle-request sends to the response function."""
    sent = request(kind, url)
    without_url = {key: value for key, value in sent.items() if key != "ResponseURL"}
    sealed = response_url.seal(sent)
    return {"LifecycleArn": CREATE, "Request": without_url, "SealedResponseURL": sealed, **end}


def succeeded(**data: Any) -> dict[str, Any]:
    """The report of a successful lifecycle."""
    return {"Report": {"PhysicalResourceId": CLUSTER, "Data": data}}


def description(**more: Any) -> str:
    """A failed execution as startExecution.sync:2 describes it in the Cause."""
    return json.dumps(
        {
            "ExecutionArn": f"{CREATE.replace(':stateMachine:', ':execution:')}:{EARLIER}",
            "Input": {"StackId": STACK_ID},
            "InputDetails": {"Included": True},
            "Name": EARLIER,
            "StartDate": 1790000000000,
            "StateMachineArn": CREATE,
            "Status": "FAILED",
            "StopDate": 1790000100000,
            **more,
        }
    )


def failed(error: str, cause: str) -> dict[str, str]:
    """A failure as a Catch passes it on."""
    return {"Error": error, "Cause": cause}
