"""KMS CloudHSM key stores: made on a cluster, connected to it as kmsuser, and disconnected."""

from __future__ import annotations

import contextlib
import random
import re
import string
from collections.abc import Mapping

from localaws.core.api_error import ApiError
from localaws.services.cloudhsmv2 import certificates, exceptions, ids, permissions, users
from localaws.services.cloudhsmv2.models import Cluster, KeyStore
from localaws.services.cloudhsmv2.parameters import Answer, Params
from localaws.services.cloudhsmv2.store import Estate

# F4.1, F4.15: what each parameter may be.
PATTERNS: Mapping[str, re.Pattern[str]] = {
    "CustomKeyStoreId": re.compile(r".{1,64}"),
    "CustomKeyStoreName": re.compile(r".{1,256}"),
    "NewCustomKeyStoreName": re.compile(r".{1,256}"),
    "CloudHsmClusterId": ids.CLUSTER,
    "TrustAnchorCertificate": re.compile(r".{1,5000}", re.DOTALL),
    "KeyStorePassword": re.compile(r"[a-zA-Z0-9]{7,32}"),
}
KMSUSER = "kmsuser"
MOST_LISTED = 1000


class KeyStores:
    """The operations of KMS on CloudHSM key stores."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate

    def create_custom_key_store(self, params: Params) -> Answer:
        """CreateCustomKeyStore (F4.1); the same once more gives the store that is there (F4.2)."""
        estate = self._estate
        if params.get("CustomKeyStoreType", "AWS_CLOUDHSM") != "AWS_CLOUDHSM":
            raise ApiError(
                "UnsupportedOperationException", "Only key stores of AWS_CLOUDHSM are modelled."
            )
        name = _text(params, "CustomKeyStoreName")
        cluster_id = _text(params, "CloudHsmClusterId")
        trust_anchor = _text(params, "TrustAnchorCertificate")
        password = _text(params, "KeyStorePassword")
        for store in estate.key_stores.values():
            if (store.state, store.name, store.cluster_id, store.password) == (
                ("DISCONNECTED", name, cluster_id, password)
            ) and certificates.same(store.trust_anchor, trust_anchor):
                return {"CustomKeyStoreId": store.id}
        self._refuse_name(name)
        if len(estate.key_stores) >= estate.quotas.key_stores:
            raise ApiError(
                "LimitExceededException",
                f"You have reached the limit of {estate.quotas.key_stores} custom key stores.",
            )
        certificate = self._refuse_in_use(cluster_id)
        cluster = fit_cluster(estate, cluster_id, zones=2)
        if not cluster.identity or not certificates.same(
            cluster.identity.trust_anchor, trust_anchor
        ):
            raise ApiError(
                "IncorrectTrustAnchorException",
                f"The certificate is not the trust anchor of cluster '{cluster_id}'.",
            )
        permissions.to_create_key_store(estate)
        store = KeyStore(
            ids.new_key_store_id(),
            name,
            cluster_id,
            trust_anchor,
            certificate,
            estate.agenda.now(),
            password,
        )
        estate.key_stores[store.id] = store
        estate.note_kms(store.id, "CreateCustomKeyStore", name=name, cluster=cluster_id)
        self._move(store, "DISCONNECTED")
        return {"CustomKeyStoreId": store.id}

    def describe_custom_key_stores(self, params: Params) -> Answer:
        """DescribeCustomKeyStores (F4.4): all of them, or one by id or name."""
        store_id, name = params.get("CustomKeyStoreId"), params.get("CustomKeyStoreName")
        if store_id and name:
            raise exceptions.validation("Give CustomKeyStoreId or CustomKeyStoreName, not both.")
        stores = [
            store
            for store in self._estate.key_stores.values()
            if store_id in (None, store.id) and name in (None, store.name)
        ]
        if not stores and (store_id or name):
            raise _no_store(store_id or name)
        limit, marker = params.get("Limit", MOST_LISTED), params.get("Marker", "0")
        if not isinstance(limit, int) or not 1 <= limit <= MOST_LISTED:
            raise exceptions.validation(f"Limit must be 1 to {MOST_LISTED}.")
        if not str(marker).isdecimal() or int(marker) > len(stores):
            raise ApiError("InvalidMarkerException", "Marker is not one that was given.")
        first, end = int(marker), int(marker) + limit
        answer: Answer = {
            "CustomKeyStores": [describe(store) for store in stores[first:end]],
            "Truncated": end < len(stores),
        }
        if end < len(stores):
            answer["NextMarker"] = str(end)
        return answer

    def connect_custom_key_store(self, params: Params) -> Answer:
        """ConnectCustomKeyStore: starts it; only DescribeCustomKeyStores tells the end (F4.5)."""
        estate = self._estate
        store = find(estate, params.get("CustomKeyStoreId"))
        if store.state in ("CONNECTED", "CONNECTING"):
            return {}
        if store.state != "DISCONNECTED":
            raise _wrong_state(store)
        # A cluster that is gone shows only later, as CLUSTER_NOT_FOUND (F4.20).
        cluster = existing_cluster(estate, store.cluster_id)
        trouble: str | None = "CLUSTER_NOT_FOUND"
        if cluster:
            fit_cluster(estate, cluster.id, zones=1)
        estate.note_kms(store.id, "ConnectCustomKeyStore")
        self._move(store, "CONNECTING")
        if cluster:
            trouble = self._reach_into(store, cluster)
        store.connecting = estate.agenda.later(
            estate.timings.connect, lambda: self._connected(store, trouble)
        )
        return {}

    def disconnect_custom_key_store(self, params: Params) -> Answer:
        """DisconnectCustomKeyStore: from CONNECTED, CONNECTING and FAILED (F4.6)."""
        estate = self._estate
        store = find(estate, params.get("CustomKeyStoreId"))
        if store.state in ("DISCONNECTED", "DISCONNECTING"):
            raise _wrong_state(store)
        estate.note_kms(store.id, "DisconnectCustomKeyStore")
        if store.connecting:
            store.connecting.called_off = True
            store.connecting = None
        if store.state == "CONNECTED" and (cluster := existing_cluster(estate, store.cluster_id)):
            cluster.sessions.discard(KMSUSER)
        self._move(store, "DISCONNECTING")
        estate.agenda.later(estate.timings.disconnect, lambda: self._disconnected(store))
        return {}

    def update_custom_key_store(self, params: Params) -> Answer:
        """UpdateCustomKeyStore (F4.7); a password is only told to KMS, kmsuser keeps its own."""
        estate = self._estate
        store = find(estate, params.get("CustomKeyStoreId"))
        name, password, cluster_id = (
            _optional_text(params, key)
            for key in ("NewCustomKeyStoreName", "KeyStorePassword", "CloudHsmClusterId")
        )
        renaming_only = name is not None and password is None and cluster_id is None
        may_stay_connected = renaming_only and estate.assumptions.rename_while_connected
        if store.state != "DISCONNECTED" and not (
            store.state == "CONNECTED" and may_stay_connected
        ):
            raise _wrong_state(store)
        if name is not None and name != store.name:
            self._refuse_name(name)
        if not renaming_only:
            cluster = fit_cluster(estate, cluster_id or store.cluster_id, zones=2)
            if _certificate(cluster) != store.cluster_certificate:
                raise ApiError(
                    "CloudHsmClusterNotRelatedException",
                    f"Cluster '{cluster.id}' has another cluster certificate.",
                )
        estate.note_kms(store.id, "UpdateCustomKeyStore")
        store.name = name or store.name
        store.password = password or store.password
        store.cluster_id = cluster_id or store.cluster_id
        return {}

    def delete_custom_key_store(self, params: Params) -> Answer:
        """DeleteCustomKeyStore: DISCONNECTED and without keys; the cluster is untouched (F4.8)."""
        store = find(self._estate, params.get("CustomKeyStoreId"))
        if store.keys:
            raise ApiError(
                "CustomKeyStoreHasCMKsException",
                f"Custom key store '{store.id}' holds {len(store.keys)} KMS keys.",
            )
        if store.state != "DISCONNECTED":
            raise _wrong_state(store)
        del self._estate.key_stores[store.id]
        self._estate.note_kms(store.id, "DeleteCustomKeyStore")
        return {}

    def _refuse_name(self, name: str) -> None:
        if any(store.name == name for store in self._estate.key_stores.values()):
            raise ApiError("CustomKeyStoreNameInUseException", f"The name '{name}' is in use.")

    def _refuse_in_use(self, cluster_id: str) -> str:
        """The cluster's certificate, if no store has the cluster or one that is related (F4.10)."""
        cluster = existing_cluster(self._estate, cluster_id)
        if cluster is None:
            raise _no_cluster(cluster_id)
        certificate = _certificate(cluster)
        for store in self._estate.key_stores.values():
            if store.cluster_id == cluster_id or store.cluster_certificate == certificate:
                raise ApiError(
                    "CloudHsmClusterInUseException",
                    f"Cluster '{cluster_id}' or one related to it is used by '{store.id}'.",
                )
        return certificate

    def _reach_into(self, store: KeyStore, cluster: Cluster) -> str | None:
        """Make the security group and an interface per zone (F4.18); what is in the way, if so."""
        ec2 = self._estate.ec2
        store.security_group = ec2.create_security_group(
            f"kms-{store.id}", f"KMS custom key store {store.id}", cluster.vpc_id
        )
        for subnet_id in cluster.subnets.values():
            if ec2.subnet(subnet_id) is None:
                return "SUBNET_NOT_FOUND"
            try:
                eni_id, _ = ec2.create_eni(
                    subnet_id, store.security_group, f"KMS managed ENI for cluster {cluster.id}"
                )
            except ApiError:
                return "INSUFFICIENT_FREE_ADDRESSES_IN_SUBNET"
            store.enis.append(eni_id)
        return None

    def _connected(self, store: KeyStore, trouble: str | None) -> None:
        store.connecting = None
        error = self._estate.faults.connect_code() or trouble or self._log_in(store)
        if error:
            store.error_code = error
            self._move(store, "FAILED", code=error)
        else:
            self._move(store, "CONNECTED")

    def _log_in(self, store: KeyStore) -> str | None:
        """Log in as kmsuser and give it a password that only KMS knows (F4.18), or say why not."""
        cluster = existing_cluster(self._estate, store.cluster_id)
        if cluster is None:
            return "CLUSTER_NOT_FOUND"
        if not cluster.working():
            return "INSUFFICIENT_CLOUDHSM_HSMS"
        if not self._estate.ec2.cluster_group_intact(cluster.security_group):
            return "NETWORK_ERRORS"
        if not users.is_everywhere(cluster, KMSUSER, "crypto-user"):
            return "USER_NOT_FOUND"
        if users.is_locked(cluster, KMSUSER):
            return "USER_LOCKED_OUT"
        if KMSUSER in cluster.sessions:
            return "USER_LOGGED_IN"
        if not users.accepts(cluster, KMSUSER, store.password):
            self._estate.note(cluster.id, "LoginRefused", user=KMSUSER)
            return "INVALID_CREDENTIALS"
        self._estate.note(cluster.id, "Login", user=KMSUSER)
        store.password = "".join(random.choices(string.ascii_letters + string.digits, k=32))
        users.set_password(cluster, KMSUSER, store.password)
        cluster.sessions.add(KMSUSER)
        return None

    def _disconnected(self, store: KeyStore) -> None:
        ec2 = self._estate.ec2
        for eni_id in store.enis:
            ec2.delete_eni(eni_id)
        store.enis.clear()
        if store.security_group:
            # Somebody else may use it by now; KMS does not insist.
            with contextlib.suppress(ApiError):
                ec2.delete_security_group(store.security_group)
            store.security_group = None
        store.error_code = None
        self._move(store, "DISCONNECTED")

    def _move(self, store: KeyStore, state: str, **details: str) -> None:
        store.state = state
        self._estate.note_kms(store.id, state, **details)


