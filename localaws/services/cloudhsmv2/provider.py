"""AWS CloudHSM and the CloudHSM key stores of KMS, of one account and Region.

The model knows neither HTTP nor the emulator around it: `interfaces` has what it needs of other
services. Time is virtual: whatever is due has happened before a call is handled (see `scheduler`).
"""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections.abc import Callable, Iterator
from typing import Any

from localaws.core.api_error import ApiError
from localaws.core.event_log import EventLog, TimeSource
from localaws.core.faults import Faults
from localaws.services.cloudhsmv2 import backups, clusters, permissions, users
from localaws.services.cloudhsmv2.backups import Backups
from localaws.services.cloudhsmv2.clusters import Clusters
from localaws.services.cloudhsmv2.data_plane import DataPlane
from localaws.services.cloudhsmv2.hsms import Hsms
from localaws.services.cloudhsmv2.interfaces import Ec2, Iam, Logs
from localaws.services.cloudhsmv2.modify import Modifications
from localaws.services.cloudhsmv2.parameters import Params, Response
from localaws.services.cloudhsmv2.scheduler import Scheduler
from localaws.services.cloudhsmv2.settings import Assumptions, Quotas, Timings
from localaws.services.cloudhsmv2.store import Store
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
READ_PREFIXES = ("Describe", "List", "Get")


