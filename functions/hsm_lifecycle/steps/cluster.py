"""CloudHSM clusters: checked, found, created, described, deleted."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from hsm_lifecycle import aws, deadlines
from hsm_lifecycle.dispatch import Event
from hsm_lifecycle.errors import (
    ClusterInUseError,
    ClusterNotDeletedError,
    ClusterNotFoundError,
    ForeignClusterError,
    ParameterError,
)
from hsm_lifecycle.properties import FIXED, MODIFIABLE, ClusterProperties
from hsm_lifecycle.steps import secrets as secret_store

logger = logging.getLogger("hsm_lifecycle")

STACK_TAG = "hsm-lifecycle:stack-id"
LOGICAL_ID_TAG = "hsm-lifecycle:logical-id"
STACK_KEYS_TAG = "hsm-lifecycle:stack-tag-keys"
MOST_TAGS = 50  # https://docs.aws.amazon.com/cloudhsm/latest/APIReference/API_CreateCluster.html
NONE = "none"  # an output of CloudFormation is better not empty
_CLUSTER_ID = re.compile(r"cluster-[2-7a-zA-Z]{11,16}")  # the API's own pattern (F1.11)
# Deleting the last HSM of such a cluster makes a backup, even if there was none before (F1.30).
_ONCE_ACTIVE = ("ACTIVE", "DEGRADED", "MODIFY_IN_PROGRESS", "ROLLBACK_IN_PROGRESS")
_ACCEPTED_DELETIONS = 3  # each lasts minutes, until AWS takes it back (F1.29)
_LOOKS_UNSEEN = 4  # 15 s apart: a list may not show at once what was just created
_DELETE_ATTEMPTS = 40  # 15 s apart: HSMs may linger for minutes after they are gone (F1.29)


# ---- what there is


def find(cluster_id: str) -> dict[str, Any] | None:
    """The cluster as AWS describes it; None if there is none, or only the memory of one (F1.28)."""
    if not _CLUSTER_ID.fullmatch(cluster_id):
        return None
    for cluster in _described(Filters={"clusterIds": [cluster_id]}):
        if cluster["ClusterId"] == cluster_id and cluster["State"] != "DELETED":
            return cluster
    return None


def find_by_tag(stack_id: str, logical_id: str) -> dict[str, Any] | None:
    """The cluster that this stack made, whatever became of the request that made it."""
    wanted = {STACK_TAG: stack_id, LOGICAL_ID_TAG: logical_id}
    for cluster in _described():
        if cluster["State"] != "DELETED" and wanted.items() <= tags_of(cluster).items():
            return cluster
    return None


def own(event: Event) -> dict[str, Any]:
    """The cluster a step is about to change; raises unless it carries the tag of this stack."""
    cluster = find(event["ClusterId"])
    if cluster is None:
        raise ClusterNotFoundError("The cluster no longer exists.")
    if not is_own(cluster, event):
        raise _foreign()
    return cluster


def is_own(cluster: dict[str, Any], event: Event) -> bool:
    """Whether the cluster carries the tag of the stack that asks."""
    return bool(tags_of(cluster).get(STACK_TAG) == event["StackId"])


def _foreign() -> ForeignClusterError:
    return ForeignClusterError(
        f"The cluster does not carry the tag {STACK_TAG} with the id of this stack, so it is"
        " not touched. If it is this stack's, put the tag back and try again."
    )


def tags_of(cluster: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in cluster.get("TagList") or []}


def has_backups(cluster_id: str) -> bool:
    """Whether backups of the cluster exist, which outlive it and need its secrets (F1.30)."""
    if not _CLUSTER_ID.fullmatch(cluster_id):
        return False
    pages = aws.client("cloudhsmv2").get_paginator("describe_backups")
    return any(
        bool(page["Backups"]) for page in pages.paginate(Filters={"clusterIds": [cluster_id]})
    )


def _described(**request: Any) -> Iterator[dict[str, Any]]:
    for page in aws.client("cloudhsmv2").get_paginator("describe_clusters").paginate(**request):
        yield from page["Clusters"]


def stack_of(event: Event) -> dict[str, Any]:
    """This stack as CloudFormation describes it: its tags, and whether it is rolling back."""
    stacks = aws.client("cloudformation").describe_stacks(StackName=event["StackId"])["Stacks"]
    found: dict[str, Any] = stacks[0]
    return found


# ---- steps


def find_cluster(event: Event) -> dict[str, Any]:
    """Find this stack's cluster by its physical id when that is one, else by its tags."""
    physical_id = event.get("PhysicalResourceId") or ""
    cluster = find(physical_id) or find_by_tag(event["StackId"], event["LogicalResourceId"])
    cluster_id = cluster["ClusterId"] if cluster else ""
    known = cluster_id or (physical_id if _CLUSTER_ID.fullmatch(physical_id) else "")
    return {
        "Id": cluster_id,
        "State": cluster["State"] if cluster else "NOT_FOUND",
        "LastKnownId": known,
        "HasBackups": bool(cluster and cluster["State"] in _ONCE_ACTIVE) or has_backups(known),
        "Attempts": event["Attempts"] + 1,
    }


