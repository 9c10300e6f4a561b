"""Steps: change an existing cluster to match the stack's parameters and tags."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from hsm_lifecycle import aws, deadlines, hsm_plan, key_stores, ownership
from hsm_lifecycle.dispatch import Event
from hsm_lifecycle.errors import ClusterInUseError, ClusterNotFoundError, ParameterError
from hsm_lifecycle.properties import (
    FIXED,
    MODIFIABLE,
    NONE,
    WITHOUT_CLIENT,
    ClusterProperties,
)

logger = logging.getLogger("hsm_lifecycle")


def check_update(event: Event) -> dict[str, Any]:
    """Refuse changes that AWS does not support; compares with the cluster, not the old stack.

    A rollback must not fail, so there the problems are reported as warnings instead.
    """
    cluster, rollback = ownership.find(event["ClusterId"]), ownership.is_rollback(event)
    problems = _problems(event, cluster)
    if problems and not rollback:
        raise problems[0]
    if problems:
        logger.warning("not restored by the rollback: %s", problems)
    return {
        "State": cluster["State"] if cluster else "NOT_FOUND",
        "IsChangeable": cluster is not None and ownership.is_owned(cluster, event),
        "Rollback": rollback,
        "NeedsClient": cluster is None or _needs_client(event, cluster),
        # A rollback also looks whether AWS reverts a change of the HSM type.
        "NeedsModification": rollback or cluster is None or _needs_modification(event, cluster),
        "NeedsTags": cluster is None or _dropped_and_wanted_tags(event, cluster) != (set(), {}),
        "Client": {**_client_of(event["ResourceProperties"]), "IsNew": _is_client_new(event)},
        "Warnings": " ".join(map(str, problems)) or NONE,
        "SettledAt": _settled_at(event) if rollback else "",
    }


def _settled_at(event: Event) -> str:
    """Until when lost calls of the update that is rolled back may take effect.

    Empty if it concerned neither the HSMs nor the client.
    """
    concerned = _changed(event) - WITHOUT_CLIENT
    return deadlines.settled_at(event["EnteredTime"], 0) if concerned else ""


def _needs_client(event: Event, cluster: dict[str, Any]) -> bool:
    """Whether the update concerns the HSMs or the client.

    Compares the HSMs with the cluster, and the rest, which is on the client, with the old stack: a
    new pReconcile makes the update look at the client. Properties that only one of them has are
    those of another version of the template.
    """
    wanted = ClusterProperties.parse(event["ResourceProperties"])
    return bool(
        _is_client_new(event)
        or _changed(event) - WITHOUT_CLIENT
        or cluster["State"] not in ("ACTIVE", "DEGRADED")
        or cluster.get("HsmType") != wanted.hsm_type
        or not hsm_plan.is_aligned(cluster, wanted.hsms_per_subnet)
    )


def _is_client_new(event: Event) -> bool:
    """Whether CloudFormation may launch or change the client beside this request.

    For an update of version 1.0.0, whose properties do not tell, it may.
    """
    old, new = event["OldResourceProperties"], event["ResourceProperties"]
    return _client_of(old) != _client_of(new)


def _client_of(properties: Mapping[str, Any]) -> dict[str, Any]:
    """What the instance is launched with; of version 1.0.0, its ID."""
    return dict(properties.get("Client") or {"InstanceId": properties["ClientInstanceId"]})


def _changed(event: Event) -> set[str]:
    """The names of the properties that differ from those of the old stack."""
    old, new = event["OldResourceProperties"], event["ResourceProperties"]
    return {name for name in old.keys() & new.keys() if old[name] != new[name]}


def _problems(event: Event, cluster: dict[str, Any] | None) -> list[Exception]:
    """Why the cluster cannot be changed to match the properties."""
    if cluster is None:
        return [
            ClusterNotFoundError(
                f"{event['ClusterId'] or 'The cluster'} no longer exists and an update cannot"
                " recreate it. Delete this stack and create a new one, from a backup to keep the"
                " keys."
            )
        ]
    if not ownership.is_owned(cluster, event):
        return [ownership.not_owned()]
    present, tags = ownership.tags_of(cluster), ownership.stack_tags(event)
    if error := ownership.too_many_tags({*present, *tags} - ownership.dropped_keys(present, tags)):
        return [error]
    wanted = ClusterProperties.parse(event["ResourceProperties"])
    if wanted.hsms_per_subnet == 0:
        store = key_stores.needing_hsms(event["ClusterId"])
        if store:
            return [
                ClusterInUseError(
                    f"pHsmsPerSubnet: KMS key store {store['CustomKeyStoreId']} is"
                    f" {store['ConnectionState']} and needs HSMs. Disconnect it first: aws kms"
                    f" disconnect-custom-key-store --custom-key-store-id"
                    f" {store['CustomKeyStoreId']}"
                )
            ]
    return _fixed_parameters_changed(cluster, wanted)


def _fixed_parameters_changed(
    cluster: dict[str, Any], wanted: ClusterProperties
) -> list[Exception]:
    compared = {
        "pSubnets": (_joined(cluster["SubnetMapping"].values()), _joined(wanted.subnets)),
        "pMode": (cluster.get("Mode", "FIPS"), wanted.mode),
        "pNetworkType": (cluster.get("NetworkType", "IPV4"), wanted.network_type),
        "pBackupId": (cluster.get("SourceBackupId") or NONE, wanted.backup_id or NONE),
    }
    return [
        ParameterError(
            f"{parameter}: the cluster has {actual}, which AWS cannot change to {asked}."
            " Create a new stack, from a backup to keep the keys."
        )
        for parameter in FIXED
        for actual, asked in [compared[parameter]]
        if actual != asked
    ]


def _joined(ids: Iterable[str]) -> str:
    return ",".join(sorted(ids))


def tag_cluster(event: Event) -> dict[str, Any]:
    """Apply the stack's tags to the cluster; tags set outside the stack are left unchanged."""
    dropped, wanted = _dropped_and_wanted_tags(event, ownership.require_owned(event))
    cloudhsm, cluster_id = aws.client("cloudhsmv2"), event["ClusterId"]
    # In this order: tagging also overwrites the list that tells which tags to remove.
    if dropped:
        cloudhsm.untag_resource(ResourceId=cluster_id, TagKeyList=sorted(dropped))
    if wanted:
        cloudhsm.tag_resource(ResourceId=cluster_id, TagList=ownership.tag_list(wanted))
    return {}


