"""Which cluster belongs to this stack: found and checked by the tags that the stack sets."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from typing import Any

from hsm_lifecycle import aws, deadlines
from hsm_lifecycle.dispatch import Event
from hsm_lifecycle.errors import ClusterNotFoundError, NotOwnedError, ParameterError

STACK_TAG = "hsm-lifecycle:stack-id"
LOGICAL_ID_TAG = "hsm-lifecycle:logical-id"
STACK_KEYS_TAG = "hsm-lifecycle:stack-tag-keys"
MAX_TAGS = 50  # https://docs.aws.amazon.com/cloudhsm/latest/APIReference/API_CreateCluster.html
# How late a call whose response was lost may take effect, plus the 60 s until the next call.
_LATEST_EFFECT = datetime.timedelta(seconds=deadlines.LATEST_EFFECT + 60)
_CLUSTER_ID = re.compile(r"cluster-[2-7a-zA-Z]{11,16}")  # the API's own pattern (F1.11)


def is_cluster_id(text: str) -> bool:
    """Whether the API would accept this as a cluster ID."""
    return bool(_CLUSTER_ID.fullmatch(text))


def find(cluster_id: str) -> dict[str, Any] | None:
    """The cluster as DescribeClusters returns it; None if it is DELETED (F1.28) or unknown."""
    if not is_cluster_id(cluster_id):
        return None
    for cluster in _describe_clusters(Filters={"clusterIds": [cluster_id]}):
        if cluster["ClusterId"] == cluster_id and cluster["State"] != "DELETED":
            return cluster
    return None


def find_by_tags(stack_id: str, logical_id: str) -> dict[str, Any] | None:
    """The cluster that this stack created, even if the response to CreateCluster was lost."""
    return next(all_with_tags(stack_id, logical_id), None)


def all_with_tags(stack_id: str, logical_id: str) -> Iterator[dict[str, Any]]:
    """The clusters that this stack created: more than one if CreateCluster took effect late."""
    wanted = {STACK_TAG: stack_id, LOGICAL_ID_TAG: logical_id}
    for cluster in _describe_clusters():
        if cluster["State"] != "DELETED" and wanted.items() <= tags_of(cluster).items():
            yield cluster


def settled_at(cluster: dict[str, Any] | None) -> str:
    """When all lost calls of CreateCluster have taken effect that came before this cluster."""
    if cluster is None:
        return "1970-01-01T00:00:00Z"
    settled = cluster["CreateTimestamp"] + _LATEST_EFFECT
    return f"{settled.astimezone(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"


def has_backups(cluster_id: str) -> bool:
    """Whether the cluster has backups, which outlive it and need its secrets (F1.30)."""
    if not is_cluster_id(cluster_id):
        return False
    pages = aws.client("cloudhsmv2").get_paginator("describe_backups")
    return any(
        bool(page["Backups"]) for page in pages.paginate(Filters={"clusterIds": [cluster_id]})
    )


def find_during_request(event: Event) -> dict[str, Any]:
    """The cluster that a workflow is polling. ClusterNotFoundError if it disappeared."""
    cluster = find(event["ClusterId"])
    if cluster is None:
        raise ClusterNotFoundError("The cluster was deleted outside this stack during the request.")
    return cluster


def require_owned(event: Event) -> dict[str, Any]:
    """The cluster that a step is about to change.

    NotOwnedError: it lacks this stack's tag. ClusterNotFoundError: it is gone.
    """
    cluster = find(event["ClusterId"])
    if cluster is None:
        raise ClusterNotFoundError("The cluster no longer exists.")
    if not is_owned(cluster, event):
        raise not_owned()
    return cluster


def is_owned(cluster: dict[str, Any], event: Event) -> bool:
    """Whether the cluster carries this stack's tag."""
    return bool(tags_of(cluster).get(STACK_TAG) == event["StackId"])


def not_owned() -> NotOwnedError:
    """The error for a cluster without this stack's tag."""
    return NotOwnedError(
        f"The cluster lacks the tag {STACK_TAG} with this stack's ID, so it was not changed. If it"
        " belongs to this stack, restore the tag and retry."
    )


def certificate_of(cluster: dict[str, Any]) -> str:
    """The cluster's certificate as PEM; empty before it is initialized."""
    return str((cluster.get("Certificates") or {}).get("ClusterCertificate") or "")


def tags_of(cluster: dict[str, Any]) -> dict[str, str]:
    """The cluster's tags."""
    return {tag["Key"]: tag["Value"] for tag in cluster.get("TagList") or []}


def tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    """Tags as CloudHSM takes them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def describe_stack(event: Event) -> dict[str, Any]:
    """This stack as DescribeStacks returns it."""
    stacks = aws.client("cloudformation").describe_stacks(StackName=event["StackId"])["Stacks"]
    stack: dict[str, Any] = stacks[0]
    return stack


def is_rollback(event: Event) -> bool:
    """Whether the request is CloudFormation's rollback of an update."""
    return bool(describe_stack(event)["StackStatus"] == "UPDATE_ROLLBACK_IN_PROGRESS")


def stack_tags(event: Event) -> dict[str, str]:
    """The stack's own tags for the cluster, and one that lists their keys.

    The list tells which tags to remove once the stack drops them. A tag value has at most 256
    characters, so tags whose keys do not fit stay on the cluster.
    """
    # Only AWS may set tags that begin with "aws:", such as Service Catalog's.
    tags = {
        tag["Key"]: tag["Value"]
        for tag in describe_stack(event).get("Tags") or []
        if not tag["Key"].lower().startswith("aws:")
    }
    keys = ""
    for key in sorted(tags):
        if " " not in key and len(keys) + len(key) < 256:
            keys = f"{keys} {key}".strip()
    return {**tags, STACK_KEYS_TAG: keys}


def dropped_keys(present: dict[str, str], wanted: dict[str, str]) -> set[str]:
    """The keys of tags that the stack had and no longer has."""
    return set(present.get(STACK_KEYS_TAG, "").split()) - set(wanted)


def too_many_tags(keys: set[str]) -> ParameterError | None:
    """The error if these tags exceed CloudHSM's limit."""
    if len(keys) <= MAX_TAGS:
        return None
    added = len(keys & {STACK_TAG, LOGICAL_ID_TAG, STACK_KEYS_TAG})
    return ParameterError(
        f"Stack tags: the cluster would have {len(keys)} tags ({added} added by this template);"
        f" CloudHSM allows {MAX_TAGS}. Use at most {MAX_TAGS - added} stack tags, and untag the"
        " cluster of others."
    )


def _describe_clusters(**request: Any) -> Iterator[dict[str, Any]]:
    for page in aws.client("cloudhsmv2").get_paginator("describe_clusters").paginate(**request):
        yield from page["Clusters"]