def check_creation(event: Event) -> dict[str, Any]:
    """Refuse a creation that cannot end well, before anything is made."""
    wanted = ClusterProperties.parse(event["ResourceProperties"])
    if wanted.hsms_per_subnet == 0:
        raise ParameterError(
            "pHsmsPerSubnet: a cluster is created with at least one HSM in a subnet, because its"
            " certificate signing request comes from the first. Create it with 1, then update to 0."
        )
    if wanted.externally_provided_certs_ready:
        raise ParameterError(
            "pExternallyProvidedCertsReady: a new cluster has no certificates yet. Create it with"
            " false; its signing request is then in a secret, and an update goes on from there."
        )
    check_subnets(wanted.subnets)
    if crowd := _crowd({*wanted_tags(event), STACK_TAG, LOGICAL_ID_TAG}):
        raise crowd
    return {"BackupSecrets": _check_backup(wanted) if wanted.backup else {}}


def _check_backup(wanted: ClusterProperties) -> dict[str, str]:
    """The names of the secrets that a cluster restored from the backup needs.

    Raises ParameterError unless the backup can be restored as the stack asks.
    """
    backup = _backup(wanted)
    if backup is None:
        raise ParameterError(
            f"pBackupId: there is no backup {wanted.backup} in this Region and account. One of"
            " another account is given by its ARN, after it was shared with this account."
        )
    if backup["BackupState"] != "READY":
        raise ParameterError(
            f"pBackupId: {wanted.backup_id} is {backup['BackupState']}; only a READY backup can be"
            " restored."
        )
    if backup.get("Mode", wanted.mode) != wanted.mode:
        raise ParameterError(
            f"pMode: the backup is of a cluster in {backup['Mode']} mode, so {wanted.mode} cannot"
            " be chosen."
        )
    source = secret_store.names(wanted.system, backup["ClusterId"])
    return {
        "CaCertificate": wanted.backup_ca_cert_secret_name or source.ca_certificate,
        "Password": wanted.backup_admin_password_secret_name or source.password,
    }


def _backup(wanted: ClusterProperties) -> dict[str, Any] | None:
    """The backup of this account, or the one shared with it, which only its ARN names."""
    cloudhsm = aws.client("cloudhsmv2")
    requests: list[dict[str, Any]] = [{"Filters": {"backupIds": [wanted.backup_id]}}]
    if wanted.backup != wanted.backup_id:
        requests.append({"Shared": True})
    for request in requests:
        for page in cloudhsm.get_paginator("describe_backups").paginate(**request):
            for backup in page["Backups"]:
                if wanted.backup in (backup["BackupId"], backup.get("BackupArn")):
                    found: dict[str, Any] = backup
                    return found
    return None


def check_subnets(subnet_ids: tuple[str, ...]) -> None:
    """One VPC and one subnet for each Availability Zone (F1.12); raises an error otherwise."""
    for place, subnet_id in enumerate(subnet_ids):
        if subnet_id in subnet_ids[:place]:
            raise ParameterError(f"pSubnets: {subnet_id} is given twice.")
    try:
        subnets = aws.client("ec2").describe_subnets(SubnetIds=list(subnet_ids))["Subnets"]
    except ClientError as problem:
        meant = aws.translated(problem)
        raise type(meant)(f"pSubnets: {meant}") from problem
    if len({subnet["VpcId"] for subnet in subnets}) > 1:
        raise ParameterError("pSubnets: the subnets are of more than one VPC; a cluster has one.")
    zones: dict[str, str] = {}
    for subnet in subnets:
        zone, subnet_id = subnet["AvailabilityZone"], subnet["SubnetId"]
        if zone in zones:
            raise ParameterError(
                f"pSubnets: {zones[zone]} and {subnet_id} are both in {zone}; a cluster has one"
                " subnet in each Availability Zone."
            )
        zones[zone] = subnet_id


