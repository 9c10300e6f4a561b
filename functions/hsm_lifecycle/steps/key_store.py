"""KMS CloudHSM key stores: checked, found, created, connected, changed, deleted.

A key store has no tags (F4.9), so a claim in Parameter Store says which one this stack made: it is
laid before the store is created, and completed once the store was connected. Where the answer to
the creation was lost, the claim has no id yet; KMS itself then tells whose the store is.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import string
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from hsm_lifecycle import aws, deadlines
from hsm_lifecycle.dispatch import Event
from hsm_lifecycle.errors import (
    ClusterInUseError,
    ClusterNotFoundError,
    KeyStoreNotFoundError,
    ParameterError,
    RefusedError,
    SecretNotFoundError,
    TransientError,
)
from hsm_lifecycle.steps import cluster as clusters
from hsm_lifecycle.steps import secrets as secret_store

logger = logging.getLogger("hsm_lifecycle")

_KEY_STORE_ID = re.compile(r"cks-[0-9a-f]{8,60}")
_PASSWORD_LENGTH = 32  # kmsuser's is of 7 to 32 letters and digits (F4.15)
_TRUST_ANCHOR_LENGTH = 5000  # F4.1
_SECONDS_TO_CONNECT_AGAIN = 1260  # a connection takes up to 20 minutes (F4.19)
_SECONDS_IN_ALL = 2700
# CloudFormation's cleanup after an update deletes what a resource was before, by its old id.
_CLEANUP = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"

# What to do about each ConnectionErrorCode, for the person who reads the stack event.
# https://docs.aws.amazon.com/kms/latest/developerguide/fix-keystore.html
_REMEDIES = {
    "CLUSTER_NOT_FOUND": "The cluster is gone: restore it from a backup, then update"
    " pCloudHsmClusterId.",
    "INSUFFICIENT_CLOUDHSM_HSMS": "No HSM is ACTIVE: add HSMs (pHsmsPerSubnet of the cluster's"
    " stack), then update pReconcile.",
    "INSUFFICIENT_FREE_ADDRESSES_IN_SUBNET": "Free an address in each subnet of the cluster, then"
    " update pReconcile.",
    "INTERNAL_ERROR": "KMS had an internal error: update pReconcile to try again.",
    "INVALID_CREDENTIALS": "kmsuser's password was refused even after it was set anew: look for who"
    " else changes it, then update pReconcile.",
    "NETWORK_ERRORS": "The network failed: wait a few minutes, then update pReconcile.",
    "SUBNET_NOT_FOUND": "A subnet of the cluster is gone: restore the cluster from a backup in"
    " new subnets, then update pCloudHsmClusterId.",
    "USER_LOCKED_OUT": "kmsuser is locked even after its password was set anew: look for who uses"
    " it, then update pReconcile.",
    "USER_LOGGED_IN": "Somebody is logged in to the cluster as kmsuser: log out, then update"
    " pReconcile.",
    "USER_NOT_FOUND": "kmsuser is not on every HSM even after it was created: see its coverage in"
    " cloudhsm-cli user list, then update pReconcile.",
}
# These are repaired once, so the remedies above speak of what was done in vain.
_REPAIRABLE = ("INVALID_CREDENTIALS", "USER_LOCKED_OUT", "USER_NOT_FOUND")
_NOT_REPAIRED = "No time was left to set kmsuser up anew: update pReconcile to have it done."


# ---- what there is


def find(key_store_id: str) -> dict[str, Any] | None:
    """The key store as KMS describes it; None if there is none."""
    if not _KEY_STORE_ID.fullmatch(key_store_id):
        return None
    return next((store for store in _all() if store["CustomKeyStoreId"] == key_store_id), None)


def _all() -> Iterator[dict[str, Any]]:
    for page in aws.client("kms").get_paginator("describe_custom_key_stores").paginate():
        yield from page["CustomKeyStores"]


def _claim(event: Event) -> dict[str, Any] | None:
    """What this stack has claimed; the claim of another stack is none of ours."""
    try:
        found = aws.client("ssm").get_parameter(Name=event["Claim"])["Parameter"]["Value"]
    except ClientError as problem:
        if aws.code_of(problem) != "ParameterNotFound":
            raise
        return None
    claim: dict[str, Any] = json.loads(found)
    return claim if claim["StackId"] == event["StackId"] else None


def _lay_claim(event: Event, **claimed: Any) -> None:
    aws.client("ssm").put_parameter(
        Name=event["Claim"],
        Description="The KMS key store that a CloudFormation stack made.",
        Type="String",
        Overwrite=True,
        Value=json.dumps({"StackId": event["StackId"], **claimed}, sort_keys=True),
    )


def _claimed(event: Event, claim: dict[str, Any]) -> dict[str, Any] | None:
    """The key store that a claim of this stack speaks of; None if there is none."""
    if claim["KeyStoreId"]:
        return find(claim["KeyStoreId"])
    for store in _all():
        same_name = store["CustomKeyStoreName"] == claim["Name"]
        if same_name and store["ConnectionState"] == "DISCONNECTED" and _is_ours(event, store):
            _lay_claim(event, **{**claim, "KeyStoreId": store["CustomKeyStoreId"]})
            return store
    return None


def _is_ours(event: Event, store: dict[str, Any]) -> bool:
    """Whether this stack made a store of which it never learned.

    Asked to create it once more, KMS gives the id of a DISCONNECTED store only to who says all
    the same again, and kmsuser's password in it is known to nobody else (F4.2).
    """
    try:
        again = aws.client("kms").create_custom_key_store(
            CustomKeyStoreName=store["CustomKeyStoreName"],
            CloudHsmClusterId=store["CloudHsmClusterId"],
            TrustAnchorCertificate=_trust_anchor(event),
            KeyStorePassword=secret_store.read(event["PasswordSecretName"]),
        )
    except SecretNotFoundError:
        return False
    except ClientError as problem:
        meant = aws.translated(problem)
        if isinstance(meant, TransientError):
            raise meant from problem
        return False
    return bool(again["CustomKeyStoreId"] == store["CustomKeyStoreId"])


# ---- steps of more than one workflow


def find_key_store(event: Event) -> dict[str, Any]:
    """Find this stack's key store by its physical id when that is one, else by the claim.

    A creation that failed leaves a failed try behind, which is deleted whatever the stack says of
    deletion. A request to delete what was replaced by it is stale, and about nothing any more.
    """
    status, claim = clusters.stack_of(event)["StackStatus"], _claim(event)
    physical_id = event.get("PhysicalResourceId") or ""
    is_stale = status == _CLEANUP and not _KEY_STORE_ID.fullmatch(physical_id)
    store = None if is_stale else find(physical_id) or (claim and _claimed(event, claim))
    return {
        "Id": store["CustomKeyStoreId"] if store else "",
        "State": store["ConnectionState"] if store else "NOT_FOUND",
        "IsIncomplete": bool(claim) and (status == "ROLLBACK_IN_PROGRESS" or _is_incomplete(claim)),
        "IsStale": is_stale,
        "Attempts": event["Attempts"] + 1,
    }


def _is_incomplete(claim: dict[str, Any] | None) -> bool:
    return claim is not None and not claim["IsComplete"]


def describe_key_store(event: Event) -> dict[str, Any]:
    """Describe the key store, and for how long it is waited for; one that is gone is NOT_FOUND."""
    store = find(event["KeyStoreId"])
    return {
        "State": store["ConnectionState"] if store else "NOT_FOUND",
        "ErrorCode": (store or {}).get("ConnectionErrorCode", ""),
        "Seconds": deadlines.seconds_between(event["StartTime"], event["EnteredTime"]),
    }


def check_cluster(event: Event) -> dict[str, Any]:
    """Refuse a cluster that KMS would not take, before anything is made on it."""
    cluster_id = event["ClusterId"]
    cluster = clusters.find(cluster_id)
    if cluster is None:
        raise ClusterNotFoundError(f"pCloudHsmClusterId: there is no cluster {cluster_id} here.")
    states = {hsm["State"] for hsm in cluster["Hsms"]} - {"DELETED"}
    zones = {hsm["AvailabilityZone"] for hsm in cluster["Hsms"] if hsm["State"] == "ACTIVE"}
    if cluster["State"] != "ACTIVE":
        raise ParameterError(
            f"pCloudHsmClusterId: {cluster_id} is {cluster['State']}; KMS wants it ACTIVE."
        )
    if states & {"CREATE_IN_PROGRESS", "DELETE_IN_PROGRESS"}:
        raise ParameterError(
            f"pCloudHsmClusterId: an HSM of {cluster_id} is coming or going, and a user made now"
            " might be missing on it. Try again when all are ACTIVE."
        )
    if len(zones) < 2:
        raise ParameterError(
            f"pCloudHsmClusterId: {cluster_id} has ACTIVE HSMs in {len(zones)} Availability Zones;"
            " KMS wants two in different ones. Raise pHsmsPerSubnet or use two subnets."
        )
    for store in _all():
        is_own = store["CustomKeyStoreId"] == event["KeyStoreId"]
        if store.get("CloudHsmClusterId") == cluster_id and not is_own:
            raise ClusterInUseError(
                f"pCloudHsmClusterId: {cluster_id} has the key store {store['CustomKeyStoreId']}"
                f" ({store['CustomKeyStoreName']}, {store['ConnectionState']}) already, and a"
                " cluster can have one."
            )
    _trust_anchor(event)
    addresses = [hsm["EniIp"] for hsm in cluster["Hsms"] if hsm["State"] == "ACTIVE"]
    return {"IpAddresses": " ".join(sorted(addresses))}


def _trust_anchor(event: Event) -> str:
    certificate = secret_store.read(event["CloudHsmCustCaCertSecretName"])
    if len(certificate) > _TRUST_ANCHOR_LENGTH:
        raise ParameterError(
            f"pCloudHsmCustCaCertSecretName: the certificates have {len(certificate)} characters;"
            f" KMS takes {_TRUST_ANCHOR_LENGTH}."
        )
    return certificate


def create_password(event: Event) -> dict[str, Any]:
    """Put a new random password for kmsuser where only the client and this function read it."""
    name, reader = event["PasswordSecretName"], _role_of(event["InstanceId"])
    client, secret = aws.client("secretsmanager"), _password_secret(event)
    password = "".join(
        secrets.choice(string.ascii_letters + string.digits) for _ in range(_PASSWORD_LENGTH)
    )
    if secret and secret["IsDeleted"]:
        raise TransientError(
            f"The secret {name} is still being deleted. If that does not end soon: aws"
            f" secretsmanager delete-secret --force-delete-without-recovery --secret-id {name}"
        )
    if secret is None:
        client.create_secret(
            Name=name,
            SecretString=password,
            Tags=[{"Key": clusters.STACK_TAG, "Value": event["StackId"]}],
        )
    elif not secret["IsOwn"]:
        raise RefusedError(
            f"The secret {name} exists and has not the tag {clusters.STACK_TAG} of this stack."
            " Delete it, without recovery, if nobody needs it, and try again."
        )
    else:
        client.put_secret_value(SecretId=name, SecretString=password)
    client.put_resource_policy(SecretId=name, ResourcePolicy=_readable_by(reader))
    return {}


def _password_secret(event: Event) -> dict[str, Any] | None:
    """Whether kmsuser's password is this stack's own, and going; None if there is none."""
    name = event["PasswordSecretName"]
    try:
        secret = aws.client("secretsmanager").describe_secret(SecretId=name)
    except ClientError as problem:
        if aws.code_of(problem) != "ResourceNotFoundException":
            raise
        return None
    tags = {tag["Key"]: tag["Value"] for tag in secret.get("Tags") or []}
    return {
        "IsOwn": tags.get(clusters.STACK_TAG) == event["StackId"],
        # Secrets Manager takes a moment to forget one, and its name is taken until then.
        "IsDeleted": "DeletedDate" in secret,
    }


def _role_of(instance_id: str) -> str:
    """The ARN of the client's role."""
    try:
        found = aws.client("ec2").describe_instances(InstanceIds=[instance_id])
        instance = found["Reservations"][0]["Instances"][0]
    except ClientError as problem:
        if aws.code_of(problem) != "InvalidInstanceID.NotFound":
            raise
        instance = {"State": {"Name": "terminated"}}
    if instance["State"]["Name"] in ("shutting-down", "terminated"):
        raise ParameterError(
            f"pClientInstanceId: {instance_id} is {instance['State']['Name']}. Name an instance"
            " that has the CloudHSM CLI."
        )
    profile = instance.get("IamInstanceProfile")
    if not profile:
        raise ParameterError(
            f"pClientInstanceId: {instance_id} has no instance profile, so it can read no secret."
        )
    name = profile["Arn"].rpartition("/")[2]
    found = aws.client("iam").get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
    if not found["Roles"]:
        raise ParameterError(
            f"pClientInstanceId: the instance profile {name} of {instance_id} has no role, so the"
            " client can read no secret. Add the client's role to it and try again."
        )
    return str(found["Roles"][0]["Arn"])


