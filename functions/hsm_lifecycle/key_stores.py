"""KMS CloudHSM key stores as KMS describes them, and requests that change them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from hsm_lifecycle import aws
from hsm_lifecycle.errors import RefusedError

_KEY_STORE_ID = re.compile(r"cks-[0-9a-f]{8,60}")
_PARAMETER_OF = {
    "CloudHsmClusterInUseException": "pCloudHsmClusterId",
    "CloudHsmClusterInvalidConfigurationException": "pCloudHsmClusterId",
    "CloudHsmClusterNotActiveException": "pCloudHsmClusterId",
    "CloudHsmClusterNotFoundException": "pCloudHsmClusterId",
    "CloudHsmClusterNotRelatedException": "pCloudHsmClusterId",
    "CustomKeyStoreNameInUseException": "pKeyStoreName",
    "IncorrectTrustAnchorException": "pCloudHsmCustCaCertSecretName",
}


def is_key_store_id(text: str) -> bool:
    """Whether this is the ID of a key store."""
    return bool(_KEY_STORE_ID.fullmatch(text))


def find(key_store_id: str) -> dict[str, Any] | None:
    """The key store as DescribeCustomKeyStores returns it; None if there is none."""
    if not is_key_store_id(key_store_id):
        return None
    return next((store for store in describe() if store["CustomKeyStoreId"] == key_store_id), None)


def describe() -> Iterator[dict[str, Any]]:
    """All key stores of the account in this Region."""
    for page in aws.client("kms").get_paginator("describe_custom_key_stores").paginate():
        yield from page["CustomKeyStores"]


def on_cluster(cluster_id: str) -> list[dict[str, Any]]:
    """The key stores that use the cluster; there is at most one (F4.10)."""
    return [store for store in describe() if store.get("CloudHsmClusterId") == cluster_id]


def needing_hsms(cluster_id: str) -> dict[str, Any] | None:
    """The key store that requires HSMs in two zones of the cluster; None if there is none.

    KMS needs them for a CONNECTED store (F4.11) and checks for them while CONNECTING (F4.20). Of
    the other states only DISCONNECTED is documented to need none.
    """
    for store in on_cluster(cluster_id):
        if store["ConnectionState"] != "DISCONNECTED":
            return store
    return None


def request(operation: str, **arguments: Any) -> Any:
    """Call KMS. RefusedError names the stack parameter if KMS's error is about one."""
    try:
        return getattr(aws.client("kms"), operation)(**arguments)
    except ClientError as error:
        parameter = _PARAMETER_OF.get(aws.error_code(error))
        if parameter is None:
            raise
        raise RefusedError(f"{parameter}: {aws.to_workflow_error(error)}") from error
