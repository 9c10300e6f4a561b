"""Steps: create, connect, disconnect, delete and report a KMS CloudHSM key store."""

from __future__ import annotations

import logging
from typing import Any

from botocore.exceptions import ClientError

from hsm_lifecycle import (
    aws,
    creation_rules,
    deadlines,
    hsm_plan,
    key_stores,
    ownership,
    pem,
    polling,
    secret_store,
    trust_anchor,
)
from hsm_lifecycle.dispatch import Event
from hsm_lifecycle.errors import (
    ClusterNotFoundError,
)
from hsm_lifecycle.properties import NONE
from hsm_lifecycle.steps.key_store_ownership import require_owned, save_claim

logger = logging.getLogger("hsm_lifecycle")

_CONNECT_SECONDS = 1260  # a connection takes up to 20 minutes (F4.19)
_TOTAL_SECONDS = 2700
# https://docs.aws.amazon.com/kms/latest/developerguide/fix-keystore.html
_REMEDIES = {
    "CLUSTER_NOT_FOUND": "The cluster no longer exists. Restore it from a backup, then update"
    " pCloudHsmClusterId.",
    "INSUFFICIENT_CLOUDHSM_HSMS": "No HSM is ACTIVE. Add HSMs (pHsmsPerSubnet of the cluster's"
    " stack), then set pReconcile to a new value.",
    "INSUFFICIENT_FREE_ADDRESSES_IN_SUBNET": "Free an IP address in each subnet of the cluster,"
    " then set pReconcile to a new value.",
    "INTERNAL_ERROR": "KMS had an internal error. Set pReconcile to a new value to retry.",
    "INVALID_CREDENTIALS": "KMS rejected kmsuser's password even after it was reset. Find out what"
    " else changes it, then set pReconcile to a new value.",
    "NETWORK_ERRORS": "The network failed. Wait a few minutes, then set pReconcile to a new value.",
    "SUBNET_NOT_FOUND": "A subnet of the cluster no longer exists. Restore the cluster from a"
    " backup in new subnets, then update pCloudHsmClusterId.",
    "USER_LOCKED_OUT": "kmsuser is locked out even after its password was reset. Find out what else"
    " uses it, then set pReconcile to a new value.",
    "USER_LOGGED_IN": "kmsuser is logged in to the cluster. Log it out, then set pReconcile to a"
    " new value.",
    "USER_NOT_FOUND": "kmsuser is missing on an HSM even after it was created. Check its coverage"
    " in cloudhsm-cli user list, then set pReconcile to a new value.",
}
# The workflow repairs these once; the remedies above are for when that did not help.
_REPAIRABLE = ("INVALID_CREDENTIALS", "USER_LOCKED_OUT", "USER_NOT_FOUND")
_NOT_REPAIRED = "No time was left to reset kmsuser. Set pReconcile to a new value to retry."


def describe_key_store(event: Event) -> dict[str, Any]:
    """Describe the key store, NOT_FOUND if there is none, and the seconds since StartTime."""
    store = key_stores.find(event["KeyStoreId"])
    state = store["ConnectionState"] if store else "NOT_FOUND"
    return {
        "State": state,
        "ErrorCode": (store or {}).get("ConnectionErrorCode", ""),
        "Seconds": deadlines.seconds_between(event["StartTime"], event["EnteredTime"]),
        **polling.look(event, f"key store {state}"),
    }


def check_cluster(event: Event) -> dict[str, Any]:
    """Refuse a cluster on which KMS cannot create a key store, before anything is created."""
    return usable_cluster(event, event["KeyStoreId"])


def usable_cluster(event: Event, key_store_id: str) -> dict[str, Any]:
    """What the client needs of the cluster, which may have this key store and no other."""
    cluster_id = event["ClusterId"]
    cluster = ownership.find(cluster_id)
    if cluster is None:
        raise ClusterNotFoundError(
            f"pCloudHsmClusterId: cluster {cluster_id} does not exist here. Use the output"
            " oClusterId of its stack."
        )
    creation_rules.refuse_first(creation_rules.cluster_of_key_store(cluster_id, cluster))
    creation_rules.refuse_first(
        creation_rules.key_store_on_cluster(cluster_id, key_stores.describe(), key_store_id)
    )
    active = [hsm for hsm in hsm_plan.listed(cluster) if hsm["State"] == "ACTIVE"]
    certificate = ownership.certificate_of(cluster)
    trust_anchor.check(event, certificate)
    return {
        "IpAddresses": " ".join(sorted(hsm["EniIp"] for hsm in active)),
        "ClusterCertificate": pem.body(certificate),
    }


