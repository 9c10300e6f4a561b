"""Stop what earlier requests of the stack left running, before a new one starts."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from hsm_lifecycle import aws
from hsm_lifecycle.custom_resource.execution import arn_of
from hsm_lifecycle.errors import SupersededError
from hsm_lifecycle.steps import client

# The function has 200 s: three pauses for the key of the ResponseURL (15 s), 16 intervals, a pause
# for unlisted executions, two for workers and the 10 s of a new version are 171 s at most. Waiting
# for commands and the client takes what is left, except for a reserve for requests to AWS.
_INTERVAL = 2  # seconds between attempts
_ATTEMPTS = 16
_ATTEMPTS_FOR_RESPONSE = 12  # that a handle-request gets to finish its response
_ATTEMPTS_TO_STOP_CLIENT = 10
_ATTEMPTS_TO_END_COMMANDS = 5
_UNLISTED_SECONDS = 10  # until a new execution is listed (F6.37)
_WORKER_SECONDS = 52  # a worker goes on when its execution is stopped, for 50 s at most
_MAX_PAUSES = 2
_RESERVE = 30  # seconds, with the pause for a new version

logger = logging.getLogger("hsm_lifecycle")


def supersede(
    request: Mapping[str, Any],
    name: str,
    seconds_left: Callable[[], float],
    *,
    may_overlap: bool = True,
) -> bool:
    """Stop all executions of this stack's state machines, and wait until nothing is running.

    False: meanwhile another delivery of the same event has started the execution of this name.

    Stopping a parent reaches its children late and only as best effort, so each is stopped
    directly. A handle-request without a running lifecycle is only sending its response, and ends
    by itself. ListExecutions is eventually consistent (F6.37), so nothing is running only if it
    lists nothing twice, with a pause that also lets the workers of stopped executions end. Once is
    enough if no earlier request can have started an execution just now (may_overlap).
    SupersededError: the stack is being deleted, which only a Delete may interrupt.
    """
    stopped: set[str] = set()
    was_empty, pauses = not may_overlap, 0
    for attempt in itertools.count():
        handling = _running(os.environ["HANDLE_REQUEST"])
        working = [
            arn for machine in os.environ["MACHINES"].split() for arn in _running(arn_of(machine))
        ]
        if not handling + working:
            if was_empty:
                _end_commands(request, seconds_left)
                _stop_client(seconds_left)
                return True
            was_empty = True
            pauses += bool(stopped)
            time.sleep(_WORKER_SECONDS if stopped else _UNLISTED_SECONDS)
            continue
        if attempt >= _ATTEMPTS or pauses == _MAX_PAUSES:
            break
        was_empty = not may_overlap and not working and not stopped
        # handle-request may have to run a lifecycle again.
        names = {_name(arn).removesuffix("-again") for arn in working}
        if name in names | {_name(arn) for arn in handling}:
            return False
        if request["RequestType"] != "Delete" and any(
            _name(arn).startswith("delete-") for arn in handling + working
        ):
            raise SupersededError(
                "This stack is being deleted, so it cannot be created or updated."
            )
        for arn in working + [
            arn for arn in handling if _name(arn) in names or attempt > _ATTEMPTS_FOR_RESPONSE
        ]:
            _stop(arn)
        if set(working) - stopped:
            _cancel_commands(request)
            stopped |= set(working)
        time.sleep(_INTERVAL)
    raise TimeoutError(
        f"An execution of an earlier request did not stop: {(working + handling)[0]}."
    )


def _end_commands(request: Mapping[str, Any], seconds_left: Callable[[], float]) -> None:
    """Cancel what earlier requests left running on the client, and wait until it has ended.

    A workflow may have failed while its command went on: after its time limit, or if its function
    died. A client that is stopped or unreachable keeps its commands, so the wait is short.
    """
    if request["RequestType"] == "Create":
        return
    for _ in range(_ATTEMPTS_TO_END_COMMANDS):
        running = _cancel_commands(request)
        if not running:
            return
        if seconds_left() < _RESERVE:
            break
        time.sleep(_INTERVAL)
    logger.warning("still running on the client: %s", running)


def _cancel_commands(request: Mapping[str, Any]) -> list[str]:
    """The commands of this stack that had not ended; a failure to cancel them is only logged."""
    try:
        return [
            command
            for instance_id in sorted(_clients(request))
            for command in client.cancel_commands(instance_id, _machine_names())
        ]
    except (BotoCoreError, ClientError) as error:
        logger.warning("could not cancel the commands of an earlier request: %s", error)
        return []


def _stop_client(seconds_left: Callable[[], float]) -> None:
    """Stop the client if an earlier request started it and could not stop it again.

    A failure to do so does not fail the request; the next one tries again.
    """
    try:
        for _ in range(_ATTEMPTS_TO_STOP_CLIENT):
            if client.stop_started(_machine_names()):
                return
            if seconds_left() < _RESERVE:
                break
            time.sleep(_INTERVAL)
        logger.warning("the client was started by an earlier request and is still booting")
    except (BotoCoreError, ClientError) as error:
        logger.warning("could not stop the client that an earlier request started: %s", error)


def _clients(request: Mapping[str, Any]) -> set[str]:
    """The client instances of this stack, and those that its properties name or named."""
    properties = request["ResourceProperties"], request.get("OldResourceProperties", {})
    named = {each["ClientInstanceId"] for each in properties if "ClientInstanceId" in each}
    return client.ids_of_this_stack() | named


def _machine_names() -> list[str]:
    """This stack's state machines, except handle-request."""
    return [_name(arn_of(machine)) for machine in os.environ["MACHINES"].split()]


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
