from __future__ import annotations

import re
import time

import botocore.session
import pytest

from hsm_lifecycle import pem
from hsm_lifecycle.errors import (
    ClusterInUseError,
    ClusterNotFoundError,
    ParameterError,
    RefusedError,
    TransientError,
)
from hsm_lifecycle.steps import key_store, key_store_ownership
from rehearsal.test_ca import make_ca
from tests.support.account import (
    OTHER_STACK_ID,
    STACK_ID,
    TIMINGS,
    ZONES,
    Account,
    Json,
)
from tests.support.key_store_setup import (
    CA_SECRET,
    NAME,
    UNKNOWN,
    UNKNOWN_CLUSTER,
    claim_key_store,
    connect_key_store,
    connection_state,
    create_key_store,
    failed_store,
    find_key_store,
    key_store_ids,
    key_store_in,
    moment,
    of,
    read_claim,
)

# ---- describe_key_store


def described(account: Account, key_store_id: str, seconds: float = 0) -> Json:
    return account.run(
        key_store.describe_key_store,
        KeyStoreId=key_store_id,
        StartTime=moment(0),
        EnteredTime=moment(seconds),
    )


@pytest.mark.parametrize("wanted", ["DISCONNECTED", "CONNECTING", "CONNECTED", "DISCONNECTING"])
def test_describe_key_store_returns_the_connection_state(
    account: Account, cluster: str, wanted: str
) -> None:
    result = described(account, key_store_in(account, cluster, wanted), seconds=90)
    assert result == {
        "State": wanted,
        "ErrorCode": "",
        "Seconds": 90,
        "WaitsFor": f"key store {wanted}",
        "WaitsSince": moment(90),
        "CheckedAt": moment(90),
        "Wait": 15 if wanted.endswith("ING") else 3,
    }


def test_describe_key_store_returns_the_error_code(account: Account, cluster: str) -> None:
    key_store_id = failed_store(account, cluster, "USER_LOGGED_IN")
    result = described(account, key_store_id)
    assert (result["State"], result["ErrorCode"]) == ("FAILED", "USER_LOGGED_IN")


def test_describe_key_store_returns_not_found(account: Account) -> None:
    assert described(account, UNKNOWN)["State"] == "NOT_FOUND"
    assert described(account, "")["State"] == "NOT_FOUND"


# ---- check_cluster


def checked(account: Account, cluster_id: str, key_store_id: str = "") -> Json:
    return account.run(
        key_store.check_cluster,
        ClusterId=cluster_id,
        KeyStoreId=key_store_id,
        CloudHsmCustCaCertSecretName=CA_SECRET,
    )


def test_check_cluster_returns_the_addresses_of_the_hsms(account: Account, cluster: str) -> None:
    addresses = sorted(hsm["EniIp"] for hsm in account.listed(cluster))
    certificate = account.cluster(cluster)["Certificates"]["ClusterCertificate"]
    assert checked(account, cluster) == {
        "IpAddresses": " ".join(addresses),
        "ClusterCertificate": pem.body(certificate),
    }
    assert account.changes == []


def test_check_cluster_ignores_a_third_hsm_that_is_degraded(account: Account, cluster: str) -> None:
    hsm = account.add_hsm(cluster, ZONES[2])
    account.hsms.provider().degrade_hsm(hsm["HsmId"])
    assert hsm["EniIp"] not in checked(account, cluster)["IpAddresses"]


@pytest.mark.parametrize("cluster_id", [UNKNOWN_CLUSTER, "cluster-of-mine"])
def test_check_cluster_refuses_a_missing_cluster(account: Account, cluster_id: str) -> None:
    with pytest.raises(ClusterNotFoundError, match=f"pCloudHsmClusterId: .* {cluster_id}"):
        checked(account, cluster_id)


def test_check_cluster_refuses_a_cluster_that_is_not_active(account: Account) -> None:
    cluster_id = account.uninitialized()
    with pytest.raises(ParameterError, match=r"pCloudHsmClusterId: .* is UNINITIALIZED"):
        checked(account, cluster_id)