def _readable_by(role: str) -> str:
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "LetTheClientReadIt",
                    "Effect": "Allow",
                    "Principal": {"AWS": role},
                    "Action": "secretsmanager:GetSecretValue",
                    "Resource": "*",
                }
            ],
        }
    )


def drop_password(event: Event) -> dict[str, Any]:
    """Delete kmsuser's password: KMS has changed it as it connected (F4.18)."""
    secret = _password_secret(event)
    if secret and secret["IsOwn"] and not secret["IsDeleted"]:
        secret_store.delete(event["PasswordSecretName"])
    return {}


# ---- steps of create-key-store


def claim_key_store(event: Event) -> dict[str, Any]:
    """Refuse a name that is taken; else note that the store of this name is going to be ours."""
    name = event["Name"]
    for store in _all():
        if store["CustomKeyStoreName"] == name:
            raise ParameterError(
                f"pKeyStoreName: a key store named {name} exists ({store['CustomKeyStoreId']},"
                f" {store['ConnectionState']}) and is left alone. Choose another name."
            )
    _lay_claim(event, Name=name, KeyStoreId="", IsComplete=False)
    return {}


def create_key_store(event: Event) -> dict[str, Any]:
    """Create the key store; asked again, KMS gives the id of the same one (F4.2)."""
    made = _refusing(
        aws.client("kms").create_custom_key_store,
        CustomKeyStoreName=event["Name"],
        CloudHsmClusterId=event["ClusterId"],
        TrustAnchorCertificate=_trust_anchor(event),
        KeyStorePassword=secret_store.read(event["PasswordSecretName"]),
    )
    key_store_id = made["CustomKeyStoreId"]
    _lay_claim(event, Name=event["Name"], KeyStoreId=key_store_id, IsComplete=False)
    return {"Id": key_store_id}


