"""Steps: give each zone of a cluster its HSMs, one action at a time."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from hsm_lifecycle import aws, deadlines, detachment, hsm_plan, key_stores, ownership, pem, polling
from hsm_lifecycle.dispatch import Event
from hsm_lifecycle.errors import HsmBusyError, TransientError
from hsm_lifecycle.hsm_plan import Memory, Plan

# HSMs that one call of a step creates: it has 50 seconds.
_AT_ONCE = 6


def describe_hsms(event: Event) -> dict[str, Any]:
    """Compare the HSMs with HsmsPerSubnet and decide the next action.

    Next is CREATE (in Zones), DELETE (EniId), WAIT, ALIGNED, UNHEALTHY (why: Message), or DETACH:
    the time is over, but the cluster usable, so that the request succeeds with the warning Message
    while the execution DetachedName carries on.
    """
    cluster, state = ownership.find_during_request(event), event["Hsms"]
    memory = Memory.of(state, cluster, event["EnteredTime"])
    plan = _plan(event, cluster, memory)
    active = (hsm for hsm in hsm_plan.listed(cluster) if hsm["State"] == "ACTIVE")
    return {
        "Next": plan.next,
        "Zones": list(plan.zones[:_AT_ONCE]),
        # For the step of version 1.0.0, which creates one.
        "Zone": plan.zone,
        "EniId": plan.hsm,
        "Message": plan.message,
        "Created": memory.not_listed,
        "Replaced": memory.replaced,
        "Deleted": memory.deleted,
        "SettledAt": state.get("SettledAt") or "",
        "HsmType": detachment.wanted_type(event, cluster),
        "DetachedName": detachment.name(event),
        "IpAddresses": " ".join(sorted(hsm["EniIp"] for hsm in active)),
        "ClusterCertificate": pem.body(ownership.certificate_of(cluster)),
        **polling.look(event, hsm_plan.in_progress(cluster, memory)),
        # The detached execution, which gets this, has to check whether it has started late.
        **({"CheckedAt": ""} if plan.next == "DETACH" else {}),
    }


def _plan(event: Event, cluster: hsm_plan.Cluster, memory: Memory) -> Plan:
    if failed := detachment.failed_change(cluster, str(event["Hsms"].get("HsmType") or "")):
        return failed
    plan = hsm_plan.next_action(cluster, int(event["HsmsPerSubnet"]), memory)
    if plan.next == "DELETE" and not plan.leaves_two_zones:
        plan = _unless_key_store_needs_hsms(event["ClusterId"], plan)
    if plan.next in ("ALIGNED", "UNHEALTHY"):
        return plan
    if detached := detachment.plan(event, cluster, memory):
        return detached
    deadlines.check(event, hsm_plan.status(cluster, memory))
    return plan


def _unless_key_store_needs_hsms(cluster_id: str, plan: Plan) -> Plan:
    store = key_stores.needing_hsms(cluster_id)
    if store is None:
        return plan
    return Plan(
        "UNHEALTHY",
        message=f"KMS key store {store['CustomKeyStoreId']} is {store['ConnectionState']} and needs"
        " HSMs in two Availability Zones, so no HSM was deleted. Disconnect it first.",
    )


def create_hsm(event: Event) -> dict[str, Any]:
    """Create the missing HSMs, unless their zones already have enough.

    HsmBusyError: AWS refused while another HSM of the cluster is in progress. A refusal after a
    creation, which has to be noted, is left to the next call of this step.
    """
    cluster, state = ownership.require_owned(event), dict(event["Hsms"])
    state["SettledAt"] = deadlines.lost_calls_settled_at(event, state)
    listed, created = hsm_plan.listed(cluster), Counter[str]()
    not_listed = hsm_plan.not_listed(listed, state["Created"], event["EnteredTime"])
    for zone in state.get("Zones") or [state["Zone"]]:
        existing = len(hsm_plan.usable(listed, zone)) + created[zone]
        if existing >= int(event["HsmsPerSubnet"]):
            continue
        try:
            with _busy_on_conflict(listed, not_listed):
                hsm = create(event["ClusterId"], zone)
        except (ClientError, HsmBusyError) as error:
            if created and not isinstance(aws.to_workflow_error(error), TransientError):
                break
            raise
        created[zone] += 1
        state = _with_created(state, hsm, zone, event["EnteredTime"])
    return state


def _with_created(
    state: Mapping[str, Any], hsm: Mapping[str, Any], zone: str, now: str
) -> dict[str, Any]:
    """The state data with another HSM created, which may replace a DEGRADED one."""
    # The response may lack the network interface (F1.48), so that the HSM's ID is noted too.
    ids = {"HsmId": hsm["HsmId"], "EniId": hsm.get("EniId", "")}
    entry = {"Zone": zone, **ids, "At": now}
    replaced = [dict(earlier) for earlier in state["Replaced"]]
    for earlier in replaced:
        if earlier["Zone"] == zone and not earlier["By"]:
            earlier["By"] = hsm_plan.identity(hsm)
            break
    begun = polling.begin("HSM CREATE_IN_PROGRESS", now)
    return {**state, **begun, "Created": [*state["Created"], entry], "Replaced": replaced}


def delete_hsm(event: Event) -> dict[str, Any]:
    """Delete a surplus or DEGRADED HSM, unless it is already being deleted.

    HsmBusyError: AWS refused while another HSM of the cluster is in progress.
    """
    listed, state = hsm_plan.listed(ownership.require_owned(event)), event["Hsms"]
    replaced, deleted = list(state["Replaced"]), list(state["Deleted"])
    for hsm in listed:
        if hsm_plan.identity(hsm) == state["EniId"] and hsm["State"] != "DELETE_IN_PROGRESS":
            with _busy_on_conflict([other for other in listed if other is not hsm]):
                delete(event["ClusterId"], hsm)
            entry = {"Zone": hsm["AvailabilityZone"], "EniId": hsm_plan.identity(hsm)}
            if hsm["State"] == "DEGRADED":
                replaced.append({**entry, "By": ""})
            else:
                deleted.append(entry)
    return {**state, "Replaced": replaced, "Deleted": deleted}


@contextlib.contextmanager
def _busy_on_conflict(
    others: list[dict[str, Any]], not_listed: list[dict[str, str]] | None = None
) -> Iterator[None]:
    """Raise HsmBusyError if AWS refuses while another HSM of the cluster is in progress.

    Whether AWS accepts two HSM operations at once is not documented (F1.31).
    """
    in_progress = [
        f"{hsm['HsmId']} is {hsm['State']}"
        for hsm in others
        if hsm["State"] in hsm_plan.IN_PROGRESS
    ] + [f"The HSM just created in {entry['Zone']} is not listed yet" for entry in not_listed or []]
    try:
        yield
    except ClientError as error:
        if not in_progress or aws.error_code(error) != "CloudHsmInvalidRequestException":
            raise
        raise HsmBusyError(f"{in_progress[0]}: {aws.error_message(error)}") from error


def create(cluster_id: str, zone: str) -> dict[str, Any]:
    """Ask AWS for an HSM in a zone; the HSM as CreateHsm returns it."""
    hsm: dict[str, Any] = aws.client("cloudhsmv2").create_hsm(
        ClusterId=cluster_id, AvailabilityZone=zone
    )["Hsm"]
    return hsm


def delete(cluster_id: str, hsm: Mapping[str, Any]) -> None:
    """Ask AWS to delete an HSM."""
    identifier = {"EniId": hsm["EniId"]} if hsm.get("EniId") else {"HsmId": hsm["HsmId"]}
    aws.client("cloudhsmv2").delete_hsm(ClusterId=cluster_id, **identifier)
