"""Steps: find, create, describe, delete and report a CloudHSM cluster."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from hsm_lifecycle import (
    aws,
    deadlines,
    detachment,
    hsm_plan,
    identity_evidence,
    key_stores,
    ownership,
    pem,
    polling,
    secret_store,
)
from hsm_lifecycle.dispatch import Event
from hsm_lifecycle.errors import ClusterInUseError, ClusterNotDeletedError
from hsm_lifecycle.properties import NONE, ClusterProperties

# Deleting the last HSM of a cluster in one of these states creates a backup (F1.30).
_WITH_BACKUPS = ("ACTIVE", "DEGRADED", "MODIFY_IN_PROGRESS", "ROLLBACK_IN_PROGRESS")
_ACCEPTED_DELETIONS = 3  # AWS may take minutes to reverse one (F1.29)
_SECONDS_NOT_LISTED = 60  # DescribeClusters may not list a new cluster at once
_SECONDS_TO_DELETE = 600  # deleted HSMs may block the deletion for minutes (F1.29)


def find_cluster(event: Event) -> dict[str, Any]:
    """Find this stack's cluster by its physical ID, or by its tags if that is not a cluster ID."""
    physical_id = event.get("PhysicalResourceId") or ""
    cluster = ownership.find(physical_id) or ownership.find_by_tags(
        event["StackId"], event["LogicalResourceId"]
    )
    cluster_id = cluster["ClusterId"] if cluster else ""
    last_known_id = cluster_id or (physical_id if ownership.is_cluster_id(physical_id) else "")
    will_have_backups = bool(cluster and cluster["State"] in _WITH_BACKUPS)
    return {
        "Id": cluster_id,
        "State": cluster["State"] if cluster else "NOT_FOUND",
        "LastKnownId": last_known_id,
        "HasBackups": will_have_backups or ownership.has_backups(last_known_id),
        "SettledAt": ownership.settled_at(cluster),
        "Seconds": deadlines.seconds_between(event["StartTime"], event["EnteredTime"]),
    }


def create_cluster(event: Event) -> dict[str, Any]:
    """Create the cluster, unless this stack already did."""
    cluster = ownership.find_by_tags(event["StackId"], event["LogicalResourceId"])
    if cluster is None:
        wanted = ClusterProperties.parse(event["ResourceProperties"])
        tags = {
            **ownership.stack_tags(event),
            ownership.STACK_TAG: event["StackId"],
            ownership.LOGICAL_ID_TAG: event["LogicalResourceId"],
        }
        backup = {"SourceBackupId": wanted.backup} if wanted.backup else {}
        try:
            cluster = aws.client("cloudhsmv2").create_cluster(
                HsmType=wanted.hsm_type,
                Mode=wanted.mode,
                NetworkType=wanted.network_type,
                SubnetIds=list(wanted.subnets),
                BackupRetentionPolicy={"Type": "DAYS", "Value": str(wanted.backup_retention_days)},
                TagList=ownership.tag_list(tags),
                **backup,
            )["Cluster"]
        except ClientError as error:
            parameter = _parameter_in(aws.error_message(error), wanted)
            if parameter is None:
                raise
            raise aws.parameter_error(parameter, error) from error
    return {"Id": cluster["ClusterId"], "State": cluster["State"], "NotListedSince": ""}


def _parameter_in(message: str, wanted: ClusterProperties) -> str | None:
    """The first parameter whose value a refusal quotes, such as an HSM type that AWS withdrew."""
    values = {
        "pHsmType": wanted.hsm_type,
        "pBackupId": wanted.backup_id,
        "pNetworkType": wanted.network_type,
        "pMode": wanted.mode,
    }
    return next((name for name, value in values.items() if value and value in message), None)


def describe_cluster(event: Event) -> dict[str, Any]:
    """Describe the cluster; one that does not exist has the state DELETED.

    After a creation (the event has NotListedSince) a cluster that AWS does not list yet counts as
    CREATE_IN_PROGRESS for a minute. Seconds are those since Since, when the polling began. If the
    event says MayDetach, a change of the HSM type may be OutOfTime instead of failing the request.
    """
    found, now = ownership.find(event["ClusterId"]), event["EnteredTime"]
    not_listed_since = "" if found else event.get("NotListedSince") or now
    is_expected = (
        "NotListedSince" in event
        and deadlines.seconds_between(not_listed_since or now, now) < _SECONDS_NOT_LISTED
    )
    cluster = found or {"State": "CREATE_IN_PROGRESS" if is_expected else "DELETED"}
    state, message = cluster["State"], cluster.get("StateMessage") or "AWS gives no reason"
    may_detach = bool(event.get("MayDetach")) and state in detachment.TYPE_CHANGES
    is_waiting = state.endswith("_IN_PROGRESS") or state in ("UNINITIALIZED", "INITIALIZED")
    if is_waiting and not may_detach:
        deadlines.check(event, f"The cluster is still {state} ({message})")
    return {
        "Id": event["ClusterId"],
        "State": state,
        "StateMessage": message,
        "HsmType": cluster.get("HsmType") or NONE,
        "HsmIpAddresses": " ".join(_active_addresses(cluster)),
        "SettledAt": ownership.settled_at(found),
        "ClusterCertificate": pem.body(ownership.certificate_of(cluster)),
        "NotListedSince": not_listed_since,
        "Since": event.get("Since") or now,
        "Seconds": deadlines.seconds_between(event.get("Since") or now, now),
        "OutOfTime": may_detach and deadlines.is_over(event),
        **polling.look(event, f"cluster {state}"),
    }


