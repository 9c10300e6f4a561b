"""Whether a request is still the one that CloudFormation waits for.

Lambda may deliver an event again or minutes late (F6.45), and StartExecution may take effect late.
By then an update may have been cancelled and rolled back, and must change nothing. CloudFormation's
record of the custom resource tells: its status, and when that last changed (F6.83). The event tells
when it was sent by the date in its ResponseURL (F6.15). An execution that another one starts is
current while that one runs; a detached one until the stack's next request begins.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from hsm_lifecycle import aws
from hsm_lifecycle.errors import SupersededError

Request = Mapping[str, Any]

# What an event that the response function delivers again has instead of its ResponseURL.
RETRY = "SealedResponseURL"
# The key of handle-request's Request: since when CloudFormation's record has its status.
SINCE = "CurrentSince"
_PARENT = "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"
# Between CloudFormation's clocks; the ResponseURL has whole seconds.
_TOLERANCE = dt.timedelta(seconds=5)
# A loop of looks checks its execution at the first look, then once a minute.
_RECHECK = dt.timedelta(minutes=1)
# ServiceTimeout of the custom resource: by then, CloudFormation has recorded the request's end.
_LONGEST_REQUEST = dt.timedelta(hours=1)

logger = logging.getLogger("hsm_lifecycle")


class _Record(NamedTuple):
    status: str
    since: dt.datetime  # of the status


def sent_at(request: Request) -> dt.datetime | None:
    """When CloudFormation signed the ResponseURL, in whole seconds; None if it does not tell."""
    dates = parse_qs(urlsplit(request["ResponseURL"]).query).get("X-Amz-Date", [""])
    try:
        return dt.datetime.strptime(dates[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC)
    except ValueError:
        return None


def require_current(request: Request) -> str:
    """When the custom resource entered this request's status; empty if that is unknown.

    SupersededError: CloudFormation has gone on, so nothing must be started. A first delivery is
    refused if that is certain, a retry unless it is certain to be current.
    """
    record, sent = _record(request), sent_at(request)
    if request.get(RETRY):
        is_current = (
            record is not None
            and sent is not None
            and record.status == f"{request['RequestType'].upper()}_IN_PROGRESS"
            # A rollback has a record of its own, which is later.
            and record.since.replace(microsecond=0) <= sent
        )
    else:
        is_current = record is None or not _is_over(
            request, record, sent + _TOLERANCE if sent else record.since
        )
    if not is_current:
        raise _superseded(request, record)
    return record.since.isoformat() if record else ""


def require_current_execution(given: Mapping[str, Any]) -> None:
    """Check the input of an execution in its first task.

    SupersededError: it started late, when its request or the execution that started it was over.
    """
    if since := given.get(SINCE):
        require_unchanged(given, since)
    current = ["RUNNING", ""]
    if given.get("Detached"):
        _require_no_later_request(given["LifecycleInput"])
        # It succeeds once it knows that this one has started; one that was stopped never knew.
        current.append("SUCCEEDED")
    parent = given.get(_PARENT)
    if parent and (status := _status_of(parent)) not in current:
        raise SupersededError(f"The workflow that started this one is {status}: {parent}.")


def is_checked(event: Mapping[str, Any]) -> bool:
    """Whether an earlier look of the same execution checked its input less than a minute ago."""
    checked_at = (event.get("Polled") or {}).get("CheckedAt")
    if not checked_at:
        return False
    now = dt.datetime.fromisoformat(event["EnteredTime"])
    return now - dt.datetime.fromisoformat(checked_at) < _RECHECK


def _require_no_later_request(request: Request) -> None:
    """SupersededError: CloudFormation's record is not of this request, running or successful.

    A later update that has ended is told by its time, unless it ended within this one's hour.
    """
    if not (record := _record(request)):
        return
    kind, since = request["RequestType"].upper(), request.get(SINCE)
    is_over = record.status == f"{kind}_COMPLETE"
    is_current = is_over or record.status == f"{kind}_IN_PROGRESS"
    if is_current and kind == "UPDATE" and since:
        latest = dt.datetime.fromisoformat(since)
        is_current = record.since <= (latest + _LONGEST_REQUEST + _TOLERANCE if is_over else latest)
    if not is_current:
        raise SupersededError(
            f"The stack has had a later request: {request['LogicalResourceId']} is"
            f" {record.status} since {record.since:%H:%M:%S}Z."
        )


def _status_of(execution_arn: str) -> str:
    """The status of an execution; empty if it cannot be read."""
    try:
        found = aws.client("stepfunctions", attempts=aws.ATTEMPTS).describe_execution(
            executionArn=execution_arn
        )
    except (BotoCoreError, ClientError) as error:
        logger.warning("could not read the status of %s: %s", execution_arn, error)
        return ""
    return str(found["status"])


def require_unchanged(request: Request, since: str) -> None:
    """SupersededError: CloudFormation has gone on since the status of that time, if known."""
    is_known = since and request["RequestType"] != "Delete"
    record = _record(request) if is_known else None
    if record and _is_over(request, record, dt.datetime.fromisoformat(since)):
        raise _superseded(request, record)


def _is_over(request: Request, record: _Record, latest: dt.datetime) -> bool:
    """Whether the record is of a later request than one whose status began at `latest`.

    Only an update is followed by others of its type; a deletion is not followed by anything.
    """
    if request["RequestType"] == "Update":
        return record.since > latest
    return request["RequestType"] == "Create" and record.status != "CREATE_IN_PROGRESS"


def _superseded(request: Request, record: _Record | None) -> SupersededError:
    found = f"is {record.status} since {record.since:%H:%M:%S}Z" if record else "is not known"
    return SupersededError(
        f"CloudFormation no longer waits for this {request['RequestType']}:"
        f" {request['LogicalResourceId']} {found}."
    )


def _record(request: Request) -> _Record | None:
    """CloudFormation's record of the custom resource; None if it cannot be read."""
    try:
        detail = aws.client("cloudformation", attempts=aws.ATTEMPTS).describe_stack_resource(
            StackName=aws.this_stack(), LogicalResourceId=request["LogicalResourceId"]
        )["StackResourceDetail"]
    except (BotoCoreError, ClientError) as error:
        logger.warning("could not read CloudFormation's record of the request: %s", error)
        return None
    return _Record(detail["ResourceStatus"], detail["LastUpdatedTimestamp"])
