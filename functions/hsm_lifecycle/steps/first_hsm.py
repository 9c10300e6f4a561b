"""Steps: the first HSM of a cluster, which issues the certificate signing request."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from hsm_lifecycle import aws, deadlines, hsm_plan, ownership, polling
from hsm_lifecycle.dispatch import Event
from hsm_lifecycle.errors import HsmNotCreatedError, TransientError
from hsm_lifecycle.properties import ClusterProperties
from hsm_lifecycle.steps import hsms

# Deleting and creating another first HSM, initialization and activation have to fit into the
# workflow's 3300 s.
_SECONDS_TO_START_AGAIN = 1200
_SECONDS_NOT_LISTED = 60
_UNEXPLAINED = "CloudHsmServiceException"


def create_first_hsm(event: Event) -> dict[str, Any]:
    """Create the first HSM in the first untried subnet where AWS can.

    HsmNotCreatedError: all subnets were tried, or no time is left to try another. TransientError:
    the same, but AWS gave no reason in one of them.
    """
    cluster, tried = ownership.require_owned(event), list(event["FirstHsm"]["Tried"])
    reason, is_unexplained = event["FirstHsm"]["Message"], False
    if not hsm_plan.listed(cluster):
        elapsed = deadlines.seconds_between(event["StartTime"], event["EnteredTime"])
        for zone in _zones_in_order(event, cluster):
            if zone in tried or (tried and elapsed > _SECONDS_TO_START_AGAIN):
                continue
            tried.append(zone)
            try:
                hsms.create(event["ClusterId"], zone)
                break
            except ClientError as error:
                code = aws.error_code(error)
                status = error.response["ResponseMetadata"]["HTTPStatusCode"]
                # It may be about this zone, so the others are tried before it is retried.
                is_unexplained |= code == _UNEXPLAINED
                if aws.is_transient(code, status) and (code != _UNEXPLAINED or status >= 500):
                    raise
                reason = f"{code} in {zone}: {aws.error_message(error)}"
        else:
            untried = set(cluster["SubnetMapping"]) - set(tried)
            message = (
                f"No working HSM in {', '.join(tried)}"
                f"{', and no time is left for other zones' if untried else ''}. {reason}"
            )
            if is_unexplained:
                raise TransientError(message)
            raise HsmNotCreatedError(message)
    return {
        "State": "CREATE_IN_PROGRESS",
        "Tried": tried,
        "Message": reason,
        "NotListedSince": "",
        "SettledAt": deadlines.lost_calls_settled_at(event, event["FirstHsm"]),
        **polling.begin("HSM CREATE_IN_PROGRESS", event["EnteredTime"]),
    }


def describe_first_hsm(event: Event) -> dict[str, Any]:
    """Describe the only HSM of a cluster before activation.

    An HSM that AWS does not list counts as CREATE_IN_PROGRESS for a minute, then as NOT_FOUND; so
    does one that a lost call may still create: it would be one too many after the activation.
    """
    cluster, first = ownership.find_during_request(event), event["FirstHsm"]
    listed, settled_at = hsm_plan.listed(cluster), first.get("SettledAt") or ""
    now = event["EnteredTime"]
    not_listed_since = "" if listed else first["NotListedSince"] or now
    if listed:
        state = listed[0]["State"]
        if state == "ACTIVE" and not deadlines.has_passed(settled_at, now):
            state = "CREATE_IN_PROGRESS"
    else:
        is_expected = deadlines.seconds_between(not_listed_since, now) < _SECONDS_NOT_LISTED
        state = "CREATE_IN_PROGRESS" if is_expected else "NOT_FOUND"
    # Keep the reason why the HSM is deleted: AWS then describes the deletion instead.
    message = first["Message"]
    if state == "DEGRADED":
        reason = listed[0].get("StateMessage") or "AWS gives no reason"
        message = f"{listed[0]['HsmId']} in {listed[0]['AvailabilityZone']} is DEGRADED: {reason}"
    if state in hsm_plan.IN_PROGRESS:
        deadlines.check(event, f"The first HSM is still {state} ({message or 'no reason given'})")
    zones = [hsm["AvailabilityZone"] for hsm in listed]
    return {
        "State": state,
        "Tried": list(dict.fromkeys([*first["Tried"], *zones])),
        "Message": message,
        "NotListedSince": not_listed_since,
        "SettledAt": settled_at,
        **polling.look(event, f"HSM {state}"),
    }


def delete_first_hsm(event: Event) -> dict[str, Any]:
    """Delete the first HSM if it is DEGRADED."""
    for hsm in hsm_plan.listed(ownership.require_owned(event)):
        if hsm["State"] == "DEGRADED":
            hsms.delete(event["ClusterId"], hsm)
    return {**event["FirstHsm"], "NotListedSince": ""}


def _zones_in_order(event: Event, cluster: dict[str, Any]) -> list[str]:
    """The cluster's zones in the order of pSubnets, zones of other subnets last."""
    order = list(ClusterProperties.parse(event["ResourceProperties"]).subnets)
    subnet_of: dict[str, str] = cluster["SubnetMapping"]

    def position(zone: str) -> int:
        return order.index(subnet_of[zone]) if subnet_of[zone] in order else len(order)

    return sorted(subnet_of, key=position)
