"""KMS CloudHSM key stores: checked, found, created, connected, changed, deleted.

A key store has no tags (F4.9), so a claim in Parameter Store says which one this stack made: it is
laid before the store is created, and completed once the store was connected.
"""

from __future__ import annotations

import json
import re
import secrets
import string
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from hsm_lifecycle import aws, clusters, secret_store
from hsm_lifecycle.dispatch import Event
from hsm_lifecycle.errors import (
    ClusterInUseError,
    ClusterNotFoundError,
    KeyStoreNotFoundError,
    ParameterError,
    RefusedError,
)

_KEY_STORE_ID = re.compile(r"cks-[0-9a-f]{8,60}")
_PASSWORD_LENGTH = 32  # kmsuser's is of 7 to 32 letters and digits (F4.15)
_TRUST_ANCHOR_LENGTH = 5000  # F4.1
_SECONDS_TO_CONNECT_AGAIN = 1260  # a connection takes up to 20 minutes (F4.19)
_SECONDS_IN_ALL = 2700

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
_REPAIRABLE = ("INVALID_CREDENTIALS", "USER_LOCKED_OUT", "USER_NOT_FOUND")


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


def _claimed(claim: dict[str, Any] | None) -> dict[str, Any] | None:
    """The key store that a claim speaks of: by its id, or as long as that is unknown by its name.

    The answer to a creation may have been lost. Nobody else's store can be meant, because the name
    was free when the claim was laid and the cluster takes one store only.
    """
    if claim is None:
        return None
    for store in _all():
        if store["CustomKeyStoreId"] == claim["KeyStoreId"] or (
            not claim["KeyStoreId"]
            and store["CustomKeyStoreName"] == claim["Name"]
            and store.get("CloudHsmClusterId") == claim["ClusterId"]
        ):
            return store
    return None


# ---- steps of more than one workflow


def find_key_store(event: Event) -> dict[str, Any]:
    """Find this stack's key store by its physical id when that is one, else by the claim."""
    claim = _claim(event)
    store = find(event["PhysicalResourceId"]) or _claimed(claim)
    return {
        "Id": store["CustomKeyStoreId"] if store else "",
        "State": store["ConnectionState"] if store else "ABSENT",
        "IsFailedTry": bool(claim and not claim["IsComplete"]),
        "Looks": event["Looks"] + 1,
    }