def complete_claim(event: Event) -> dict[str, Any]:
    """Note that the store was connected: from now on it holds keys and is not a failed try."""
    _lay_claim(event, Name=event["Name"], KeyStoreId=event["KeyStoreId"], IsComplete=True)
    return {}


# ---- steps of connect-key-store and disconnect-key-store


def connect_key_store(event: Event) -> dict[str, Any]:
    """Ask KMS to connect; one that is connected or on its way is left alone (F4.5)."""
    store = find(event["KeyStoreId"])
    if store and store["ConnectionState"] not in ("CONNECTED", "CONNECTING"):
        _refusing(aws.client("kms").connect_custom_key_store, CustomKeyStoreId=event["KeyStoreId"])
    return {**event["Connection"], "Number": event["Connection"]["Number"] + 1}


def disconnect_key_store(event: Event) -> dict[str, Any]:
    """Ask KMS to disconnect; one that is disconnected or on its way is left alone (F4.6)."""
    try:
        aws.client("kms").disconnect_custom_key_store(CustomKeyStoreId=event["KeyStoreId"])
    except ClientError as problem:
        # What became of it meanwhile, the next look will tell.
        if aws.code_of(problem) not in (
            "CustomKeyStoreInvalidStateException",
            "CustomKeyStoreNotFoundException",
        ):
            raise
    return {}


