"""The Task in which an execution failed, out of its history.

An error of Step Functions' own calls, Invoke and StartExecution, names neither step nor cluster.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from hsm_lifecycle import aws

_MAX_EVENTS = 100  # the latest; seven attempts of a Task are about 20

logger = logging.getLogger("hsm_lifecycle")


@dataclass(frozen=True)
class Task:
    """A Task, and the state data with which it was entered."""

    name: str
    data: Mapping[str, Any] = field(default_factory=dict)


def failed_task(execution_arn: str, error: str) -> Task | None:
    """The last Task of an execution that failed with this error; None if it cannot be read.

    One attempt, because the response to CloudFormation waits for it.
    """
    try:
        history = aws.client("stepfunctions").get_execution_history(
            executionArn=execution_arn, reverseOrder=True, maxResults=_MAX_EVENTS
        )
    except (BotoCoreError, ClientError) as problem:
        logger.warning("could not read the history of %s: %s", execution_arn, problem)
        return None
    has_failed = False
    for event in history["events"]:
        has_failed = has_failed or _failed_with(event, error)
        if has_failed and event["type"] == "TaskStateEntered":
            entered = event["stateEnteredEventDetails"]
            return Task(entered["name"], _parse(entered.get("input") or "{}"))
    return None


def _failed_with(event: Mapping[str, Any], error: str) -> bool:
    """Whether a Task failed with this error, which a Fail state may have repeated later."""
    return not event["type"].startswith("Execution") and any(
        isinstance(details, Mapping) and details.get("error") == error for details in event.values()
    )


def _parse(text: str) -> Mapping[str, Any]:
    try:
        data = json.loads(text)
    except ValueError:  # truncated
        return {}
    return data if isinstance(data, Mapping) else {}
