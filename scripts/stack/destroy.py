"""Delete a stack after the workflow's own checks, and follow the request to its end."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from scripts.stack import protection, watch
from scripts.stack.account import Account, Json, OperatorError
from scripts.stack.deploy import REVIEW
from scripts.stack.observer import cluster_of, latest_request_id
from scripts.stack.request import CLUSTER

FUNCTIONS = Path(__file__).resolve().parents[2] / "functions"
# CloudFormation refuses to delete a stack during these.
_UPDATING = ("UPDATE_", "IMPORT_", "REVIEW_")


def destroy(console: Console, account: Account, name: str) -> bool:
    """Delete a stack; returns whether it is deleted."""
    stack = account.stack(name)
    status = stack["StackStatus"]
    if status == "DELETE_COMPLETE":
        raise OperatorError(f"Stack {name} is deleted already: {stack['StackId']}")
    if status == "DELETE_IN_PROGRESS":
        return watch.follow(console, account, stack)
    protection.require_lifted(stack)
    cloudformation = account.client("cloudformation")
    if status == REVIEW:
        cloudformation.delete_stack(StackName=stack["StackId"])
        console.print(f"Stack {name} had no resources and is deleted.")
        return True
    if status.startswith(_UPDATING) and status.endswith("IN_PROGRESS"):
        raise OperatorError(
            f"Stack {name} is {status}, so it was not deleted. Wait (make watch STACK={name}), or"
            f" cancel the update: aws cloudformation cancel-update-stack --stack-name {name}"
        )
    check(account, stack)
    before = latest_request_id(account, stack)
    cloudformation.delete_stack(StackName=stack["StackId"])
    deleted = watch.follow(console, account, stack, after=before)
    if not deleted:
        console.print("What to do next: docs/troubleshooting.md", soft_wrap=True)
    return deleted


def check(account: Account, stack: Json) -> None:
    """Refuse what delete-cluster would refuse after CloudFormation has begun to delete.

    A stack whose deletion was refused can only be deleted again, never updated.
    """
    kinds = {
        each["ResourceType"]
        for each in account.pages(
            "cloudformation",
            "list_stack_resources",
            "StackResourceSummaries",
            StackName=stack["StackId"],
        )
    }
    cluster = cluster_of(account, stack) if CLUSTER in kinds else None
    if cluster is None:
        return
    # The workflow's own step, which asks with the operator's credentials here.
    sys.path.append(str(FUNCTIONS))
    from hsm_lifecycle.errors import ClusterInUseError
    from hsm_lifecycle.steps.cluster import check_deletion

    try:
        check_deletion({"ClusterId": cluster["ClusterId"]})
    except ClusterInUseError as error:
        raise OperatorError(
            f"Stack {stack['StackName']} was not deleted and is unchanged. {error}"
        ) from error
