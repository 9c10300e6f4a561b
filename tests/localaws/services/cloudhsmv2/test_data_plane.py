from __future__ import annotations

import itertools
from typing import Any

import pytest

from localaws.core.api_error import ApiError
from localaws.services.cloudhsmv2.settings import Assumptions, Quotas
from tests.localaws.services.cloudhsm import PASSWORD, ZONES, CloudHsm


@pytest.fixture(name="cluster_id")
def _cluster_id(cloudhsm: CloudHsm) -> str:
    """An ACTIVE cluster with HSMs in two zones."""
    return cloudhsm.active(ZONES[1])


def rejected(
    cloudhsm: CloudHsm, cluster_id: str, operation: str, words: str, **params: Any
) -> ApiError:
    with pytest.raises(ApiError, match=words) as error:
        cloudhsm.as_admin(cluster_id, operation, **params)
    return error.value


def log_in(cloudhsm: CloudHsm, cluster_id: str, name: str, password: str) -> Any:
    """Log in as a crypto-user, by changing its password to the same."""
    return cloudhsm.client(
        cluster_id,
        "user-change-password",
        login_role="crypto-user",
        username=name,
        password=password,
        new_username=name,
        role="crypto-user",
        new_password=password,
    )


# --- Reaching an HSM


def test_only_an_active_hsm_can_be_reached(cloudhsm: CloudHsm, cluster_id: str) -> None:
    with pytest.raises(ApiError, match="timed out") as error:
        cloudhsm.client(cluster_id, "user-list", ip="10.9.9.9")
    assert error.value.code == "Unreachable"
    first, second = cloudhsm.hsms(cluster_id)
    cloudhsm.provider.degrade_hsm(first["HsmId"])
    with pytest.raises(ApiError, match="timed out"):
        cloudhsm.client(cluster_id, "user-list", ip=first["EniIp"])
    assert cloudhsm.client(cluster_id, "user-list", ip=second["EniIp"])


def test_only_a_client_allowed_by_its_security_groups_can_connect(
    cloudhsm: CloudHsm, cluster_id: str
) -> None:
    with pytest.raises(ApiError, match="timed out") as error:
        cloudhsm.client(cluster_id, "user-list", instance_id="i-00000002")
    assert error.value.code == "Unreachable"


