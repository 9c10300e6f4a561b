"""The API operations on backups, and the backups that AWS takes."""

from __future__ import annotations

import re

from localaws.services.cloudhsmv2 import exceptions, identities, ids
from localaws.services.cloudhsmv2.models import (
    Backup,
    Cluster,
    User,
    Users,
    copy_users,
    factory_users,
)
from localaws.services.cloudhsmv2.parameters import Params, Response, filters, page, tag_list, text
from localaws.services.cloudhsmv2.store import Store

DAY = 24 * 3600.0
# F1.40: how long a deleted backup can be restored.
RECOVERY_WINDOW = 7 * DAY
# An id or an ARN; a shared backup can be referenced only by ARN.
REFERENCE = re.compile(
    rf"(arn:aws(-us-gov)?:cloudhsm:[a-z0-9-]+:\d{{12}}:backup/)?{ids.BACKUP.pattern}"
)


class Backups:
    """The backups of one account and Region, and those shared with it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def take(self, cluster: Cluster, users: Users) -> Backup:
        """Take a backup of an activated cluster's HSM with these users."""
        store = self._store
        assert cluster.identity  # nosec B101 # for mypy
        backup_id = ids.new_id("backup")
        backup = Backup(
            backup_id,
            store.arn("cloudhsm", f"backup/{backup_id}"),
            cluster.id,
            store.scheduler.now(),
            cluster.retention_days,
            cluster.hsm_type,
            cluster.mode,
            cluster.identity,
            copy_users(users),
        )
        store.backups[backup_id] = backup
        self._move(backup, "CREATE_IN_PROGRESS")
        store.scheduler.schedule(store.timings.create_backup, lambda: self._move(backup, "READY"))
        self._check_expiry_in(backup, backup.retention_days * DAY)
        return backup

    def take_daily(self, cluster: Cluster) -> None:
        """Take a backup every 24 hours from now on, whenever there is an ACTIVE HSM."""

        def due() -> None:
            if cluster.state == "DELETED":
                return
            if cluster.state == "ACTIVE" and cluster.active_hsms():
                self.take(cluster, cluster.active_hsms()[0].users)
            self.take_daily(cluster)

        self._store.scheduler.schedule(DAY, due)

    def latest(self, cluster: Cluster) -> Backup | None:
        """The backup that the first new HSM of an empty cluster is restored from (F1.25)."""
        taken = [
            backup
            for backup in self._backups_of(cluster.id)
            if backup.state in ("CREATE_IN_PROGRESS", "READY")
        ]
        return taken[-1] if taken else cluster.source_backup

    def apply_retention(self, cluster: Cluster) -> None:
        """Apply the cluster's retention to its existing backups."""
        for backup in self._backups_of(cluster.id):
            backup.retention_days = cluster.retention_days
            self._delete_if_expired(backup)

    def source(self, reference: str, hsm_type: str, mode: str) -> Backup:
        """A new cluster's source: own backups by id or ARN, shared ones by ARN (F1.12)."""
        for backup in self._store.backups.values():
            if reference == backup.arn or (reference == backup.id and not backup.shared):
                break
        else:
            raise exceptions.not_found(f"Backup '{reference}' does not exist.")
        if backup.state != "READY":
            raise exceptions.invalid(f"Backup '{reference}' is {backup.state}, not READY.")
        if backup.mode != mode:
            raise exceptions.invalid(
                f"Backup '{reference}' is of a cluster in {backup.mode} mode, not {mode}."
            )
        if backup.hsm_type != hsm_type and hsm_type != "hsm2m.medium":
            raise exceptions.invalid(f"Backup '{reference}' is of {backup.hsm_type} HSMs.")
        return backup

    def share(self, admin_password: str, account: str, hsm_type: str, mode: str) -> Backup:
        """Another account shares a backup of its activated cluster (F1.42)."""
        store = self._store
        now = store.scheduler.now()
        backup_id = ids.new_id("backup")
        backup = Backup(
            backup_id,
            store.arn("cloudhsm", f"backup/{backup_id}", account),
            ids.new_id("cluster"),
            now,
            90,
            hsm_type,
            mode,
            identities.initialized_elsewhere(ids.new_id("hsm"), hsm_type, mode, now),
            {**factory_users(), "admin": User("admin", "admin", admin_password)},
            state="READY",
            shared=True,
        )
        store.backups[backup_id] = backup
        store.record(backup_id, "shared", account=account)
        return backup

    def describe_backups(self, params: Params) -> Response:
        """DescribeBackups: the account's own, or with Shared those shared with it (F1.19)."""
        wanted = filters(
            params, ("backupIds", "sourceBackupIds", "clusterIds", "states", "neverExpires")
        )
        found = [
            backup
            for backup in self._store.backups.values()
            if backup.shared == bool(params.get("Shared"))
            and backup.id in wanted.get("backupIds", (backup.id,))
            and backup.cluster_id in wanted.get("clusterIds", (backup.cluster_id,))
            and backup.state in wanted.get("states", (backup.state,))
            # No backup is a copy (CopyBackupToRegion is not modelled) or never expires.
            and not wanted.get("sourceBackupIds")
            and "false" in wanted.get("neverExpires", ("false",))
        ]
        if not params.get("SortAscending"):
            found.reverse()
        return page(
            "Backups", [describe(backup) for backup in found], params, maximum=50, default=25
        )

    def delete_backup(self, params: Params) -> Response:
        """DeleteBackup: it can be restored for 7 days (F1.40)."""
        backup = self._find_owned(params)
        if backup.state != "READY":
            raise exceptions.invalid(f"Backup '{backup.id}' is {backup.state}, not READY.")
        self._store.record(backup.id, "DeleteBackup")
        self._move(backup, "PENDING_DELETION")
        backup.deletion = self._store.scheduler.schedule(
            RECOVERY_WINDOW, lambda: self._delete(backup)
        )
        return {"Backup": describe(backup)}

    def restore_backup(self, params: Params) -> Response:
        """RestoreBackup: undoes DeleteBackup (F1.40)."""
        backup = self._find_owned(params)
        if backup.state != "PENDING_DELETION":
            raise exceptions.invalid(
                f"Backup '{backup.id}' is {backup.state}, not PENDING_DELETION."
            )
        self._store.record(backup.id, "RestoreBackup")
        if backup.deletion:
            backup.deletion.cancel()
        backup.deletion = None
        self._move(backup, "READY")
        return {"Backup": describe(backup)}

    def _find_owned(self, params: Params) -> Backup:
        backup = self._store.backups.get(text(params, "BackupId", ids.BACKUP))
        if backup is None or backup.shared:
            raise exceptions.not_found(f"Backup '{params['BackupId']}' does not exist.")
        return backup

    def _backups_of(self, cluster_id: str) -> list[Backup]:
        """The backups of a cluster, oldest first."""
        return [one for one in self._store.backups.values() if one.cluster_id == cluster_id]

    def _delete_if_expired(self, backup: Backup) -> None:
        """Delete a backup after its retention, unless it is the cluster's latest (F1.39)."""
        left = backup.created + backup.retention_days * DAY - self._store.scheduler.now()
        if left > 0:
            self._check_expiry_in(backup, left)
        elif backup.state == "READY" and backup is not self._backups_of(backup.cluster_id)[-1]:
            self._delete(backup)
        else:
            self._check_expiry_in(backup, DAY)

    def _check_expiry_in(self, backup: Backup, seconds: float) -> None:
        if backup.expiry:
            backup.expiry.cancel()
        backup.expiry = self._store.scheduler.schedule(
            seconds, lambda: self._delete_if_expired(backup)
        )

    def _delete(self, backup: Backup) -> None:
        if backup.expiry:
            backup.expiry.cancel()
        self._move(backup, "DELETED")
        del self._store.backups[backup.id]

    def _move(self, backup: Backup, state: str) -> None:
        backup.state = state
        self._store.record(backup.id, state, cluster=backup.cluster_id)


def describe(backup: Backup) -> Response:
    """A backup as the API returns it."""
    described: Response = {
        "BackupId": backup.id,
        "BackupArn": backup.arn,
        "BackupState": backup.state,
        "ClusterId": backup.cluster_id,
        "CreateTimestamp": backup.created,
        "NeverExpires": False,
        "HsmType": backup.hsm_type,
        "Mode": backup.mode,
        # The model permits no empty list.
        **({"TagList": tag_list(backup.tags)} if backup.tags else {}),
    }
    if backup.deletion:
        described["DeleteTimestamp"] = backup.deletion.due
    return described
