"""The requests of the matrix, by setting: what exists before each, and after it."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from localaws.client import LocalAws
from rehearsal.drivers.deployment import Stack
from rehearsal.drivers.key_store import KeyStoreDriver, on_existing_cluster
from rehearsal.drivers.operator import read_secret, store_secret
from rehearsal.drivers.stack import StackDriver
from rehearsal.fixtures import SDK3_PACKAGE, ExistingCluster
from rehearsal.test_ca import make_ca, sign

Json = dict[str, Any]

# States of the stack that is tried: without it, with a deletion that failed, and settled.
ABSENT, DELETING, READY = "absent", "deleting", "ready"
GROWN, WAITING = "grown", "waiting for certificates"
SHARED_PASSWORD = "Admin0Of0Another0Account"  # nosec B105 # of the local AWS
SDK3_CONTENT = b"rpm cloudhsm-client 3.4.4 1.el7 x86_64\n"
INSTANCE_SECONDS = 60


def nothing() -> None:
    """The request needs no preparation."""


@dataclass(frozen=True)
class Request:
    """A request, which leads from one state of the stack to another."""

    name: str
    before: str
    after: str
    # Sends the request and waits for its end.
    start: Callable[[], object]
    prepare: Callable[[], object] = nothing
    # Its rollback needs the same calls, so what a lasting fault leaves counts after a success.
    is_reversed_alike: bool = False

    @property
    def succeeded(self) -> str:
        """The status of the stack after a success."""
        kind = {ABSENT: "DELETE"}.get(self.after, {ABSENT: "CREATE"}.get(self.before, "UPDATE"))
        return f"{kind}_COMPLETE"


class Setting:
    """A stack in a local AWS, and the requests that are tried with it."""

    name = ""
    # Arguments of `python -m localaws`, and the requests for which the matrix has cells. The others
    # only lead from state to state.
    arguments: tuple[str, ...] = ()
    tried: tuple[str, ...] = ()

    def __init__(self, aws: LocalAws) -> None:
        self.driver = StackDriver(aws)
        self.requests: dict[str, Request] = {}

    @property
    def stack(self) -> Stack:
        """The stack that is tried."""
        return self.driver.stack

    def add(self, *requests: Request) -> None:
        """Offer these requests."""
        self.requests |= {request.name: request for request in requests}

    def recover(self) -> None:
        """Do what only the operator can once a lasting fault is gone."""

    def path(self, start: str, end: str) -> list[Request]:
        """The shortest sequence of requests from one state to another."""
        paths: deque[tuple[str, list[Request]]] = deque([(start, [])])
        seen = {start}
        while paths:
            state, path = paths.popleft()
            if state == end:
                return path
            for request in self.requests.values():
                deletes = request.after == ABSENT and state != ABSENT
                if (deletes or request.before == state) and request.after not in seen:
                    seen.add(request.after)
                    paths.append((request.after, [*path, request]))
        raise ValueError(f"{self.name}: no requests lead from {start} to {end}")

    def toggled(self, parameter: str, one: str, other: str) -> dict[str, str]:
        """A change of the parameter to the value that it does not have."""
        return {parameter: other if self.stack.parameters.get(parameter) == one else one}


class Cluster(Setting):
    """A cluster: created, scaled, changed and deleted."""

    name = "cluster"
    tried = (
        "create-cluster",
        "grow",
        "shrink",
        "change-settings",
        "replace-client",
        "grow-with-stopped-client",
        "delete-cluster",
    )

    def __init__(self, aws: LocalAws) -> None:
        super().__init__(aws)
        driver, subnets = self.driver, aws.subnets

        def change_settings() -> None:
            toggled = self.toggled("pBackupRetentionDays", "30", "90")
            self.stack.tags = {"stage": toggled["pBackupRetentionDays"]}
            driver.request(**toggled)

        def stop_client() -> None:
            instance = self.stack.outputs()["oClientInstanceId"]
            aws.client("ec2").stop_instances(InstanceIds=[instance])
            driver.admin.advance(INSTANCE_SECONDS)

        self.add(
            Request("create-cluster", ABSENT, READY, lambda: driver.request(pHsmsPerSubnet=1)),
            Request("grow", READY, GROWN, lambda: driver.request(pHsmsPerSubnet=2)),
            Request("shrink", GROWN, READY, lambda: driver.request(pHsmsPerSubnet=1)),
            Request("change-settings", READY, READY, change_settings),
            Request(
                "replace-client",
                READY,
                READY,
                lambda: driver.request(**self.toggled("pClientSubnet", subnets[0], subnets[1])),
            ),
            Request(
                "grow-with-stopped-client",
                READY,
                "grown, client stopped",
                lambda: driver.request(pHsmsPerSubnet=2),
                prepare=stop_client,
            ),
            Request("delete-cluster", READY, ABSENT, driver.delete),
        )


class ExternalPki(Setting):
    """A cluster whose certificate an external PKI issues."""

    name = "external PKI"
    tried = ("activate-external-pki",)

    def __init__(self, aws: LocalAws) -> None:
        super().__init__(aws)
        driver = self.driver
        self.add(
            Request(
                "create-waiting",
                ABSENT,
                WAITING,
                lambda: driver.request(
                    pUseExternalPkiProcess="true", pExternallyProvidedCertsReady="false"
                ),
            ),
            Request(
                "activate-external-pki",
                WAITING,
                READY,
                lambda: driver.request(pExternallyProvidedCertsReady="true"),
                prepare=self._sign,
            ),
            Request("delete-external-pki", READY, ABSENT, driver.delete),
        )

    def _sign(self) -> None:
        """Sign the CSR, as the operator's PKI does, unless the cluster is initialized."""
        if self.driver.cluster()["State"] == "UNINITIALIZED":
            now = self.driver.admin.clock()["now"]
            ca = make_ca(now)
            certificate = sign(ca, read_secret(self.driver, "cluster-csr"), now)
            store_secret(self.driver, "cluster-cert", certificate)
            store_secret(self.driver, "customer-ca-cert", ca.pem)


