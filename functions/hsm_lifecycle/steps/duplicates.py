"""Steps: clusters that this stack created twice, because CreateCluster took effect late.

CreateCluster has no idempotency token (F1.6), so it is called again if its response was lost and no
cluster with this stack's tags is listed a minute later.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from hsm_lifecycle import aws, deadlines, hsm_plan, ownership
from hsm_lifecycle.dispatch import Event
from hsm_lifecycle.properties import NONE

_SECONDS = 600

logger = logging.getLogger("hsm_lifecycle")


def find_duplicates(event: Event) -> dict[str, Any]:
    """Find the clusters with this stack's tags other than ClusterId.

    Next is WAIT while more may appear or one is in transition, DELETE if one is empty, RETAIN if
    all have HSMs or backups, or NONE. Ten minutes after Since it is RETAIN: duplicates, which
    Warnings names, fail nothing.
    """
    duplicates = list(_duplicates(event))
    seconds = deadlines.seconds_between(event["Since"], event["EnteredTime"])
    if event["EnteredTime"] < event["SettledAt"]:
        next_ = "WAIT"
    elif not duplicates:
        next_ = "NONE"
    elif seconds >= _SECONDS:
        next_ = "RETAIN"
    elif any(cluster["State"].endswith("_IN_PROGRESS") for cluster in duplicates):
        next_ = "WAIT"
    else:
        next_ = "DELETE" if any(map(_is_empty, duplicates)) else "RETAIN"
    warnings = [
        f"{cluster['ClusterId']} ({cluster['State']}) also has this stack's tags. Delete its HSMs,"
        f" then: aws cloudhsmv2 delete-cluster --cluster-id {cluster['ClusterId']}"
        for cluster in duplicates
    ]
    return {"Next": next_, "Warnings": " ".join(warnings) or NONE, "Since": event["Since"]}


def delete_duplicates(event: Event) -> dict[str, Any]:
    """Delete the empty clusters with this stack's tags other than ClusterId."""
    for cluster in _duplicates(event):
        if _is_empty(cluster) and not cluster["State"].endswith("_IN_PROGRESS"):
            try:
                aws.client("cloudhsmv2").delete_cluster(ClusterId=cluster["ClusterId"])
            except ClientError as error:
                logger.warning("%s was not deleted: %s", cluster["ClusterId"], error)
    return {}


def _duplicates(event: Event) -> Iterator[dict[str, Any]]:
    for cluster in ownership.all_with_tags(event["StackId"], event["LogicalResourceId"]):
        if cluster["ClusterId"] != event["ClusterId"]:
            yield cluster


def _is_empty(cluster: dict[str, Any]) -> bool:
    return not hsm_plan.listed(cluster) and not ownership.has_backups(cluster["ClusterId"])