def test_a_client_does_not_trust_an_uninitialized_cluster(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.with_csr()
    with pytest.raises(ApiError, match="not initialized") as error:
        cloudhsm.client(cluster_id, "user-list")
    assert error.value.code == "TlsError"


def test_a_command_that_needs_no_login_logs_in_with_given_credentials() -> None:
    # F3.23 is open; the second reading ignores the credentials.
    for logs_in in (True, False):
        cloudhsm = CloudHsm(assumptions=Assumptions(every_command_logs_in=logs_in))
        cluster_id = cloudhsm.active(ZONES[1])
        assert cloudhsm.as_admin(cluster_id, "user-list")["users"]
        for operation in ("user-list", "hsm-info"):
            if logs_in:
                rejected(cloudhsm, cluster_id, operation, "Login failed", password="Wrong123")
            else:
                assert cloudhsm.as_admin(cluster_id, operation, password="Wrong123")
        events = [event["event"] for event in cloudhsm.event_log.events()]
        assert events.count("LoginRefused") == (2 if logs_in else 0)


def test_an_unknown_command_is_rejected(cloudhsm: CloudHsm, cluster_id: str) -> None:
    rejected(cloudhsm, cluster_id, "key-generate", "Unknown command")


# --- Activation


def test_the_admin_is_unactivated_before_activation(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.initialized()
    assert cloudhsm.client(cluster_id, "user-list") == {
        "users": [
            {
                "username": "admin",
                "role": "unactivated-admin",
                "locked": "false",
                "mfa": [],
                "quorum": [],
                "cluster-coverage": "full",
            },
            {
                "username": "app_user",
                "role": "internal(APPLIANCE_USER)",
                "locked": "false",
                "mfa": [],
                "quorum": [],
                "cluster-coverage": "full",
            },
        ]
    }
    rejected(cloudhsm, cluster_id, "user-create", "Login failed", password="")


def test_activation_makes_the_admin_at_once_and_the_cluster_active_later(
    cloudhsm: CloudHsm,
) -> None:
    cluster_id = cloudhsm.initialized()
    output = cloudhsm.client(cluster_id, "activate", password=PASSWORD)
    assert output == "Cluster activation successful"
    assert cloudhsm.users(cluster_id)["admin"]["role"] == "admin"
    cloudhsm.wait(cloudhsm.timings.activate - 1)
    assert cloudhsm.cluster(cluster_id)["State"] == "INITIALIZED"
    cloudhsm.wait(1)
    assert cloudhsm.cluster(cluster_id)["State"] == "ACTIVE"


def test_a_cluster_can_be_activated_only_once(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.initialized()
    cloudhsm.client(cluster_id, "activate", password=PASSWORD)
    for _ in range(2):
        with pytest.raises(ApiError, match="already activated"):
            cloudhsm.client(cluster_id, "activate", password="Another123")
        cloudhsm.wait(cloudhsm.timings.activate)
    assert cloudhsm.add_user(cluster_id, "worker", "Password1")


def test_a_password_has_8_to_32_characters_and_no_colon(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.initialized()
    for password in ("Short12", "x" * 33, "with:colon1", None):
        with pytest.raises(ApiError, match="8 to 32"):
            cloudhsm.client(cluster_id, "activate", password=password)
    cloudhsm.client(cluster_id, "activate", password="x" * 32)


def test_deleting_the_hsm_right_after_activation_loses_the_activation(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.initialized()
    cloudhsm.client(cluster_id, "activate", password=PASSWORD)
    cloudhsm.remove_hsm(cluster_id, cloudhsm.hsms(cluster_id)[0]["HsmId"])
    assert cloudhsm.cluster(cluster_id)["State"] == "INITIALIZED"
    cloudhsm.add_hsm(cluster_id)
    assert cloudhsm.users(cluster_id)["admin"]["role"] == "unactivated-admin"


# --- Users


def test_user_create_creates_the_user_on_every_hsm(cloudhsm: CloudHsm, cluster_id: str) -> None:
    response = cloudhsm.add_user(cluster_id, "Worker_1", "Password1")
    assert response == {"username": "worker_1", "role": "crypto-user"}
    listed = cloudhsm.users(cluster_id)["worker_1"]
    assert (listed["role"], listed["cluster-coverage"]) == ("crypto-user", "full")
    assert log_in(cloudhsm, cluster_id, "WORKER_1", "Password1")


def test_a_username_has_letters_digits_and_underscores(cloudhsm: CloudHsm, cluster_id: str) -> None:
    for name in ("", "with-hyphen", "x" * 32, "a b", "ü"):
        rejected(
            cloudhsm,
            cluster_id,
            "user-create",
            "does not match",
            new_username=name,
            new_password="Password1",
            role="crypto-user",
        )


def test_user_create_rejects_a_user_with_full_coverage(cloudhsm: CloudHsm, cluster_id: str) -> None:
    cloudhsm.add_user(cluster_id, "worker", "Password1")
    with pytest.raises(ApiError, match="already exists"):
        cloudhsm.add_user(cluster_id, "worker", "Password1")


def test_user_create_accepts_the_roles_admin_and_crypto_user(
    cloudhsm: CloudHsm, cluster_id: str
) -> None:
    params = {"new_username": "worker", "new_password": "Password1"}
    rejected(cloudhsm, cluster_id, "user-create", "Role", **params, role="internal(APPLIANCE_USER)")
    cloudhsm.as_admin(cluster_id, "user-create", **params, role="admin")
    rejected(cloudhsm, cluster_id, "user-create", "already exists", **params, role="crypto-user")


def test_a_user_created_during_create_hsm_is_missing_on_the_new_hsm(
    cloudhsm: CloudHsm, cluster_id: str
) -> None:
    cloudhsm.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[2])
    cloudhsm.add_user(cluster_id, "kmsuser", "Password1")
    assert cloudhsm.users(cluster_id)["kmsuser"]["cluster-coverage"] == "full"
    cloudhsm.wait(cloudhsm.timings.create_hsm)
    assert cloudhsm.users(cluster_id)["kmsuser"]["cluster-coverage"] == "inconsistent"
    assert cloudhsm.users(cluster_id)["admin"]["cluster-coverage"] == "full"


def test_repeating_user_create_completes_the_coverage(cloudhsm: CloudHsm, cluster_id: str) -> None:
    cloudhsm.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[2])
    cloudhsm.add_user(cluster_id, "kmsuser", "Password1")
    cloudhsm.wait(cloudhsm.timings.create_hsm)
    rejected(
        cloudhsm,
        cluster_id,
        "user-create",
        "already exists",
        new_username="kmsuser",
        new_password="Password1",
        role="admin",
    )
    cloudhsm.add_user(cluster_id, "kmsuser", "Password1")
    assert cloudhsm.users(cluster_id)["kmsuser"]["cluster-coverage"] == "full"
    assert log_in(cloudhsm, cluster_id, "kmsuser", "Password1")


def test_completing_a_user_with_another_password_makes_both_fail(
    cloudhsm: CloudHsm, cluster_id: str
) -> None:
    cloudhsm.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[2])
    cloudhsm.add_user(cluster_id, "kmsuser", "Password1")
    cloudhsm.wait(cloudhsm.timings.create_hsm)
    cloudhsm.add_user(cluster_id, "kmsuser", "Password2")
    for password in ("Password1", "Password2"):
        with pytest.raises(ApiError, match="Login failed"):
            log_in(cloudhsm, cluster_id, "kmsuser", password)


def test_a_password_changed_during_create_hsm_is_the_old_one_on_the_new_hsm(
    cloudhsm: CloudHsm, cluster_id: str
) -> None:
    cloudhsm.add_user(cluster_id, "worker", "Password1")
    cloudhsm.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[2])
    params = {"new_username": "worker", "role": "crypto-user", "new_password": "Password2"}
    cloudhsm.as_admin(cluster_id, "user-change-password", **params)
    assert log_in(cloudhsm, cluster_id, "worker", "Password2")
    cloudhsm.wait(cloudhsm.timings.create_hsm)
    with pytest.raises(ApiError, match="Login failed"):
        log_in(cloudhsm, cluster_id, "worker", "Password2")
    cloudhsm.as_admin(cluster_id, "user-change-password", **params)
    assert log_in(cloudhsm, cluster_id, "worker", "Password2")


def test_an_admin_can_change_any_password(cloudhsm: CloudHsm, cluster_id: str) -> None:
    cloudhsm.add_user(cluster_id, "worker", "Password1")
    cloudhsm.as_admin(
        cluster_id,
        "user-change-password",
        new_username="worker",
        role="crypto-user",
        new_password="Password2",
    )
    with pytest.raises(ApiError, match="Login failed"):
        log_in(cloudhsm, cluster_id, "worker", "Password1")
    assert log_in(cloudhsm, cluster_id, "worker", "Password2")
    cloudhsm.as_admin(
        cluster_id,
        "user-change-password",
        new_username="admin",
        role="admin",
        new_password="Changed123",
    )
    rejected(cloudhsm, cluster_id, "user-delete", "Login failed", new_username="worker")


def test_a_crypto_user_can_change_only_its_own_password(
    cloudhsm: CloudHsm, cluster_id: str
) -> None:
    cloudhsm.add_user(cluster_id, "worker", "Password1")
    cloudhsm.add_user(cluster_id, "other", "Password1")
    as_worker = {"login_role": "crypto-user", "username": "worker", "password": "Password1"}
    to_other = {"new_username": "other", "role": "crypto-user", "new_password": "Password2"}
    with pytest.raises(ApiError, match="Only an admin"):
        cloudhsm.client(cluster_id, "user-change-password", **as_worker, **to_other)
    for operation in ("user-create", "user-delete"):
        with pytest.raises(ApiError, match="role admin"):
            cloudhsm.client(cluster_id, operation, **as_worker, **to_other)


def test_a_login_requires_the_users_role(cloudhsm: CloudHsm, cluster_id: str) -> None:
    cloudhsm.add_user(cluster_id, "worker", "Password1")
    rejected(
        cloudhsm,
        cluster_id,
        "user-delete",
        "Login failed",
        username="worker",
        password="Password1",
        new_username="worker",
        role="crypto-user",
    )
    with pytest.raises(ApiError, match="requires a login"):
        cloudhsm.client(cluster_id, "user-delete", new_username="worker", role="crypto-user")


def test_user_delete_deletes_the_user_on_every_hsm(cloudhsm: CloudHsm, cluster_id: str) -> None:
    cloudhsm.add_user(cluster_id, "worker", "Password1")
    target = {"new_username": "worker", "role": "crypto-user"}
    rejected(cloudhsm, cluster_id, "user-delete", "does not exist", **{**target, "role": "admin"})
    cloudhsm.as_admin(cluster_id, "user-delete", **target)
    assert "worker" not in cloudhsm.users(cluster_id)
    rejected(cloudhsm, cluster_id, "user-delete", "does not exist", **target)
    rejected(cloudhsm, cluster_id, "user-delete", "logged in", new_username="admin", role="admin")


def test_a_user_logged_in_elsewhere_cannot_be_changed(cloudhsm: CloudHsm, cluster_id: str) -> None:
    cloudhsm.add_user(cluster_id, "worker", "Password1")
    cloudhsm.provider.log_in(cluster_id, "worker")
    target = {"new_username": "worker", "role": "crypto-user", "new_password": "Password2"}
    for operation in ("user-change-password", "user-delete"):
        rejected(cloudhsm, cluster_id, operation, "is logged in", **target)
    cloudhsm.provider.log_out(cluster_id, "worker")
    cloudhsm.as_admin(cluster_id, "user-change-password", **target)


def test_users_have_a_quota() -> None:
    cloudhsm = CloudHsm(quotas=Quotas(users_per_cluster=3))
    cluster_id = cloudhsm.active()
    cloudhsm.add_user(cluster_id, "worker", "Password1")
    with pytest.raises(ApiError, match="maximum number of users"):
        cloudhsm.add_user(cluster_id, "other", "Password1")


# --- Locking


def test_five_failed_logins_lock_a_user_until_an_admin_changes_the_password(
    cloudhsm: CloudHsm, cluster_id: str
) -> None:
    cloudhsm.add_user(cluster_id, "worker", "Password1")
    for attempt in range(5):
        assert cloudhsm.users(cluster_id)["worker"]["locked"] == "false", attempt
        with pytest.raises(ApiError, match="Login failed") as error:
            log_in(cloudhsm, cluster_id, "worker", "wrong")
        assert error.value.code == "LoginFailed"
    assert cloudhsm.users(cluster_id)["worker"]["locked"] == "true"
    with pytest.raises(ApiError, match="Login failed"):
        log_in(cloudhsm, cluster_id, "worker", "Password1")
    cloudhsm.as_admin(
        cluster_id,
        "user-change-password",
        new_username="worker",
        role="crypto-user",
        new_password="Password2",
    )
    assert cloudhsm.users(cluster_id)["worker"]["locked"] == "false"
    assert log_in(cloudhsm, cluster_id, "worker", "Password2")


def test_a_locked_admin_cannot_log_in_with_the_right_password(
    cloudhsm: CloudHsm, cluster_id: str
) -> None:
    target = {"new_username": "worker", "new_password": "Password1", "role": "crypto-user"}
    for _ in range(5):
        rejected(cloudhsm, cluster_id, "user-create", "Login failed", password="wrong", **target)
    rejected(cloudhsm, cluster_id, "user-create", "Login failed", **target)


def test_the_list_of_quorum_tokens_takes_one_login(cloudhsm: CloudHsm, cluster_id: str) -> None:
    assert cloudhsm.as_admin(cluster_id, "quorum-token-list") == {"tokens": []}
    with pytest.raises(ApiError) as error:
        cloudhsm.as_admin(cluster_id, "quorum-token-list", password="Wrong0Password")
    assert error.value.code == "LoginFailed"
    assert cloudhsm.events(cluster_id)[-2:] == ["Login", "LoginRefused"]


def test_a_successful_login_resets_the_failed_logins(cloudhsm: CloudHsm, cluster_id: str) -> None:
    cloudhsm.add_user(cluster_id, "worker", "Password1")
    for _, password in itertools.product(range(3), ["wrong"] * 4 + ["Password1"]):
        if password == "wrong":
            with pytest.raises(ApiError, match="Login failed"):
                log_in(cloudhsm, cluster_id, "worker", password)
        else:
            log_in(cloudhsm, cluster_id, "worker", password)


def test_a_backup_keeps_the_failed_logins(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.active()
    target = {"new_username": "worker", "new_password": "Password1", "role": "crypto-user"}
    for _ in range(5):
        rejected(cloudhsm, cluster_id, "user-create", "Login failed", password="wrong", **target)
    cloudhsm.remove_hsm(cluster_id, cloudhsm.hsms(cluster_id)[0]["HsmId"])
    cloudhsm.add_hsm(cluster_id)
    rejected(cloudhsm, cluster_id, "user-create", "Login failed", **target)


def test_the_event_log_has_logins_but_no_passwords(cloudhsm: CloudHsm, cluster_id: str) -> None:
    cloudhsm.add_user(cluster_id, "worker", "Password1")
    with pytest.raises(ApiError):
        log_in(cloudhsm, cluster_id, "worker", "MyWrong123")
    logins = [
        (entry["event"], entry["user"])
        for entry in cloudhsm.event_log.events()
        if entry["event"].startswith("Login")
    ]
    assert logins == [("Login", "admin"), ("LoginRefused", "worker")]
    everything = str(cloudhsm.event_log.events())
    assert not any(word in everything for word in (PASSWORD, "Password1", "MyWrong123"))


# --- hsm-info


def test_hsm_info_lists_each_active_hsm_with_its_mode(cloudhsm: CloudHsm, cluster_id: str) -> None:
    shown = cloudhsm.client(cluster_id, "hsm-info")["hsms"]
    assert len(shown) == 2
    assert len({hsm["serial-number"] for hsm in shown}) == 2
    assert shown[0]["vendor"] == "Marvell Semiconductors, Inc."
    assert shown[0]["fips-state"] == "2 [FIPS mode with single factor authentication]"
    other = cloudhsm.active(Mode="NON_FIPS")
    assert cloudhsm.client(other, "hsm-info")["hsms"][0]["fips-state"].startswith("0 ")