class Restored(Setting):
    """A cluster that is restored from a backup of another account."""

    name = "restore"
    tried = ("restore",)

    def __init__(self, aws: LocalAws) -> None:
        super().__init__(aws)
        # The model of CloudHSM exists from the first request on.
        aws.client("cloudhsmv2").describe_backups()
        shared = aws.admin.aws_event("share_backup", admin_password=SHARED_PASSWORD)
        secrets = aws.client("secretsmanager")
        password = json.dumps({"username": "admin", "password": SHARED_PASSWORD})
        secrets.create_secret(Name="shared/ca", SecretString=shared["TrustAnchor"])
        secrets.create_secret(Name="shared/admin", SecretString=password)
        changes = {
            "pBackupId": shared["BackupArn"],
            "pBackupCaCertSecretName": "shared/ca",
            "pBackupAdminPasswordSecretName": "shared/admin",
        }
        self.add(
            Request("restore", ABSENT, READY, lambda: self.driver.request(**changes)),
            Request("delete-restored", READY, ABSENT, self.driver.delete),
        )


class Packages(Setting):
    """In 2024, a cluster of hsm1.medium, for which there are two client packages."""

    name = "packages"
    tried = ("swap-package",)
    arguments = ("--year", "2024")

    def __init__(self, aws: LocalAws) -> None:
        super().__init__(aws)
        driver = self.driver
        sdk3 = {
            "pClientPkg": "cloudhsm-client",
            "pClientPkgUrl": SDK3_PACKAGE,
            "pClientPkgSha256": hashlib.sha256(SDK3_CONTENT).hexdigest(),
        }
        cli = {"pClientPkg": "cloudhsm-cli", "pClientPkgUrl": "", "pClientPkgSha256": ""}
        self.add(
            Request(
                "create-with-sdk3",
                ABSENT,
                READY,
                lambda: driver.request(pHsmType="hsm1.medium", **sdk3),
            ),
            Request("swap-package", READY, "with CLI", lambda: driver.request(**cli)),
            Request(
                "swap-package-back",
                "with CLI",
                READY,
                lambda: driver.request(**sdk3),
            ),
            Request("delete-with-sdk3", READY, ABSENT, driver.delete),
        )


