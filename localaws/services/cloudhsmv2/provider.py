"""One account in one Region: the door to the model."""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections.abc import Callable, Iterator
from typing import Any

from localaws.core.api_error import ApiError
from localaws.core.event_log import EventLog, TimeSource
from localaws.core.faults import Faults
from localaws.services.cloudhsmv2 import backups, clusters, users
from localaws.services.cloudhsmv2.backups import Backups
from localaws.services.cloudhsmv2.certificates import Makers
from localaws.services.cloudhsmv2.clusters import Clusters
from localaws.services.cloudhsmv2.data_plane import DataPlane
from localaws.services.cloudhsmv2.hsms import Hsms
from localaws.services.cloudhsmv2.interfaces import Ec2, Iam, Logs
from localaws.services.cloudhsmv2.modify import Modifications
from localaws.services.cloudhsmv2.parameters import Answer, Params
from localaws.services.cloudhsmv2.scheduler import Agenda
from localaws.services.cloudhsmv2.settings import Assumptions, Quotas, Timings
from localaws.services.cloudhsmv2.store import Estate
from localaws.services.cloudhsmv2.tags import Tags
from localaws.services.kms import key_stores
from localaws.services.kms.key_stores import KeyStores
from localaws.services.kms.keys import Keys

CLOUDHSM_ACTIONS = (
    "CopyBackupToRegion",
    "CreateCluster",
    "CreateHsm",
    "DeleteBackup",
    "DeleteCluster",
    "DeleteHsm",
    "DeleteResourcePolicy",
    "DescribeBackups",
    "DescribeClusters",
    "GetResourcePolicy",
    "InitializeCluster",
    "ListTags",
    "ModifyBackupAttributes",
    "ModifyCluster",
    "PutResourcePolicy",
    "RestoreBackup",
    "TagResource",
    "UntagResource",
)
KEY_STORE_ACTIONS = (
    "ConnectCustomKeyStore",
    "CreateCustomKeyStore",
    "DeleteCustomKeyStore",
    "DescribeCustomKeyStores",
    "DisconnectCustomKeyStore",
    "UpdateCustomKeyStore",
)
READING = ("Describe", "List", "Get")


