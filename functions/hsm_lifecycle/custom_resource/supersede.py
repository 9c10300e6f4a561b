"""Stop what earlier requests of the stack left running, before a new one starts."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from hsm_lifecycle import aws
from hsm_lifecycle.errors import SupersededError
from hsm_lifecycle.steps import client

_INTERVAL = 2  # seconds between attempts
_ATTEMPTS = 30
_ATTEMPTS_FOR_RESPONSE = 15  # that a handle-request gets to finish its response
_ATTEMPTS_TO_STOP_CLIENT = 10
_WORKER_SECONDS = 60  # a worker goes on when its execution is stopped, but not for longer

logger = logging.getLogger("hsm_lifecycle")


def supersede(request: Mapping[str, Any]) -> None:
    """Stop all executions of this stack's state machines, and wait until nothing is running.

    Stopping a parent reaches its children late and only as best effort, so each is stopped
    directly. A handle-request without a running lifecycle is only sending its response, and ends
    by itself. SupersededError: the stack is being deleted, which only a Delete may interrupt.
    """
    stopped = False
    for attempt in range(_ATTEMPTS):
        handling = _running(os.environ["HANDLE_REQUEST"])
        working = [
            arn for machine in json.loads(os.environ["MACHINES"]) for arn in _running(machine)
        ]
        if not handling + working:
            time.sleep(_WORKER_SECONDS if stopped else 0)
            return _stop_client()
        if request["RequestType"] != "Delete" and any(
            _name(arn).startswith("delete-") for arn in handling + working
        ):
            raise SupersededError(
                "This stack is being deleted, so it cannot be created or updated."
            )
        names = {_name(arn) for arn in working}
        for arn in working + [
            arn for arn in handling if _name(arn) in names or attempt > _ATTEMPTS_FOR_RESPONSE
        ]:
            _stop(arn)
        if working and not stopped:
            for instance_id in _clients(request):
                client.cancel_commands(instance_id, _machine_names())
            stopped = True
        time.sleep(_INTERVAL)
    raise TimeoutError(
        f"An execution of an earlier request did not stop: {(working + handling)[0]}."
    )


def _stop_client() -> None:
    """Stop the client if an earlier request started it and could not stop it again.

    A failure to do so does not fail the request; the next one tries again.
    """
    try:
        for _ in range(_ATTEMPTS_TO_STOP_CLIENT):
            if client.stop_started(_machine_names()):
                return
            time.sleep(_INTERVAL)
        logger.warning("the client was started by an earlier request and is still booting")
    except (BotoCoreError, ClientError) as error:
        logger.warning("could not stop the client that an earlier request started: %s", error)


def _clients(request: Mapping[str, Any]) -> set[str]:
    """The client instance, and in an update the one before it."""
    old = request.get("OldResourceProperties", {})
    return {
        os.environ["CLIENT_INSTANCE"],
        old.get("ClientInstanceId", os.environ["CLIENT_INSTANCE"]),
    }


def _machine_names() -> list[str]:
    """This stack's state machines, except handle-request."""
    return [_name(machine) for machine in json.loads(os.environ["MACHINES"])]


def _running(machine: str) -> list[str]:
    """The running executions of a state machine."""
    states = aws.client("stepfunctions", attempts=aws.ATTEMPTS)
    pages = states.get_paginator("list_executions")
    return [
        execution["executionArn"]
        for page in pages.paginate(stateMachineArn=machine, statusFilter="RUNNING")
        for execution in page["executions"]
    ]


def _name(arn: str) -> str:
    """The name in the ARN of an execution or a state machine."""
    return arn.rpartition(":")[2]


def _stop(execution_arn: str) -> None:
    states = aws.client("stepfunctions", attempts=aws.ATTEMPTS)
    # ValidationException: the execution ended in the meantime.
    with contextlib.suppress(states.exceptions.ValidationException):
        states.stop_execution(
            executionArn=execution_arn,
            error="Superseded",
            cause="Superseded by a newer CloudFormation request.",
        )
