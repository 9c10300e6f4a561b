"""The KMS API operations on CloudHSM key stores."""

from __future__ import annotations

import contextlib
import random
import re
import string
from collections.abc import Mapping

from localaws.core.api_error import ApiError
from localaws.services.cloudhsmv2 import certificates, exceptions, ids, permissions, users
from localaws.services.cloudhsmv2.models import Cluster, KeyStore
from localaws.services.cloudhsmv2.parameters import Params, Response
from localaws.services.cloudhsmv2.store import Store

# The allowed values of each parameter (F4.1, F4.15).
PATTERNS: Mapping[str, re.Pattern[str]] = {
    "CustomKeyStoreId": re.compile(r".{1,64}"),
    "CustomKeyStoreName": re.compile(r".{1,256}"),
    "NewCustomKeyStoreName": re.compile(r".{1,256}"),
    "CloudHsmClusterId": ids.CLUSTER,
    "TrustAnchorCertificate": re.compile(r".{1,5000}", re.DOTALL),
    "KeyStorePassword": re.compile(r"[a-zA-Z0-9]{7,32}"),
}
KMSUSER = "kmsuser"
MAX_RESULTS = 1000


class KeyStores:
    """The CloudHSM key stores of one account and Region."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create_custom_key_store(self, params: Params) -> Response:
        """CreateCustomKeyStore (F4.1); idempotent while the key store is DISCONNECTED (F4.2)."""
        store = self._store
        if params.get("CustomKeyStoreType", "AWS_CLOUDHSM") != "AWS_CLOUDHSM":
            raise ApiError(
                "UnsupportedOperationException", "Only AWS_CLOUDHSM key stores are modelled."
            )
        name = _text(params, "CustomKeyStoreName")
        cluster_id = _text(params, "CloudHsmClusterId")
        trust_anchor = _text(params, "TrustAnchorCertificate")
        password = _text(params, "KeyStorePassword")
        for key_store in store.key_stores.values():
            if (key_store.state, key_store.name, key_store.cluster_id, key_store.password) == (
                ("DISCONNECTED", name, cluster_id, password)
            ) and certificates.same(key_store.trust_anchor, trust_anchor):
                return {"CustomKeyStoreId": key_store.id}
        self._require_free_name(name)
        if len(store.key_stores) >= store.quotas.key_stores:
            raise ApiError(
                "LimitExceededException",
                f"You have reached the limit of {store.quotas.key_stores} custom key stores.",
            )
        certificate = self._require_unused(cluster_id)
        cluster = usable_cluster(store, cluster_id, zones=2)
        if not cluster.identity or not certificates.same(
            cluster.identity.trust_anchor, trust_anchor
        ):
            raise ApiError(
                "IncorrectTrustAnchorException",
                f"The certificate is not the trust anchor of cluster '{cluster_id}'.",
            )
        permissions.check_create_key_store(store)
        key_store = KeyStore(
            ids.new_key_store_id(),
            name,
            cluster_id,
            trust_anchor,
            certificate,
            store.scheduler.now(),
            password,
        )
        store.key_stores[key_store.id] = key_store
        store.record_kms(key_store.id, "CreateCustomKeyStore", name=name, cluster=cluster_id)
        self._move(key_store, "DISCONNECTED")
        return {"CustomKeyStoreId": key_store.id}

    def describe_custom_key_stores(self, params: Params) -> Response:
        """DescribeCustomKeyStores (F4.4): all of them, or one by id or name."""
        key_store_id, name = params.get("CustomKeyStoreId"), params.get("CustomKeyStoreName")
        if key_store_id and name:
            raise exceptions.validation("Give CustomKeyStoreId or CustomKeyStoreName, not both.")
        key_stores = [
            key_store
            for key_store in self._store.key_stores.values()
            if key_store_id in (None, key_store.id) and name in (None, key_store.name)
        ]
        if not key_stores and (key_store_id or name):
            raise _no_key_store(key_store_id or name)
        limit, marker = params.get("Limit", MAX_RESULTS), params.get("Marker", "0")
        if not isinstance(limit, int) or not 1 <= limit <= MAX_RESULTS:
            raise exceptions.validation(f"Limit must be 1 to {MAX_RESULTS}.")
        if not str(marker).isdecimal() or int(marker) > len(key_stores):
            raise ApiError("InvalidMarkerException", "Marker is invalid.")
        first, end = int(marker), int(marker) + limit
        response: Response = {
            "CustomKeyStores": [describe(key_store) for key_store in key_stores[first:end]],
            "Truncated": end < len(key_stores),
        }
        if end < len(key_stores):
            response["NextMarker"] = str(end)
        return response

    def connect_custom_key_store(self, params: Params) -> Response:
        """ConnectCustomKeyStore: asynchronous; DescribeCustomKeyStores shows the outcome (F4.5)."""
        store = self._store
        key_store = find(store, params.get("CustomKeyStoreId"))
        if key_store.state in ("CONNECTED", "CONNECTING"):
            return {}
        if key_store.state != "DISCONNECTED":
            raise _wrong_state(key_store)
        # A deleted cluster makes the connection fail later, with CLUSTER_NOT_FOUND (F4.20).
        cluster = store.find_cluster(key_store.cluster_id)
        if cluster:
            usable_cluster(store, cluster.id, zones=1)
        store.record_kms(key_store.id, "ConnectCustomKeyStore")
        self._move(key_store, "CONNECTING")
        network_error = self._create_network(key_store, cluster) if cluster else None
        key_store.connecting = store.scheduler.schedule(
            store.timings.connect, lambda: self._finish_connecting(key_store, network_error)
        )
        return {}

    def disconnect_custom_key_store(self, params: Params) -> Response:
        """DisconnectCustomKeyStore: from CONNECTED, CONNECTING and FAILED (F4.6)."""
        store = self._store
        key_store = find(store, params.get("CustomKeyStoreId"))
        if key_store.state in ("DISCONNECTED", "DISCONNECTING"):
            raise _wrong_state(key_store)
        store.record_kms(key_store.id, "DisconnectCustomKeyStore")
        if key_store.connecting:
            key_store.connecting.cancel()
            key_store.connecting = None
        if key_store.state == "CONNECTED" and (cluster := store.find_cluster(key_store.cluster_id)):
            cluster.sessions.discard(KMSUSER)
        self._move(key_store, "DISCONNECTING")
        store.scheduler.schedule(
            store.timings.disconnect, lambda: self._finish_disconnecting(key_store)
        )
        return {}

    def update_custom_key_store(self, params: Params) -> Response:
        """UpdateCustomKeyStore (F4.7); a new password does not change that of kmsuser."""
        store = self._store
        key_store = find(store, params.get("CustomKeyStoreId"))
        name, password, cluster_id = (
            _optional_text(params, key)
            for key in ("NewCustomKeyStoreName", "KeyStorePassword", "CloudHsmClusterId")
        )
        renaming_only = name is not None and password is None and cluster_id is None
        may_stay_connected = renaming_only and store.assumptions.rename_while_connected
        if key_store.state != "DISCONNECTED" and not (
            key_store.state == "CONNECTED" and may_stay_connected
        ):
            raise _wrong_state(key_store)
        if name is not None and name != key_store.name:
            self._require_free_name(name)
        if not renaming_only:
            cluster = usable_cluster(store, cluster_id or key_store.cluster_id, zones=2)
            if _certificate(cluster) != key_store.cluster_certificate:
                raise ApiError(
                    "CloudHsmClusterNotRelatedException",
                    f"Cluster '{cluster.id}' has another cluster certificate.",
                )
        store.record_kms(key_store.id, "UpdateCustomKeyStore")
        key_store.name = name or key_store.name
        key_store.password = password or key_store.password
        key_store.cluster_id = cluster_id or key_store.cluster_id
        return {}

    def delete_custom_key_store(self, params: Params) -> Response:
        """DeleteCustomKeyStore: requires DISCONNECTED and no keys; keeps the cluster (F4.8)."""
        key_store = find(self._store, params.get("CustomKeyStoreId"))
        if key_store.keys:
            raise ApiError(
                "CustomKeyStoreHasCMKsException",
                f"Custom key store '{key_store.id}' holds {len(key_store.keys)} KMS keys.",
            )
        if key_store.state != "DISCONNECTED":
            raise _wrong_state(key_store)
        del self._store.key_stores[key_store.id]
        self._store.record_kms(key_store.id, "DeleteCustomKeyStore")
        return {}

    def _require_free_name(self, name: str) -> None:
        if any(key_store.name == name for key_store in self._store.key_stores.values()):
            raise ApiError("CustomKeyStoreNameInUseException", f"The name '{name}' is in use.")

    def _require_unused(self, cluster_id: str) -> str:
        """The cluster's certificate; an error if a key store uses it or a relative (F4.10)."""
        cluster = self._store.find_cluster(cluster_id)
        if cluster is None:
            raise _no_cluster(cluster_id)
        certificate = _certificate(cluster)
        for key_store in self._store.key_stores.values():
            if key_store.cluster_id == cluster_id or key_store.cluster_certificate == certificate:
                raise ApiError(
                    "CloudHsmClusterInUseException",
                    f"Cluster '{cluster_id}' or one related to it is used by '{key_store.id}'.",
                )
        return certificate

    def _create_network(self, key_store: KeyStore, cluster: Cluster) -> str | None:
        """Create the security group and an interface per zone (F4.18); an error code on failure."""
        ec2 = self._store.ec2
        key_store.security_group = ec2.create_security_group(
            f"kms-{key_store.id}", f"KMS custom key store {key_store.id}", cluster.vpc_id
        )
        for subnet_id in cluster.subnets.values():
            if ec2.subnet(subnet_id) is None:
                return "SUBNET_NOT_FOUND"
            try:
                eni_id, _ = ec2.create_eni(
                    subnet_id, key_store.security_group, f"KMS managed ENI for cluster {cluster.id}"
                )
            except ApiError:
                return "INSUFFICIENT_FREE_ADDRESSES_IN_SUBNET"
            key_store.enis.append(eni_id)
        return None

    def _finish_connecting(self, key_store: KeyStore, network_error: str | None) -> None:
        key_store.connecting = None
        error = self._store.faults.connect_code() or network_error or self._log_in(key_store)
        if error:
            key_store.error_code = error
            self._move(key_store, "FAILED", code=error)
        else:
            self._move(key_store, "CONNECTED")

    def _log_in(self, key_store: KeyStore) -> str | None:
        """Log in as kmsuser and change its password (F4.18); an error code on failure."""
        cluster = self._store.find_cluster(key_store.cluster_id)
        if cluster is None:
            return "CLUSTER_NOT_FOUND"
        if not cluster.active_hsms():
            return "INSUFFICIENT_CLOUDHSM_HSMS"
        if not self._store.ec2.cluster_group_intact(cluster.security_group):
            return "NETWORK_ERRORS"
        if not users.is_everywhere(cluster, KMSUSER, "crypto-user"):
            return "USER_NOT_FOUND"
        if users.is_locked(cluster, KMSUSER):
            return "USER_LOCKED_OUT"
        if KMSUSER in cluster.sessions:
            return "USER_LOGGED_IN"
        if not users.accepts(cluster, KMSUSER, key_store.password):
            self._store.record(cluster.id, "LoginRefused", user=KMSUSER)
            return "INVALID_CREDENTIALS"
        self._store.record(cluster.id, "Login", user=KMSUSER)
        characters = string.ascii_letters + string.digits
        key_store.password = "".join(random.choices(characters, k=32))  # nosec B311 # emulated
        users.set_password(cluster, KMSUSER, key_store.password)
        cluster.sessions.add(KMSUSER)
        return None

    def _finish_disconnecting(self, key_store: KeyStore) -> None:
        ec2 = self._store.ec2
        for eni_id in key_store.enis:
            ec2.delete_eni(eni_id)
        key_store.enis.clear()
        if key_store.security_group:
            # It may be in use elsewhere; KMS then leaves it behind.
            with contextlib.suppress(ApiError):
                ec2.delete_security_group(key_store.security_group)
            key_store.security_group = None
        key_store.error_code = None
        self._move(key_store, "DISCONNECTED")

    def _move(self, key_store: KeyStore, state: str, **details: str) -> None:
        key_store.state = state
        self._store.record_kms(key_store.id, state, **details)


