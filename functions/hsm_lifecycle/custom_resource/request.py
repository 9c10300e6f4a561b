"""Take a request from CloudFormation and start handle-request for it."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidTag

from hsm_lifecycle import aws, currency, property_rules
from hsm_lifecycle.custom_resource import response_url
from hsm_lifecycle.custom_resource.execution import (
    arn_of,
    execution_exists,
    execution_name,
    fallback_of,
    may_overlap,
)
from hsm_lifecycle.custom_resource.supersede import supersede
from hsm_lifecycle.errors import NotOwnedError

Request = Mapping[str, Any]
_DELIVERY_ATTEMPTS = 5
# Updated state machines still start with their previous definition "for a few seconds" (F6.47).
_SECONDS_TO_UPDATE_MACHINES = 10

logger = logging.getLogger("hsm_lifecycle")


def take(request: Request, context: Any) -> None:
    """Start handle-request, or respond with the failure to do so: nothing else would respond."""
    try:
        request = response_url.opened(request)
    except (InvalidTag, KeyError, TypeError, ValueError) as error:
        logger.error("refused, and nothing was started: %s: %s", type(error).__name__, error)
        return
    if problem := response_url.problem(request):
        logger.error("refused, and nothing was started: %s", problem)
        return
    fallback = fallback_of(request)
    try:
        _require_this_stack(request)
        # A rollback must not fail, and the deletion of whatever exists needs no valid properties.
        if not fallback and request["RequestType"] != "Delete":
            property_rules.check(request["LogicalResourceId"], request["ResourceProperties"])
        sealed_url = response_url.seal(request)
        name = execution_name(request)
        # Lambda may deliver an event twice.
        if execution_exists(name):
            return
        since = currency.require_current(request)
        if supersede(
            request,
            name,
            lambda: context.get_remaining_time_in_millis() / 1000,
            may_overlap=may_overlap(request),
        ):
            time.sleep(_SECONDS_TO_UPDATE_MACHINES if _is_new_version(request) else 0)
            currency.require_unchanged(request, since)
            _start_execution(name, {**request, currency.SINCE: since}, sealed_url, fallback)
    except Exception as error:
        # Rarely needed, and a fifth of this function's cold start.
        from hsm_lifecycle.custom_resource.response import deliver

        failure = {"Error": type(error).__name__, "Cause": str(error)}
        for attempt in range(_DELIVERY_ATTEMPTS):
            with contextlib.suppress(OSError):
                deliver({**request, **fallback, "Failure": failure}, context)
                return
            time.sleep(2**attempt)


def _require_this_stack(request: Request) -> None:
    """NotOwnedError: the request names another stack, so it is forged or misdirected."""
    if request["StackId"] != aws.this_stack():
        raise NotOwnedError(
            f"The request is of another stack: {request['StackId']}. Each stack has its own"
            " functions."
        )


def _is_new_version(request: Request) -> bool:
    """Whether CloudFormation may just have updated the state machines."""
    old, new = request.get("OldResourceProperties"), request["ResourceProperties"]
    return old is not None and old.get("TemplateVersion") != new.get("TemplateVersion")


def _start_execution(
    name: str, request: Request, sealed_url: response_url.Sealed, fallback: Mapping[str, Any]
) -> None:
    """Start handle-request, unless another delivery of the event has.

    Others can read its input, so it gets no ResponseURL.
    """
    states = aws.client("stepfunctions", attempts=aws.ATTEMPTS)
    own = ("ResponseURL", currency.RETRY)
    # Each delivery seals the URL differently, so that not even a running execution is the same.
    with contextlib.suppress(states.exceptions.ExecutionAlreadyExists):
        states.start_execution(
            stateMachineArn=os.environ["HANDLE_REQUEST"],
            name=name,
            input=json.dumps(
                {
                    "LifecycleArn": arn_of(os.environ[request["RequestType"].upper()]),
                    "Request": {key: value for key, value in request.items() if key not in own},
                    "SealedResponseURL": sealed_url,
                    **fallback,
                },
                sort_keys=True,
            ),
        )
