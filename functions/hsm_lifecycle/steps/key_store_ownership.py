"""Steps: which KMS key store belongs to this stack.

Key stores have no tags (F4.9), so the stack records a claim in Parameter Store: the name before the
store is created, its ID after, and that it is complete once it was connected. If the response to
the creation was lost, the claim has no ID, and asking KMS again tells whose the store is. Until
SettledAt, a lost call may still take effect; while the store exists, it cannot.
"""

from __future__ import annotations

import json
import os
from typing import Any

from botocore.exceptions import ClientError

from hsm_lifecycle import (
    aws,
    creation_rules,
    deadlines,
    key_stores,
    ownership,
    secret_store,
    trust_anchor,
)
from hsm_lifecycle.dispatch import Event
from hsm_lifecycle.errors import (
    NotOwnedError,
    ParameterError,
    SecretNotFoundError,
    TransientError,
)

# In the claim of a key store of pExistingKeyStoreId: its cluster before, and whether it is certain
# that no other stack claims it.
ADOPTED_FROM, IS_TAKEN = "AdoptedFrom", "IsTaken"
_CLAIMS = "/hsm-lifecycle"  # of all stacks
# After an update CloudFormation deletes resources that were replaced, by their old physical ID.
_CLEANUP = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"


def find_key_store(event: Event) -> dict[str, Any]:
    """Find this stack's key store by its physical ID, or by the claim if that is not one.

    IsIncomplete: a failed creation left the store; it is deleted whatever the stack's parameter
    says, unless it IsAdopted: then it is released. IsStale: the request deletes what the key store
    replaced, and that no longer exists.
    IsSettled: no lost call can create one of its name any more.
    """
    status, claim = ownership.describe_stack(event)["StackStatus"], read_claim(event)
    physical_id = event.get("PhysicalResourceId") or ""
    is_stale = status == _CLEANUP and not key_stores.is_key_store_id(physical_id)
    store = None if is_stale else _find(event, physical_id, claim)
    is_incomplete = claim is not None and (
        status == "ROLLBACK_IN_PROGRESS" or not claim["IsComplete"]
    )
    return {
        "Id": store["CustomKeyStoreId"] if store else "",
        "State": store["ConnectionState"] if store else "NOT_FOUND",
        "IsIncomplete": is_incomplete,
        "IsAdopted": is_incomplete and bool((claim or {}).get(ADOPTED_FROM)),
        "IsStale": is_stale,
        # A claim of version 1.0.0 has no time, and nor has one without a lost call.
        "IsSettled": deadlines.has_passed(
            (claim or {}).get("SettledAt") or "", event["EnteredTime"]
        ),
        "Seconds": deadlines.seconds_between(event["StartTime"], event["EnteredTime"]),
    }


def claim_key_store(event: Event) -> dict[str, Any]:
    """Refuse a name that is taken, else record that this stack creates a store with it."""
    name = event["Name"]
    creation_rules.refuse_first(creation_rules.key_store_name(name, key_stores.describe()))
    save_claim(event, Name=name, KeyStoreId="", IsComplete=False)
    return {}


def complete_claim(event: Event) -> dict[str, Any]:
    """Record that the store was connected: it may hold keys now, so it is no longer incomplete."""
    claim = read_claim(event) or {}
    adopted = {ADOPTED_FROM: claim[ADOPTED_FROM]} if ADOPTED_FROM in claim else {}
    save_claim(
        event,
        Name=event["Name"],
        KeyStoreId=event["KeyStoreId"],
        IsComplete=True,
        SettledAt=claim.get("SettledAt", ""),
        **adopted,
    )
    return {}


def require_owned(event: Event) -> None:
    """NotOwnedError: this stack's claim is of another key store, so this one must not change.

    Without a claim, CloudFormation's physical ID counts: a deletion that is repeated has dropped
    the claim of a key store that it retained.
    """
    claim = read_claim(event)
    if claim and claim["KeyStoreId"] != event["KeyStoreId"]:
        raise NotOwnedError(
            f"The SSM parameter {_claim()} names {claim['KeyStoreId'] or 'no key store'}, so this"
            " one was not changed. If it is this stack's, correct the parameter and retry."
        )
    if claim is None and (other := claimed_by_another(event["KeyStoreId"])):
        raise NotOwnedError(
            f"The SSM parameter {other} says that this key store is another stack's, so it was not"
            " changed."
        )


