"""Turns a set of steps into one Lambda handler, and their errors into sentences with an id."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import Any

from hsm_lifecycle import aws, errors

Event = Mapping[str, Any]
Step = Callable[[Event], dict[str, Any]]

logger = logging.getLogger("hsm_lifecycle")
logger.setLevel(logging.INFO)


def worker(*steps: Step) -> Callable[[Event, Any], dict[str, Any]]:
    """A Lambda handler that runs the step which the event names under "Step"."""
    by_name = {name_of(step): step for step in steps}

    def handle(event: Event, _context: Any) -> dict[str, Any]:
        name = event["Step"]
        try:
            result = by_name[name](event)
        except Exception as problem:
            meant = foreseen(aws.translated(problem))
            raise type(meant)(sentence(name, meant, event)) from problem
        logger.info("%s done", name, extra={"step": name, "cluster": event.get("ClusterId")})
        return result

    handle.steps = by_name  # type: ignore[attr-defined]  # read by the wiring test
    return handle


def name_of(step: Step) -> str:
    """The state's name for a step: create_first_hsm is CreateFirstHsm."""
    return "".join(word.capitalize() for word in step.__name__.split("_"))


def foreseen(problem: Exception) -> Exception:
    """An error of `errors`, whose name a state machine may match on; any other in its place."""
    if type(problem).__module__ == errors.__name__:
        return problem
    return errors.UnexpectedError(f"{type(problem).__name__}: {problem}")


def sentence(step: str, problem: Exception, event: Event) -> str:
    """What happened in which step, ending in [id] of what it happened to.

    The front door answers CloudFormation with that id, so that a failed creation is deleted.
    """
    text = str(problem) if str(problem).startswith(f"{step}: ") else f"{step}: {problem}"
    made = event.get("KeyStoreId") or event.get("ClusterId")
    return text if not made or re.search(rf"\[{made}\]$", text) else f"{text} [{made}]"
