"""The HSMs of a cluster: the first one, and as many in each zone as are wanted.

An HSM is known by its network interface: when AWS replaces a failed one, the HsmId changes and
the interface stays (F1.27).
"""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from hsm_lifecycle import aws, deadlines
from hsm_lifecycle.dispatch import Event
from hsm_lifecycle.errors import ClusterNotFoundError, HsmBusyError, HsmNotCreatedError
from hsm_lifecycle.properties import ClusterProperties
from hsm_lifecycle.steps import cluster as clusters

# A list of HSMs may not show one just created (F1.28 says the same of deleted ones), so for this
# long its creation is believed without being seen.
_SECONDS_UNSEEN = 120
# A second first HSM needs time to be deleted, created, initialized and activated before the
# workflow's 3300 s are over.
_SECONDS_TO_TRY_AGAIN = 1200
_MOVING = ("CREATE_IN_PROGRESS", "DELETE_IN_PROGRESS")


# ---- the first HSM, whose certificate signing request makes the cluster


def create_first_hsm(event: Event) -> dict[str, Any]:
    """Create the first HSM in the first subnet that was not tried yet and where AWS agrees."""
    cluster, tried = clusters.own(event), list(event["FirstHsm"]["Tried"])
    refusal = event["FirstHsm"]["Message"]
    if not _listed(cluster):
        spent = deadlines.seconds_between(event["StartTime"], event["EnteredTime"])
        late = spent > _SECONDS_TO_TRY_AGAIN
        for zone in _zones_in_order(event, cluster):
            if zone in tried or (tried and late):
                continue
            tried.append(zone)
            try:
                _create(event["ClusterId"], zone)
                break
            except ClientError as problem:
                if aws.is_transient(
                    aws.code_of(problem), problem.response["ResponseMetadata"]["HTTPStatusCode"]
                ):
                    raise
                refusal = (
                    f"{aws.code_of(problem)} in {zone}: {problem.response['Error']['Message']}"
                )
        else:
            untried = set(cluster["SubnetMapping"]) - set(tried)
            raise HsmNotCreatedError(
                f"CreateHsm gave no HSM in {', '.join(tried)}"
                f"{', and no time is left for other zones' if untried else ''}. {refusal}"
            )
    return {"State": "CREATE_IN_PROGRESS", "Tried": tried, "Message": refusal, "NotListed": 0}


def describe_first_hsm(event: Event) -> dict[str, Any]:
    """Describe the only HSM that a cluster has before it is activated.

    One that is not listed is taken for CREATE_IN_PROGRESS at first, and for NOT_FOUND only when it
    was not seen four times.
    """
    cluster, first = _existing(event), event["FirstHsm"]
    found = _listed(cluster)
    unseen = 0 if found else first["NotListed"] + 1
    unlisted = "NOT_FOUND" if unseen > 3 else "CREATE_IN_PROGRESS"
    state = found[0]["State"] if found else unlisted
    # What AWS says of its deletion is not to stand in the place of why an HSM had to be deleted.
    message = first["Message"]
    if state == "DEGRADED":
        reason = found[0].get("StateMessage") or "AWS gives no reason"
        message = f"{found[0]['HsmId']} in {found[0]['AvailabilityZone']} is DEGRADED: {reason}"
    if state in _MOVING:
        deadlines.check(event, f"The first HSM is still {state} ({message or 'no reason given'})")
    zones = [hsm["AvailabilityZone"] for hsm in found]
    return {
        "State": state,
        "Tried": list(dict.fromkeys([*first["Tried"], *zones])),
        "Message": message,
        "NotListed": unseen,
    }


def delete_first_hsm(event: Event) -> dict[str, Any]:
    """Delete the HSM that came up DEGRADED."""
    for hsm in _listed(clusters.own(event)):
        if hsm["State"] == "DEGRADED":
            _delete(event["ClusterId"], hsm)
    return {**event["FirstHsm"], "NotListed": 0}


# ---- as many as are wanted


