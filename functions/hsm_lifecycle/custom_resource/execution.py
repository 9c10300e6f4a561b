"""The execution of handle-request for a request: its name, whether it exists, and its fallback."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from hsm_lifecycle import aws

Request = Mapping[str, Any]

logger = logging.getLogger("hsm_lifecycle")


def fallback_of(request: Request) -> dict[str, dict[str, str]]:
    """What to respond if the rollback of an update fails; empty for other requests.

    It has a value for each attribute: a missing one would fail the outputs, and so the rollback.
    """
    if not _is_rollback(request):
        return {}
    return {"Fallback": dict.fromkeys(os.environ["ATTRIBUTES"].split(), "unknown")}


def _is_rollback(request: Request) -> bool:
    """Whether this is the rollback of an update, which must not fail; False if unknown."""
    if request["RequestType"] != "Update" or request["StackId"] != aws.this_stack():
        return False
    try:
        stacks = aws.client("cloudformation", attempts=aws.ATTEMPTS).describe_stacks(
            StackName=aws.this_stack()
        )
    except (BotoCoreError, ClientError) as error:
        # The workflow asks again and retries for longer, so this matters only if it fails too.
        logger.warning("could not determine whether this is a rollback: %s", error)
        return False
    return bool(stacks["Stacks"][0]["StackStatus"] == "UPDATE_ROLLBACK_IN_PROGRESS")


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
