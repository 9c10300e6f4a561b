"""One Lambda handler out of many steps, with errors that name the step and the resource."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from hsm_lifecycle import aws, currency, errors

Event = Mapping[str, Any]
Step = Callable[[Event], dict[str, Any]]

logger = logging.getLogger("hsm_lifecycle")
logger.setLevel(logging.INFO)


def worker(*steps: Step) -> Callable[[Event, Any], dict[str, Any]]:
    """A Lambda handler that runs the step named in the event's "Step".

    The first task of each state machine passes the execution's input, which tells if it is late.
    """
    by_name = {name_of(step): step for step in steps}

    def handle(event: Event, _context: Any) -> dict[str, Any]:
        name = event["Step"]
        try:
            given = _of_this_stack(event)
            if not currency.is_checked(event):
                currency.require_current_execution(event.get("Input") or {})
            result = by_name[name](given)
        except Exception as cause:
            error = known_error(aws.to_workflow_error(cause))
            raise type(error)(failure_message(name, error, event)) from cause
        logger.info("%s done", name, extra={"step": name, "cluster": event.get("ClusterId")})
        return result

    handle.steps = by_name  # type: ignore[attr-defined]  # read by tests/unit/test_handlers.py
    return handle


def _of_this_stack(event: Event) -> Event:
    """The event with the ID of this function's stack, with which steps check what they own."""
    if event.get("StackId", aws.this_stack()) != aws.this_stack():
        raise errors.NotOwnedError(f"The request is of another stack: {event['StackId']}.")
    return {**event, "StackId": aws.this_stack()}


def name_of(step: Step) -> str:
    """The name of a step in the state machines: create_first_hsm is CreateFirstHsm."""
    return "".join(word.capitalize() for word in step.__name__.split("_"))


def known_error(error: Exception) -> Exception:
    """An error of `errors`, which state machines can match on; UnexpectedError for all others."""
    if type(error).__module__ == errors.__name__:
        return error
    return errors.UnexpectedError(f"{type(error).__name__}: {error}")


def _known_id(event: Event) -> str:
    """The cluster or key store that CloudFormation knows, before a step has found it."""
    physical_id = str(event.get("PhysicalResourceId"))
    return physical_id if physical_id.startswith(("cluster-", "cks-")) else ""


def failure_message(step: str, error: Exception, event: Event) -> str:
    """`Step: message [id]`, where the id is the resource that the step worked on.

    The response function takes the id from there, so that a failed creation gets deleted.
    """
    message = str(error) if str(error).startswith(f"{step}: ") else f"{step}: {error}"
    resource_id = event.get("KeyStoreId") or event.get("ClusterId") or _known_id(event)
    if not resource_id or message.endswith(f"[{resource_id}]"):
        return message
    return f"{message} [{resource_id}]"