def diagnose_connection(event: Event) -> dict[str, Any]:
    """Say what is to be done about a FAILED connection: REPAIR, CONNECT (again), or FAIL.

    What was FAILED when it was found may be tried; what fails in our hands is repaired once, if
    kmsuser is the reason and there is time for another connection.
    """
    code, connection = event["ErrorCode"], event["Connection"]
    spent = deadlines.seconds_between(event["StartTime"], event["EnteredTime"])
    has_time = _SECONDS_IN_ALL - spent >= _SECONDS_TO_CONNECT_AGAIN
    if code in _REPAIRABLE and not connection["IsRepaired"] and has_time:
        decision = "REPAIR"
    else:
        decision = "CONNECT" if connection["Number"] == 0 else "FAIL"
    remedy = _REMEDIES.get(
        code, "See the KMS Developer Guide, Troubleshooting a CloudHSM key store."
    )
    if code in _REPAIRABLE and not connection["IsRepaired"]:
        remedy = _NOT_REPAIRED
    return {"Next": decision, "Message": f"{code}. {remedy}"}


def update_password(event: Event) -> dict[str, Any]:
    """Tell KMS kmsuser's new password; the store has to be DISCONNECTED (F4.7)."""
    _refusing(
        aws.client("kms").update_custom_key_store,
        CustomKeyStoreId=event["KeyStoreId"],
        KeyStorePassword=secret_store.read(event["PasswordSecretName"]),
    )
    return {}