def describe_hsms(event: Event) -> dict[str, Any]:
    """Compare the HSMs with what is wanted, and say what is to be done next, one thing at a time.

    CREATE and DELETE name a zone or an HSM; WAIT is for those on their way; ALIGNED is the goal;
    UNHEALTHY says why the goal cannot be reached.
    """
    cluster, known = _existing(event), event["Hsms"]
    hsms = _listed(cluster)
    unseen = _unseen(hsms, known["Created"], event["EnteredTime"])
    replaced = known["Replaced"]
    going = {entry["EniId"] for entry in replaced}
    gone = {entry["EniId"] for entry in known["Deleted"]}
    replacements = {entry["By"] for entry in replaced} - {""}
    verdict = {"Zone": "", "EniId": "", "Message": ""}
    wanted = int(event["HsmsPerSubnet"])

    def decided(decision: str, **named: str) -> dict[str, Any]:
        if decision not in ("ALIGNED", "UNHEALTHY"):
            deadlines.check(event, _still(cluster, going | gone))
        return {
            "Next": decision,
            **verdict,
            **named,
            "Created": unseen,
            "Replaced": replaced,
            "Deleted": known["Deleted"],
            "IpAddresses": " ".join(
                sorted(hsm["EniIp"] for hsm in hsms if hsm["State"] == "ACTIVE")
            ),
        }

    if cluster["State"].endswith("_IN_PROGRESS"):
        return decided("WAIT")
    zones = sorted(cluster["SubnetMapping"])
    for hsm in hsms:
        zone = hsm["AvailabilityZone"]
        if hsm["State"] != "DEGRADED" or _handle(hsm) in going:
            continue
        if wanted and {hsm["HsmId"], _handle(hsm)} & replacements:
            reason = hsm.get("StateMessage") or "AWS gives no reason"
            return decided(
                "UNHEALTHY",
                Message=f"{hsm['HsmId']} in {zone} is DEGRADED like the one before: {reason}",
            )
        return decided("DELETE", EniId=_handle(hsm))
    hsms = [hsm for hsm in hsms if _handle(hsm) not in gone]
    for zone in zones:
        if len(_staying(hsms, zone)) + sum(hsm["Zone"] == zone for hsm in unseen) < wanted:
            return decided("CREATE", Zone=zone)
    if unseen or any(hsm["State"] == "CREATE_IN_PROGRESS" for hsm in hsms):
        return decided("WAIT")
    for zone in zones:
        if len(_staying(hsms, zone)) > wanted:
            keeps_two_zones = wanted and len(cluster["SubnetMapping"]) > 1
            store = (
                None if keeps_two_zones else clusters.key_store_that_needs_hsms(event["ClusterId"])
            )
            if store:
                return decided(
                    "UNHEALTHY",
                    Message=f"KMS key store {store['CustomKeyStoreId']} is"
                    f" {store['ConnectionState']} and needs HSMs in two Availability Zones, so none"
                    " was deleted.",
                )
            return decided("DELETE", EniId=_handle(_staying(hsms, zone)[-1]))
    is_quiet = all(hsm["State"] == "ACTIVE" for hsm in _listed(cluster))
    return decided("ALIGNED" if is_quiet and len(hsms) == len(_listed(cluster)) else "WAIT")


def _still(cluster: dict[str, Any], deleted: set[str]) -> str:
    """What keeps the HSMs from being as many as are wanted."""
    hsms = _listed(cluster)
    for hsm in hsms:
        if hsm["State"] in _MOVING:
            return f"{hsm['HsmId']} in {hsm['AvailabilityZone']} is still {hsm['State']}"
    for hsm in hsms:
        if _handle(hsm) in deleted:
            where = f"{hsm['HsmId']} in {hsm['AvailabilityZone']}"
            return f"{where} was to be deleted and is still {hsm['State']}"
    return f"The cluster is {cluster['State']} and has still {len(hsms)} HSMs"


def create_hsm(event: Event) -> dict[str, Any]:
    """Create an HSM in the zone that lacks one; does nothing if it lacks none any more."""
    cluster, zone, known = clusters.own(event), event["Hsms"]["Zone"], event["Hsms"]
    hsms = _listed(cluster)
    if len(_staying(hsms, zone)) >= int(event["HsmsPerSubnet"]):
        return dict(known)
    with _Patience(hsms, _unseen(hsms, known["Created"], event["EnteredTime"])):
        made = _create(event["ClusterId"], zone)
    entry = {"Zone": zone, "EniId": made.get("EniId", ""), "At": event["EnteredTime"]}
    replaced = [dict(former) for former in known["Replaced"]]
    for former in replaced:
        if former["Zone"] == zone and not former["By"]:
            former["By"] = _handle(made)
            break
    return {**known, "Created": [*known["Created"], entry], "Replaced": replaced}