def create_key_store(event: Event) -> dict[str, Any]:
    """Create the key store; a repeated request returns the same one (F4.2)."""
    retries = int(event.get("RetryCount") or 0)
    settled_at = deadlines.settled_at(event["EnteredTime"], retries + 1)
    save_claim(event, Name=event["Name"], KeyStoreId="", IsComplete=False, SettledAt=settled_at)
    store = key_stores.request(
        "create_custom_key_store",
        CustomKeyStoreName=event["Name"],
        CloudHsmClusterId=event["ClusterId"],
        TrustAnchorCertificate=trust_anchor.read(event),
        KeyStorePassword=secret_store.read(event["PasswordSecretName"]),
    )
    claim = {"Name": event["Name"], "KeyStoreId": store["CustomKeyStoreId"], "IsComplete": False}
    # This call was not lost, but an earlier one may have been.
    save_claim(event, **claim, SettledAt=settled_at if retries else "")
    return {"Id": store["CustomKeyStoreId"]}


def connect_key_store(event: Event) -> dict[str, Any]:
    """Connect the key store, unless it is CONNECTED or CONNECTING (F4.5)."""
    store = key_stores.find(event["KeyStoreId"])
    if store and store["ConnectionState"] not in ("CONNECTED", "CONNECTING"):
        require_owned(event)
        key_stores.request("connect_custom_key_store", CustomKeyStoreId=event["KeyStoreId"])
    return {**event["Connection"], "Number": event["Connection"]["Number"] + 1}


def disconnect_key_store(event: Event) -> dict[str, Any]:
    """Disconnect the key store; does nothing if KMS refuses because of its state (F4.6)."""
    require_owned(event)
    try:
        aws.client("kms").disconnect_custom_key_store(CustomKeyStoreId=event["KeyStoreId"])
    except ClientError as error:
        # The workflow polls the state next.
        if aws.error_code(error) not in (
            "CustomKeyStoreInvalidStateException",
            "CustomKeyStoreNotFoundException",
        ):
            raise
    return {}


def diagnose_connection(event: Event) -> dict[str, Any]:
    """Decide what to do about a FAILED connection: REPAIR kmsuser, CONNECT again, or FAIL.

    A store that was FAILED before this workflow is connected once more. A repair is done once, and
    only if enough time is left for another connection.
    """
    code, connection = event["ErrorCode"], event["Connection"]
    elapsed = deadlines.seconds_between(event["StartTime"], event["EnteredTime"])
    has_time = _TOTAL_SECONDS - elapsed >= _CONNECT_SECONDS
    if code in _REPAIRABLE and not connection["IsRepaired"] and has_time:
        decision = "REPAIR"
    else:
        decision = "CONNECT" if connection["Number"] == 0 else "FAIL"
    remedy = _REMEDIES.get(
        code, "See Troubleshooting a CloudHSM key store in the KMS Developer Guide."
    )
    if code in _REPAIRABLE and not connection["IsRepaired"]:
        remedy = _NOT_REPAIRED
    return {"Next": decision, "Message": f"{code}. {remedy}"}


def report_key_store(event: Event) -> dict[str, Any]:
    """Report the resource's attributes."""
    store, warnings = key_stores.find(event["KeyStoreId"]), event["Warnings"]
    if warnings != NONE:
        logger.warning("%s", warnings, extra={"key_store": event["KeyStoreId"]})
    return {
        "PhysicalResourceId": event["KeyStoreId"],
        "Data": {
            "KeyStoreId": event["KeyStoreId"] or NONE,
            "State": store["ConnectionState"] if store else "NOT_FOUND",
            "Warnings": warnings,
        },
    }


def delete_key_store(event: Event) -> dict[str, Any]:
    """Delete the key store, unless it holds keys, even if these await deletion (F4.8)."""
    require_owned(event)
    try:
        aws.client("kms").delete_custom_key_store(CustomKeyStoreId=event["KeyStoreId"])
    except ClientError as error:
        code = aws.error_code(error)
        if code not in ("CustomKeyStoreHasCMKsException", "CustomKeyStoreNotFoundException"):
            raise
        return {"IsRetained": code == "CustomKeyStoreHasCMKsException"}
    return {"IsRetained": False}


def retain_key_store(event: Event) -> dict[str, Any]:
    """Report and log that the key store is retained, and how to use its keys again."""
    store = event["KeyStoreId"]
    message = (
        f"Key store {store} was retained and is disconnected. To use its keys, name it in"
        " pExistingKeyStoreId of a new stack, or connect it: aws kms"
        f" connect-custom-key-store --custom-key-store-id {store}"
    )
    logger.warning("%s", message, extra={"key_store": store})
    return {"Retained": message}
