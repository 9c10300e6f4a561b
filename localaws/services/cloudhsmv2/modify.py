"""ModifyCluster: the retention of backups, and the move from hsm1.medium to hsm2m.medium and back.

What is changed in place takes half an hour per HSM, and AWS undoes it when it fails (F1.43).
"""

from __future__ import annotations

from localaws.services.cloudhsmv2 import exceptions, ids
from localaws.services.cloudhsmv2.backups import DAY, Backups
from localaws.services.cloudhsmv2.clusters import HSM_TYPE, describe
from localaws.services.cloudhsmv2.hsms import Hsms
from localaws.services.cloudhsmv2.models import Cluster, copy_users
from localaws.services.cloudhsmv2.parameters import (
    Answer,
    Params,
    optional_text,
    retention_days,
    text,
)
from localaws.services.cloudhsmv2.store import Estate

MOST_HSMS = 27


class Modifications:
    """The operation ModifyCluster."""

    def __init__(self, estate: Estate, backups: Backups, hsms: Hsms) -> None:
        self._estate = estate
        self._backups = backups
        self._hsms = hsms

    def modify_cluster(self, params: Params) -> Answer:
        """ModifyCluster (F1.17)."""
        cluster = self._estate.cluster(text(params, "ClusterId", ids.CLUSTER))
        hsm_type = optional_text(params, "HsmType", HSM_TYPE)
        policy = params.get("BackupRetentionPolicy")
        if hsm_type is None and policy is None:
            raise exceptions.invalid("Give HsmType or BackupRetentionPolicy or both.")
        if cluster.in_transit:
            raise exceptions.invalid(f"Cluster '{cluster.id}' is {cluster.state}.")
        days = None if policy is None else retention_days(policy)
        if hsm_type is not None:
            self._refuse_type(cluster, hsm_type)
        self._estate.note(cluster.id, "ModifyCluster")
        if days is not None:
            cluster.retention_days = days
            self._backups.retain(cluster)
        if hsm_type == "hsm2m.medium":
            self._start_change(cluster, hsm_type)
        elif hsm_type is not None:
            self._start_rollback(cluster, "Rollback of the HSM type was requested.")
        return {"Cluster": describe(cluster)}

    def _refuse_type(self, cluster: Cluster, hsm_type: str) -> None:
        if cluster.state != "ACTIVE":
            raise exceptions.invalid(f"Cluster '{cluster.id}' is {cluster.state}, not ACTIVE.")
        if hsm_type == cluster.hsm_type:
            raise exceptions.invalid(f"Cluster '{cluster.id}' is of HSM type {hsm_type} already.")
        if any(hsm.in_transit for hsm in cluster.hsms.values()):
            raise exceptions.invalid(f"An HSM of cluster '{cluster.id}' is in progress.")
        if len(cluster.present()) > MOST_HSMS:
            raise exceptions.invalid(f"Cluster '{cluster.id}' has more than {MOST_HSMS} HSMs.")
        until = cluster.rollback_until
        if hsm_type == "hsm1.medium" and (until is None or self._estate.agenda.now() >= until):
            raise exceptions.invalid(f"Cluster '{cluster.id}' cannot be rolled back any more.")

    def _start_change(self, cluster: Cluster, hsm_type: str) -> None:
        estate = self._estate
        if cluster.working():
            cluster.before_type_change = self._backups.take(cluster, cluster.working()[0].users)
        cluster.rollback_until = estate.agenda.now() + DAY
        estate.move_cluster(cluster, "MODIFY_IN_PROGRESS", "HSM type change in progress.")
        estate.agenda.later(self._seconds(cluster), lambda: self._finish_change(cluster, hsm_type))

    def _finish_change(self, cluster: Cluster, hsm_type: str) -> None:
        if self._estate.faults.rolls_back():
            self._start_rollback(cluster, f"Change to {hsm_type} failed and is being rolled back.")
            return
        self._renew_all(cluster, hsm_type)
        self._estate.move_cluster(cluster, "ACTIVE")

    def _start_rollback(self, cluster: Cluster, why: str) -> None:
        estate = self._estate
        cluster.rollback_until = None
        estate.move_cluster(cluster, "ROLLBACK_IN_PROGRESS", why)
        estate.agenda.later(self._seconds(cluster), lambda: self._finish_rollback(cluster))

    def _finish_rollback(self, cluster: Cluster) -> None:
        """Back to the old type, without what was written since the change began."""
        self._renew_all(cluster, "hsm1.medium")
        if cluster.before_type_change:
            for hsm in cluster.working():
                hsm.users = copy_users(cluster.before_type_change.users)
        self._estate.move_cluster(cluster, "ACTIVE", "HSM type was rolled back to hsm1.medium.")

    def _renew_all(self, cluster: Cluster, hsm_type: str) -> None:
        for hsm in cluster.present():
            self._hsms.renew(cluster, hsm, hsm_type)
        cluster.hsm_type = hsm_type

    def _seconds(self, cluster: Cluster) -> float:
        return self._estate.timings.change_hsm_type * max(1, len(cluster.present()))