def delete_hsm(event: Event) -> dict[str, Any]:
    """Delete the HSM that is too much or DEGRADED; one that is gone or going is left alone."""
    hsms, known = _listed(clusters.own(event)), event["Hsms"]
    replaced, deleted = list(known["Replaced"]), list(known["Deleted"])
    for hsm in hsms:
        if _handle(hsm) == event["Hsms"]["EniId"] and hsm["State"] != "DELETE_IN_PROGRESS":
            with _Patience([other for other in hsms if other is not hsm]):
                _delete(event["ClusterId"], hsm)
            entry = {"Zone": hsm["AvailabilityZone"], "EniId": _handle(hsm)}
            if hsm["State"] == "DEGRADED":
                replaced.append({**entry, "By": ""})
            else:
                deleted.append(entry)
    return {**event["Hsms"], "Replaced": replaced, "Deleted": deleted}


class _Patience:
    """Turns a refusal into HsmBusyError while another HSM of the cluster is on its way.

    Whether AWS takes two such requests at once is not documented (F1.31).
    """

    def __init__(
        self, others: list[dict[str, Any]], unseen: list[dict[str, str]] | None = None
    ) -> None:
        self._moving = [
            f"{hsm['HsmId']} is {hsm['State']}" for hsm in others if hsm["State"] in _MOVING
        ] + [f"The HSM just created in {entry['Zone']} is not listed yet" for entry in unseen or []]

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, problem: BaseException | None, _trace: object) -> None:
        if (
            self._moving
            and isinstance(problem, ClientError)
            and aws.code_of(problem) == "CloudHsmInvalidRequestException"
        ):
            raise HsmBusyError(
                f"{self._moving[0]}: {problem.response['Error']['Message']}"
            ) from problem


# ---- what they share


def _existing(event: Event) -> dict[str, Any]:
    cluster = clusters.find(event["ClusterId"])
    if cluster is None:
        raise ClusterNotFoundError("The cluster vanished while its HSMs were being looked after.")
    return cluster


def _listed(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    """The HSMs of the cluster as AWS lists them, without those that are gone.

    Those listed last are deleted first, so that what has served for long stays if it can.
    """
    return [hsm for hsm in cluster["Hsms"] if hsm["State"] != "DELETED"]


def _staying(hsms: list[dict[str, Any]], zone: str) -> list[dict[str, Any]]:
    """The HSMs of a zone that are ACTIVE or will be."""
    return [
        hsm
        for hsm in hsms
        if hsm["AvailabilityZone"] == zone and hsm["State"] in ("ACTIVE", "CREATE_IN_PROGRESS")
    ]


def _unseen(
    hsms: list[dict[str, Any]], created: list[dict[str, str]], now: str
) -> list[dict[str, str]]:
    """What was created a moment ago and is not listed yet."""
    seen = {hsm.get("EniId") for hsm in hsms}
    return [
        entry
        for entry in created
        if entry["EniId"] not in seen
        and deadlines.seconds_between(entry["At"], now) < _SECONDS_UNSEEN
    ]


def _zones_in_order(event: Event, cluster: dict[str, Any]) -> list[str]:
    """The cluster's zones in the order in which the operator listed the subnets."""
    order = list(ClusterProperties.parse(event["ResourceProperties"]).subnets)
    subnet_of: dict[str, str] = cluster["SubnetMapping"]
    return sorted(
        subnet_of,
        key=lambda zone: (subnet_of[zone] not in order, _position(order, subnet_of[zone])),
    )


def _position(order: list[str], subnet_id: str) -> int:
    return order.index(subnet_id) if subnet_id in order else 0


def _create(cluster_id: str, zone: str) -> dict[str, Any]:
    made: dict[str, Any] = aws.client("cloudhsmv2").create_hsm(
        ClusterId=cluster_id, AvailabilityZone=zone
    )["Hsm"]
    return made


def _delete(cluster_id: str, hsm: dict[str, Any]) -> None:
    named = {"EniId": hsm["EniId"]} if hsm.get("EniId") else {"HsmId": hsm["HsmId"]}
    aws.client("cloudhsmv2").delete_hsm(ClusterId=cluster_id, **named)


def _handle(hsm: dict[str, Any]) -> str:
    """What an HSM is known by: its interface, or its id if it never got one."""
    return str(hsm.get("EniId") or hsm["HsmId"])