class CloudHsmProvider:
    """Entry point to the model."""

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
        self._store = store = Store(
            Scheduler(clock),
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
        self._backups = Backups(store)
        self._clusters = Clusters(store, self._backups)
        self._hsms = Hsms(store, self._backups)
        self._modifications = Modifications(store, self._backups, self._hsms)
        self._tags = Tags(store)
        self._data_plane = DataPlane(store, self._backups)
        self._key_stores = KeyStores(store)
        self._keys = Keys(store)
        self._operations = self._modelled_operations()

    def _modelled_operations(self) -> dict[str, Callable[[Params], Response]]:
        return {
            "CreateCluster": self._clusters.create_cluster,
            "CreateHsm": self._hsms.create_hsm,
            "DeleteBackup": self._backups.delete_backup,
            "DeleteCluster": self._clusters.delete_cluster,
            "DeleteHsm": self._hsms.delete_hsm,
            "DescribeBackups": self._backups.describe_backups,
            "DescribeClusters": self._clusters.describe_clusters,
            "InitializeCluster": self._clusters.initialize_cluster,
            "ListTags": self._tags.list_tags,
            "ModifyCluster": self._modifications.modify_cluster,
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

    # --- The API

    def call(self, action: str, params: Params) -> Response:
        """Handle one request of the CloudHSM or KMS API; ApiError if it or a fault fails it."""
        with self._up_to_date():
            response: Response | None = None
            late, deferred = self.faults.lateness(action), False
            try:
                with self.faults.during(action):
                    if late is None:
                        response = self._operation(action)(params)
                    else:
                        self._defer(late, action, params)
                        deferred = True
                if response is None:
                    raise ApiError("ConnectionLost", f"{action} takes effect later.")
            except ApiError as error:
                if not action.startswith(READ_PREFIXES):
                    outcome = "response lost" if deferred or response is not None else "refused"
                    self._record_failure(f"{action} {outcome}", action, params, error)
                raise
            return response

    def data_plane(self, operation: str, params: Params) -> Response:
        """Run a command of cloudhsm-cli: see `data_plane`."""
        with self._up_to_date():
            return self._data_plane.run(operation, params)

    # --- What the emulator asks

    def run_due(self) -> None:
        """Run everything that is due by now."""
        with self._lock:
            self._store.scheduler.run_due()

    def inventory(self) -> dict[str, Any]:
        """All existing resources, as the admin API returns them under "cloudhsm" and "kms"."""
        with self._up_to_date():
            store = self._store
            return {
                "cloudhsm": {
                    "clusters": [
                        {**clusters.describe(cluster), "Users": users.listing(cluster)}
                        for cluster in store.clusters.values()
                    ],
                    "backups": [backups.describe(backup) for backup in store.backups.values()],
                },
                "kms": {
                    "key_stores": [
                        key_stores.describe(key_store) for key_store in store.key_stores.values()
                    ],
                    "keys": [
                        {
                            "KeyId": key_id,
                            "CustomKeyStoreId": key_store.id,
                            "KeyState": self._keys.state(key_id),
                        }
                        for key_store in store.key_stores.values()
                        for key_id in key_store.keys
                    ],
                },
            }

    def tags_of(self, resource_id: str) -> dict[str, str]:
        """The tags of a cluster or backup, for aws:ResourceTag; empty if it does not exist."""
        with self._up_to_date():
            try:
                return dict(self._tags.of(resource_id))
            except ApiError:
                return {}

    # --- Events caused by AWS, another account or another client

    def replace_hsm(self, hsm_id: str) -> str:
        """AWS replaces an HSM; the new one's id (F1.27)."""
        with self._up_to_date():
            return self._hsms.replace(hsm_id)

    def degrade_hsm(self, hsm_id: str) -> None:
        """An HSM becomes DEGRADED."""
        with self._up_to_date():
            self._hsms.degrade(hsm_id)

    def degrade_cluster(self, cluster_id: str) -> None:
        """An ACTIVE cluster becomes DEGRADED until it gets an HSM and all of them are ACTIVE."""
        with self._up_to_date():
            self._clusters.degrade(cluster_id)

    def log_in(self, cluster_id: str, username: str) -> None:
        """Another client logs in to the cluster and stays logged in (F4.20: USER_LOGGED_IN)."""
        with self._up_to_date():
            self._store.cluster(cluster_id).sessions.add(username)

    def log_out(self, cluster_id: str, username: str) -> None:
        """The client of `log_in` logs out."""
        with self._up_to_date():
            self._store.cluster(cluster_id).sessions.discard(username)

    def share_backup(
        self,
        admin_password: str,
        *,
        account: str = "999999999999",
        hsm_type: str = "hsm2m.medium",
        mode: str = "FIPS",
    ) -> dict[str, str]:
        """Another account shares a backup (F1.42); its BackupArn and the TrustAnchor."""
        with self._up_to_date():
            backup = self._backups.share(admin_password, account, hsm_type, mode)
            return {"BackupArn": backup.arn, "TrustAnchor": backup.identity.trust_anchor}

    # --- Keys in key stores, for the surrounding KMS

    def create_key(self, key_store_id: str, key_id: str) -> None:
        """CreateKey; ApiError unless the key store is CONNECTED and has its HSMs (F4.23)."""
        with self._up_to_date():
            self._keys.create(key_store_id, key_id)

    def schedule_key_deletion(self, key_id: str, days: int = 30) -> None:
        """ScheduleKeyDeletion."""
        with self._up_to_date():
            self._keys.schedule_deletion(key_id, days)

    def cancel_key_deletion(self, key_id: str) -> None:
        """CancelKeyDeletion."""
        with self._up_to_date():
            self._keys.cancel_deletion(key_id)

    def key_state(self, key_id: str) -> str | None:
        """The KeyState; None for a key in no key store."""
        with self._up_to_date():
            return self._keys.state(key_id)

    def use_key(self, key_id: str) -> None:
        """Encrypt, Decrypt and so on; KMSInvalidStateException if the key's HSMs cannot."""
        with self._up_to_date():
            self._keys.use(key_id)

    def _defer(self, seconds: float, action: str, params: Params) -> None:
        """Check a request now and handle it later; an error is lost by then, like the response.

        The caller's permissions count when it calls: its role may be gone by then.
        """
        if action in permissions.CHECKED:
            self._dry_run(action, params)
        context = contextvars.copy_context()

        def handle() -> None:
            with contextlib.suppress(ApiError), self._store.iam.already_authorized():
                self._operation(action)(params)

        self._store.scheduler.schedule(seconds, lambda: context.run(handle))

    def _dry_run(self, action: str, params: Params) -> None:
        """Raise ApiError for an invalid request, or one that its caller may not make."""
        self._store.dry_run = True
        try:
            with contextlib.suppress(permissions.DryRunPassed):
                self._operation(action)(params)
        finally:
            self._store.dry_run = False

    def _operation(self, action: str) -> Callable[[Params], Response]:
        if action in self._operations:
            return self._operations[action]
        if action in CLOUDHSM_ACTIONS:
            raise ApiError(
                "NotImplemented", f"The local AWS does not offer cloudhsm:{action}.", 501
            )
        raise ApiError("UnknownOperationException", f"There is no operation {action}.")

    def _record_failure(self, event: str, action: str, params: Params, error: ApiError) -> None:
        service = "kms" if action in KEY_STORE_ACTIONS else "cloudhsm"
        names = ("HsmId", "ClusterId", "BackupId", "ResourceId", "CustomKeyStoreId")
        subject = next((str(params[name]) for name in names if params.get(name)), "")
        self.event_log.record(service, subject, event, code=error.code)

    @contextlib.contextmanager
    def _up_to_date(self) -> Iterator[None]:
        """Run what is due, and serialize calls."""
        with self._lock:
            self.run_due()
            yield
