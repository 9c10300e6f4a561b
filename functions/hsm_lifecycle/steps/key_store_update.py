"""Steps: rename a KMS key store and move it to a related cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from hsm_lifecycle import aws, key_stores, ownership, secret_store, trust_anchor
from hsm_lifecycle.dispatch import Event
from hsm_lifecycle.errors import KeyStoreNotFoundError, ParameterError
from hsm_lifecycle.properties import NONE
from hsm_lifecycle.steps import admin_login, kms_user
from hsm_lifecycle.steps.key_store_ownership import require_owned

# Properties whose change leaves the connection as it is: an operator may have disconnected the key
# store, and KMS may not be able to connect it.
_WITHOUT_CONNECTION = frozenset(
    {
        "ServiceToken",
        "ServiceTimeout",
        "TemplateVersion",
        "DeleteKeyStoreUponStackDeletion",
        "ExistingKeyStoreId",
    }
)


def check_key_store_update(event: Event) -> dict[str, Any]:
    """Compare the key store with the parameters, and refuse changes that KMS does not support.

    A rollback must not fail, so there the problem is reported as a warning instead.
    """
    store, rollback = key_stores.find(event["KeyStoreId"]), ownership.is_rollback(event)
    problem = _problem(event, store)
    if problem and not rollback:
        raise problem
    if not rollback:
        _check_new_secrets_and_client(event)
    changeable = None if problem else store
    needs_move = bool(changeable and changeable["CloudHsmClusterId"] != event["ClusterId"])
    return {
        "IsChangeable": changeable is not None,
        "NeedsRename": bool(changeable and changeable["CustomKeyStoreName"] != event["Name"]),
        "NeedsMove": needs_move,
        "NeedsConnection": needs_move or _concerns_connection(event),
        "Rollback": rollback,
        "Warnings": str(problem) if problem else NONE,
    }


def _concerns_connection(event: Event) -> bool:
    """Whether the update changes more than settings that the connection does not depend on.

    Properties that only one of them has are those of another version of the template. The machine
    of version 1.0.0 passes none.
    """
    old: Mapping[str, Any] = event.get("OldResourceProperties", {})
    new: Mapping[str, Any] = event.get("ResourceProperties", {})
    changed = {name for name in old.keys() & new.keys() if old[name] != new[name]}
    return bool(changed - _WITHOUT_CONNECTION) or not old or not new


def _problem(event: Event, store: dict[str, Any] | None) -> Exception | None:
    """Why the key store cannot be changed to match the parameters."""
    if store is None:
        return KeyStoreNotFoundError(
            f"The key store {event['PhysicalResourceId']} no longer exists and an update cannot"
            " recreate it. Delete this stack and create a new one."
        )
    state, name, cluster_id = store["ConnectionState"], event["Name"], event["ClusterId"]
    if store["CustomKeyStoreName"] != name:
        if state not in ("CONNECTED", "DISCONNECTED"):
            return ParameterError(
                f"pKeyStoreName: the key store is {state}; KMS renames it only when CONNECTED or"
                " DISCONNECTED. Set only pReconcile to a new value first."
            )
        for other in key_stores.describe():
            if other["CustomKeyStoreName"] == name:
                return ParameterError(
                    f"pKeyStoreName: a key store named {name} already exists"
                    f" ({other['CustomKeyStoreId']}). Choose another name."
                )
    current_id = store["CloudHsmClusterId"]
    if current_id != cluster_id and not are_related(current_id, cluster_id):
        return ParameterError(
            f"pCloudHsmClusterId: the key store can only move from {current_id} to a cluster"
            f" restored from its backup; {cluster_id} has a different certificate. Choose another."
        )
    return None


def _check_new_secrets_and_client(event: Event) -> None:
    """ParameterError: a secret or client that the update names cannot be used.

    Only a repair or a move uses them, which may be months later.
    """
    # The machine of version 1.0.0 passes none.
    old = event.get("OldResourceProperties", {})

    def is_new(name: str, value: str) -> bool:
        return name in old and bool(old[name] != value)

    # Version 1.0.0 has none, and the machine of an earlier version passes none.
    existing = event.get("ResourceProperties", {}).get("ExistingKeyStoreId", "")
    is_own = existing in ("", event["KeyStoreId"])
    if not is_own and existing != old.get("ExistingKeyStoreId", ""):
        raise ParameterError(
            "pExistingKeyStoreId: only a new stack can take an existing key store. Set it back to"
            f" {old.get('ExistingKeyStoreId') or 'an empty text'}, or create another stack."
        )

    if is_new("CloudHsmAdminPasswordSecretName", event["CloudHsmAdminPasswordSecretName"]):
        admin_login.require_secret(event)
    if is_new("CloudHsmCustCaCertSecretName", event["CloudHsmCustCaCertSecretName"]):
        cluster = ownership.find(event["ClusterId"])
        trust_anchor.check(event, ownership.certificate_of(cluster or {}))
    if is_new("ClientInstanceId", event["ClientInstanceId"]):
        kms_user.client_role(event["ClientInstanceId"])


def are_related(current_id: str, cluster_id: str) -> bool:
    """Whether both clusters have the same certificate; True, for KMS to decide, if one is gone."""
    certificates = [
        cluster.get("Certificates", {}).get("ClusterCertificate")
        for cluster in map(ownership.find, (current_id, cluster_id))
        if cluster
    ]
    return len(certificates) < 2 or certificates[0] == certificates[1]


def rename_key_store(event: Event) -> dict[str, Any]:
    """Rename the key store, unless it already has the name.

    KMS may require it to be disconnected first, which makes its keys unusable: then ParameterError.
    """
    store = key_stores.find(event["KeyStoreId"])
    if store and store["CustomKeyStoreName"] == event["Name"]:
        return {}
    require_owned(event)
    try:
        key_stores.request(
            "update_custom_key_store",
            CustomKeyStoreId=event["KeyStoreId"],
            NewCustomKeyStoreName=event["Name"],
        )
    except ClientError as error:
        if aws.error_code(error) != "CustomKeyStoreInvalidStateException":
            raise
        raise ParameterError(
            "pKeyStoreName: KMS renames this store only while it is disconnected, which makes its"
            " keys unusable, so it was not renamed. Disconnect it yourself, then update again."
        ) from error
    return {}


def move_key_store(event: Event) -> dict[str, Any]:
    """Move the key store to a cluster with the same certificate (F4.7)."""
    require_owned(event)
    key_stores.request(
        "update_custom_key_store",
        CustomKeyStoreId=event["KeyStoreId"],
        CloudHsmClusterId=event["ClusterId"],
        KeyStorePassword=secret_store.read(event["PasswordSecretName"]),
    )
    return {}
