"""Send the outcome of a request to CloudFormation, through crhelper."""

from __future__ import annotations

import functools
import http.client
import json
import logging
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from crhelper import CfnResource
from cryptography.exceptions import InvalidTag

from hsm_lifecycle.custom_resource import failure_reason, response_url, unhandled
from hsm_lifecycle.custom_resource.history import failed_task

_SECONDS_TO_DELIVER = 20
_ENDS = {"Failure", "Fallback", "Outcome"}  # what handle-request adds to a request
# The physical ID of a creation that was refused: the workflows that delete need not look for it.
NOTHING_CREATED = "nothing-created"

logger = logging.getLogger("hsm_lifecycle")


class _Helper(CfnResource):
    """crhelper, corrected: it accepts any HTTP status, retries connection errors without end, and
    sends FAILED half a second before the function times out, even for a success.
    """

    undelivered: Exception | None = None

    def _send(self, status: str | None = None, reason: str = "", _: object = None) -> None:
        super()._send(status, reason, self._deliver)  # type: ignore[misc]  # of crhelper, untyped

    def _deliver(self, url: str, body: Mapping[str, Any], _ssl_verify: object) -> None:
        """Send the response once. An error is only noted, because crhelper would send FAILED."""
        put = urllib.request.Request(
            url, json.dumps(body).encode(), {"content-type": ""}, method="PUT"
        )
        try:
            response = urllib.request.urlopen(  # nosec B310 # https to one host: see response_url
                put, timeout=_SECONDS_TO_DELIVER
            )
            response.close()
            self.undelivered = None
        except (OSError, http.client.HTTPException) as error:  # OSError: also other statuses
            if isinstance(error, urllib.error.HTTPError):
                error.close()  # an open connection keeps the other side waiting
            self.undelivered = error

    def _set_timeout(self) -> None:
        """Set no timer that sends FAILED: the state machine retries a delivery that times out."""


@functools.cache
def helper() -> _Helper:
    """The one crhelper object, created on first use: it reconfigures logging."""
    # As in `sam local`, crhelper makes no clients of boto3: only its polling, unused here, needs
    # them.
    os.environ.setdefault("AWS_SAM_LOCAL", "true")
    made = _Helper(json_logging=True, log_level="INFO", boto_level="ERROR", sleep_on_delete=0)
    for register in (made.create, made.update, made.delete):
        register(_result)
    return made


def deliver(event: Mapping[str, Any], context: Any) -> None:
    """Send a response; raises if CloudFormation did not accept it."""
    if problem := response_url.problem(event):
        logger.error("refused, and no response was sent: %s", problem)
        return
    helper()(event, context)
    if error := helper().undelivered:
        raise error


def respond(outcome: Mapping[str, Any], context: Any) -> None:
    """Respond with the outcome of a lifecycle.

    Called by handle-request, by an EventBridge rule if handle-request itself fails, times out or is
    aborted, and by Lambda if the request function is killed or times out.
    """
    try:
        event = unhandled.event_of(outcome) if "requestPayload" in outcome else _event_of(outcome)
    except (AttributeError, InvalidTag, KeyError, TypeError, ValueError) as error:
        logger.error("refused, and no response was sent: %s: %s", type(error).__name__, error)
        return
    if event:
        deliver(event, context)


def _event_of(outcome: Mapping[str, Any]) -> dict[str, Any]:
    """The request with its ResponseURL and outcome, for crhelper."""
    if "detail" in outcome:
        outcome = _outcome_of(outcome["detail"])
    request = dict(outcome["Request"])
    url = response_url.unseal(outcome["SealedResponseURL"], request)
    return {**request, **{key: outcome[key] for key in _ENDS & outcome.keys()}, "ResponseURL": url}


def _outcome_of(execution: Mapping[str, Any]) -> dict[str, Any]:
    """The outcome that handle-request would have passed, from the event about its own failure."""
    description = {
        "ExecutionArn": execution["executionArn"],
        "Status": execution["status"],
        "Error": execution.get("error"),
        "Cause": execution.get("cause"),
    }
    failure = {"Error": "States.TaskFailed", "Cause": json.dumps(description)}
    return {**json.loads(execution["input"]), "Failure": failure}


def _result(event: Mapping[str, Any], _context: Any) -> str | None:
    """Return the physical ID, set the attributes, or raise the reason, as crhelper expects.

    A failed rollback is reported as a success with a warning: an update can repair what is left,
    but a stack that is UPDATE_ROLLBACK_FAILED cannot be updated.
    """
    physical_id: str | None = event.get("PhysicalResourceId")
    failure = event.get("Failure")
    version = _template_version(event["ResourceProperties"])
    reason = failure_reason.of(failure, event["RequestType"], failed_task) if failure else ""
    if failure and isinstance(event.get("Fallback"), Mapping):
        warning = f"Rollback incomplete. Set pReconcile to a new value to retry. Cause: {reason}"
        logger.warning("%s", warning)
        helper().Data.update({**event["Fallback"], **version, "Warnings": warning})
        return physical_id
    if failure:
        helper().PhysicalResourceId = physical_id or _id_of_failed_creation(failure, reason)
        raise RuntimeError(reason)
    report = _report(event)
    if isinstance(data := report.get("Data"), Mapping) and data:
        helper().Data.update({**data, **version})
    return physical_id or report.get("PhysicalResourceId")


def _report(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """The lifecycle's report; empty for one that reports nothing, such as a deletion."""
    outcome = event.get("Outcome")
    if isinstance(outcome, Mapping) and "Report" in outcome:
        report = outcome["Report"]
        return report if isinstance(report, Mapping) else {}
    advice = failure_reason.RETRY[event["RequestType"]]
    raise RuntimeError(f"The workflow ended without an outcome. {advice}")


def _id_of_failed_creation(failure: failure_reason.Failure, reason: str) -> str:
    """The ID of what is left; empty if unknown, so that crhelper generates one."""
    if created := failure_reason.created_id(reason):
        return created
    # Parameters are refused before the first call that creates something.
    return NOTHING_CREATED if failure_reason.error_of(failure) == "ParameterError" else ""


def _template_version(properties: Mapping[str, Any]) -> dict[str, str]:
    """The attribute for oTemplateVersion; templates before 1.1.0 have neither."""
    return {name: properties[name] for name in ("TemplateVersion",) if name in properties}