def find(store: Store, key_store_id: object) -> KeyStore:
    """The key store with this id."""
    key_store = store.key_stores.get(str(key_store_id))
    if key_store is None:
        raise _no_key_store(key_store_id)
    return key_store


def usable_cluster(store: Store, cluster_id: str, *, zones: int) -> Cluster:
    """The cluster, which must be ACTIVE with ACTIVE HSMs in `zones` zones (F4.10-F4.13, F4.30)."""
    cluster = store.find_cluster(cluster_id)
    if cluster is None:
        raise _no_cluster(cluster_id)
    if cluster.state != "ACTIVE":
        raise ApiError(
            "CloudHsmClusterNotActiveException",
            f"Cluster '{cluster_id}' is {cluster.state}, not ACTIVE.",
        )
    missing = None
    if len(cluster.subnets) < 2:
        missing = "subnets in two Availability Zones"
    elif len({hsm.zone for hsm in cluster.active_hsms()}) < zones:
        missing = f"ACTIVE HSMs in {zones} Availability Zones"
    elif not store.ec2.cluster_group_intact(cluster.security_group):
        missing = f"the rules of its security group {cluster.security_group} for TCP 2223-2225"
    elif cluster.network_type != "IPV4" and not store.assumptions.key_store_on_dual_stack:
        missing = "the network type IPV4"  # F4.30
    if missing:
        raise ApiError(
            "CloudHsmClusterInvalidConfigurationException",
            f"Cluster '{cluster_id}' lacks {missing}.",
        )
    return cluster


