"""What outlasts a request: a detached execution of align-hsms carries on when the time is over.

CloudFormation waits for an hour. If AWS is still making what it accepted and the cluster is usable,
the request succeeds with a warning instead of destroying what is almost done.
"""

from __future__ import annotations

from typing import Any

from hsm_lifecycle import deadlines, hsm_plan
from hsm_lifecycle.dispatch import Event
from hsm_lifecycle.hsm_plan import Cluster, Memory, Plan

# AWS changes the HSM type, or changes it back to hsm1.medium (F1.43).
TYPE_CHANGES = ("MODIFY_IN_PROGRESS", "ROLLBACK_IN_PROGRESS")
_OLD_TYPE = "hsm1.medium"


def plan(event: Event, cluster: Cluster, memory: Memory) -> Plan | None:
    """DETACH, with the warning, if the time is over and the cluster usable; else None.

    Creations and updates pass their input to align-hsms; a deletion must never be detached.
    """
    given = event.get("Input") or {}
    is_possible = given.get("LifecycleInput") and not deadlines.is_detached(event)
    if not is_possible or not deadlines.is_over(event) or not _is_usable(event, cluster):
        return None
    left = _left(event, cluster, memory)
    return Plan("DETACH", message=f"{left}; align-hsms continues as {name(event)}.")


def name(event: Event) -> str:
    """The name of the detached execution: one for each lifecycle, however often it is started."""
    parent = str((event.get("Input") or {}).get("AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID", ""))
    return f"{parent.rpartition(':')[2]}-detached"


def wanted_type(event: Event, cluster: Cluster) -> str:
    """The HSM type that AWS is changing to, which the detached execution checks; else empty."""
    known = event["Hsms"].get("HsmType") or ""
    if known or cluster["State"] not in TYPE_CHANGES:
        return str(known)
    request: dict[str, Any] = (event.get("Input") or {}).get("LifecycleInput") or {}
    return str(request.get("ResourceProperties", {}).get("HsmType") or "")


def failed_change(cluster: Cluster, wanted: str) -> Plan | None:
    """UNHEALTHY if AWS has not made a change of the HSM type, or is rolling it back."""
    state, actual = cluster["State"], cluster.get("HsmType")
    is_rolled_back = state == "ROLLBACK_IN_PROGRESS" and wanted != _OLD_TYPE
    if not wanted or (not is_rolled_back and (actual == wanted or state.endswith("_IN_PROGRESS"))):
        return None
    reason = cluster.get("StateMessage") or "AWS gives no reason"
    return Plan(
        "UNHEALTHY",
        message=f"AWS did not change the HSM type to {wanted} (pHsmType); the cluster is {state}"
        f" with {actual}: {reason}.",
    )


def _is_usable(event: Event, cluster: Cluster) -> bool:
    """Whether it has an ACTIVE HSM or is to have none, or AWS changes the type of its HSMs."""
    return (
        cluster["State"] in TYPE_CHANGES
        or int(event["HsmsPerSubnet"]) == 0
        or any(hsm["State"] == "ACTIVE" for hsm in cluster["Hsms"])
    )


def _left(event: Event, cluster: Cluster, memory: Memory) -> str:
    """What AWS is still making."""
    if cluster["State"] in TYPE_CHANGES:
        return f"The cluster is {cluster['State']} to {wanted_type(event, cluster)}"
    wanted = int(event["HsmsPerSubnet"]) * len(cluster["SubnetMapping"])
    active = sum(hsm["State"] == "ACTIVE" for hsm in cluster["Hsms"])
    if active < wanted:
        return f"{active} of {wanted} HSMs ACTIVE"
    return hsm_plan.status(cluster, memory)
