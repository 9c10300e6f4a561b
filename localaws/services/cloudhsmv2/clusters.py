"""The API operations on clusters, except ModifyCluster."""

from __future__ import annotations

import re

from localaws.core.api_error import ApiError
from localaws.services.cloudhsmv2 import backups as backups_of
from localaws.services.cloudhsmv2 import (
    certificates,
    exceptions,
    hsms,
    identities,
    ids,
    permissions,
)
from localaws.services.cloudhsmv2.backups import Backups
from localaws.services.cloudhsmv2.models import Cluster
from localaws.services.cloudhsmv2.parameters import (
    Params,
    Response,
    filters,
    optional_text,
    page,
    retention_days,
    tag_list,
    tags,
    text,
)
from localaws.services.cloudhsmv2.store import Store

HSM_TYPE = re.compile(r"hsm1\.medium|hsm2m\.medium")
MODE = re.compile(r"FIPS|NON_FIPS")
NETWORK_TYPE = re.compile(r"IPV4|DUALSTACK")
MAX_SUBNETS = 10
# F0.5: the last year in which hsm1.medium clusters could be created.
LAST_YEAR_OF_HSM1 = 2024
DEFAULT_RETENTION = {"Type": "DAYS", "Value": "90"}


class Clusters:
    """The clusters of one account and Region."""

    def __init__(self, store: Store, backups: Backups) -> None:
        self._store = store
        self._backups = backups

    def create_cluster(self, params: Params) -> Response:
        """CreateCluster (F1.12): no HSMs yet (F1.21); ACTIVE if from a backup (F1.24)."""
        store = self._store
        hsm_type = text(params, "HsmType", HSM_TYPE)
        mode = self._mode(params, hsm_type)
        network_type = optional_text(params, "NetworkType", NETWORK_TYPE) or "IPV4"
        days = retention_days(params.get("BackupRetentionPolicy") or DEFAULT_RETENTION)
        given_tags = tags(params["TagList"]) if params.get("TagList") is not None else {}
        source_id = optional_text(params, "SourceBackupId", backups_of.REFERENCE)
        source = self._backups.source(source_id, hsm_type, mode) if source_id else None
        vpc_id, subnets = self._subnets(params.get("SubnetIds") or [])
        existing = [one for one in store.clusters.values() if one.state != "DELETED"]
        if len(existing) >= store.quotas.clusters:
            raise ApiError(
                store.assumptions.quota_code,
                f"You have reached the limit of {store.quotas.clusters} clusters.",
            )
        cluster_id = ids.new_id("cluster")
        permissions.check_create_cluster(store, cluster_id, vpc_id, given_tags)
        group = store.ec2.create_security_group(
            f"cloudhsm-{cluster_id}-sg", f"Security group for {cluster_id}", vpc_id
        )
        cluster = Cluster(
            cluster_id,
            hsm_type,
            mode,
            network_type,
            vpc_id,
            group,
            subnets,
            store.scheduler.now(),
            days,
            given_tags,
            source,
        )
        store.clusters[cluster_id] = cluster
        store.record(cluster_id, "CreateCluster")
        store.move_cluster(cluster, "CREATE_IN_PROGRESS", cluster.message)
        store.scheduler.schedule(store.timings.create_cluster, lambda: self._created(cluster))
        return {"Cluster": describe(cluster)}

    def initialize_cluster(self, params: Params) -> Response:
        """InitializeCluster: with the signed CSR of the first HSM (F1.21, F2.4)."""
        store = self._store
        cluster = store.cluster(text(params, "ClusterId", ids.CLUSTER))
        if cluster.state != "UNINITIALIZED":
            raise exceptions.invalid(
                f"Cluster '{cluster.id}' is {cluster.state}, not UNINITIALIZED."
            )
        if cluster.identity is None:
            raise exceptions.invalid(f"Cluster '{cluster.id}' has no ACTIVE HSM and so no CSR yet.")
        signed_cert, trust_anchor = params.get("SignedCert"), params.get("TrustAnchor")
        certificates.validate_certificates(
            cluster.identity,
            signed_cert,
            trust_anchor,
            store.scheduler.now(),
            rfc5280=store.assumptions.trust_anchor_rfc5280,
        )
        identity = identities.initialized(cluster.identity, str(signed_cert), str(trust_anchor))
        store.record(cluster.id, "InitializeCluster")
        store.move_cluster(
            cluster,
            "INITIALIZE_IN_PROGRESS",
            "Cluster initialization is in progress. "
            "State will change to INITIALIZED upon completion.",
        )

        def done() -> None:
            cluster.identity = identity
            store.move_cluster(cluster, "INITIALIZED")

        store.scheduler.schedule(store.timings.initialize, done)
        return {"State": cluster.state, "StateMessage": cluster.message}

    def describe_clusters(self, params: Params) -> Response:
        """DescribeClusters: an unknown id gives an empty list (F1.28)."""
        wanted = filters(params, ("clusterIds", "vpcIds", "states"))
        found = [
            describe(cluster)
            for cluster in self._store.clusters.values()
            if cluster.id in wanted.get("clusterIds", (cluster.id,))
            and cluster.vpc_id in wanted.get("vpcIds", (cluster.vpc_id,))
            and cluster.state in wanted.get("states", (cluster.state,))
        ]
        return page("Clusters", found, params, maximum=25, default=25)

    def degrade(self, cluster_id: str) -> None:
        """A cluster has trouble, which its state shows (F1.7); what clears it is assumed."""
        cluster = self._store.cluster(cluster_id)
        if cluster.state != "ACTIVE":
            raise exceptions.invalid(f"Cluster '{cluster.id}' is {cluster.state}, not ACTIVE.")
        self._store.move_cluster(cluster, "DEGRADED", "The cluster is not responding.")

    def delete_cluster(self, params: Params) -> Response:
        """DeleteCluster: requires no HSMs and no change in progress (F1.15, F1.29)."""
        store = self._store
        cluster = store.cluster(text(params, "ClusterId", ids.CLUSTER))
        if cluster.in_progress:
            raise exceptions.invalid(f"Cluster '{cluster.id}' is {cluster.state}.")
        if cluster.existing_hsms() or store.scheduler.now() < cluster.deleted_hsms_count_until:
            raise exceptions.invalid(f"Cluster '{cluster.id}' contains HSMs; delete them first.")
        permissions.check_delete_cluster(store, cluster)
        previous = cluster.state
        store.record(cluster.id, "DeleteCluster")
        store.move_cluster(cluster, "DELETE_IN_PROGRESS", "Cluster deletion in progress.")
        store.scheduler.schedule(
            store.timings.delete_cluster, lambda: self._deleted(cluster, previous)
        )
        return {"Cluster": describe(cluster)}

    def _mode(self, params: Params, hsm_type: str) -> str:
        """FIPS or NON_FIPS; optional only for hsm1.medium, which is always FIPS (F1.12)."""
        mode = optional_text(params, "Mode", MODE)
        if hsm_type == "hsm1.medium":
            if self._store.assumptions.year > LAST_YEAR_OF_HSM1:
                raise exceptions.invalid("hsm1.medium clusters can no longer be created.")
            if mode == "NON_FIPS":
                raise exceptions.invalid("hsm1.medium clusters support FIPS mode only.")
            return "FIPS"
        if mode is None:
            raise exceptions.invalid(f"Mode is required for HSM type {hsm_type}.")
        return mode

    def _subnets(self, subnet_ids: list[str]) -> tuple[str, dict[str, str]]:
        """The VPC and the subnet of each zone: one per zone, all in one VPC (F1.12)."""
        if not 1 <= len(subnet_ids) <= MAX_SUBNETS:
            raise exceptions.invalid(f"SubnetIds must have 1 to {MAX_SUBNETS} subnets.")
        vpcs: set[str] = set()
        zones: dict[str, str] = {}
        for subnet_id in subnet_ids:
            subnet = self._store.ec2.subnet(subnet_id)
            if subnet is None:
                raise exceptions.invalid(f"Subnet '{subnet_id}' does not exist.")
            if subnet["AvailabilityZone"] in zones:
                raise exceptions.invalid(
                    f"More than one subnet is in {subnet['AvailabilityZone']}; "
                    "give one per Availability Zone."
                )
            zones[subnet["AvailabilityZone"]] = subnet_id
            vpcs.add(subnet["VpcId"])
        if len(vpcs) > 1:
            raise exceptions.invalid("The subnets are not all in the same VPC.")
        return vpcs.pop(), zones

    def _created(self, cluster: Cluster) -> None:
        if cluster.source_backup is None:
            self._store.move_cluster(cluster, "UNINITIALIZED")
            return
        cluster.identity = cluster.source_backup.identity
        self._store.move_cluster(cluster, "ACTIVE")
        self._backups.take_daily(cluster)

    def _deleted(self, cluster: Cluster, previous: str) -> None:
        """Delete the service's security group and the cluster, or neither (F1.29).

        What AWS does if the group is in use is uncertain. The model takes the harsher case: the
        cluster remains, and only its StateMessage gives the reason.
        """
        store = self._store
        try:
            store.ec2.delete_security_group(cluster.security_group)
        except ApiError as error:
            message = (
                f"Cluster could not be deleted: security group {cluster.security_group} is in use "
                f"({error.code})."
            )
            store.move_cluster(cluster, previous, message)
            return
        store.move_cluster(cluster, "DELETED")
        store.scheduler.schedule(
            store.timings.deleted_visible, lambda: store.clusters.pop(cluster.id)
        )


