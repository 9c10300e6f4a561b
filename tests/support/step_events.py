"""Events of cluster steps, and what several of their tests start from."""

from __future__ import annotations

import datetime
from typing import Any

from tests.support.account import LOGICAL_ID, STACK_ID, TIMINGS, Account, Json

UNKNOWN = "cluster-aaaaaaaaaaa"

# Physical IDs that CloudFormation or crhelper generates, and other invalid cluster IDs.
NO_IDS = (
    "",
    "rCloudHsmCluster",
    "cluster-rCloudHsmCluster-1QX8Z2L9V5K3N",
    "2026/01/31/[$LATEST]0123456789abcdef",
    "cluster-short",
    "cluster-" + "a" * 17,
    "cluster-aaaaaaaaaa1",
    "xcluster-aaaaaaaaaaa",
)

NO_CAPACITY = {
    "operation": "CreateHsm",
    "code": "CloudHsmInvalidRequestException",
    "message": "There is no capacity.",
}


def moment(seconds: float = 0) -> str:
    """A time in the format of state machines, some seconds after the start."""
    begin = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)
    at = begin + datetime.timedelta(seconds=seconds)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"


def of_stack(**more: Any) -> Json:
    """The event of a step of this stack."""
    return {"StackId": STACK_ID, "LogicalResourceId": LOGICAL_ID, **more}


def of_cluster(cluster_id: str, **more: Any) -> Json:
    """The event of a step on a cluster."""
    return {"ClusterId": cluster_id, "StackId": STACK_ID, **more}


def make_store(account: Account, cluster_id: str, state: str) -> str:
    """A key store on the cluster in a connection state."""
    if state == "CONNECTED":
        return account.add_connected_store(cluster_id)
    store_id = account.add_store(cluster_id)
    if state != "DISCONNECTED":
        account.kms.connect_custom_key_store(CustomKeyStoreId=store_id)
    if state in ("FAILED", "DISCONNECTING"):
        account.wait(TIMINGS.connect)
    if state == "DISCONNECTING":
        account.kms.disconnect_custom_key_store(CustomKeyStoreId=store_id)
    assert account.store(store_id)["ConnectionState"] == state
    return store_id
