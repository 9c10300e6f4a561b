"""Clusters: created, initialized, described, changed and deleted."""

from __future__ import annotations

import re

from localaws.core.api_error import ApiError
from localaws.services.cloudhsmv2 import backups as backups_of
from localaws.services.cloudhsmv2 import certificates, exceptions, hsms, ids, permissions
from localaws.services.cloudhsmv2.backups import Backups
from localaws.services.cloudhsmv2.models import Cluster
from localaws.services.cloudhsmv2.parameters import (
    Answer,
    Params,
    filters,
    optional_text,
    page,
    retention_days,
    tag_list,
    tags,
    text,
)
from localaws.services.cloudhsmv2.store import Estate

HSM_TYPE = re.compile(r"hsm1\.medium|hsm2m\.medium")
MODE = re.compile(r"FIPS|NON_FIPS")
NETWORK_TYPE = re.compile(r"IPV4|DUALSTACK")
MOST_SUBNETS = 10
# F0.5: clusters of hsm1.medium have not been made since.
LAST_YEAR_OF_HSM1 = 2024
USUAL_RETENTION = {"Type": "DAYS", "Value": "90"}


class Clusters:
    """The operations on clusters."""

    def __init__(self, estate: Estate, backups: Backups) -> None:
        self._estate = estate
        self._backups = backups

    def create_cluster(self, params: Params) -> Answer:
        """CreateCluster (F1.12): without HSMs (F1.21); ACTIVE at once from a backup (F1.24)."""
        estate = self._estate
        hsm_type = text(params, "HsmType", HSM_TYPE)
        mode = self._mode(params, hsm_type)
        network_type = optional_text(params, "NetworkType", NETWORK_TYPE) or "IPV4"
        days = retention_days(params.get("BackupRetentionPolicy") or USUAL_RETENTION)
        given_tags = tags(params["TagList"]) if params.get("TagList") is not None else {}
        source_id = optional_text(params, "SourceBackupId", backups_of.REFERENCE)
        source = self._backups.source(source_id, hsm_type, mode) if source_id else None
        vpc_id, subnets = self._subnets(params.get("SubnetIds") or [])
        alive = [one for one in estate.clusters.values() if one.state != "DELETED"]
        if len(alive) >= estate.quotas.clusters:
            raise ApiError(
                estate.assumptions.quota_code,
                f"You have reached the limit of {estate.quotas.clusters} clusters.",
            )
        cluster_id = ids.new_id("cluster")
        permissions.to_create_cluster(estate, cluster_id, vpc_id, given_tags)
        group = estate.ec2.create_security_group(
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
            estate.agenda.now(),
            days,
            given_tags,
            source,
        )
        estate.clusters[cluster_id] = cluster
        estate.note(cluster_id, "CreateCluster")
        estate.move_cluster(cluster, "CREATE_IN_PROGRESS", cluster.message)
        estate.agenda.later(estate.timings.create_cluster, lambda: self._created(cluster))
        return {"Cluster": describe(cluster)}

    def initialize_cluster(self, params: Params) -> Answer:
        """InitializeCluster: with the signed CSR of the first HSM (F1.21, F2.4)."""
        estate = self._estate
        cluster = estate.cluster(text(params, "ClusterId", ids.CLUSTER))
        if cluster.state != "UNINITIALIZED":
            raise exceptions.invalid(
                f"Cluster '{cluster.id}' is {cluster.state}, not UNINITIALIZED."
            )
        if cluster.identity is None:
            raise exceptions.invalid(f"Cluster '{cluster.id}' has no ACTIVE HSM and so no CSR yet.")
        signed_cert, trust_anchor = params.get("SignedCert"), params.get("TrustAnchor")
        certificates.validate_certificates(
            cluster.identity, signed_cert, trust_anchor, estate.agenda.now()
        )
        identity = certificates.initialized(cluster.identity, str(signed_cert), str(trust_anchor))
        estate.note(cluster.id, "InitializeCluster")
        estate.move_cluster(
            cluster,
            "INITIALIZE_IN_PROGRESS",
            "Cluster initialization is in progress. "
            "State will change to INITIALIZED upon completion.",
        )

        def done() -> None:
            cluster.identity = identity
            estate.move_cluster(cluster, "INITIALIZED")

        estate.agenda.later(estate.timings.initialize, done)
        return {"State": cluster.state, "StateMessage": cluster.message}

    def describe_clusters(self, params: Params) -> Answer:
        """DescribeClusters: an id that is not there gives an empty list (F1.28)."""
        wanted = filters(params, ("clusterIds", "vpcIds", "states"))
        found = [
            describe(cluster)
            for cluster in self._estate.clusters.values()
            if cluster.id in wanted.get("clusterIds", (cluster.id,))
            and cluster.vpc_id in wanted.get("vpcIds", (cluster.vpc_id,))
            and cluster.state in wanted.get("states", (cluster.state,))
        ]
        return page("Clusters", found, params, most=25, usual=25)

    def delete_cluster(self, params: Params) -> Answer:
        """DeleteCluster: takes an empty cluster that nothing else happens to (F1.15, F1.29)."""
        estate = self._estate
        cluster = estate.cluster(text(params, "ClusterId", ids.CLUSTER))
        if cluster.in_transit:
            raise exceptions.invalid(f"Cluster '{cluster.id}' is {cluster.state}.")
        if cluster.present() or estate.agenda.now() < cluster.hsms_linger_until:
            raise exceptions.invalid(f"Cluster '{cluster.id}' contains HSMs; delete them first.")
        permissions.to_delete_cluster(estate, cluster)
        before = cluster.state
        estate.note(cluster.id, "DeleteCluster")
        estate.move_cluster(cluster, "DELETE_IN_PROGRESS", "Cluster deletion in progress.")
        estate.agenda.later(estate.timings.delete_cluster, lambda: self._deleted(cluster, before))
        return {"Cluster": describe(cluster)}

    def _mode(self, params: Params, hsm_type: str) -> str:
        """FIPS or NON_FIPS: optional for hsm1.medium alone, which is FIPS (F1.12)."""
        mode = optional_text(params, "Mode", MODE)
        if hsm_type == "hsm1.medium":
            if self._estate.assumptions.year > LAST_YEAR_OF_HSM1:
                raise exceptions.invalid("Clusters of hsm1.medium can no longer be created.")
            if mode == "NON_FIPS":
                raise exceptions.invalid("Clusters of hsm1.medium are in FIPS mode only.")
            return "FIPS"
        if mode is None:
            raise exceptions.invalid(f"Mode is required for HSM type {hsm_type}.")
        return mode

    def _subnets(self, subnet_ids: list[str]) -> tuple[str, dict[str, str]]:
        """The VPC, and the subnet of each zone: one per zone, all of one VPC (F1.12)."""
        if not 1 <= len(subnet_ids) <= MOST_SUBNETS:
            raise exceptions.invalid(f"SubnetIds must have 1 to {MOST_SUBNETS} subnets.")
        vpcs: set[str] = set()
        zones: dict[str, str] = {}
        for subnet_id in subnet_ids:
            subnet = self._estate.ec2.subnet(subnet_id)
            if subnet is None:
                raise exceptions.invalid(f"Subnet '{subnet_id}' does not exist.")
            if subnet["AvailabilityZone"] in zones:
                raise exceptions.invalid(
                    f"More than one subnet is in {subnet['AvailabilityZone']}; "
                    "give one for each Availability Zone."
                )
            zones[subnet["AvailabilityZone"]] = subnet_id
            vpcs.add(subnet["VpcId"])
        if len(vpcs) > 1:
            raise exceptions.invalid("The subnets are not all in the same VPC.")
        return vpcs.pop(), zones

    def _created(self, cluster: Cluster) -> None:
        if cluster.source_backup is None:
            self._estate.move_cluster(cluster, "UNINITIALIZED")
            return
        cluster.identity = cluster.source_backup.identity
        self._estate.move_cluster(cluster, "ACTIVE")
        self._backups.take_daily(cluster)

    def _deleted(self, cluster: Cluster, before: str) -> None:
        """Delete the service's security group and so the cluster, or neither (F1.29).

        What AWS does when something still uses the group is uncertain. Harsher than leaving the
        group behind, the cluster stays, and only its StateMessage tells.
        """
        estate = self._estate
        try:
            estate.ec2.delete_security_group(cluster.security_group)
        except ApiError as refusal:
            message = (
                f"Cluster could not be deleted: security group {cluster.security_group} is in use "
                f"({refusal.code})."
            )
            estate.move_cluster(cluster, before, message)
            return
        estate.move_cluster(cluster, "DELETED")
        estate.agenda.later(estate.timings.deleted_visible, lambda: estate.clusters.pop(cluster.id))


def describe(cluster: Cluster) -> Answer:
    """A cluster as the API shows it (F1.18)."""
    shown: Answer = {
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
        "Certificates": dict(cluster.identity.certificates) if cluster.identity else {},
        "TagList": tag_list(cluster.tags),
        "Mode": cluster.mode,
    }
    if cluster.message:
        shown["StateMessage"] = cluster.message
    if cluster.source_backup:
        shown["SourceBackupId"] = cluster.source_backup.id
    if cluster.rollback_until is not None:
        shown["HsmTypeRollbackExpiration"] = cluster.rollback_until
    return shown