def drop_claim(event: Event) -> dict[str, Any]:
    """Delete this stack's claim; another stack's is left unchanged."""
    if read_claim(event) is not None:
        aws.client("ssm").delete_parameter(Name=_claim())
    return {}


def save_claim(event: Event, **claim: Any) -> None:
    """Record what this stack knows of its key store."""
    aws.client("ssm").put_parameter(
        Name=_claim(),
        Description="The KMS key store that a CloudFormation stack created.",
        Type="String",
        Overwrite=True,
        Value=json.dumps({"StackId": event["StackId"], **claim}, sort_keys=True),
    )


def claimed_by_another(key_store_id: str) -> str:
    """The SSM parameter with which another stack claims the key store; empty if none does.

    A claim of this stack's name is its own: another stack of that name no longer exists.
    """
    # Pages may be empty (F6.96), which boto3's paginator follows.
    pages = aws.client("ssm").get_paginator("get_parameters_by_path")
    for page in pages.paginate(Path=_CLAIMS, Recursive=True):
        for parameter in page["Parameters"]:
            name = str(parameter["Name"])
            if name != _claim() and _names_key_store(parameter["Value"], key_store_id):
                return name
    return ""


def _names_key_store(claim: str, key_store_id: str) -> bool:
    try:
        found = json.loads(claim)
    except ValueError:  # not a claim
        return False
    return isinstance(found, dict) and found.get("KeyStoreId") == key_store_id


def _claim() -> str:
    """The name of this stack's claim."""
    return os.environ["CLAIM"]


def read_claim(event: Event) -> dict[str, Any] | None:
    """This stack's claim; None if there is none or it is another stack's."""
    try:
        value = aws.client("ssm").get_parameter(Name=_claim())["Parameter"]["Value"]
    except ClientError as error:
        if aws.error_code(error) != "ParameterNotFound":
            raise
        return None
    claim: dict[str, Any] = json.loads(value)
    return claim if claim["StackId"] == event["StackId"] else None


def _find(event: Event, physical_id: str, claim: dict[str, Any] | None) -> dict[str, Any] | None:
    """The key store of this stack; None if it does not exist, or is another stack's by now."""
    if claim is None:
        store = key_stores.find(physical_id)
        return None if store and claimed_by_another(physical_id) else store
    if not claim.get(IS_TAKEN, True):
        return None
    return key_stores.find(physical_id) or _find_claimed(event, claim)


def _find_claimed(event: Event, claim: dict[str, Any]) -> dict[str, Any] | None:
    """The claimed key store; None if it does not exist."""
    if claim["KeyStoreId"]:
        return key_stores.find(claim["KeyStoreId"])
    for store in key_stores.describe():
        if (
            store["CustomKeyStoreName"] == claim["Name"]
            and store["ConnectionState"] == "DISCONNECTED"
            and _created_by_this_stack(event, store)
        ):
            save_claim(event, **{**claim, "KeyStoreId": store["CustomKeyStoreId"]})
            return store
    return None


def _created_by_this_stack(event: Event, store: dict[str, Any]) -> bool:
    """Whether this stack created the store and did not learn its ID.

    CreateCustomKeyStore returns the ID of an existing DISCONNECTED store only if all arguments are
    the same, among them kmsuser's password, which only this stack knows (F4.2).
    """
    try:
        response = aws.client("kms").create_custom_key_store(
            CustomKeyStoreName=store["CustomKeyStoreName"],
            CloudHsmClusterId=store["CloudHsmClusterId"],
            TrustAnchorCertificate=trust_anchor.read(event),
            KeyStorePassword=secret_store.read(event["PasswordSecretName"]),
        )
    except (ParameterError, SecretNotFoundError):
        return False
    except ClientError as error:
        workflow_error = aws.to_workflow_error(error)
        if isinstance(workflow_error, TransientError):
            raise workflow_error from error
        return False
    return bool(response["CustomKeyStoreId"] == store["CustomKeyStoreId"])