class CloudHsmProvider:
    """Everything that CloudHSM and KMS have of one account in one Region."""

    def __init__(
        self,
        clock: TimeSource,
        ec2: Ec2,
        iam: Iam,
        logs: Logs,
        *,
        region: str,
        account: str,
        timings: Timings | None = None,
        quotas: Quotas | None = None,
        faults: Faults | None = None,
        event_log: EventLog | None = None,
        assumptions: Assumptions | None = None,
    ) -> None:
        self.event_log = event_log or EventLog(clock)
        self.faults = faults or Faults()
        self._lock = threading.RLock()
        self._estate = estate = Estate(
            Agenda(clock),
            ec2,
            iam,
            logs,
            region,
            account,
            timings or Timings(),
            quotas or Quotas(),
            self.faults,
            self.event_log,
            assumptions or Assumptions(),
        )
        makers = Makers(clock.now())
        self._backups = Backups(estate, makers)
        self._clusters = Clusters(estate, self._backups)
        self._hsms = Hsms(estate, self._backups, makers)
        self._tags = Tags(estate)
        self._data_plane = DataPlane(estate, self._backups)
        self._key_stores = KeyStores(estate)
        self._keys = Keys(estate)
        modifications = Modifications(estate, self._backups, self._hsms)
        self._operations: dict[str, Callable[[Params], Answer]] = {
            "CreateCluster": self._clusters.create_cluster,
            "CreateHsm": self._hsms.create_hsm,
            "DeleteBackup": self._backups.delete_backup,
            "DeleteCluster": self._clusters.delete_cluster,
            "DeleteHsm": self._hsms.delete_hsm,
            "DescribeBackups": self._backups.describe_backups,
            "DescribeClusters": self._clusters.describe_clusters,
            "InitializeCluster": self._clusters.initialize_cluster,
            "ListTags": self._tags.list_tags,
            "ModifyCluster": modifications.modify_cluster,
            "RestoreBackup": self._backups.restore_backup,
            "TagResource": self._tags.tag_resource,
            "UntagResource": self._tags.untag_resource,
            "ConnectCustomKeyStore": self._key_stores.connect_custom_key_store,
            "CreateCustomKeyStore": self._key_stores.create_custom_key_store,
            "DeleteCustomKeyStore": self._key_stores.delete_custom_key_store,
            "DescribeCustomKeyStores": self._key_stores.describe_custom_key_stores,
            "DisconnectCustomKeyStore": self._key_stores.disconnect_custom_key_store,
            "UpdateCustomKeyStore": self._key_stores.update_custom_key_store,
        }

    def call(self, action: str, params: Params) -> Answer:
        """One request to the CloudHSM or KMS API; ApiError if it is refused or a fault says so."""
        with self._settled():
            answer: Answer | None = None
            late = self.faults.lateness(action)
            try:
                with self.faults.during(action):
                    if late is None:
                        answer = self._operation(action)(params)
                    else:
                        self._put_off(late, action, params)
                if answer is None:
                    raise ApiError("ConnectionLost", f"{action} takes effect later.")
            except ApiError as failure:
                if not action.startswith(READING):
                    outcome = "refused" if answer is None and late is None else "answer lost"
                    self._note_failure(f"{action} {outcome}", action, params, failure)
                raise
            return answer

    def data_plane(self, operation: str, params: Params) -> Answer:
        """What a client inside the VPC has its HSMs do: see `data_plane`."""
        with self._settled():
            return self._data_plane.run(operation, params)

    def run_due(self) -> None:
        """Let everything happen that is due by now."""
        with self._lock:
            self._estate.agenda.settle()

    def inventory(self) -> dict[str, Any]:
        """What exists now, as the admin API shows it under "cloudhsm" and "kms"."""
        with self._settled():
            estate = self._estate
            return {
                "cloudhsm": {
                    "clusters": [
                        {**clusters.describe(cluster), "Users": users.listing(cluster)}
                        for cluster in estate.clusters.values()
                    ],
                    "backups": [backups.describe(backup) for backup in estate.backups.values()],
                },
                "kms": {
                    "key_stores": [
                        key_stores.describe(store) for store in estate.key_stores.values()
                    ],
                    "keys": [
                        {
                            "KeyId": key_id,
                            "CustomKeyStoreId": store.id,
                            "KeyState": self._keys.state(key_id),
                        }
                        for store in estate.key_stores.values()
                        for key_id in store.keys
                    ],
                },
            }

    def tags_of(self, resource_id: str) -> dict[str, str]:
        """The tags of a cluster or backup, for IAM's aws:ResourceTag; none if it is gone."""
        with self._settled():
            try:
                return dict(self._tags.of(resource_id))
            except ApiError:
                return {}

    def replace_hsm(self, hsm_id: str) -> str:
        """Have AWS replace an HSM; the new one's id (F1.27)."""
        with self._settled():
            return self._hsms.replace(hsm_id)

    def degrade_hsm(self, hsm_id: str) -> None:
        """Have an HSM become DEGRADED."""
        with self._settled():
            self._hsms.degrade(hsm_id)

    def log_in(self, cluster_id: str, username: str) -> None:
        """Have somebody stay logged in to the cluster (F4.20: USER_LOGGED_IN)."""
        with self._settled():
            self._estate.cluster(cluster_id).sessions.add(username)

    def log_out(self, cluster_id: str, username: str) -> None:
        """End what `log_in` began."""
        with self._settled():
            self._estate.cluster(cluster_id).sessions.discard(username)

    def share_backup(
        self,
        admin_password: str,
        *,
        account: str = "999999999999",
        hsm_type: str = "hsm2m.medium",
        mode: str = "FIPS",
    ) -> dict[str, str]:
        """Have another account share a backup (F1.42): its BackupArn, and the TrustAnchor."""
        with self._settled():
            backup = self._backups.plant_shared(admin_password, account, hsm_type, mode)
            return {"BackupArn": backup.arn, "TrustAnchor": backup.identity.trust_anchor}

    def create_key(self, key_store_id: str, key_id: str) -> None:
        """KMS CreateKey in a key store: refused unless it is CONNECTED and has its HSMs (F4.23)."""
        with self._settled():
            self._keys.create(key_store_id, key_id)

    def schedule_key_deletion(self, key_id: str, days: int = 30) -> None:
        """KMS ScheduleKeyDeletion of a key in a key store."""
        with self._settled():
            self._keys.schedule_deletion(key_id, days)

    def cancel_key_deletion(self, key_id: str) -> None:
        """KMS CancelKeyDeletion of a key in a key store."""
        with self._settled():
            self._keys.cancel_deletion(key_id)

    def key_state(self, key_id: str) -> str | None:
        """The KeyState of a key in a key store; None if it is in none."""
        with self._settled():
            return self._keys.state(key_id)

    def use_key(self, key_id: str) -> None:
        """KMS Encrypt, Decrypt and so on: KMSInvalidStateException if the key's HSMs cannot."""
        with self._settled():
            self._keys.use(key_id)

    def _put_off(self, seconds: float, action: str, params: Params) -> None:
        """Have a request take effect later, with the rights of today's caller; or be refused."""
        caller = contextvars.copy_context()

        def act() -> None:
            with contextlib.suppress(ApiError):
                caller.run(self._operation(action), params)

        self._estate.agenda.later(seconds, act)

    def _operation(self, action: str) -> Callable[[Params], Answer]:
        if action in self._operations:
            return self._operations[action]
        if action in CLOUDHSM_ACTIONS:
            raise ApiError("CloudHsmServiceException", f"{action} is not modelled.")
        raise ApiError("UnknownOperationException", f"There is no operation {action}.")

    def _note_failure(self, event: str, action: str, params: Params, failure: ApiError) -> None:
        service = "kms" if action in KEY_STORE_ACTIONS else "cloudhsm"
        names = ("HsmId", "ClusterId", "BackupId", "ResourceId", "CustomKeyStoreId")
        subject = next((str(params[name]) for name in names if params.get(name)), "")
        self.event_log.record(service, subject, event, code=failure.code)

    @contextlib.contextmanager
    def _settled(self) -> Iterator[None]:
        """One at a time, and after everything that is due."""
        with self._lock:
            self.run_due()
            yield