def _certificates(cluster: Cluster) -> dict[str, str]:
    """The CSR and the HSM's certificates while UNINITIALIZED, then the cluster's (F2.1)."""
    certificates = cluster.identity.certificates if cluster.identity else {}
    return {
        name: pem
        for name, pem in certificates.items()
        if name == "ClusterCertificate" or cluster.state == "UNINITIALIZED"
    }


def describe(cluster: Cluster) -> Response:
    """A cluster as the API returns it (F1.18)."""
    described: Response = {
        "BackupPolicy": "DEFAULT",
        "BackupRetentionPolicy": {"Type": "DAYS", "Value": str(cluster.retention_days)},
        "ClusterId": cluster.id,
        "CreateTimestamp": cluster.created,
        "Hsms": [hsms.describe(cluster, hsm) for hsm in cluster.hsms.values()],
        "HsmType": cluster.hsm_type,
        "SecurityGroup": cluster.security_group,
        "State": cluster.state,
        "SubnetMapping": dict(cluster.subnets),
        "VpcId": cluster.vpc_id,
        "NetworkType": cluster.network_type,
        "Certificates": _certificates(cluster),
        # The model permits no empty list.
        **({"TagList": tag_list(cluster.tags)} if cluster.tags else {}),
        "Mode": cluster.mode,
    }
    if cluster.message:
        described["StateMessage"] = cluster.message
    if cluster.source_backup:
        described["SourceBackupId"] = cluster.source_backup.id
    if cluster.rollback_until is not None:
        described["HsmTypeRollbackExpiration"] = cluster.rollback_until
    return described
