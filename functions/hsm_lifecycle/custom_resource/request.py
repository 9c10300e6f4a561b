"""The front door: all that CloudFormation ever talks to. `start` takes a request, `answer` replies.

It knows executions and answers, and nothing of what the workflows work on.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import logging
import os
import re
import time
import urllib.request
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from crhelper import CfnResource

from hsm_lifecycle import aws
from hsm_lifecycle.errors import SupersededError
from hsm_lifecycle.steps import client

Request = Mapping[str, Any]
_SECONDS_TO_DELIVER = 20

logger = logging.getLogger("hsm_lifecycle")


class _Helper(CfnResource):
    """crhelper, but for three of its habits: it takes any HTTP status for a success, it tries to
    connect for ever, and half a second before the function's time is over it answers FAILED, though
    what it could not deliver may have been a success.
    """

    undelivered: Exception | None = None

    def _send(self, status: str | None = None, reason: str = "", _: object = None) -> None:
        super()._send(status, reason, self._deliver)  # type: ignore[misc]  # of crhelper, untyped

    def _deliver(self, url: str, body: Mapping[str, Any], _ssl_verify: object) -> None:
        """Put the answer once. crhelper would answer a failure to do so, so it is only noted."""
        put = urllib.request.Request(
            url, json.dumps(body).encode(), {"content-type": ""}, method="PUT"
        )
        try:
            urllib.request.urlopen(put, timeout=_SECONDS_TO_DELIVER).close()
            self.undelivered = None
        except (OSError, http.client.HTTPException) as problem:  # OSError: any other status too
            self.undelivered = problem

    def _set_timeout(self) -> None:
        """Answer nothing in place of the outcome: the machine repeats what took too long."""


def deliver(event: Request, context: Any) -> None:
    """Answer through crhelper; raises if the answer did not arrive."""
    helper(event, context)
    if helper.undelivered:
        raise helper.undelivered


helper = _Helper(json_logging=True, log_level="INFO", boto_level="ERROR", sleep_on_delete=0)

_PAUSE = 2  # seconds between two looks at what still runs
_LOOKS = 30
_LOOKS_UNTIL_ANSWERED = 15
_LOOKS_AT_CLIENT = 10
_SECONDS_OF_A_WORKER = 60  # a worker in flight goes on when its execution is stopped
_REASON_LIMIT = 240  # crhelper keeps the end of anything longer
_ATTEMPTS = 5


# ---- start


def start(request: Request, context: Any) -> None:
    """The ServiceToken. Whatever goes wrong here is answered here: nobody else would."""
    fallback = {"Fallback": unknown()} if is_rollback(request) else {}
    try:
        name = execution_name(request)
        if not is_known(name):  # Lambda may deliver an event twice
            make_way(request)
            begin(name, request, fallback)
    except Exception as problem:
        failure = {"Error": type(problem).__name__, "Cause": str(problem)}
        for attempt in range(_ATTEMPTS):
            with contextlib.suppress(OSError):
                return deliver({**request, **fallback, "Failure": failure}, context)
            time.sleep(2**attempt)


def is_rollback(request: Request) -> bool:
    """Whether this is the rollback of an update, which must pass; False if nobody can tell."""
    if request["RequestType"] != "Update":
        return False
    try:
        stacks = aws.client("cloudformation", attempts=_ATTEMPTS).describe_stacks(
            StackName=request["StackId"]
        )
    except (BotoCoreError, ClientError) as problem:
        # The workflow asks again, and for longer; only what it cannot answer itself then fails.
        logger.warning("not known whether this is a rollback: %s", problem)
        return False
    return bool(stacks["Stacks"][0]["StackStatus"] == "UPDATE_ROLLBACK_IN_PROGRESS")


def unknown() -> dict[str, str]:
    """Every attribute of the resource: an output that finds none would fail the rollback."""
    return dict.fromkeys(os.environ["ATTRIBUTES"].split(), "unknown")


def execution_name(request: Request) -> str:
    """The same for a repeated delivery, another for a retried deployment.

    CloudFormation uses a RequestId again when an operator retries a failed deployment, and the
    name of an execution stays taken for 90 days; the URL is fresh each time.
    """
    fresh = hashlib.sha256(request["ResponseURL"].encode()).hexdigest()[:12]
    return f"{request['RequestType'].lower()}-{request['RequestId']}-{fresh}"


def is_known(name: str) -> bool:
    """Whether an execution of that name exists, at work or long over."""
    arn = os.environ["HANDLE_REQUEST"].replace(":stateMachine:", ":execution:") + ":" + name
    states = _states()
    try:
        return bool(states.describe_execution(executionArn=arn))
    except states.exceptions.ExecutionDoesNotExist:
        return False


def make_way(request: Request) -> None:
    """Nothing of this stack may still be at work when a new request begins.

    The machines belong to this stack alone, so everything they run does too. Stopping a parent
    reaches its children late and only by best effort, so each is looked after by itself. A
    handle-request whose lifecycle is over is only giving its answer, and ends by itself. Raises
    SupersededError when the stack is being deleted: nothing may be made behind a deletion's back.
    """
    stopped = False
    for look in range(_LOOKS):
        answering = running(os.environ["HANDLE_REQUEST"])
        working = [
            arn for machine in json.loads(os.environ["MACHINES"]) for arn in running(machine)
        ]
        if not answering + working:
            time.sleep(_SECONDS_OF_A_WORKER if stopped else 0)
            return leave_client_as_found()
        at_work = {name_of(arn) for arn in working}
        if request["RequestType"] != "Delete" and any(
            name_of(arn).startswith("delete-") for arn in answering + working
        ):
            raise SupersededError("This stack is being deleted, so nothing is created or updated.")
        for arn in working + [
            arn for arn in answering if name_of(arn) in at_work or look > _LOOKS_UNTIL_ANSWERED
        ]:
            stop(arn)
        if working and not stopped:
            for instance_id in clients(request):
                client.cancel_commands(instance_id, machines())
            stopped = True
        time.sleep(_PAUSE)
    raise TimeoutError(f"The work of an earlier request does not stop: {(working + answering)[0]}.")


def leave_client_as_found() -> None:
    """Stop the client that an earlier request had started when it was stopped or timed out itself.

    A client that stays on is no reason for the request to fail; the next one tries again.
    """
    try:
        for _ in range(_LOOKS_AT_CLIENT):
            if client.stop_started(machines()):
                return
            time.sleep(_PAUSE)
        logger.warning("the client was found stopped, and is still starting")
    except (BotoCoreError, ClientError) as problem:
        logger.warning("the client was found stopped, and is not: %s", problem)


def clients(request: Request) -> set[str]:
    """The client, and the one that an update is just moving away from, or a rollback back from."""
    old = request.get("OldResourceProperties", {})
    return {
        os.environ["CLIENT_INSTANCE"],
        old.get("ClientInstanceId", os.environ["CLIENT_INSTANCE"]),
    }


def machines() -> list[str]:
    """The names of the machines of this stack that work on something."""
    return [name_of(machine) for machine in json.loads(os.environ["MACHINES"])]


def running(machine: str) -> list[str]:
    """The executions of a machine that are at work."""
    pages = _states().get_paginator("list_executions")
    return [
        execution["executionArn"]
        for page in pages.paginate(stateMachineArn=machine, statusFilter="RUNNING")
        for execution in page["executions"]
    ]


def name_of(arn: str) -> str:
    """The name at the end of the ARN of an execution or a machine."""
    return arn.rpartition(":")[2]


def stop(execution_arn: str) -> None:
    """Stop an execution, which may have ended by itself meanwhile."""
    states = _states()
    with contextlib.suppress(states.exceptions.ValidationException):
        states.stop_execution(
            executionArn=execution_arn,
            error="Superseded",
            cause="A newer request of CloudFormation took over.",
        )


def begin(name: str, request: Request, fallback: Mapping[str, Any]) -> None:
    """Start handle-request. Only its own input holds the ResponseURL, which is as good as a key."""
    bare = {key: value for key, value in request.items() if key != "ResponseURL"}
    _states().start_execution(
        stateMachineArn=os.environ["HANDLE_REQUEST"],
        name=name,
        input=json.dumps(
            {
                "LifecycleArn": os.environ[request["RequestType"].upper()],
                "Request": bare,
                "ResponseURL": request["ResponseURL"],
                **fallback,
            },
            sort_keys=True,
        ),
    )


def _states() -> Any:
    return aws.client("stepfunctions", attempts=_ATTEMPTS)


# ---- answer


def answer(outcome: Mapping[str, Any], context: Any) -> None:
    """Reply to CloudFormation.

    Called by handle-request with the lifecycle's report or failure, and by a rule of EventBridge
    when handle-request itself did not get that far.
    """
    if "detail" in outcome:
        outcome = unanswered(outcome["detail"])
    deliver({**outcome["Request"], **outcome}, context)


def unanswered(execution: Mapping[str, Any]) -> dict[str, Any]:
    """What handle-request would have handed on, out of the event of its own failure."""
    described = {
        "ExecutionArn": execution["executionArn"],
        "Status": execution["status"],
        "Error": execution.get("error"),
        "Cause": execution.get("cause"),
    }
    failure = {"Error": "States.TaskFailed", "Cause": json.dumps(described)}
    return {**json.loads(execution["input"]), "Failure": failure}


@helper.create
@helper.update
@helper.delete
def reply(event: Mapping[str, Any], _context: Any) -> str | None:
    """crhelper sends what this returns as the physical id, and what it raises as the reason.

    A rollback passes whatever failed in it, because what it failed to do can be made up for by an
    update, and a stack that is UPDATE_ROLLBACK_FAILED takes none.
    """
    given: str | None = event.get("PhysicalResourceId")
    failure = event.get("Failure")
    if failure and "Fallback" in event:
        warning = f"The rollback did not finish, update pReconcile: {innermost_cause(failure)}"
        logger.warning("%s", warning)
        helper.Data.update({**event["Fallback"], "Warnings": warning})
        return given
    if failure:
        helper.PhysicalResourceId = given or half_made(failure) or ""
        raise RuntimeError(innermost_cause(failure))
    report = event["Outcome"]["Report"] or {}
    helper.Data.update(report.get("Data") or {})
    return given or report.get("PhysicalResourceId")


def half_made(failure: Mapping[str, Any]) -> str | None:
    """The id of what a failed creation made, which stands as [id] at the end of its cause."""
    found = re.search(r"\[([a-z]+-[0-9a-zA-Z]+)\]$", whole_cause(failure))
    return found.group(1) if found else None


def innermost_cause(failure: Mapping[str, Any]) -> str:
    """The sentence for the stack event, at most as long as crhelper lets it be."""
    return shortened(whole_cause(failure))


def whole_cause(failure: Mapping[str, Any]) -> str:
    """The sentence that says what happened, out of however many executions it has come up through.

    A failed startExecution.sync:2 is caught as {"Error": "States.TaskFailed", "Cause":
    <DescribeExecution of the child as JSON>}, whose Cause may be the same of a grandchild; a
    failed function as {"Error": <exception class>, "Cause": <{"errorType", "errorMessage", ...}
    as JSON>}. A child that timed out or was stopped has no Cause.
    """
    error, cause = failure.get("Error") or "", failure.get("Cause") or ""
    while True:
        detail = parsed(cause)
        if detail is None:
            break
        if "errorMessage" in detail:
            error, cause = detail.get("errorType") or error, str(detail["errorMessage"])
            break
        if "ExecutionArn" not in detail:
            break
        machine = detail["ExecutionArn"].split(":")[6]
        error, cause = detail.get("Error") or "", detail.get("Cause") or ended_as(machine, detail)
    return f"{error}: {cause}" if error and not error.startswith("States.") else cause or error


def parsed(text: str) -> dict[str, Any] | None:
    """The JSON object in a cause, or what is left of one cut off; None if it is neither."""
    try:
        value = json.loads(text)
        return value if isinstance(value, dict) else None
    except ValueError:
        plain = re.sub(r"\\+", "", text)
        # A nested cause begins with a brace, so what is left is the innermost one.
        found = re.findall(r'"(?:errorMessage|Cause)"\s*:\s*"([^"{][^"]*)', plain)
        return {"errorMessage": found[-1]} if found and plain.lstrip()[:1] == "{" else None


def ended_as(machine: str, described: Mapping[str, Any]) -> str:
    """A sentence for an execution that ended without a cause of its own."""
    return {
        "TIMED_OUT": f"The workflow {machine} did not end within its time limit.",
        "ABORTED": f"The workflow {machine} was stopped by an operator.",
    }.get(
        str(described.get("Status")),
        f"The workflow {machine} failed: {described.get('Error') or 'no cause given'}.",
    )


def shortened(text: str) -> str:
    """The beginning says what happened, the end to which id; so it is the middle that is spared."""
    text = " ".join(text.split())
    half = _REASON_LIMIT // 2
    return text if len(text) <= _REASON_LIMIT else f"{text[: half - 3]} ... {text[2 - half :]}"