class KeyStore(Setting):
    """A key store on a cluster that no stack manages."""

    name = "key store"
    tried = (
        "create-key-store",
        "rename-key-store",
        "reconnect-key-store",
        "repair-key-store",
        "move-key-store",
        "delete-key-store",
    )

    def __init__(self, aws: LocalAws) -> None:
        super().__init__(aws)
        store, cluster = on_existing_cluster(self.driver, pDeleteKeyStoreUponStackDeletion="true")
        restored = cluster.restore()
        self.driver = store = KeyStoreDriver(self.driver, store.stack.parameters)
        self._store, self._number = store, 0
        self._homes = homes = {each.cluster_id: each for each in (cluster, restored)}

        def move() -> None:
            here = self.stack.parameters["pCloudHsmClusterId"]
            store.request(**next(home.parameters for id_, home in homes.items() if id_ != here))

        def break_login() -> None:
            home = homes[self.stack.parameters["pCloudHsmClusterId"]]
            if store.store()["ConnectionState"] == "CONNECTED":
                store.disconnect_manually()
                home.cloudhsm_cli("user-delete", new_username="kmsuser", role="crypto-user")
                store.connect_manually()

        self.add(
            Request("create-key-store", ABSENT, READY, store.request),
            Request(
                "rename-key-store",
                READY,
                READY,
                lambda: store.request(**self.toggled("pKeyStoreName", "keys", "other keys")),
            ),
            Request(
                "reconnect-key-store",
                READY,
                READY,
                self._reconcile,
                prepare=store.disconnect_manually,
            ),
            Request("repair-key-store", READY, READY, self._reconcile, prepare=break_login),
            Request("move-key-store", READY, READY, move, is_reversed_alike=True),
            Request("delete-key-store", READY, ABSENT, store.delete),
        )

    def _reconcile(self) -> None:
        self._number += 1
        self._store.request(pReconcile=self._number)

    def recover(self) -> None:
        """Remove the record of logins whose outcomes could not be recorded."""
        _forget_logins(self.driver, self._homes.values())


class RetainedKeyStore(Setting):
    """A key store with a key and without a stack, on one of two related clusters."""

    name = "retained key store"
    tried = ("adopt-key-store",)

    def __init__(self, aws: LocalAws) -> None:
        super().__init__(aws)
        store, cluster = on_existing_cluster(self.driver)
        restored = cluster.restore()
        store.request()
        existing = store.store()["CustomKeyStoreId"]
        store.create_key()
        store.delete()
        taken = {**store.stack.parameters, "pExistingKeyStoreId": existing}
        self.driver = store = KeyStoreDriver(self.driver, taken)
        self._homes = homes = (cluster, restored)

        def adopt() -> None:
            here = store.store()["CloudHsmClusterId"]
            store.request(**next(each for each in homes if each.cluster_id != here).parameters)

        self.add(
            Request("adopt-key-store", ABSENT, READY, adopt),
            Request("retain-key-store", READY, ABSENT, store.delete),
        )

    def recover(self) -> None:
        """As for a key store."""
        _forget_logins(self.driver, self._homes)


def _forget_logins(driver: StackDriver, homes: Iterable[ExistingCluster]) -> None:
    """Remove the record of logins whose outcomes could not be recorded, as the reason says."""
    for home in homes:
        driver.aws.client("secretsmanager").untag_resource(
            SecretId=home.admin_secret,
            TagKeys=[f"hsm-lifecycle:admin-logins:{home.cluster_id}"],
        )


SETTINGS: Mapping[str, type[Setting]] = {
    each.name: each
    for each in (
        Cluster,
        ExternalPki,
        Restored,
        Packages,
        KeyStore,
        RetainedKeyStore,
    )
}