# ---- steps of update-key-store


def check_key_store_update(event: Event) -> dict[str, Any]:
    """Say what of the key store differs from what is wanted; refuse by name what cannot be.

    In a rollback nothing is refused, because a rollback must pass.
    """
    store, rollback = find(event["KeyStoreId"]), clusters.is_rollback(event)
    fault = _fault(event, store)
    if fault and not rollback:
        raise fault
    fit = None if fault else store
    return {
        "IsChangeable": fit is not None,
        "NeedsRename": bool(fit and fit["CustomKeyStoreName"] != event["Name"]),
        "NeedsMove": bool(fit and fit["CloudHsmClusterId"] != event["ClusterId"]),
        "Rollback": rollback,
        "Warnings": str(fault) if fault else clusters.NONE,
    }


def _fault(event: Event, store: dict[str, Any] | None) -> Exception | None:
    """Why the key store cannot become what the properties say, if it cannot."""
    if store is None:
        return KeyStoreNotFoundError(
            f"The key store {event['PhysicalResourceId']} no longer exists and an update cannot"
            " bring it back. Delete this stack and create it again."
        )
    state, name, cluster_id = store["ConnectionState"], event["Name"], event["ClusterId"]
    if store["CustomKeyStoreName"] != name:
        if state not in ("CONNECTED", "DISCONNECTED"):
            return ParameterError(
                f"pKeyStoreName: the key store is {state}, and KMS renames it only when it is"
                " CONNECTED or DISCONNECTED. Update pReconcile alone first."
            )
        for other in _all():
            if other["CustomKeyStoreName"] == name:
                return ParameterError(
                    f"pKeyStoreName: a key store named {name} exists"
                    f" ({other['CustomKeyStoreId']}). Choose another name."
                )
    former = store["CloudHsmClusterId"]
    if former != cluster_id and not _are_related(former, cluster_id):
        return ParameterError(
            f"pCloudHsmClusterId: the key store can move from {former} only to a cluster restored"
            f" from a backup of it, and {cluster_id} has another certificate."
        )
    return None


def _are_related(former_id: str, cluster_id: str) -> bool:
    """Whether both have one certificate; KMS judges where AWS no longer describes the former."""
    certificates = [
        cluster.get("Certificates", {}).get("ClusterCertificate")
        for cluster in map(clusters.find, (former_id, cluster_id))
        if cluster
    ]
    return len(certificates) < 2 or certificates[0] == certificates[1]


