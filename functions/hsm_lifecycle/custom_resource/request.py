"""Take a request from CloudFormation and start handle-request for it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import time
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from hsm_lifecycle import aws
from hsm_lifecycle.custom_resource import response_url
from hsm_lifecycle.custom_resource.response import deliver
from hsm_lifecycle.custom_resource.supersede import supersede
from hsm_lifecycle.dispatch import this_stack
from hsm_lifecycle.errors import NotOwnedError

Request = Mapping[str, Any]
_DELIVERY_ATTEMPTS = 5
# Updated state machines still start with their previous definition "for a few seconds" (F6.47).
_SECONDS_TO_UPDATE_MACHINES = 10

logger = logging.getLogger("hsm_lifecycle")


def take(request: Request, context: Any) -> None:
    """Start handle-request, or respond with the failure to do so: nothing else would respond."""
    if problem := response_url.problem(request):
        logger.error("refused, and nothing was started: %s", problem)
        return
    fallback = {"Fallback": _unknown_attributes()} if _is_rollback(request) else {}
    try:
        _require_this_stack(request)
        sealed_url = response_url.seal(request)
        name = execution_name(request)
        # Lambda may deliver an event twice.
        if not _execution_exists(name) and supersede(request, name):
            time.sleep(_SECONDS_TO_UPDATE_MACHINES if _is_new_version(request) else 0)
            _start_execution(name, request, sealed_url, fallback)
    except Exception as error:
        failure = {"Error": type(error).__name__, "Cause": str(error)}
        for attempt in range(_DELIVERY_ATTEMPTS):
            with contextlib.suppress(OSError):
                deliver({**request, **fallback, "Failure": failure}, context)
                return
            time.sleep(2**attempt)


def _require_this_stack(request: Request) -> None:
    """NotOwnedError: the request names another stack, so it is forged or misdirected."""
    if request["StackId"] != this_stack():
        raise NotOwnedError(
            f"The request is of another stack: {request['StackId']}. Deploy a stack of its own."
        )


def _is_new_version(request: Request) -> bool:
    """Whether CloudFormation may just have updated the state machines."""
    old, new = request.get("OldResourceProperties"), request["ResourceProperties"]
    return old is not None and old.get("TemplateVersion") != new.get("TemplateVersion")


def _is_rollback(request: Request) -> bool:
    """Whether this is the rollback of an update, which must not fail; False if unknown."""
    if request["RequestType"] != "Update" or request["StackId"] != this_stack():
        return False
    try:
        stacks = aws.client("cloudformation", attempts=aws.ATTEMPTS).describe_stacks(
            StackName=this_stack()
        )
    except (BotoCoreError, ClientError) as error:
        # The workflow asks again and retries for longer, so this matters only if it fails too.
        logger.warning("could not determine whether this is a rollback: %s", error)
        return False
    return bool(stacks["Stacks"][0]["StackStatus"] == "UPDATE_ROLLBACK_IN_PROGRESS")


def _unknown_attributes() -> dict[str, str]:
    """A value for each attribute: a missing one would fail the outputs, and so the rollback."""
    return dict.fromkeys(os.environ["ATTRIBUTES"].split(), "unknown")


def execution_name(request: Request) -> str:
    """The same for a repeated delivery, a different one for a retried deployment.

    A retried deployment reuses the RequestId, but not the ResponseURL. Step Functions keeps the
    names of executions for 90 days.
    """
    url_hash = hashlib.sha256(request["ResponseURL"].encode()).hexdigest()[:12]
    return f"{request['RequestType'].lower()}-{request['RequestId']}-{url_hash}"


def _execution_exists(name: str) -> bool:
    """Whether an execution of this name exists, running or not."""
    arn = os.environ["HANDLE_REQUEST"].replace(":stateMachine:", ":execution:") + ":" + name
    states = aws.client("stepfunctions", attempts=aws.ATTEMPTS)
    try:
        return bool(states.describe_execution(executionArn=arn))
    except states.exceptions.ExecutionDoesNotExist:
        return False


def _start_execution(
    name: str, request: Request, sealed_url: response_url.Sealed, fallback: Mapping[str, Any]
) -> None:
    """Start handle-request. Its input can be read by others, so it gets no ResponseURL."""
    without_url = {key: value for key, value in request.items() if key != "ResponseURL"}
    aws.client("stepfunctions", attempts=aws.ATTEMPTS).start_execution(
        stateMachineArn=os.environ["HANDLE_REQUEST"],
        name=name,
        input=json.dumps(
            {
                "LifecycleArn": os.environ[request["RequestType"].upper()],
                "Request": without_url,
                "SealedResponseURL": sealed_url,
                **fallback,
            },
            sort_keys=True,
        ),
    )
