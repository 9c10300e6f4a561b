"""HSMs: one at a time until the cluster is ACTIVE, then as many as quotas allow."""

from __future__ import annotations

import re

from localaws.core.api_error import ApiError
from localaws.services.cloudhsmv2 import exceptions, ids, permissions
from localaws.services.cloudhsmv2.backups import Backups
from localaws.services.cloudhsmv2.certificates import Makers
from localaws.services.cloudhsmv2.models import Cluster, Hsm, Users, copy_users, factory_users
from localaws.services.cloudhsmv2.parameters import Answer, Params, optional_text, text
from localaws.services.cloudhsmv2.store import Estate

# F1.23.
STATES_THAT_TAKE_HSMS = ("UNINITIALIZED", "INITIALIZED", "ACTIVE", "DEGRADED")
ANYTHING = re.compile(r".*")


class Hsms:
    """The operations on HSMs, and what AWS does to them unasked."""

    def __init__(self, estate: Estate, backups: Backups, makers: Makers) -> None:
        self._estate = estate
        self._backups = backups
        self._makers = makers

    def create_hsm(self, params: Params) -> Answer:
        """CreateHsm (F1.14): it gets the users that its cluster has now, not when it is ACTIVE."""
        estate = self._estate
        cluster = estate.cluster(text(params, "ClusterId", ids.CLUSTER))
        zone = text(params, "AvailabilityZone", ids.ZONE)
        address = optional_text(params, "IpAddress", ids.IP_ADDRESS)
        if zone not in cluster.subnets:
            raise exceptions.invalid(f"Cluster '{cluster.id}' has no subnet in {zone}.")
        self._refuse_in_state(cluster)
        self._refuse_beyond_quota(cluster)
        subnet_id = cluster.subnets[zone]
        if estate.ec2.subnet(subnet_id) is None:
            raise exceptions.invalid(f"Subnet '{subnet_id}' does not exist any more.")
        permissions.to_create_hsm(estate, cluster, subnet_id)
        users = self._users_for_another(cluster)
        hsm_id = ids.new_id("hsm")
        try:
            eni_id, ip = estate.ec2.create_eni(
                subnet_id, cluster.security_group, f"CloudHSM Managed Interface {hsm_id}", address
            )
        except ApiError as refusal:
            raise exceptions.invalid(f"No network interface: {refusal.message}") from refusal
        hsm = Hsm(hsm_id, zone, subnet_id, eni_id, ip, cluster.hsm_type)
        cluster.hsms[hsm_id] = hsm
        estate.note(hsm_id, "CreateHsm", cluster=cluster.id, zone=zone)
        if cluster.activated and cluster.working():
            self._backups.take(cluster, users)
        estate.move_hsm(cluster, hsm, "CREATE_IN_PROGRESS", hsm.message)
        estate.agenda.later(estate.timings.create_hsm, lambda: self._arrived(cluster, hsm, users))
        return {"Hsm": describe(cluster, hsm)}

    def delete_hsm(self, params: Params) -> Answer:
        """DeleteHsm (F1.15): a backup is made first if the cluster is activated (F1.30)."""
        estate = self._estate
        cluster = estate.cluster(text(params, "ClusterId", ids.CLUSTER))
        hsm = self._named(cluster, params)
        if hsm.in_transit:
            raise exceptions.invalid(f"HSM '{hsm.id}' is {hsm.state}.")
        if cluster.in_transit:
            raise exceptions.invalid(f"Cluster '{cluster.id}' is {cluster.state}.")
        permissions.to_delete_hsm(estate, hsm)
        estate.note(hsm.id, "DeleteHsm", cluster=cluster.id, zone=hsm.zone)
        holders = [hsm] if hsm.state == "ACTIVE" else cluster.working()
        if cluster.activated and holders:
            self._backups.take(cluster, holders[0].users)
        estate.move_hsm(cluster, hsm, "DELETE_IN_PROGRESS", "HSM deletion in progress.")
        if cluster.state == "UNINITIALIZED":
            # F1.26: the next first HSM has a key and a CSR of its own.
            cluster.identity = None
        estate.agenda.later(estate.timings.delete_hsm, lambda: self._gone(cluster, hsm))
        return {"HsmId": hsm.id}

    def replace(self, hsm_id: str) -> str:
        """Have AWS replace a failed HSM: another id, the same interface and address (F1.27)."""
        cluster, hsm = self._find(hsm_id)
        if hsm.in_transit:
            raise exceptions.invalid(f"HSM '{hsm.id}' is {hsm.state}.")
        new_id = self.renew(cluster, hsm, cluster.hsm_type)
        if cluster.state == "UNINITIALIZED":
            cluster.identity = self._makers.identity(
                new_id, cluster.mode, self._estate.agenda.now()
            )
        return new_id

    def renew(self, cluster: Cluster, hsm: Hsm, hsm_type: str) -> str:
        """Put a new HSM in the place of this one; it gets its users from the cluster's backup."""
        estate = self._estate
        del cluster.hsms[hsm.id]
        new = Hsm(
            ids.new_id("hsm"),
            hsm.zone,
            hsm.subnet_id,
            hsm.eni_id,
            hsm.ip,
            hsm_type,
            users=self._users_for_another(cluster),
        )
        cluster.hsms[new.id] = new
        estate.note(hsm.id, "replaced", cluster=cluster.id, by=new.id)
        estate.move_hsm(cluster, new, "ACTIVE")
        return new.id

    def degrade(self, hsm_id: str) -> None:
        """Have an HSM fail without being replaced."""
        cluster, hsm = self._find(hsm_id)
        self._estate.move_hsm(cluster, hsm, "DEGRADED", "HSM is not responding.")

    def _refuse_in_state(self, cluster: Cluster) -> None:
        if cluster.state not in STATES_THAT_TAKE_HSMS:
            raise exceptions.invalid(f"Cluster '{cluster.id}' is {cluster.state}.")
        if not cluster.activated and cluster.present():
            raise exceptions.invalid(
                f"Cluster '{cluster.id}' already contains an HSM but has not yet been fully "
                "activated"
            )
        if not self._estate.assumptions.concurrent_create and any(
            hsm.in_transit for hsm in cluster.hsms.values()
        ):
            raise exceptions.invalid(f"Another HSM of cluster '{cluster.id}' is in progress.")

    def _refuse_beyond_quota(self, cluster: Cluster) -> None:
        estate = self._estate
        total = sum(len(one.present()) for one in estate.clusters.values())
        for there, quota, where in (
            (total, estate.quotas.hsms, f"in {estate.region}"),
            (len(cluster.present()), estate.quotas.hsms_per_cluster, f"in '{cluster.id}'"),
        ):
            if there >= quota:
                raise ApiError(
                    estate.assumptions.quota_code,
                    f"You have reached the limit of {quota} HSMs {where}.",
                )

    def _users_for_another(self, cluster: Cluster) -> Users:
        """What a new HSM will hold: a copy of another's users, or the latest backup's (F1.31)."""
        if not cluster.activated:
            return factory_users()
        if cluster.working():
            return copy_users(cluster.working()[0].users)
        backup = self._backups.latest(cluster)
        if backup is None:
            raise exceptions.invalid(f"Cluster '{cluster.id}' has no backup to restore.")
        return copy_users(backup.users)

    def _arrived(self, cluster: Cluster, hsm: Hsm, users: Users) -> None:
        estate = self._estate
        if estate.faults.hsm_state() != "ACTIVE":
            estate.move_hsm(cluster, hsm, "DEGRADED", "HSM is not responding.")
            return
        hsm.users = users
        estate.move_hsm(cluster, hsm, "ACTIVE")
        estate.logs.ensure_log_group(f"/aws/cloudhsm/{cluster.id}")
        if cluster.state == "UNINITIALIZED":
            cluster.identity = self._makers.identity(hsm.id, cluster.mode, estate.agenda.now())

    def _gone(self, cluster: Cluster, hsm: Hsm) -> None:
        """Show it as DELETED for a while, then not at all; still it lingers (F1.28, F1.29)."""
        estate = self._estate
        estate.move_hsm(cluster, hsm, "DELETED")
        estate.ec2.delete_eni(hsm.eni_id)
        cluster.hsms_linger_until = (
            estate.agenda.now()
            + estate.timings.deleted_hsm_visible
            + estate.timings.deleted_hsm_lingers
        )
        estate.agenda.later(
            estate.timings.deleted_hsm_visible, lambda: cluster.hsms.pop(hsm.id, None)
        )

    def _named(self, cluster: Cluster, params: Params) -> Hsm:
        given = {
            name: value
            for name in ("HsmId", "EniId", "EniIp")
            if (value := optional_text(params, name, ANYTHING)) is not None
        }
        if len(given) != 1:
            raise exceptions.invalid("Exactly one of HsmId, EniId and EniIp must be given.")
        ((name, value),) = given.items()
        for hsm in cluster.present():
            if value == {"HsmId": hsm.id, "EniId": hsm.eni_id, "EniIp": hsm.ip}[name]:
                return hsm
        raise exceptions.not_found(f"Cluster '{cluster.id}' has no HSM with {name} '{value}'.")

    def _find(self, hsm_id: str) -> tuple[Cluster, Hsm]:
        for cluster in self._estate.clusters.values():
            if hsm_id in cluster.hsms:
                return cluster, cluster.hsms[hsm_id]
        raise exceptions.not_found(f"HSM '{hsm_id}' does not exist.")


def describe(cluster: Cluster, hsm: Hsm) -> Answer:
    """An HSM as the API shows it (F1.18)."""
    shown: Answer = {
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
        shown["StateMessage"] = hsm.message
    return shown