def rename_key_store(event: Event) -> dict[str, Any]:
    """Give the key store its new name, unless it has it already.

    KMS may want it disconnected for that, which we never do.
    """
    store = find(event["KeyStoreId"])
    if store and store["CustomKeyStoreName"] == event["Name"]:
        return {}
    try:
        _refusing(
            aws.client("kms").update_custom_key_store,
            CustomKeyStoreId=event["KeyStoreId"],
            NewCustomKeyStoreName=event["Name"],
        )
    except ClientError as problem:
        if aws.code_of(problem) != "CustomKeyStoreInvalidStateException":
            raise
        raise ParameterError(
            "pKeyStoreName: KMS renames this store only while it is disconnected, which would make"
            " its keys unusable, so it was not done. Disconnect it yourself and update again."
        ) from problem
    return {}


def move_key_store(event: Event) -> dict[str, Any]:
    """Put the key store on another cluster, which must hold the same certificate (F4.7)."""
    _refusing(
        aws.client("kms").update_custom_key_store,
        CustomKeyStoreId=event["KeyStoreId"],
        CloudHsmClusterId=event["ClusterId"],
        KeyStorePassword=secret_store.read(event["PasswordSecretName"]),
    )
    return {}


def report_key_store(event: Event) -> dict[str, Any]:
    """Give what CloudFormation is to know of the key store."""
    store, warnings = find(event["KeyStoreId"]), event["Warnings"]
    if warnings != clusters.NONE:
        logger.warning("%s", warnings, extra={"key_store": event["KeyStoreId"]})
    return {
        "PhysicalResourceId": event["KeyStoreId"],
        "Data": {
            "KeyStoreId": event["KeyStoreId"] or clusters.NONE,
            "State": store["ConnectionState"] if store else "NOT_FOUND",
            "Warnings": warnings,
        },
    }


# ---- steps of delete-key-store


def delete_key_store(event: Event) -> dict[str, Any]:
    """Delete the key store; one that holds keys, also such as await deletion, is kept (F4.8)."""
    try:
        aws.client("kms").delete_custom_key_store(CustomKeyStoreId=event["KeyStoreId"])
    except ClientError as problem:
        code = aws.code_of(problem)
        if code not in ("CustomKeyStoreHasCMKsException", "CustomKeyStoreNotFoundException"):
            raise
        return {"IsRetained": code == "CustomKeyStoreHasCMKsException"}
    return {"IsRetained": False}


def retain_key_store(event: Event) -> dict[str, Any]:
    """Say, in the log as well, that the key store stays and how its keys can be used again."""
    store = event["KeyStoreId"]
    kept = (
        f"The key store {store} is kept, disconnected. Connect it to use its keys: aws kms"
        f" connect-custom-key-store --custom-key-store-id {store}"
    )
    logger.warning("%s", kept, extra={"key_store": store})
    return {"Retained": kept}


def drop_claim(event: Event) -> dict[str, Any]:
    """Forget the claim; what another stack has claimed is left alone."""
    if _claim(event) is not None:
        aws.client("ssm").delete_parameter(Name=event["Claim"])
    return {}


# ---- what they share

_PARAMETER_OF = {
    "CloudHsmClusterInUseException": "pCloudHsmClusterId",
    "CloudHsmClusterInvalidConfigurationException": "pCloudHsmClusterId",
    "CloudHsmClusterNotActiveException": "pCloudHsmClusterId",
    "CloudHsmClusterNotFoundException": "pCloudHsmClusterId",
    "CloudHsmClusterNotRelatedException": "pCloudHsmClusterId",
    "CustomKeyStoreNameInUseException": "pKeyStoreName",
    "IncorrectTrustAnchorException": "pCloudHsmCustCaCertSecretName",
}


def _refusing(call: Any, **request: Any) -> Any:
    """Make a call of KMS whose refusal names the stack parameter that it is about."""
    try:
        return call(**request)
    except ClientError as problem:
        parameter = _PARAMETER_OF.get(aws.code_of(problem))
        if parameter is None:
            raise
        raise RefusedError(f"{parameter}: {aws.translated(problem)}") from problem
