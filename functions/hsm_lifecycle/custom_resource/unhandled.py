"""Requests that the request function did not handle: it was killed, throttled or timed out."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from hsm_lifecycle import aws, currency
from hsm_lifecycle.custom_resource import failure_reason, response_url
from hsm_lifecycle.custom_resource.execution import (
    execution_exists,
    execution_name,
    fallback_of,
)
from hsm_lifecycle.errors import RefusedError, SecretNotFoundError, TransientError

# DescribeExecution is eventually consistent, and the function may just have started one.
_ATTEMPTS = 3
_PAUSE = 2  # seconds

logger = logging.getLogger("hsm_lifecycle")


def event_of(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The request of an invocation record, as failed; None if a response will come from elsewhere.

    The request function gets the event once more. By now a newer request may be running, so it has
    to prove that the request is current, for which it needs the date of the event.
    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    """
    request = response_url.opened(record["requestPayload"])
    if problem := response_url.problem(request):
        raise ValueError(problem)
    for attempt in range(_ATTEMPTS):
        time.sleep(_PAUSE if attempt else 0)
        if execution_exists(execution_name(request)):
            logger.warning("the request function ended early, but handle-request was started")
            return None
    if currency.sent_at(request) and not request.get(currency.RETRY) and _deliver_again(request):
        logger.warning("the request function gets the event again: %s", _failure(record)["Error"])
        return None
    return {**request, **fallback_of(request), "Failure": _failure(record)}


def _deliver_again(request: Mapping[str, Any]) -> bool:
    """Whether Lambda took the event; its own retries would not tell that they are one."""
    try:
        aws.client("lambda", attempts=aws.ATTEMPTS).invoke(
            FunctionName=os.environ["REQUEST_FUNCTION"],
            InvocationType="Event",
            Payload=json.dumps(response_url.sealed_event(request)),
        )
    except (
        BotoCoreError,
        ClientError,
        RefusedError,
        SecretNotFoundError,
        TransientError,
    ) as error:
        logger.warning("could not deliver the event again: %s", error)
        return False
    return True


def _failure(record: Mapping[str, Any]) -> dict[str, str]:
    # An event that Lambda could not deliver in time has no response.
    last = record.get("responsePayload") or {"errorMessage": record["requestContext"]["condition"]}
    advice = failure_reason.RETRY[record["requestPayload"]["RequestType"]]
    return {
        "Error": str(last.get("errorType") or "RequestNotHandled"),
        "Cause": f"No workflow was started: {last.get('errorMessage')}. {advice}",
    }