def check_deletion(event: Event) -> dict[str, Any]:
    """Refuse to delete a cluster that a KMS key store uses.

    Once its stack is deleted, the key store has no stack. KMS deletes only a DISCONNECTED one
    without keys.
    """
    for store in key_stores.on_cluster(event["ClusterId"]):
        state, way = store["ConnectionState"], ": aws kms disconnect"
        if state in ("DISCONNECTED", "DISCONNECTING"):
            way = ", its KMS keys, then: aws kms delete"
        raise ClusterInUseError(
            f"A {state} KMS key store uses the cluster. Delete its stack or, without one{way}"
            f"-custom-key-store --custom-key-store-id {store['CustomKeyStoreId']}"
        )
    return {}


def delete_cluster(event: Event) -> dict[str, Any]:
    """Delete the cluster. IsRequested: unless an HSM shows late, which has to be deleted first.

    ClusterNotDeletedError: AWS refused for too long, or too often accepted and reversed it.
    """
    since, accepted = event["Since"], int(event["Accepted"])
    seconds = deadlines.seconds_between(since, event["EnteredTime"])
    cluster = ownership.find(event["ClusterId"])
    if cluster and cluster["State"] != "DELETE_IN_PROGRESS":
        ownership.require_owned(event)
        if any(hsm["State"] != "DELETE_IN_PROGRESS" for hsm in hsm_plan.listed(cluster)):
            return {"IsRequested": False, "Since": since, "Accepted": accepted}
        if accepted >= _ACCEPTED_DELETIONS:
            raise ClusterNotDeletedError(
                f"AWS started to delete it {accepted} times, but it is {cluster['State']} again:"
                f" {cluster.get('StateMessage') or 'AWS gives no reason'}"
            )
        try:
            aws.client("cloudhsmv2").delete_cluster(ClusterId=event["ClusterId"])
            accepted += 1
        except ClientError as error:
            if aws.error_code(error) != "CloudHsmInvalidRequestException":
                raise
            if seconds >= _SECONDS_TO_DELETE:
                raise ClusterNotDeletedError(
                    f"AWS refused for {seconds // 60:.0f} minutes: {aws.error_message(error)}"
                    f" (the cluster is {cluster['State']}: {cluster.get('StateMessage')})"
                ) from error
    return {"IsRequested": True, "Since": since, "Accepted": accepted}


def report_cluster(event: Event) -> dict[str, Any]:
    """Report the resource's attributes; after a rollback the cluster may be NOT_FOUND."""
    cluster = ownership.find(event["ClusterId"]) or {"State": "NOT_FOUND"}
    names = secret_store.names(event["System"], event["ClusterId"])
    return {
        "PhysicalResourceId": event["ClusterId"],
        "Data": {
            "ClusterId": event["ClusterId"] or NONE,
            "State": cluster["State"],
            "SecurityGroupId": cluster.get("SecurityGroup") or NONE,
            "HsmIpAddresses": ",".join(_active_addresses(cluster)) or NONE,
            "AdminPasswordSecretName": names.password,
            "CustomerCaCertSecretName": names.ca_certificate,
            # A restored cluster already has a certificate, so it has no signing request.
            "CsrSecretName": NONE if cluster.get("SourceBackupId") else names.csr,
            "HsmIdentity": identity_evidence.describe(event["System"], cluster)
            if "ClusterId" in cluster
            else NONE,
            "NextStep": _next_step(cluster["State"], names),
            "Warnings": _joined_warnings(event),
        },
    }


def _joined_warnings(event: Event) -> str:
    """The warnings of the workflow and of align-hsms."""
    warnings = (event.get("Warnings", NONE), event.get("AlignedWarnings", NONE))
    return " ".join(each for each in warnings if each != NONE) or NONE


def _next_step(state: str, names: secret_store.Names) -> str:
    """What the operator has to do next: sign the certificate of an UNINITIALIZED cluster."""
    if state != "UNINITIALIZED":
        return NONE
    return (
        f"Sign the request in {names.csr}, store the certificate in {names.certificate} and the"
        f" CA's in {names.ca_certificate}, then update with pExternallyProvidedCertsReady=true."
    )


def _active_addresses(cluster: dict[str, Any]) -> list[str]:
    return sorted(hsm["EniIp"] for hsm in cluster.get("Hsms", ()) if hsm["State"] == "ACTIVE")