def create_cluster(event: Event) -> dict[str, Any]:
    """Create the cluster, unless this stack has made it already."""
    made = find_by_tag(event["StackId"], event["LogicalResourceId"])
    if made is None:
        wanted = ClusterProperties.parse(event["ResourceProperties"])
        tags = {
            **wanted_tags(event),
            STACK_TAG: event["StackId"],
            LOGICAL_ID_TAG: event["LogicalResourceId"],
        }
        restored = {"SourceBackupId": wanted.backup} if wanted.backup else {}
        made = aws.client("cloudhsmv2").create_cluster(
            HsmType=wanted.hsm_type,
            Mode=wanted.mode,
            NetworkType=wanted.network_type,
            SubnetIds=list(wanted.subnets),
            BackupRetentionPolicy={"Type": "DAYS", "Value": str(wanted.backup_retention_days)},
            TagList=_tag_list(tags),
            **restored,
        )["Cluster"]
    return {"Id": made["ClusterId"], "State": made["State"], "NotListed": 0}


def describe_cluster(event: Event) -> dict[str, Any]:
    """Describe the cluster; one that is gone has the state DELETED.

    One that was just created is believed in for a few looks without being seen; whoever has not
    just created it counts no looks.
    """
    found = find(event["ClusterId"])
    unseen = 0 if found else event.get("NotListed", _LOOKS_UNSEEN) + 1
    cluster = found or {"State": "DELETED" if unseen > _LOOKS_UNSEEN else "CREATE_IN_PROGRESS"}
    state, message = cluster["State"], cluster.get("StateMessage") or "AWS gives no reason"
    if state.endswith("_IN_PROGRESS") or state in ("UNINITIALIZED", "INITIALIZED"):
        deadlines.check(event, f"The cluster is still {state} ({message})")
    return {
        "Id": event["ClusterId"],
        "State": state,
        "StateMessage": message,
        "HsmType": cluster.get("HsmType") or NONE,
        "HsmIpAddresses": " ".join(_active_addresses(cluster)),
        "Attempts": event.get("Attempts", 0) + 1,
        "NotListed": unseen,
    }


def check_update(event: Event) -> dict[str, Any]:
    """Refuse, by the parameter's name, what AWS cannot change; compare with the cluster itself.

    In a rollback nothing is refused, because a rollback must pass: what cannot be restored is
    a warning.
    """
    cluster, rollback = find(event["ClusterId"]), is_rollback(event)
    faults = _faults(event, cluster)
    if faults and not rollback:
        raise faults[0]
    if faults:
        logger.warning("not restored by the rollback: %s", faults)
    return {
        "State": cluster["State"] if cluster else "NOT_FOUND",
        "IsChangeable": cluster is not None and is_own(cluster, event),
        "Rollback": rollback,
        "Warnings": " ".join(map(str, faults)) or NONE,
    }


def is_rollback(event: Event) -> bool:
    """Whether this update is CloudFormation's rollback of another."""
    return bool(stack_of(event)["StackStatus"] == "UPDATE_ROLLBACK_IN_PROGRESS")