def find(estate: Estate, store_id: object) -> KeyStore:
    """The key store of that id."""
    store = estate.key_stores.get(str(store_id))
    if store is None:
        raise _no_store(store_id)
    return store


def existing_cluster(estate: Estate, cluster_id: str) -> Cluster | None:
    """The cluster, as long as it is not DELETED."""
    cluster = estate.clusters.get(cluster_id)
    return None if cluster is None or cluster.state == "DELETED" else cluster


def fit_cluster(estate: Estate, cluster_id: str, *, zones: int) -> Cluster:
    """A cluster that KMS takes: ACTIVE, with ACTIVE HSMs in so many zones (F4.10-F4.13)."""
    cluster = existing_cluster(estate, cluster_id)
    if cluster is None:
        raise _no_cluster(cluster_id)
    if cluster.state != "ACTIVE":
        raise ApiError(
            "CloudHsmClusterNotActiveException",
            f"Cluster '{cluster_id}' is {cluster.state}, not ACTIVE.",
        )
    lacking = None
    if len(cluster.subnets) < 2:
        lacking = "subnets in two Availability Zones"
    elif len({hsm.zone for hsm in cluster.working()}) < zones:
        lacking = f"ACTIVE HSMs in {zones} Availability Zones"
    elif not estate.ec2.cluster_group_intact(cluster.security_group):
        lacking = f"the rules of its security group {cluster.security_group} for TCP 2223-2225"
    if lacking:
        raise ApiError(
            "CloudHsmClusterInvalidConfigurationException",
            f"Cluster '{cluster_id}' lacks {lacking}.",
        )
    return cluster


def describe(store: KeyStore) -> Answer:
    """A key store as the API shows it (F4.4)."""
    shown: Answer = {
        "CustomKeyStoreId": store.id,
        "CustomKeyStoreName": store.name,
        "CloudHsmClusterId": store.cluster_id,
        "TrustAnchorCertificate": store.trust_anchor,
        "ConnectionState": store.state,
        "CreationDate": store.created,
        "CustomKeyStoreType": "AWS_CLOUDHSM",
    }
    if store.error_code:
        shown["ConnectionErrorCode"] = store.error_code
    return shown


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


def _no_store(name: object) -> ApiError:
    return ApiError("CustomKeyStoreNotFoundException", f"Custom key store '{name}' does not exist.")


def _no_cluster(cluster_id: str) -> ApiError:
    return ApiError("CloudHsmClusterNotFoundException", f"Cluster '{cluster_id}' does not exist.")


def _wrong_state(store: KeyStore) -> ApiError:
    return ApiError(
        "CustomKeyStoreInvalidStateException", f"Custom key store '{store.id}' is {store.state}."
    )
