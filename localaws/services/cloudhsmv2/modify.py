"""ModifyCluster: backup retention, and the change from hsm1.medium to hsm2m.medium and back.

A change of the HSM type takes half an hour per HSM; AWS rolls it back if it fails (F1.43).
"""

from __future__ import annotations

from localaws.services.cloudhsmv2 import exceptions, ids, permissions
from localaws.services.cloudhsmv2.backups import DAY, Backups
from localaws.services.cloudhsmv2.clusters import HSM_TYPE, describe
from localaws.services.cloudhsmv2.hsms import Hsms
from localaws.services.cloudhsmv2.models import Cluster, copy_users
from localaws.services.cloudhsmv2.parameters import (
    Params,
    Response,
    optional_text,
    retention_days,
    text,
)
from localaws.services.cloudhsmv2.store import Store

MAX_HSMS = 27


class Modifications:
    """The API operation ModifyCluster."""

    def __init__(self, store: Store, backups: Backups, hsms: Hsms) -> None:
        self._store = store
        self._backups = backups
        self._hsms = hsms

    def modify_cluster(self, params: Params) -> Response:
        """ModifyCluster (F1.17)."""
        cluster = self._store.cluster(text(params, "ClusterId", ids.CLUSTER))
        hsm_type = optional_text(params, "HsmType", HSM_TYPE)
        policy = params.get("BackupRetentionPolicy")
        if hsm_type is None and policy is None:
            raise exceptions.invalid("Give HsmType, BackupRetentionPolicy or both.")
        if cluster.in_progress:
            raise exceptions.invalid(f"Cluster '{cluster.id}' is {cluster.state}.")
        days = None if policy is None else retention_days(policy)
        if hsm_type is not None:
            self._check_type_change(cluster, hsm_type)
        permissions.check_modify_cluster(self._store)
        self._store.record(cluster.id, "ModifyCluster")
        if days is not None:
            cluster.retention_days = days
            self._backups.apply_retention(cluster)
        if hsm_type == "hsm2m.medium":
            self._start_change(cluster, hsm_type)
        elif hsm_type is not None:
            self._start_rollback(cluster, "Rollback of the HSM type was requested.")
        return {"Cluster": describe(cluster)}

    def _check_type_change(self, cluster: Cluster, hsm_type: str) -> None:
        if cluster.state != "ACTIVE":
            raise exceptions.invalid(f"Cluster '{cluster.id}' is {cluster.state}, not ACTIVE.")
        if hsm_type == cluster.hsm_type:
            raise exceptions.invalid(f"Cluster '{cluster.id}' already has HSM type {hsm_type}.")
        if any(hsm.in_progress for hsm in cluster.hsms.values()):
            raise exceptions.invalid(f"An HSM of cluster '{cluster.id}' is in progress.")
        if len(cluster.existing_hsms()) > MAX_HSMS:
            raise exceptions.invalid(f"Cluster '{cluster.id}' has more than {MAX_HSMS} HSMs.")
        until = cluster.rollback_until
        if hsm_type == "hsm1.medium" and (until is None or self._store.scheduler.now() >= until):
            raise exceptions.invalid(f"Cluster '{cluster.id}' can no longer be rolled back.")

    def _start_change(self, cluster: Cluster, hsm_type: str) -> None:
        store = self._store
        if cluster.active_hsms():
            cluster.before_type_change = self._backups.take(cluster, cluster.active_hsms()[0].users)
        cluster.rollback_until = store.scheduler.now() + DAY
        store.move_cluster(cluster, "MODIFY_IN_PROGRESS", "HSM type change in progress.")
        store.scheduler.schedule(
            self._duration(cluster), lambda: self._finish_change(cluster, hsm_type)
        )

    def _finish_change(self, cluster: Cluster, hsm_type: str) -> None:
        if self._store.faults.rolls_back():
            self._start_rollback(cluster, f"Change to {hsm_type} failed and is being rolled back.")
            return
        self._replace_all(cluster, hsm_type)
        self._store.move_cluster(cluster, "ACTIVE")

    def _start_rollback(self, cluster: Cluster, why: str) -> None:
        store = self._store
        cluster.rollback_until = None
        store.move_cluster(cluster, "ROLLBACK_IN_PROGRESS", why)
        store.scheduler.schedule(self._duration(cluster), lambda: self._finish_rollback(cluster))

    def _finish_rollback(self, cluster: Cluster) -> None:
        """Restore the HSM type and the users of the backup taken before the change."""
        self._replace_all(cluster, "hsm1.medium")
        if cluster.before_type_change:
            for hsm in cluster.active_hsms():
                hsm.users = copy_users(cluster.before_type_change.users)
        self._store.move_cluster(cluster, "ACTIVE", "HSM type was rolled back to hsm1.medium.")

    def _replace_all(self, cluster: Cluster, hsm_type: str) -> None:
        for hsm in cluster.existing_hsms():
            self._hsms.replace_with(cluster, hsm, hsm_type)
        cluster.hsm_type = hsm_type

    def _duration(self, cluster: Cluster) -> float:
        return self._store.timings.change_hsm_type * max(1, len(cluster.existing_hsms()))