def describe(key_store: KeyStore) -> Response:
    """A key store as the API returns it (F4.4)."""
    described: Response = {
        "CustomKeyStoreId": key_store.id,
        "CustomKeyStoreName": key_store.name,
        "CloudHsmClusterId": key_store.cluster_id,
        "TrustAnchorCertificate": key_store.trust_anchor,
        "ConnectionState": key_store.state,
        "CreationDate": key_store.created,
        "CustomKeyStoreType": "AWS_CLOUDHSM",
    }
    if key_store.error_code:
        described["ConnectionErrorCode"] = key_store.error_code
    return described


def _certificate(cluster: Cluster) -> str:
    return cluster.identity.certificates.get("ClusterCertificate", "") if cluster.identity else ""


def _text(params: Params, name: str) -> str:
    value = _optional_text(params, name)
    if value is None:
        raise exceptions.validation(f"{name} is required.")
    return value


def _optional_text(params: Params, name: str) -> str | None:
    value = params.get(name)
    if value is not None and not (isinstance(value, str) and PATTERNS[name].fullmatch(value)):
        raise exceptions.validation(f"{name} does not match {PATTERNS[name].pattern}")
    return value


def _no_key_store(name: object) -> ApiError:
    return ApiError("CustomKeyStoreNotFoundException", f"Custom key store '{name}' does not exist.")


def _no_cluster(cluster_id: str) -> ApiError:
    return ApiError("CloudHsmClusterNotFoundException", f"Cluster '{cluster_id}' does not exist.")


def _wrong_state(key_store: KeyStore) -> ApiError:
    return ApiError(
        "CustomKeyStoreInvalidStateException",
        f"Custom key store '{key_store.id}' is {key_store.state}.",
    )
