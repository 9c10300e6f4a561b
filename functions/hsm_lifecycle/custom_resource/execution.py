"""The execution of handle-request for a request: its name, whether it exists, and its fallback."""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import os
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from hsm_lifecycle import aws, currency

Request = Mapping[str, Any]

# A stack's operations that end with their requests.
_COMPLETE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")
# By then, even executions that started late (decision 0018) are listed.
_SECONDS_TO_SETTLE = 600

logger = logging.getLogger("hsm_lifecycle")


def fallback_of(request: Request) -> dict[str, dict[str, str]]:
    """What to respond if the rollback of an update fails; empty for other requests.

    It has a value for each attribute: a missing one would fail the outputs, and so the rollback.
    """
    if not _is_rollback(request):
        return {}
    return {"Fallback": dict.fromkeys(os.environ["ATTRIBUTES"].split(), "unknown")}


def may_overlap(request: Request) -> bool:
    """Whether an earlier request of the stack may have started executions only just now.

    CloudFormation sends a creation or an update once earlier requests have ended. Not so the
    rollback of an update, the deletion of a stack that is being created or updated, and a delivery
    after which the function was killed.
    """
    if request.get(currency.RETRY):
        return True
    if request["RequestType"] == "Delete":
        return not _was_stack_complete(request)
    return request["RequestType"] == "Update" and _stack_status(request) != "UPDATE_IN_PROGRESS"


def _was_stack_complete(request: Request) -> bool:
    """Whether the stack had long been complete when its deletion began; False if unknown.

    Events are in reverse chronological order
    (https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStackEvents.html).
    """
    stack_id = aws.this_stack()
    if request["StackId"] != stack_id:
        return False
    try:
        page = aws.client("cloudformation", attempts=aws.ATTEMPTS).describe_stack_events(
            StackName=stack_id
        )["StackEvents"]
    except (BotoCoreError, ClientError) as error:
        logger.warning("could not determine what the stack did before its deletion: %s", error)
        return False
    of_stack = [event for event in page if event.get("PhysicalResourceId") == stack_id]
    if len(of_stack) < 2 or of_stack[0]["ResourceStatus"] != "DELETE_IN_PROGRESS":
        return False
    deletion, before = of_stack[:2]
    settled = before["Timestamp"] + dt.timedelta(seconds=_SECONDS_TO_SETTLE)
    return before["ResourceStatus"] in _COMPLETE and bool(settled <= deletion["Timestamp"])


def _is_rollback(request: Request) -> bool:
    """Whether this is the rollback of an update, which must not fail; False if unknown."""
    return (
        request["RequestType"] == "Update"
        and _stack_status(request) == "UPDATE_ROLLBACK_IN_PROGRESS"
    )


def _stack_status(request: Request) -> str:
    """The status of this stack; empty if the request is another's, or the status is unknown."""
    if request["StackId"] != aws.this_stack():
        return ""
    try:
        stacks = aws.client("cloudformation", attempts=aws.ATTEMPTS).describe_stacks(
            StackName=aws.this_stack()
        )
    except (BotoCoreError, ClientError) as error:
        # The workflow asks again and retries for longer, so this matters only if it fails too.
        logger.warning("could not determine whether this is a rollback: %s", error)
        return ""
    return str(stacks["Stacks"][0]["StackStatus"])


def arn_of(machine: str) -> str:
    """The ARN of a state machine of this stack, by its name without that of the stack."""
    return os.environ["HANDLE_REQUEST"].removesuffix("handle-request") + machine


def execution_name(request: Request) -> str:
    """The same for a repeated delivery, a different one for a retried deployment.

    A retried deployment reuses the RequestId, but not the ResponseURL. Step Functions keeps the
    names of executions for 90 days.
    """
    url_hash = hashlib.sha256(request["ResponseURL"].encode()).hexdigest()[:12]
    return f"{request['RequestType'].lower()}-{request['RequestId']}-{url_hash}"


def execution_exists(name: str) -> bool:
    """Whether an execution of this name exists, running or not."""
    arn = os.environ["HANDLE_REQUEST"].replace(":stateMachine:", ":execution:") + ":" + name
    states = aws.client("stepfunctions", attempts=aws.ATTEMPTS)
    try:
        return bool(states.describe_execution(executionArn=arn))
    except states.exceptions.ExecutionDoesNotExist:
        return False