def test_check_cluster_refuses_a_dual_stack_cluster(account: Account) -> None:
    cluster_id = account.active(*ZONES[1:], NetworkType="DUALSTACK")
    with pytest.raises(ParameterError, match=r"pCloudHsmClusterId: .* DUALSTACK.* pNetworkType"):
        checked(account, cluster_id)


def test_check_cluster_refuses_an_hsm_in_progress(account: Account, cluster: str) -> None:
    expected = "pCloudHsmClusterId: an HSM of .* is being created or deleted"
    account.hsm.create_hsm(ClusterId=cluster, AvailabilityZone=ZONES[2])
    with pytest.raises(ParameterError, match=expected):
        checked(account, cluster)
    account.wait(TIMINGS.create_hsm)
    account.hsm.delete_hsm(ClusterId=cluster, HsmId=account.listed(cluster)[2]["HsmId"])
    with pytest.raises(ParameterError, match=expected):
        checked(account, cluster)
    account.wait(TIMINGS.delete_hsm)
    assert account.states(cluster) == ["ACTIVE", "ACTIVE", "DELETED"]
    assert checked(account, cluster)


@pytest.mark.parametrize("zones", [(), (ZONES[0],), (ZONES[0], ZONES[0])])
def test_check_cluster_refuses_hsms_in_fewer_than_two_zones(
    account: Account, zones: tuple[str, ...]
) -> None:
    cluster_id = account.restored(*zones)
    count = len(set(zones))
    with pytest.raises(ParameterError, match=f"pCloudHsmClusterId: .* in {count} of the two"):
        checked(account, cluster_id)


def test_check_cluster_refuses_another_key_store_on_the_cluster(
    account: Account, cluster: str
) -> None:
    key_store_id = account.add_store(cluster)
    expected = (
        rf"pCloudHsmClusterId: .* already has the key store {key_store_id} \(store, DISCONNECTED\)"
    )
    with pytest.raises(ClusterInUseError, match=expected):
        checked(account, cluster)
    assert checked(account, cluster, key_store_id)


def test_check_cluster_ignores_key_stores_on_other_clusters(account: Account, cluster: str) -> None:
    other = account.restored(ZONES[0], ZONES[1], stack_id=OTHER_STACK_ID)
    account.add_store(other)
    assert checked(account, cluster)


def test_check_cluster_needs_the_ca_certificate(account: Account, cluster: str) -> None:
    account.secrets.delete_secret(SecretId=CA_SECRET, ForceDeleteWithoutRecovery=True)
    with pytest.raises(ParameterError, match=f"pCloudHsmCustCaCertSecretName: .* {CA_SECRET} does"):
        checked(account, cluster)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (make_ca(time.time()).pem, "does not contain the CA of the cluster's certificate"),
        ("junk", "is not a PEM certificate"),
        (make_ca(time.time()).key_pem, "contains a PRIVATE KEY"),
    ],
)
def test_check_cluster_refuses_anything_but_the_clusters_ca(
    account: Account, cluster: str, text: str, message: str
) -> None:
    account.put(CA_SECRET, text)
    with pytest.raises(ParameterError) as failure:
        checked(account, cluster)
    expected = f"CheckCluster: pCloudHsmCustCaCertSecretName: the secret {CA_SECRET} {message}"
    assert str(failure.value).startswith(expected)
    assert account.changes == []


