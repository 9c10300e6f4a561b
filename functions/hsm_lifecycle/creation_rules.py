"""What a new cluster or key store requires. Pure: from what AWS describes to all problems.

The workflows refuse the first problem; `make preflight` reports them all before anything exists.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hsm_lifecycle import hsm_plan
from hsm_lifecycle.errors import ClusterInUseError, ParameterError
from hsm_lifecycle.properties import ClusterProperties

# A description by AWS's API.
Described = Mapping[str, Any]


def new_cluster(wanted: ClusterProperties) -> Iterator[ParameterError]:
    """Values that a cluster may have, but not a new one."""
    if wanted.hsms_per_subnet == 0:
        yield ParameterError(
            "pHsmsPerSubnet: a new cluster needs at least one HSM per subnet, because the first HSM"
            " issues its certificate signing request. Create it with 1, then update to 0."
        )
    if wanted.externally_provided_certs_ready:
        yield ParameterError(
            "pExternallyProvidedCertsReady: a new cluster has no certificates yet. Create it with"
            " false, sign the request in its secret cluster-csr, then update to true."
        )


def repeated_subnets(subnet_ids: Sequence[str]) -> Iterator[ParameterError]:
    """Subnets that are listed twice; EC2 would describe them once."""
    for index, subnet_id in enumerate(subnet_ids):
        if subnet_id in subnet_ids[:index]:
            yield ParameterError(f"pSubnets: {subnet_id} is listed twice. List it once.")


def subnets(described: Iterable[Described]) -> Iterator[ParameterError]:
    """Require one VPC, and one subnet in each Availability Zone (F1.12)."""
    listed = list(described)
    if len({subnet["VpcId"] for subnet in listed}) > 1:
        yield ParameterError("pSubnets: the subnets belong to several VPCs. Choose one VPC.")
    zones: dict[str, str] = {}
    for subnet in listed:
        zone, subnet_id = subnet["AvailabilityZone"], subnet["SubnetId"]
        if zone in zones:
            yield ParameterError(
                f"pSubnets: {zones[zone]} and {subnet_id} are both in {zone}. Choose one subnet per"
                " Availability Zone."
            )
        zones[zone] = subnet_id


def backup(wanted: ClusterProperties, found: Described | None) -> Iterator[ParameterError]:
    """Whether the backup of pBackupId can be restored."""
    if found is None:
        yield ParameterError(
            f"pBackupId: backup {wanted.backup} does not exist in this Region and account. For a"
            " backup shared by another account, give its ARN."
        )
        return
    if found["BackupState"] != "READY":
        yield ParameterError(
            f"pBackupId: {wanted.backup_id} is {found['BackupState']}; only READY backups can be"
            " restored. Choose one."
        )
    if found.get("Mode", wanted.mode) != wanted.mode:
        yield ParameterError(
            f"pMode: the backup's cluster is in {found['Mode']} mode. Set pMode to it instead of"
            f" {wanted.mode}."
        )


def backup_requests(wanted: ClusterProperties) -> Iterator[dict[str, Any]]:
    """The requests of DescribeBackups, one of which finds the backup: this account's, or shared."""
    yield {"Filters": {"backupIds": [wanted.backup_id]}}
    if wanted.backup != wanted.backup_id:
        yield {"Shared": True}


def is_wanted_backup(wanted: ClusterProperties, found: Described) -> bool:
    """Whether pBackupId names this backup, by its ID or ARN."""
    return wanted.backup in (found["BackupId"], found.get("BackupArn"))


def key_store_name(name: str, stores: Iterable[Described]) -> Iterator[ParameterError]:
    """Names are unique in an account and Region."""
    for store in stores:
        if store["CustomKeyStoreName"] == name:
            yield ParameterError(
                f"pKeyStoreName: a key store named {name} already exists"
                f" ({store['CustomKeyStoreId']}, {store['ConnectionState']}) and was not changed."
                " Choose another name."
            )


def existing_key_store(
    key_store_id: str, name: str, found: Described | None
) -> Iterator[ParameterError]:
    """Whether a stack can take the key store of pExistingKeyStoreId, if no other stack has it."""
    parameter = "pExistingKeyStoreId"
    if found is None:
        yield ParameterError(
            f"{parameter}: {key_store_id} does not exist here. Choose one of: aws kms"
            " describe-custom-key-stores"
        )
        return
    if "CloudHsmClusterId" not in found:
        yield ParameterError(
            f"{parameter}: {key_store_id} is an external key store. Choose one of type"
            " AWS_CLOUDHSM."
        )
        return
    if found["ConnectionState"] not in ("DISCONNECTED", "FAILED"):
        yield ParameterError(
            f"{parameter}: {key_store_id} is {found['ConnectionState']}. Disconnect it first: aws"
            f" kms disconnect-custom-key-store --custom-key-store-id {key_store_id}"
        )
    if found["CustomKeyStoreName"] != name:
        yield ParameterError(
            f"pKeyStoreName: {key_store_id} has another name. Set pKeyStoreName to"
            f" {found['CustomKeyStoreName']}; a later update can rename it."
        )


def cluster_of_key_store(cluster_id: str, cluster: Described) -> Iterator[ParameterError]:
    """Whether KMS can create a key store on the cluster, and use it."""
    hsms = hsm_plan.listed({**cluster})
    zones = {hsm["AvailabilityZone"] for hsm in hsms if hsm["State"] == "ACTIVE"}
    if cluster["State"] != "ACTIVE":
        yield ParameterError(
            f"pCloudHsmClusterId: {cluster_id} is {cluster['State']}; KMS requires an ACTIVE"
            " cluster. Retry when it is, or choose another one."
        )
    if cluster.get("NetworkType", "IPV4") != "IPV4":
        yield ParameterError(
            f"pCloudHsmClusterId: {cluster_id} is {cluster['NetworkType']}; KMS cannot reach HSMs"
            " over IPv6. Use a cluster with pNetworkType=IPV4."
        )
    if any(hsm["State"] in hsm_plan.IN_PROGRESS for hsm in hsms):
        yield ParameterError(
            f"pCloudHsmClusterId: an HSM of {cluster_id} is being created or deleted, and could"
            " miss a new user. Retry when all HSMs are ACTIVE."
        )
    if len(zones) < 2:
        yield ParameterError(
            f"pCloudHsmClusterId: {cluster_id} has ACTIVE HSMs in {len(zones)} of the two"
            " Availability Zones that KMS requires. In the cluster's stack, set pHsmsPerSubnet to 1"
            " or more, or pReconcile to a new value; if its pSubnets has one subnet, choose another"
            " cluster."
        )


def key_store_on_cluster(
    cluster_id: str, stores: Iterable[Described], key_store_id: str = ""
) -> Iterator[ClusterInUseError]:
    """KMS allows one key store on a cluster (F4.10); this stack's own is `key_store_id`."""
    for store in stores:
        is_this_stacks = store["CustomKeyStoreId"] == key_store_id
        if store.get("CloudHsmClusterId") == cluster_id and not is_this_stacks:
            yield ClusterInUseError(
                f"pCloudHsmClusterId: {cluster_id} already has the key store"
                f" {store['CustomKeyStoreId']} ({store['CustomKeyStoreName']},"
                f" {store['ConnectionState']}). Choose a cluster without one, or take this one with"
                " pExistingKeyStoreId."
            )


def refuse_first(problems: Iterable[Exception]) -> None:
    """Raise the first problem, if there is one."""
    for problem in problems:
        raise problem
