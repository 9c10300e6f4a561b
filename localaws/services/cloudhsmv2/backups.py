"""Backups: made when a cluster changes, kept when it goes, restored onto HSMs that come back."""

from __future__ import annotations

import re

from localaws.services.cloudhsmv2 import exceptions, ids
from localaws.services.cloudhsmv2.certificates import Makers
from localaws.services.cloudhsmv2.models import (
    Backup,
    Cluster,
    User,
    Users,
    copy_users,
    factory_users,
)
from localaws.services.cloudhsmv2.parameters import Answer, Params, filters, page, tag_list, text
from localaws.services.cloudhsmv2.scheduler import Entry
from localaws.services.cloudhsmv2.store import Estate

DAY = 24 * 3600.0
# F1.40: so long a deleted backup can be restored.
GRACE = 7 * DAY
# An id, or the ARN of a backup that another account shares.
REFERENCE = re.compile(
    rf"(arn:aws(-us-gov)?:cloudhsm:[a-z0-9-]+:\d{{12}}:backup/)?{ids.BACKUP.pattern}"
)


class Backups:
    """The backups of one account in one Region, and those that others share with it."""

    def __init__(self, estate: Estate, makers: Makers) -> None:
        self._estate = estate
        self._makers = makers

    def take(self, cluster: Cluster, users: Users) -> Backup:
        """Make a backup of what an HSM of an activated cluster holds at this moment."""
        estate = self._estate
        assert cluster.identity
        backup_id = ids.new_id("backup")
        backup = Backup(
            backup_id,
            estate.arn("cloudhsm", f"backup/{backup_id}"),
            cluster.id,
            estate.agenda.now(),
            cluster.retention_days,
            cluster.hsm_type,
            cluster.mode,
            cluster.identity,
            copy_users(users),
        )
        estate.backups[backup_id] = backup
        self._move(backup, "CREATE_IN_PROGRESS")
        estate.agenda.later(estate.timings.create_backup, lambda: self._move(backup, "READY"))
        self._look_again(backup, backup.retention_days * DAY)
        return backup

    def take_daily(self, cluster: Cluster) -> None:
        """Make a backup every 24 hours from now on, as long as there is an HSM to take it from."""

        def due() -> None:
            if cluster.state == "DELETED":
                return
            if cluster.state == "ACTIVE" and cluster.working():
                self.take(cluster, cluster.working()[0].users)
            self.take_daily(cluster)

        self._estate.agenda.later(DAY, due)

    def latest(self, cluster: Cluster) -> Backup | None:
        """What a new HSM of a cluster without HSMs is restored from (F1.25)."""
        own = [
            backup
            for backup in self._of(cluster.id)
            if backup.state in ("CREATE_IN_PROGRESS", "READY")
        ]
        return own[-1] if own else cluster.source_backup

    def retain(self, cluster: Cluster) -> None:
        """Apply the cluster's retention to the backups that it has already."""
        for backup in self._of(cluster.id):
            backup.retention_days = cluster.retention_days
            self._expire(backup)

    def source(self, reference: str, hsm_type: str, mode: str) -> Backup:
        """What a new cluster is made from: own by id or ARN, another account's by ARN (F1.12)."""
        for backup in self._estate.backups.values():
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

    def plant_shared(self, admin_password: str, account: str, hsm_type: str, mode: str) -> Backup:
        """Have another account share the backup of an activated cluster of its own (F1.42)."""
        estate = self._estate
        now = estate.agenda.now()
        backup_id = ids.new_id("backup")
        backup = Backup(
            backup_id,
            estate.arn("cloudhsm", f"backup/{backup_id}", account),
            ids.new_id("cluster"),
            now,
            90,
            hsm_type,
            mode,
            self._makers.initialized_elsewhere(ids.new_id("hsm"), mode, now),
            {**factory_users(), "admin": User("admin", "admin", admin_password)},
            state="READY",
            shared=True,
        )
        estate.backups[backup_id] = backup
        estate.note(backup_id, "shared", account=account)
        return backup

    def describe_backups(self, params: Params) -> Answer:
        """DescribeBackups: the account's own, or with Shared those of others (F1.19)."""
        wanted = filters(
            params, ("backupIds", "sourceBackupIds", "clusterIds", "states", "neverExpires")
        )
        found = [
            backup
            for backup in self._estate.backups.values()
            if backup.shared == bool(params.get("Shared"))
            and backup.id in wanted.get("backupIds", (backup.id,))
            and backup.cluster_id in wanted.get("clusterIds", (backup.cluster_id,))
            and backup.state in wanted.get("states", (backup.state,))
            # No backup here is a copy (CopyBackupToRegion is not modelled) or kept for ever.
            and not wanted.get("sourceBackupIds")
            and "false" in wanted.get("neverExpires", ("false",))
        ]
        if not params.get("SortAscending"):
            found.reverse()
        return page("Backups", [describe(backup) for backup in found], params, most=50, usual=25)

    def delete_backup(self, params: Params) -> Answer:
        """DeleteBackup: it can be restored for another 7 days (F1.40)."""
        backup = self._own(params)
        if backup.state != "READY":
            raise exceptions.invalid(f"Backup '{backup.id}' is {backup.state}, not READY.")
        self._estate.note(backup.id, "DeleteBackup")
        self._move(backup, "PENDING_DELETION")
        backup.deletion = self._estate.agenda.later(GRACE, lambda: self._forget(backup))
        return {"Backup": describe(backup)}

    def restore_backup(self, params: Params) -> Answer:
        """RestoreBackup: takes back DeleteBackup (F1.40)."""
        backup = self._own(params)
        if backup.state != "PENDING_DELETION":
            raise exceptions.invalid(
                f"Backup '{backup.id}' is {backup.state}, not PENDING_DELETION."
            )
        self._estate.note(backup.id, "RestoreBackup")
        _call_off(backup.deletion)
        backup.deletion = None
        self._move(backup, "READY")
        return {"Backup": describe(backup)}

    def _own(self, params: Params) -> Backup:
        backup = self._estate.backups.get(text(params, "BackupId", ids.BACKUP))
        if backup is None or backup.shared:
            raise exceptions.not_found(f"Backup '{params['BackupId']}' does not exist.")
        return backup

    def _of(self, cluster_id: str) -> list[Backup]:
        """The backups of a cluster, oldest first."""
        return [one for one in self._estate.backups.values() if one.cluster_id == cluster_id]

    def _expire(self, backup: Backup) -> None:
        """Let go of a backup that is old enough, unless it is the cluster's latest (F1.39)."""
        left = backup.created + backup.retention_days * DAY - self._estate.agenda.now()
        if left > 0:
            self._look_again(backup, left)
        elif backup.state == "READY" and backup is not self._of(backup.cluster_id)[-1]:
            self._forget(backup)
        else:
            self._look_again(backup, DAY)

    def _look_again(self, backup: Backup, seconds: float) -> None:
        _call_off(backup.expiry)
        backup.expiry = self._estate.agenda.later(seconds, lambda: self._expire(backup))

    def _forget(self, backup: Backup) -> None:
        _call_off(backup.expiry)
        self._move(backup, "DELETED")
        del self._estate.backups[backup.id]

    def _move(self, backup: Backup, state: str) -> None:
        backup.state = state
        self._estate.note(backup.id, state, cluster=backup.cluster_id)


def describe(backup: Backup) -> Answer:
    """A backup as the API shows it."""
    shown: Answer = {
        "BackupId": backup.id,
        "BackupArn": backup.arn,
        "BackupState": backup.state,
        "ClusterId": backup.cluster_id,
        "CreateTimestamp": backup.created,
        "NeverExpires": False,
        "HsmType": backup.hsm_type,
        "Mode": backup.mode,
        "TagList": tag_list(backup.tags),
    }
    if backup.deletion:
        shown["DeleteTimestamp"] = backup.deletion.due
    return shown


def _call_off(entry: Entry | None) -> None:
    if entry:
        entry.called_off = True
