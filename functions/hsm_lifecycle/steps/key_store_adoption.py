"""Steps: bring the key store of pExistingKeyStoreId under a new stack, and release it again.

A creation that fails leaves the key store as it was: with its keys, DISCONNECTED, on its cluster
and without a claim. It never deletes it.
"""

from __future__ import annotations

import logging
from typing import Any

from botocore.exceptions import ClientError

from hsm_lifecycle import aws, creation_rules, key_stores
from hsm_lifecycle.dispatch import Event
from hsm_lifecycle.errors import ParameterError
from hsm_lifecycle.steps import admin_login, key_store, key_store_update, kms_user
from hsm_lifecycle.steps.key_store_ownership import (
    ADOPTED_FROM,
    IS_TAKEN,
    claimed_by_another,
    drop_claim,
    read_claim,
    require_owned,
    save_claim,
)

logger = logging.getLogger("hsm_lifecycle")

_PARAMETER = "pExistingKeyStoreId"
# With these, KMS refuses to move the key store back: its former cluster cannot be used.
_UNUSABLE = (
    "CloudHsmClusterInvalidConfigurationException",
    "CloudHsmClusterNotActiveException",
    "CloudHsmClusterNotFoundException",
)


def adopt_key_store(event: Event) -> dict[str, Any]:
    """Claim an existing key store, unless it cannot be this stack's.

    The event has no KeyStoreId: a failure must not end with the ID of a key store that is not
    claimed, because CloudFormation would take it for what this stack created.
    """
    key_store_id = event["ExistingKeyStoreId"]
    store, claim = key_stores.find(key_store_id), read_claim(event) or {}
    is_taken = claim.get("KeyStoreId") == key_store_id and claim.get(IS_TAKEN)
    # First: nobody should be told to disconnect another stack's key store.
    if not is_taken and (name := claimed_by_another(key_store_id)):
        raise _taken(key_store_id, name)
    if not is_taken or store is None:
        creation_rules.refuse_first(
            creation_rules.existing_key_store(key_store_id, event["Name"], store)
        )
    assert store is not None  # nosec B101 # for mypy
    if not is_taken:
        _require_related(event, store)
    key_store.usable_cluster(event, key_store_id)
    if not is_taken:
        admin_login.require_secret(event)
        kms_user.client_role(event["InstanceId"])
        _claim(event, store)
    return {"Id": key_store_id, "NeedsMove": store["CloudHsmClusterId"] != event["ClusterId"]}


def release_key_store(event: Event) -> dict[str, Any]:
    """Leave the key store of a failed creation as it was; it is disconnected already.

    It returns to its former cluster, unless that cannot be used any more.
    """
    require_owned(event)
    store, claim = key_stores.find(event["KeyStoreId"]), read_claim(event) or {}
    former = claim.get(ADOPTED_FROM)
    if store and former and store["CloudHsmClusterId"] != former:
        try:
            aws.client("kms").update_custom_key_store(
                CustomKeyStoreId=event["KeyStoreId"], CloudHsmClusterId=former
            )
        except ClientError as error:
            if aws.error_code(error) not in _UNUSABLE:
                raise
            logger.warning("%s cannot return to %s: %s", event["KeyStoreId"], former, error)
    message = f"Key store {event['KeyStoreId']} was released and is disconnected."
    logger.warning("%s", message, extra={"key_store": event["KeyStoreId"]})
    return {"Retained": message}


def _require_related(event: Event, store: dict[str, Any]) -> None:
    """Raise ParameterError unless the key store is of the stack's cluster, or can move to it."""
    current, wanted = store["CloudHsmClusterId"], event["ClusterId"]
    if current != wanted and not key_store_update.are_related(current, wanted):
        raise ParameterError(
            f"pCloudHsmClusterId: {store['CustomKeyStoreId']} is of {current}. Choose that, or a"
            " cluster restored from its backup."
        )


def _claim(event: Event, store: dict[str, Any]) -> None:
    """Record the key store as this stack's, unless another one claims it at the same time."""
    key_store_id = store["CustomKeyStoreId"]
    claim = {
        "Name": event["Name"],
        "KeyStoreId": key_store_id,
        "IsComplete": False,
        ADOPTED_FROM: store["CloudHsmClusterId"],
    }
    save_claim(event, **claim, **{IS_TAKEN: False})
    if name := claimed_by_another(key_store_id):
        drop_claim(event)
        raise _taken(key_store_id, name)
    save_claim(event, **claim, **{IS_TAKEN: True})


def _taken(key_store_id: str, name: str) -> ParameterError:
    return ParameterError(
        f"{_PARAMETER}: the SSM parameter {name} says that {key_store_id} is another stack's."
        " Delete that stack, or the parameter if the stack is gone."
    )