def _faults(event: Event, cluster: dict[str, Any] | None) -> list[Exception]:
    """Every reason why the cluster cannot become what the properties say."""
    if cluster is None:
        return [
            ClusterNotFoundError(
                f"{event['ClusterId'] or 'The cluster'} no longer exists and an update cannot bring"
                " it back. Delete this stack and create it again, from a backup to keep the keys."
            )
        ]
    if not is_own(cluster, event):
        return [_foreign()]
    present, tags = tags_of(cluster), wanted_tags(event)
    if crowd := _crowd({*present, *tags} - _dropped(present, tags)):
        return [crowd]
    wanted = ClusterProperties.parse(event["ResourceProperties"])
    if wanted.hsms_per_subnet == 0:
        store = key_store_that_needs_hsms(event["ClusterId"])
        if store:
            return [
                ClusterInUseError(
                    f"pHsmsPerSubnet: KMS key store {store['CustomKeyStoreId']} is"
                    f" {store['ConnectionState']} and needs HSMs. Disconnect it first: aws kms"
                    f" disconnect-custom-key-store --custom-key-store-id"
                    f" {store['CustomKeyStoreId']}"
                )
            ]
    compared = {
        "pSubnets": (_listed(cluster["SubnetMapping"].values()), _listed(wanted.subnets)),
        "pMode": (cluster.get("Mode", "FIPS"), wanted.mode),
        "pNetworkType": (cluster.get("NetworkType", "IPV4"), wanted.network_type),
        "pBackupId": (cluster.get("SourceBackupId") or NONE, wanted.backup_id or NONE),
    }
    return [
        ParameterError(
            f"{parameter}: the cluster has {actual}, which AWS cannot change to {asked}."
            " Create a new stack, from a backup if it is to hold the same keys."
        )
        for parameter in FIXED
        for actual, asked in [compared[parameter]]
        if actual != asked
    ]


def tag_cluster(event: Event) -> dict[str, Any]:
    """Bring the tags of the stack in step; tags that the stack never had are left alone."""
    present, wanted = tags_of(own(event)), wanted_tags(event)
    dropped = _dropped(present, wanted) & set(present)
    cloudhsm, cluster_id = aws.client("cloudhsmv2"), event["ClusterId"]
    # In this order, because the tags also say which ones the stack had.
    if dropped:
        cloudhsm.untag_resource(ResourceId=cluster_id, TagKeyList=sorted(dropped))
    if not wanted.items() <= present.items():
        cloudhsm.tag_resource(ResourceId=cluster_id, TagList=_tag_list(wanted))
    return {}


def wanted_tags(event: Event) -> dict[str, str]:
    """The tags of the stack, and one that lists their keys, so that a dropped one is known.

    A tag's value has 256 characters; keys beyond that stay when the stack drops them.
    """
    # Tags that AWS itself puts on a stack, as Service Catalog does, nobody else may put anywhere.
    tags = {
        tag["Key"]: tag["Value"]
        for tag in stack_of(event).get("Tags") or []
        if not tag["Key"].lower().startswith("aws:")
    }
    keys = ""
    for key in sorted(tags):
        if " " not in key and len(keys) + len(key) < 256:
            keys = f"{keys} {key}".strip()
    return {**tags, STACK_KEYS_TAG: keys}


def _dropped(present: dict[str, str], wanted: dict[str, str]) -> set[str]:
    """The keys of the tags that the stack once had and has no more."""
    return set(present.get(STACK_KEYS_TAG, "").split()) - set(wanted)


def _crowd(keys: set[str]) -> ParameterError | None:
    """Why the cluster cannot have the tags of these keys, if they are too many for AWS."""
    if len(keys) <= MOST_TAGS:
        return None
    ours = len(keys & {STACK_TAG, LOGICAL_ID_TAG, STACK_KEYS_TAG})
    return ParameterError(
        f"Tags of the stack: with them the cluster would have {len(keys)} tags, {ours} of which"
        f" say whose it is; AWS allows {MOST_TAGS}. Deploy with fewer."
    )


def _tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def modify_cluster(event: Event) -> dict[str, Any]:
    """Change what AWS can change in place: the retention of backups, and the HSM type."""
    cluster, wanted = own(event), ClusterProperties.parse(event["ResourceProperties"])
    retention = {"Type": "DAYS", "Value": str(wanted.backup_retention_days)}
    asked: dict[str, tuple[bool, dict[str, Any]]] = {
        "pBackupRetentionDays": (
            cluster.get("BackupRetentionPolicy") != retention,
            {"BackupRetentionPolicy": retention},
        ),
        "pHsmType": (
            # While one change is under way, another is refused; it may be the very one asked for.
            cluster["HsmType"] != wanted.hsm_type and not cluster["State"].endswith("_IN_PROGRESS"),
            {"HsmType": wanted.hsm_type},
        ),
    }
    for parameter in MODIFIABLE:
        differs, change = asked[parameter]
        if differs:
            try:
                aws.client("cloudhsmv2").modify_cluster(ClusterId=event["ClusterId"], **change)
            except ClientError as problem:
                meant = aws.translated(problem)
                raise type(meant)(f"{parameter}: {meant}") from problem
    return {}


def _listed(ids: Any) -> str:
    return ",".join(sorted(ids))