def test_check_cluster_refuses_certificates_too_long_for_kms(
    account: Account, cluster: str
) -> None:
    ca = account.anchors[cluster]
    account.put(CA_SECRET, ca * (5000 // len(ca) + 1))
    with pytest.raises(ParameterError, match=r"pCloudHsmCustCaCertSecretName: .* 5\d\d\d char"):
        checked(account, cluster)


# ---- create_key_store


def test_create_key_store_creates_and_claims_it(account: Account, cluster: str) -> None:
    claim_key_store(account, cluster)
    key_store_id = create_key_store(account, cluster)
    store = account.store(key_store_id)
    assert store["CustomKeyStoreName"] == NAME
    assert store["CloudHsmClusterId"] == cluster
    assert store["TrustAnchorCertificate"] == account.anchors[cluster]
    assert read_claim() == {
        "StackId": STACK_ID,
        "Name": NAME,
        "KeyStoreId": key_store_id,
        "IsComplete": False,
        "SettledAt": "",
    }


@pytest.mark.parametrize(("retries", "seconds"), [(0, 420), (1, 540)])
def test_a_key_store_whose_creation_was_lost_is_not_settled_for_minutes(
    account: Account, cluster: str, retries: int, seconds: int
) -> None:
    claim_key_store(account, cluster)
    account.faults.inject({"late": "CreateCustomKeyStore", "seconds": 300})
    with pytest.raises(TransientError):
        create_key_store(account, cluster, retries=retries)
    for elapsed in (0, seconds - 1, seconds):
        found = find_key_store(account, seconds=elapsed)
        assert (found["State"], found["IsSettled"]) == ("NOT_FOUND", elapsed == seconds)


def test_a_key_store_of_a_retry_is_not_settled_either(account: Account, cluster: str) -> None:
    claim_key_store(account, cluster)
    key_store_id = create_key_store(account, cluster, retries=1)
    account.run(key_store_ownership.complete_claim, **of(key_store_id, Name=NAME))
    for elapsed in (0, 539, 540):
        found = find_key_store(account, key_store_id, seconds=elapsed)
        assert found["IsSettled"] == (elapsed == 540)
        assert found["IsIncomplete"] is False


def test_create_key_store_is_idempotent(account: Account, cluster: str) -> None:
    claim_key_store(account, cluster)
    key_store_id = create_key_store(account, cluster)
    assert create_key_store(account, cluster) == key_store_id
    assert key_store_ids(account) == [key_store_id]


@pytest.mark.parametrize("operation", ["CreateCustomKeyStore", "PutParameter"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_create_key_store_survives_a_lost_response(
    account: Account, cluster: str, operation: str, when: str
) -> None:
    claim_key_store(account, cluster)
    account.faults.inject({"operation": operation, "code": "ConnectionLost", "when": when})
    with pytest.raises(TransientError, match=rf"\[{cluster}\]$"):
        create_key_store(account, cluster)
    key_store_id = create_key_store(account, cluster)
    assert key_store_ids(account) == [key_store_id]
    assert (read_claim() or {})["KeyStoreId"] == key_store_id


def test_a_lost_creation_is_found_by_the_deletion(account: Account, cluster: str) -> None:
    claim_key_store(account, cluster)
    account.faults.inject(
        {"operation": "CreateCustomKeyStore", "code": "ConnectionLost", "when": "after"}
    )
    with pytest.raises(TransientError):
        create_key_store(account, cluster)
    found = find_key_store(account, cluster)
    assert [found["Id"]] == key_store_ids(account)
    assert found["IsIncomplete"] is True


@pytest.mark.parametrize(
    ("code", "parameter"),
    [
        ("CloudHsmClusterInUseException", "pCloudHsmClusterId"),
        ("CloudHsmClusterInvalidConfigurationException", "pCloudHsmClusterId"),
        ("CloudHsmClusterNotActiveException", "pCloudHsmClusterId"),
        ("CloudHsmClusterNotFoundException", "pCloudHsmClusterId"),
        ("CustomKeyStoreNameInUseException", "pKeyStoreName"),
        ("IncorrectTrustAnchorException", "pCloudHsmCustCaCertSecretName"),
    ],
)
def test_create_key_store_names_the_refused_parameter(
    account: Account, cluster: str, code: str, parameter: str
) -> None:
    account.faults.inject(
        {"operation": "CreateCustomKeyStore", "code": code, "message": "the message of AWS"}
    )
    with pytest.raises(RefusedError) as refusal:
        create_key_store(account, cluster)
    assert str(refusal.value) == (
        f"CreateKeyStore: {parameter}: CreateCustomKeyStore: {code}: the message of AWS [{cluster}]"
    )


def test_create_key_store_refuses_the_certificate_of_another_cluster(
    account: Account, cluster: str
) -> None:
    account.put(CA_SECRET, account.ca.pem)
    with pytest.raises(RefusedError, match=r"pCloudHsmCustCaCertSecretName: .*IncorrectTrustAnch"):
        create_key_store(account, cluster)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("KMSInternalException", TransientError),
        ("ThrottlingException", TransientError),
        ("AccessDeniedException", TransientError),
        ("LimitExceededException", RefusedError),
    ],
)
def test_create_key_store_quotes_other_errors(
    account: Account, cluster: str, code: str, error: type[Exception]
) -> None:
    account.faults.inject({"operation": "CreateCustomKeyStore", "code": code})
    with pytest.raises(error, match=f"^CreateKeyStore: CreateCustomKeyStore: {code}: "):
        create_key_store(account, cluster)


# ---- connect_key_store, disconnect_key_store


def test_connect_key_store_connects_and_counts(account: Account, cluster: str) -> None:
    key_store_id = account.add_store(cluster)
    assert connect_key_store(account, key_store_id) == {"Number": 1, "IsRepaired": False}
    assert connection_state(account, key_store_id) == "CONNECTING"
    repaired = {"Number": 1, "IsRepaired": True}
    assert connect_key_store(account, key_store_id, repaired) == {"Number": 2, "IsRepaired": True}


@pytest.mark.parametrize("wanted", ["CONNECTING", "CONNECTED"])
def test_connect_key_store_is_idempotent(account: Account, cluster: str, wanted: str) -> None:
    key_store_id = key_store_in(account, cluster, wanted)
    assert connect_key_store(account, key_store_id)["Number"] == 1
    assert account.changes == []


def test_connect_key_store_survives_a_lost_response(account: Account, cluster: str) -> None:
    key_store_id = account.add_store(cluster)
    account.faults.inject(
        {"operation": "ConnectCustomKeyStore", "code": "ConnectionLost", "when": "after"}
    )
    with pytest.raises(TransientError, match=rf"\[{key_store_id}\]$"):
        connect_key_store(account, key_store_id)
    assert connect_key_store(account, key_store_id)["Number"] == 1
    assert account.changes == []


def test_connect_key_store_ignores_a_missing_key_store(account: Account) -> None:
    assert connect_key_store(account, UNKNOWN)["Number"] == 1
    assert account.changes == []


@pytest.mark.parametrize("wanted", ["FAILED", "DISCONNECTING"])
def test_connect_key_store_is_refused_in_the_state_failed(
    account: Account, cluster: str, wanted: str
) -> None:
    key_store_id = key_store_in(account, cluster, wanted)
    with pytest.raises(RefusedError, match=rf"CustomKeyStoreInvalidState.*\[{key_store_id}\]$"):
        connect_key_store(account, key_store_id)


def test_connect_key_store_names_the_parameter_of_an_unusable_cluster(
    account: Account, cluster: str
) -> None:
    key_store_id = account.add_store(cluster)
    for hsm in account.listed(cluster):
        account.hsm.delete_hsm(ClusterId=cluster, HsmId=hsm["HsmId"])
    with pytest.raises(RefusedError, match="pCloudHsmClusterId: ConnectCustomKeyStore: "):
        connect_key_store(account, key_store_id)


def disconnected(account: Account, key_store_id: str) -> Json:
    return account.run(key_store.disconnect_key_store, **of(key_store_id))


@pytest.mark.parametrize("wanted", ["CONNECTED", "CONNECTING", "FAILED"])
def test_disconnect_key_store_disconnects_in_any_state(
    account: Account, cluster: str, wanted: str
) -> None:
    key_store_id = key_store_in(account, cluster, wanted)
    assert disconnected(account, key_store_id) == {}
    assert connection_state(account, key_store_id) == "DISCONNECTING"
    assert disconnected(account, key_store_id) == {}
    account.wait(TIMINGS.disconnect)
    assert connection_state(account, key_store_id) == "DISCONNECTED"
    assert disconnected(account, key_store_id) == {}


def test_disconnect_key_store_accepts_a_missing_key_store(account: Account) -> None:
    assert disconnected(account, UNKNOWN) == {}


def test_disconnect_key_store_survives_a_lost_response(account: Account, cluster: str) -> None:
    key_store_id = key_store_in(account, cluster, "CONNECTING")
    account.faults.inject(
        {"operation": "DisconnectCustomKeyStore", "code": "ConnectionLost", "when": "after"}
    )
    with pytest.raises(TransientError):
        disconnected(account, key_store_id)
    assert disconnected(account, key_store_id) == {}
    account.wait(TIMINGS.disconnect)
    assert connection_state(account, key_store_id) == "DISCONNECTED"


def test_disconnect_key_store_is_retried_when_throttled(account: Account, cluster: str) -> None:
    key_store_id = key_store_in(account, cluster, "CONNECTING")
    account.faults.inject({"operation": "DisconnectCustomKeyStore", "code": "ThrottlingException"})
    with pytest.raises(TransientError):
        disconnected(account, key_store_id)


# ---- diagnose_connection


CODES = [
    code
    for code in botocore.session.get_session()
    .get_service_model("kms")
    .shape_for("ConnectionErrorCodeType")
    .enum
    if not code.startswith("XKS_")
]

KMSUSER_CODES = ["INVALID_CREDENTIALS", "USER_LOCKED_OUT", "USER_NOT_FOUND"]


def diagnosed(
    account: Account, code: str, number: int = 0, seconds: float = 60, *, repaired: bool = False
) -> Json:
    return account.run(
        key_store.diagnose_connection,
        KeyStoreId=UNKNOWN,
        ErrorCode=code,
        Connection={"Number": number, "IsRepaired": repaired},
        StartTime=moment(0),
        EnteredTime=moment(seconds),
    )


@pytest.mark.parametrize(
    ("number", "seconds", "repaired", "decision"),
    [
        (0, 60, False, "REPAIR"),
        (1, 1200, False, "REPAIR"),
        # A connection needs 1260 of the 2700 seconds.
        (1, 1440, False, "REPAIR"),
        (1, 1441, False, "FAIL"),
        (0, 1441, False, "CONNECT"),
        # Only once.
        (1, 60, True, "FAIL"),
        (2, 60, True, "FAIL"),
    ],
)
def test_diagnose_connection_repairs_kmsuser_once_if_time_is_left(
    account: Account, number: int, seconds: float, repaired: bool, decision: str
) -> None:
    decisions = {
        code: diagnosed(account, code, number, seconds, repaired=repaired)["Next"]
        for code in KMSUSER_CODES
    }
    assert decisions == dict.fromkeys(KMSUSER_CODES, decision)


def test_diagnose_connection_connects_once_if_it_was_failed_before(account: Account) -> None:
    for code in {*CODES, "NEW"} - {*KMSUSER_CODES}:
        assert diagnosed(account, code, 0)["Next"] == "CONNECT", code
        assert diagnosed(account, code, 1)["Next"] == "FAIL", code


def test_diagnose_connection_mentions_a_repair_only_if_there_was_one(account: Account) -> None:
    for code in KMSUSER_CODES:
        late = diagnosed(account, code, 1, 1441)
        assert late["Next"] == "FAIL"
        assert "No time was left to reset kmsuser" in late["Message"]
        assert "even after" in diagnosed(account, code, 2, repaired=True)["Message"]


@pytest.mark.parametrize("repaired", [False, True])
def test_every_error_code_has_a_remedy_that_fits_into_a_stack_event(
    account: Account, repaired: bool
) -> None:
    for code in CODES:
        message = diagnosed(account, code, 1, repaired=repaired)["Message"]
        assert message.startswith(f"{code}. ")
        assert "Developer Guide" not in message
        assert re.search(r"pReconcile|pCloudHsmClusterId", message)
        # The reason of connect-key-store, of which a stack event shows 240 characters.
        reason = f"ConnectionFailed: KMS could not connect the key store: {message} [{UNKNOWN}]"
        assert len(reason) <= 240, reason


def test_an_unknown_error_code_refers_to_the_guide(account: Account) -> None:
    assert diagnosed(account, "NEW", 1)["Message"] == (
        "NEW. See Troubleshooting a CloudHSM key store in the KMS Developer Guide."
    )


# ---- delete_key_store, retain_key_store, report_key_store


def deleted(account: Account, key_store_id: str) -> Json:
    return account.run(key_store.delete_key_store, **of(key_store_id))


def test_delete_key_store_deletes_a_store_without_keys(account: Account, cluster: str) -> None:
    key_store_id = account.add_store(cluster)
    account.faults.inject(
        {"operation": "DeleteCustomKeyStore", "code": "ConnectionLost", "when": "after"}
    )
    with pytest.raises(TransientError, match=rf"\[{key_store_id}\]$"):
        deleted(account, key_store_id)
    assert deleted(account, key_store_id) == {"IsRetained": False}
    assert key_store_ids(account) == []


@pytest.mark.parametrize("pending", [False, True])
def test_delete_key_store_retains_a_store_with_keys(
    account: Account, cluster: str, pending: bool
) -> None:
    key_store_id = key_store_in(account, cluster, "CONNECTED")
    account.hsms.provider().create_key(key_store_id, "key-1")
    if pending:
        account.hsms.provider().schedule_key_deletion("key-1")
    disconnected(account, key_store_id)
    account.wait(TIMINGS.disconnect)
    for _ in range(2):
        assert deleted(account, key_store_id) == {"IsRetained": True}
    assert key_store_ids(account) == [key_store_id]
    if pending:
        account.wait(31 * 24 * 3600)
        assert deleted(account, key_store_id) == {"IsRetained": False}


def test_delete_key_store_is_refused_for_a_connected_store(account: Account, cluster: str) -> None:
    key_store_id = key_store_in(account, cluster, "CONNECTED")
    with pytest.raises(RefusedError, match=rf"CustomKeyStoreInvalidState.*\[{key_store_id}\]$"):
        deleted(account, key_store_id)


def test_retain_key_store_logs_how_to_connect_it(
    account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    result = account.run(key_store.retain_key_store, KeyStoreId=UNKNOWN)
    assert result == {
        "Retained": f"Key store {UNKNOWN} was retained and is disconnected. To use its keys,"
        " name it in pExistingKeyStoreId of a new stack, or connect it: aws kms"
        f" connect-custom-key-store --custom-key-store-id {UNKNOWN}"
    }
    assert result["Retained"] in caplog.text


@pytest.mark.parametrize("wanted", ["DISCONNECTED", "CONNECTED", "FAILED"])
def test_report_key_store_returns_all_attributes(
    account: Account, cluster: str, wanted: str
) -> None:
    key_store_id = key_store_in(account, cluster, wanted)
    assert account.run(key_store.report_key_store, **of(key_store_id, Warnings="none")) == {
        "PhysicalResourceId": key_store_id,
        "Data": {"KeyStoreId": key_store_id, "State": wanted, "Warnings": "none"},
    }


def test_report_key_store_accepts_a_missing_key_store(account: Account) -> None:
    report = account.run(key_store.report_key_store, **of("", Warnings="gone"))
    assert report["Data"] == {"KeyStoreId": "none", "State": "NOT_FOUND", "Warnings": "gone"}
