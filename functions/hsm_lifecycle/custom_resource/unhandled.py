"""Requests that the request function did not handle, because it was killed or timed out."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from hsm_lifecycle.custom_resource import failure_reason, response_url
from hsm_lifecycle.custom_resource.execution import (
    execution_exists,
    execution_name,
    fallback_of,
)

# DescribeExecution is eventually consistent, and the function may just have started one.
_ATTEMPTS = 3
_PAUSE = 2  # seconds

logger = logging.getLogger("hsm_lifecycle")


def event_of(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The request of an invocation record, as failed; None if handle-request will respond.

    Nothing starts it again: by now a newer request of the stack may be running.
    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    """
    request = record["requestPayload"]
    if problem := response_url.problem(request):
        raise ValueError(problem)
    for attempt in range(_ATTEMPTS):
        time.sleep(_PAUSE if attempt else 0)
        if execution_exists(execution_name(request)):
            logger.warning("the request function ended early, but handle-request was started")
            return None
    return {**request, **fallback_of(request), "Failure": _failure(record)}


def _failure(record: Mapping[str, Any]) -> dict[str, str]:
    # An event that Lambda could not deliver in time has no response.
    last = record.get("responsePayload") or {"errorMessage": record["requestContext"]["condition"]}
    advice = failure_reason.RETRY[record["requestPayload"]["RequestType"]]
    return {
        "Error": str(last.get("errorType") or "RequestNotHandled"),
        "Cause": f"No workflow was started: {last.get('errorMessage')}. {advice}",
    }