def check_deletion(event: Event) -> dict[str, Any]:
    """Refuse to take the cluster away from under a KMS key store that uses it."""
    for store in key_stores_on(event["ClusterId"]):
        verb = "delete" if store["ConnectionState"] == "DISCONNECTED" else "disconnect"
        raise ClusterInUseError(
            f"KMS key store {store['CustomKeyStoreId']} ({store['ConnectionState']}) uses the"
            f" cluster. Delete its stack first, or: aws kms {verb}-custom-key-store"
            f" --custom-key-store-id {store['CustomKeyStoreId']}"
        )
    return {}


def key_stores_on(cluster_id: str) -> list[dict[str, Any]]:
    """The KMS key stores that use the cluster; there is at most one (F4.10)."""
    pages = aws.client("kms").get_paginator("describe_custom_key_stores").paginate()
    stores = (store for page in pages for store in page["CustomKeyStores"])
    return [store for store in stores if store.get("CloudHsmClusterId") == cluster_id]


def key_store_that_needs_hsms(cluster_id: str) -> dict[str, Any] | None:
    """The KMS key store for which the cluster must keep HSMs in two zones; None if there is none.

    KMS wants them for the keys of a CONNECTED one (F4.11) and looks for them while it is CONNECTING
    (F4.20). That it does without in any other state but DISCONNECTED is said nowhere.
    """
    for store in key_stores_on(cluster_id):
        if store["ConnectionState"] != "DISCONNECTED":
            return store
    return None


def delete_cluster(event: Event) -> dict[str, Any]:
    """Delete the cluster; refused for too long or taken back too often, it says what AWS said."""
    attempt, accepted = int(event["Attempt"]) + 1, int(event["Accepted"])
    cluster = find(event["ClusterId"])
    if cluster and cluster["State"] != "DELETE_IN_PROGRESS":
        own(event)
        if accepted >= _ACCEPTED_DELETIONS:
            raise ClusterNotDeletedError(
                f"AWS began to delete it {accepted} times, and it came back {cluster['State']}:"
                f" {cluster.get('StateMessage') or 'AWS gives no reason'}"
            )
        try:
            aws.client("cloudhsmv2").delete_cluster(ClusterId=event["ClusterId"])
            accepted += 1
        except ClientError as refusal:
            if aws.code_of(refusal) != "CloudHsmInvalidRequestException":
                raise
            if attempt >= _DELETE_ATTEMPTS:
                raise ClusterNotDeletedError(
                    f"AWS refused {attempt} times: {refusal.response['Error']['Message']}"
                    f" (the cluster is {cluster['State']}: {cluster.get('StateMessage')})"
                ) from refusal
    return {"Attempt": attempt, "Accepted": accepted}


def report_cluster(event: Event) -> dict[str, Any]:
    """Give what CloudFormation is to know of the cluster, or of its absence after a rollback."""
    cluster = find(event["ClusterId"]) or {"State": "NOT_FOUND"}
    of = secret_store.names(event["System"], event["ClusterId"])
    return {
        "PhysicalResourceId": event["ClusterId"],
        "Data": {
            "ClusterId": event["ClusterId"] or NONE,
            "State": cluster["State"],
            "SecurityGroupId": cluster.get("SecurityGroup") or NONE,
            "HsmIpAddresses": ",".join(_active_addresses(cluster)) or NONE,
            "AdminPasswordSecretName": of.password,
            "CustomerCaCertSecretName": of.ca_certificate,
            # A restored cluster has its certificate from the start, and made no request for one.
            "CsrSecretName": NONE if cluster.get("SourceBackupId") else of.csr,
            "NextStep": _next_step(cluster["State"], of),
            "Warnings": event.get("Warnings", NONE),
        },
    }


def _next_step(state: str, of: secret_store.Names) -> str:
    """What the operator is to do next; only a cluster that waits for certificates asks for it."""
    if state != "UNINITIALIZED":
        return NONE
    return (
        f"Sign the request in {of.csr}, store the certificate in {of.certificate} and the CA's in"
        f" {of.ca_certificate}, then update with pExternallyProvidedCertsReady=true."
    )


def _active_addresses(cluster: dict[str, Any]) -> list[str]:
    return sorted(hsm["EniIp"] for hsm in cluster.get("Hsms", ()) if hsm["State"] == "ACTIVE")
