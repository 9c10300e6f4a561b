"""Which operations a stack accepts in which status.

ministack takes change sets for stacks that it would not update, and creates a stack over one in
ROLLBACK_COMPLETE. Retrying a creation or update that preserved its resources (CREATE_FAILED,
UPDATE_FAILED) is not offered.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html
https://repost.aws/knowledge-center/cloudformation-stack-rollback-complete
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from localaws.ministack.access import ministack

Response = tuple[int, dict[str, str], bytes]
Action = Callable[[Any], Response]

UPDATABLE = frozenset(
    {
        "CREATE_COMPLETE",
        "IMPORT_COMPLETE",
        "IMPORT_ROLLBACK_COMPLETE",
        "UPDATE_COMPLETE",
        "UPDATE_ROLLBACK_COMPLETE",
    }
)
REVIEW = "REVIEW_IN_PROGRESS"

_handlers = ministack("services.cloudformation.handlers")


def install() -> None:
    """Refuse operations in the statuses in which CloudFormation does."""
    actions = _handlers._ACTION_HANDLERS
    for name, problem in (
        ("CreateStack", _create_problem),
        ("UpdateStack", _update_problem),
        ("CreateChangeSet", _change_set_problem),
    ):
        actions[name] = _refusing(problem, actions[name])


def _refusing(problem: Callable[[Any], Response | None], action: Action) -> Action:
    return lambda params: problem(params) or action(params)


def _status(stack_name: str) -> tuple[str, str]:
    """The id and status of a stack, both empty if it does not exist or is deleted."""
    stack = _handlers._resolve_stack(stack_name)
    if not stack or stack["StackStatus"] == "DELETE_COMPLETE":
        return "", ""
    return stack["StackId"], stack["StackStatus"]


def _create_problem(params: Any) -> Response | None:
    name = _handlers._p(params, "StackName")
    if not _status(name)[1]:
        return None
    refused: Response = _handlers._error("AlreadyExistsException", f"Stack [{name}] already exists")
    return refused


def _update_problem(params: Any) -> Response | None:
    stack_id, status = _status(_handlers._p(params, "StackName"))
    if not status or status in UPDATABLE:
        return None
    refused: Response = _handlers._error(
        "ValidationError", f"Stack:{stack_id} is in {status} state and can not be updated."
    )
    return refused


def _change_set_problem(params: Any) -> Response | None:
    if _handlers._p(params, "ChangeSetType", "UPDATE") != "CREATE":
        return _update_problem(params)
    name, change_set = (_handlers._p(params, key) for key in ("StackName", "ChangeSetName"))
    if _status(name)[1] in ("", REVIEW):
        return None
    refused: Response = _handlers._error(
        "ValidationError",
        f"Stack [{name}] already exists and cannot be created again with the changeSet "
        f"[{change_set}].",
    )
    return refused
