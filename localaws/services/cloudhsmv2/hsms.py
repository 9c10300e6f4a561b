"""The API operations on HSMs, and events that AWS causes on them."""

from __future__ import annotations

import re

from localaws.core.api_error import ApiError
from localaws.services.cloudhsmv2 import exceptions, identities, ids, permissions
from localaws.services.cloudhsmv2.backups import Backups
from localaws.services.cloudhsmv2.models import Cluster, Hsm, Users, copy_users, factory_users
from localaws.services.cloudhsmv2.parameters import Params, Response, optional_text, text
from localaws.services.cloudhsmv2.store import Store

# F1.23.
STATES_FOR_CREATE_HSM = ("UNINITIALIZED", "INITIALIZED", "ACTIVE", "DEGRADED")
ANYTHING = re.compile(r".*")


class Hsms:
    """The HSMs of one account and Region."""

    def __init__(self, store: Store, backups: Backups) -> None:
        self._store = store
        self._backups = backups

    def create_hsm(self, params: Params) -> Response:
        """CreateHsm (F1.14): copies the users at the time of the call, not when it is ACTIVE."""
        store = self._store
        cluster = store.cluster(text(params, "ClusterId", ids.CLUSTER))
        zone = text(params, "AvailabilityZone", ids.ZONE)
        address = optional_text(params, "IpAddress", ids.IP_ADDRESS)
        if zone not in cluster.subnets:
            raise exceptions.invalid(f"Cluster '{cluster.id}' has no subnet in {zone}.")
        self._check_cluster_state(cluster)
        self._check_quotas(cluster)
        subnet_id = cluster.subnets[zone]
        if store.ec2.subnet(subnet_id) is None:
            raise exceptions.invalid(f"Subnet '{subnet_id}' no longer exists.")
        permissions.check_create_hsm(store, cluster, subnet_id)
        users = self._users_for_new_hsm(cluster)
        hsm_id = ids.new_id("hsm")
        try:
            eni_id, ip = store.ec2.create_eni(
                subnet_id, cluster.security_group, f"CloudHSM Managed Interface {hsm_id}", address
            )
        except ApiError as error:
            raise exceptions.invalid(f"No network interface: {error.message}") from error
        hsm = Hsm(hsm_id, zone, subnet_id, eni_id, ip, cluster.hsm_type)
        cluster.hsms[hsm_id] = hsm
        store.record(hsm_id, "CreateHsm", cluster=cluster.id, zone=zone)
        if cluster.activated and cluster.active_hsms():
            self._backups.take(cluster, users)
        store.move_hsm(cluster, hsm, "CREATE_IN_PROGRESS", hsm.message)
        store.scheduler.schedule(
            store.timings.create_hsm, lambda: self._created(cluster, hsm, users)
        )
        # F1.48: without them, a caller recognizes the HSM by its HsmId.
        unknown = () if hsm.type == "hsm1.medium" else ("EniId", "EniIp", "SubnetId")
        described = describe(cluster, hsm)
        return {"Hsm": {key: value for key, value in described.items() if key not in unknown}}

    def delete_hsm(self, params: Params) -> Response:
        """DeleteHsm (F1.15): takes a backup first if the cluster is activated (F1.30)."""
        store = self._store
        cluster = store.cluster(text(params, "ClusterId", ids.CLUSTER))
        hsm = self._hsm(cluster, params)
        if hsm.in_progress:
            raise exceptions.invalid(f"HSM '{hsm.id}' is {hsm.state}.")
        if cluster.in_progress:
            raise exceptions.invalid(f"Cluster '{cluster.id}' is {cluster.state}.")
        permissions.check_delete_hsm(store, hsm)
        store.record(hsm.id, "DeleteHsm", cluster=cluster.id, zone=hsm.zone)
        holders = [hsm] if hsm.state == "ACTIVE" else cluster.active_hsms()
        if cluster.activated and holders:
            self._backups.take(cluster, holders[0].users)
        store.move_hsm(cluster, hsm, "DELETE_IN_PROGRESS", "HSM deletion in progress.")
        if cluster.state == "UNINITIALIZED":
            # F1.26: the next first HSM generates a new key and CSR.
            cluster.identity = None
        store.scheduler.schedule(store.timings.delete_hsm, lambda: self._deleted(cluster, hsm))
        return {"HsmId": hsm.id}

    def replace(self, hsm_id: str) -> str:
        """AWS replaces a failed HSM: another id, the same interface and address (F1.27)."""
        cluster, hsm = self._find(hsm_id)
        if hsm.in_progress:
            raise exceptions.invalid(f"HSM '{hsm.id}' is {hsm.state}.")
        new_id = self.replace_with(cluster, hsm, cluster.hsm_type)
        if cluster.state == "UNINITIALIZED":
            self._issue_csr(cluster, cluster.hsms[new_id])
        return new_id

    def replace_with(self, cluster: Cluster, hsm: Hsm, hsm_type: str) -> str:
        """Replace an HSM by one of this type, with the users of another HSM or the backup."""
        store = self._store
        del cluster.hsms[hsm.id]
        new = Hsm(
            ids.new_id("hsm"),
            hsm.zone,
            hsm.subnet_id,
            hsm.eni_id,
            hsm.ip,
            hsm_type,
            users=self._users_for_new_hsm(cluster),
        )
        cluster.hsms[new.id] = new
        store.record(hsm.id, "replaced", cluster=cluster.id, by=new.id)
        store.move_hsm(cluster, new, "ACTIVE")
        return new.id

    def degrade(self, hsm_id: str) -> None:
        """An HSM fails and is not replaced."""
        cluster, hsm = self._find(hsm_id)
        self._store.move_hsm(cluster, hsm, "DEGRADED", "HSM is not responding.")

    def _check_cluster_state(self, cluster: Cluster) -> None:
        if cluster.state not in STATES_FOR_CREATE_HSM:
            raise exceptions.invalid(f"Cluster '{cluster.id}' is {cluster.state}.")
        if not cluster.activated and cluster.existing_hsms():
            raise exceptions.invalid(
                f"Cluster '{cluster.id}' already contains an HSM but has not yet been fully "
                "activated"
            )
        if not self._store.assumptions.concurrent_create and any(
            hsm.in_progress for hsm in cluster.hsms.values()
        ):
            raise exceptions.invalid(f"Another HSM of cluster '{cluster.id}' is in progress.")

    def _check_quotas(self, cluster: Cluster) -> None:
        store = self._store
        total = sum(len(one.existing_hsms()) for one in store.clusters.values())
        for existing, quota, where in (
            (total, store.quotas.hsms, f"in {store.region}"),
            (len(cluster.existing_hsms()), store.quotas.hsms_per_cluster, f"in '{cluster.id}'"),
        ):
            if existing >= quota:
                raise ApiError(
                    store.assumptions.quota_code,
                    f"You have reached the limit of {quota} HSMs {where}.",
                )

    def _users_for_new_hsm(self, cluster: Cluster) -> Users:
        """A copy of the users of an ACTIVE HSM, else of the latest backup (F1.31)."""
        if not cluster.activated:
            return factory_users()
        if cluster.active_hsms():
            return copy_users(cluster.active_hsms()[0].users)
        backup = self._backups.latest(cluster)
        if backup is None:
            raise exceptions.invalid(f"Cluster '{cluster.id}' has no backup to restore.")
        return copy_users(backup.users)

    def _created(self, cluster: Cluster, hsm: Hsm, users: Users) -> None:
        store = self._store
        if store.faults.hsm_state() != "ACTIVE":
            store.move_hsm(cluster, hsm, "DEGRADED", "HSM is not responding.")
            return
        hsm.users = users
        store.move_hsm(cluster, hsm, "ACTIVE")
        if cluster.state == "DEGRADED" and cluster.active_hsms() == cluster.existing_hsms():
            store.move_cluster(cluster, "ACTIVE")
        store.logs.ensure_log_group(f"/aws/cloudhsm/{cluster.id}")
        if cluster.state == "UNINITIALIZED":
            self._issue_csr(cluster, hsm)

    def _issue_csr(self, cluster: Cluster, first: Hsm) -> None:
        cluster.identity = identities.new_of(
            first.id, first.type, cluster.mode, self._store.scheduler.now(), self._store.faults
        )

    def _deleted(self, cluster: Cluster, hsm: Hsm) -> None:
        """List the HSM as DELETED for a while; DeleteCluster waits longer (F1.28, F1.29)."""
        store = self._store
        store.move_hsm(cluster, hsm, "DELETED")
        store.ec2.delete_eni(hsm.eni_id)
        if store.assumptions.deleted_hsms_linger:
            cluster.deleted_hsms_count_until = (
                store.scheduler.now()
                + store.timings.deleted_hsm_visible
                + store.timings.deleted_hsm_lingers
            )
        store.scheduler.schedule(
            store.timings.deleted_hsm_visible, lambda: cluster.hsms.pop(hsm.id, None)
        )

    def _hsm(self, cluster: Cluster, params: Params) -> Hsm:
        given = {
            name: value
            for name in ("HsmId", "EniId", "EniIp")
            if (value := optional_text(params, name, ANYTHING)) is not None
        }
        if len(given) != 1:
            raise exceptions.invalid("Give exactly one of HsmId, EniId and EniIp.")
        ((name, value),) = given.items()
        for hsm in cluster.existing_hsms():
            if value == {"HsmId": hsm.id, "EniId": hsm.eni_id, "EniIp": hsm.ip}[name]:
                return hsm
        raise exceptions.not_found(f"Cluster '{cluster.id}' has no HSM with {name} '{value}'.")

    def _find(self, hsm_id: str) -> tuple[Cluster, Hsm]:
        for cluster in self._store.clusters.values():
            if hsm_id in cluster.hsms:
                return cluster, cluster.hsms[hsm_id]
        raise exceptions.not_found(f"HSM '{hsm_id}' does not exist.")


def describe(cluster: Cluster, hsm: Hsm) -> Response:
    """An HSM as the API returns it (F1.18)."""
    described: Response = {
        "AvailabilityZone": hsm.zone,
        "ClusterId": cluster.id,
        "SubnetId": hsm.subnet_id,
        "EniId": hsm.eni_id,
        "EniIp": hsm.ip,
        "HsmId": hsm.id,
        "HsmType": hsm.type,
        "State": hsm.state,
    }
    if hsm.message:
        described["StateMessage"] = hsm.message
    return described