def _dropped_and_wanted_tags(
    event: Event, cluster: dict[str, Any]
) -> tuple[set[str], dict[str, str]]:
    """The keys to remove from the cluster, and the stack's tags unless it has them."""
    present, wanted = ownership.tags_of(cluster), ownership.stack_tags(event)
    dropped = ownership.dropped_keys(present, wanted) & set(present)
    return dropped, {} if wanted.items() <= present.items() else wanted


def modify_cluster(event: Event) -> dict[str, Any]:
    """Change the backup retention and the HSM type in place."""
    cluster = ownership.require_owned(event)
    # AWS refuses a second change while one is in progress, which may be this very one.
    is_busy = cluster["State"].endswith("_IN_PROGRESS")
    for parameter, change in _changes(event, cluster).items():
        if parameter == "pHsmType" and is_busy:
            continue
        try:
            aws.client("cloudhsmv2").modify_cluster(ClusterId=event["ClusterId"], **change)
        except ClientError as error:
            raise aws.parameter_error(parameter, error) from error
    return {}


def _needs_modification(event: Event, cluster: dict[str, Any]) -> bool:
    """Whether ModifyCluster has something to do, or the cluster is not stable."""
    return cluster["State"].endswith("_IN_PROGRESS") or bool(_changes(event, cluster))


def _changes(event: Event, cluster: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What ModifyCluster has to change, by parameter."""
    wanted = ClusterProperties.parse(event["ResourceProperties"])
    retention = {"Type": "DAYS", "Value": str(wanted.backup_retention_days)}
    changes: dict[str, tuple[bool, dict[str, Any]]] = {
        "pBackupRetentionDays": (
            cluster.get("BackupRetentionPolicy") != retention,
            {"BackupRetentionPolicy": retention},
        ),
        "pHsmType": (cluster.get("HsmType") != wanted.hsm_type, {"HsmType": wanted.hsm_type}),
    }
    return {
        parameter: change
        for parameter in MODIFIABLE
        for differs, change in [changes[parameter]]
        if differs
    }