def describe_key_store(event: Event) -> dict[str, Any]:
    """Describe the key store; one that is gone has the state ABSENT."""
    store = find(event["KeyStoreId"])
    return {
        "State": store["ConnectionState"] if store else "ABSENT",
        "ErrorCode": (store or {}).get("ConnectionErrorCode", ""),
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
        if store.get("CloudHsmClusterId") == cluster_id and not _is_own(event, store):
            raise ClusterInUseError(
                f"pCloudHsmClusterId: {cluster_id} has the key store {store['CustomKeyStoreId']}"
                f" ({store['CustomKeyStoreName']}, {store['ConnectionState']}) already, and a"
                " cluster can have one."
            )
    _trust_anchor(event)
    addresses = [hsm["EniIp"] for hsm in cluster["Hsms"] if hsm["State"] == "ACTIVE"]
    return {"IpAddresses": " ".join(sorted(addresses))}


def _is_own(event: Event, store: dict[str, Any]) -> bool:
    """Whether this stack made the store, by its physical id or by the claim."""
    own = _claimed(_claim(event))
    return store["CustomKeyStoreId"] in (
        event.get("KeyStoreId"),
        own and own["CustomKeyStoreId"],
    )


def _trust_anchor(event: Event) -> str:
    certificate = secret_store.read(event["CaCertificateSecretName"])
    if len(certificate) > _TRUST_ANCHOR_LENGTH:
        raise ParameterError(
            f"pCloudHsmCustCaCertSecretName: the certificates have {len(certificate)} characters;"
            f" KMS takes {_TRUST_ANCHOR_LENGTH}."
        )
    return certificate


def create_password(event: Event) -> dict[str, Any]:
    """Put a new random password for kmsuser where only the client and this function read it."""
    name, reader = event["PasswordSecretName"], _role_of(event["InstanceId"])
    password = "".join(
        secrets.choice(string.ascii_letters + string.digits) for _ in range(_PASSWORD_LENGTH)
    )
    client = aws.client("secretsmanager")
    try:
        client.create_secret(
            Name=name,
            SecretString=password,
            Tags=[{"Key": clusters.STACK_TAG, "Value": event["StackId"]}],
        )
    except ClientError as problem:
        if aws.code_of(problem) != "ResourceExistsException":
            raise
        client.put_secret_value(SecretId=name, SecretString=password)
    client.put_resource_policy(SecretId=name, ResourcePolicy=_readable_by(reader))
    return {}


def _role_of(instance_id: str) -> str:
    """The ARN of the client's role."""
    reservations = aws.client("ec2").describe_instances(InstanceIds=[instance_id])["Reservations"]
    profile = reservations[0]["Instances"][0].get("IamInstanceProfile") if reservations else None
    if not profile:
        raise ParameterError(
            f"pClientInstanceId: {instance_id} has no instance profile, so it can read no secret."
        )
    name = profile["Arn"].rpartition("/")[2]
    roles = aws.client("iam").get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
    return str(roles["Roles"][0]["Arn"])


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
    secret_store.delete(event["PasswordSecretName"])
    return {}


# ---- steps of create-key-store


def claim_key_store(event: Event) -> dict[str, Any]:
    """Refuse a name that is taken; else note that the store of this name is going to be ours.

    What a former try of this very stack left DISCONNECTED or FAILED is gone on with.
    """
    name = event["Name"]
    taken = next((store for store in _all() if store["CustomKeyStoreName"] == name), None)
    if taken is None:
        _lay_claim(event, Name=name, ClusterId=event["ClusterId"], KeyStoreId="", IsComplete=False)
        return {}
    if not _is_own(event, taken) or taken["ConnectionState"] not in ("DISCONNECTED", "FAILED"):
        raise ParameterError(
            f"pKeyStoreName: a key store named {name} exists ({taken['CustomKeyStoreId']},"
            f" {taken['ConnectionState']}) and is left alone. Choose another name."
        )
    return {}


def create_key_store(event: Event) -> dict[str, Any]:
    """Create the key store, unless this stack has made it already."""
    claim = _claim(event)
    made = _claimed(claim)
    if made:
        key_store_id = made["CustomKeyStoreId"]
    else:
        key_store_id = _refusing(
            aws.client("kms").create_custom_key_store,
            CustomKeyStoreName=event["Name"],
            CloudHsmClusterId=event["ClusterId"],
            TrustAnchorCertificate=_trust_anchor(event),
            KeyStorePassword=secret_store.read(event["PasswordSecretName"]),
        )["CustomKeyStoreId"]
    _lay_claim(
        event,
        Name=event["Name"],
        ClusterId=event["ClusterId"],
        KeyStoreId=key_store_id,
        IsComplete=False,
    )
    return {"Id": key_store_id}


def complete_claim(event: Event) -> dict[str, Any]:
    """Note that the store was connected: from now on it holds keys and is not a failed try."""
    _lay_claim(
        event,
        Name=event["Name"],
        ClusterId=event["ClusterId"],
        KeyStoreId=event["KeyStoreId"],
        IsComplete=True,
    )
    return {}


def report_key_store(event: Event) -> dict[str, Any]:
    """Give what CloudFormation is to know of the key store."""
    store = find(event["KeyStoreId"])
    return {
        "PhysicalResourceId": event["KeyStoreId"],
        "Data": {
            "KeyStoreId": event["KeyStoreId"] or clusters.NONE,
            "State": store["ConnectionState"] if store else "ABSENT",
            "Warnings": event.get("Warnings", clusters.NONE),
        },
    }


# ---- steps of connect-key-store and disconnect-key-store


def connect_key_store(event: Event) -> dict[str, Any]:
    """Ask KMS to connect; one that is connected or on its way is left alone (F4.5)."""
    store = find(event["KeyStoreId"])
    if store and store["ConnectionState"] not in ("CONNECTED", "CONNECTING"):
        _refusing(aws.client("kms").connect_custom_key_store, CustomKeyStoreId=event["KeyStoreId"])
    return {"Number": event["Attempts"] + 1}


def disconnect_key_store(event: Event) -> dict[str, Any]:
    """Ask KMS to disconnect; one that is disconnected or on its way is left alone (F4.6)."""
    store = find(event["KeyStoreId"])
    if store and store["ConnectionState"] not in ("DISCONNECTED", "DISCONNECTING"):
        _refusing(
            aws.client("kms").disconnect_custom_key_store, CustomKeyStoreId=event["KeyStoreId"]
        )
    return {}


def diagnose_connection(event: Event) -> dict[str, Any]:
    """Say what is to be done about a FAILED connection: REPAIR, CONNECT (again), or FAIL.

    What was FAILED when it was found may be tried; what fails in our hands is repaired once, if
    kmsuser is the reason and there is time for another connection.
    """
    code, attempts = event["ErrorCode"], event["Attempts"]
    spent = _seconds_between(event["StartTime"], event["EnteredTime"])
    has_time = _SECONDS_IN_ALL - spent >= _SECONDS_TO_CONNECT_AGAIN
    if code in _REPAIRABLE and not event["IsRepaired"] and has_time:
        decision = "REPAIR"
    else:
        decision = "CONNECT" if attempts == 0 else "FAIL"
    remedy = _REMEDIES.get(
        code, "See the KMS Developer Guide, Troubleshooting a CloudHSM key store."
    )
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
    """Say what of the key store differs from what is wanted."""
    store, rollback = find(event["KeyStoreId"]), clusters.is_rollback(event)
    if store is None and not rollback:
        raise KeyStoreNotFoundError(
            f"The key store {event['KeyStoreId']} no longer exists and an update cannot bring it"
            " back. Delete this stack and create it again."
        )
    return {
        "IsThere": store is not None,
        "NeedsName": store is not None and store["CustomKeyStoreName"] != event["Name"],
        "NeedsMove": store is not None and store["CloudHsmClusterId"] != event["ClusterId"],
        "Rollback": rollback,
        "Warnings": clusters.NONE if store else "The key store no longer exists.",
    }


def rename_key_store(event: Event) -> dict[str, Any]:
    """Give the key store its new name; KMS may want it disconnected for that, which we never do."""
    try:
        aws.client("kms").update_custom_key_store(
            CustomKeyStoreId=event["KeyStoreId"], NewCustomKeyStoreName=event["Name"]
        )
    except ClientError as problem:
        if aws.code_of(problem) != "CustomKeyStoreInvalidStateException":
            raise aws.translated(problem) from problem
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


# ---- steps of delete-key-store


def delete_key_store(event: Event) -> dict[str, Any]:
    """Delete the key store; one that holds keys, also such as await deletion, is kept (F4.8)."""
    try:
        aws.client("kms").delete_custom_key_store(CustomKeyStoreId=event["KeyStoreId"])
    except ClientError as problem:
        code = aws.code_of(problem)
        if code not in ("CustomKeyStoreHasCMKsException", "CustomKeyStoreNotFoundException"):
            raise
        return {"IsKept": code == "CustomKeyStoreHasCMKsException"}
    return {"IsKept": False}


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


def _seconds_between(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()
