from __future__ import annotations

from typing import Any

import pytest

from localaws.core.api_error import ApiError
from localaws.services.cloudhsmv2 import permissions
from localaws.services.cloudhsmv2.provider import (
    CLOUDHSM_ACTIONS,
    KEY_STORE_ACTIONS,
    CloudHsmProvider,
)
from tests.localaws.services.cloudhsm import PASSWORD, ZONES, CloudHsm


def moments(cloudhsm: CloudHsm, subject: str) -> list[tuple[float, str]]:
    return [
        (entry["at"], entry["event"])
        for entry in cloudhsm.event_log.events()
        if entry["subject"] == subject
    ]


def test_the_event_log_has_every_state_change_at_its_virtual_time(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.active()
    hsm_id = cloudhsm.hsms(cluster_id)[0]["HsmId"]
    assert moments(cloudhsm, cluster_id) == [
        (0, "CreateCluster"),
        (0, "CREATE_IN_PROGRESS"),
        (193, "UNINITIALIZED"),
        (660, "InitializeCluster"),
        (660, "INITIALIZE_IN_PROGRESS"),
        (911, "INITIALIZED"),
        (911, "activate"),
        (952, "ACTIVE"),
    ]
    assert moments(cloudhsm, hsm_id) == [
        (193, "CreateHsm"),
        (193, "CREATE_IN_PROGRESS"),
        (660, "ACTIVE"),
    ]


def test_events_are_recorded_at_their_due_time_however_late_they_run(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.create()
    cloudhsm.clock.advance(10_000)
    cloudhsm.call("DescribeClusters")
    assert moments(cloudhsm, cluster_id)[-1] == (193, "UNINITIALIZED")


def test_a_timing_delays_what_depends_on_it(cloudhsm: CloudHsm) -> None:
    cloudhsm.timings.create_cluster += 1
    cluster_id = cloudhsm.active()
    assert moments(cloudhsm, cluster_id)[-1] == (953, "ACTIVE")


def test_rejected_writes_are_recorded_and_rejected_reads_are_not(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.create()
    with pytest.raises(ApiError):
        cloudhsm.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[0])
    with pytest.raises(ApiError):
        cloudhsm.call("DescribeClusters", MaxResults=0)
    assert cloudhsm.event_log.events()[-1] == {
        "at": 0,
        "service": "cloudhsm",
        "subject": cluster_id,
        "event": "CreateHsm refused",
        "code": "CloudHsmInvalidRequestException",
    }


def test_an_injected_error_prevents_the_effect(cloudhsm: CloudHsm) -> None:
    cloudhsm.faults.inject(
        {"operation": "CreateCluster", "code": "CloudHsmServiceException", "status": 500}
    )
    with pytest.raises(ApiError) as error:
        cloudhsm.create()
    assert (error.value.code, error.value.status) == ("CloudHsmServiceException", 500)
    assert cloudhsm.call("DescribeClusters")["Clusters"] == []
    assert cloudhsm.events("") == ["CreateCluster refused"]
    cloudhsm.create()


def test_a_lost_response_follows_the_effect(cloudhsm: CloudHsm) -> None:
    cloudhsm.faults.inject(
        {"operation": "CreateCluster", "code": "ConnectionLost", "when": "after"}
    )
    with pytest.raises(ApiError) as error:
        cloudhsm.create()
    assert error.value.code == "ConnectionLost"
    assert len(cloudhsm.call("DescribeClusters")["Clusters"]) == 1
    assert cloudhsm.events("") == ["CreateCluster response lost"]


def test_a_late_effect_follows_the_lost_response(cloudhsm: CloudHsm) -> None:
    cloudhsm.faults.inject({"late": "CreateCluster", "seconds": 90})
    with pytest.raises(ApiError) as error:
        cloudhsm.create()
    assert error.value.code == "ConnectionLost"
    assert cloudhsm.events("") == ["CreateCluster response lost"]
    cloudhsm.clock.advance(89)
    assert cloudhsm.call("DescribeClusters")["Clusters"] == []
    cloudhsm.clock.advance(1)
    assert len(cloudhsm.call("DescribeClusters")["Clusters"]) == 1


def test_a_late_effect_needs_the_permissions_of_the_call_only(cloudhsm: CloudHsm) -> None:
    cloudhsm.faults.inject({"late": "CreateCluster", "seconds": 90})
    with pytest.raises(ApiError):
        cloudhsm.create()
    cloudhsm.caller.denied = {"ec2:CreateSecurityGroup", "iam:CreateServiceLinkedRole"}
    cloudhsm.clock.advance(90)
    assert len(cloudhsm.call("DescribeClusters")["Clusters"]) == 1
    with pytest.raises(ApiError, match="ec2:CreateSecurityGroup"):
        cloudhsm.create()


def test_a_late_effect_needs_every_permission_at_the_call(cloudhsm: CloudHsm) -> None:
    for denied in ("ec2:CreateSecurityGroup", "iam:CreateServiceLinkedRole"):
        cloudhsm.faults.inject({"late": "CreateCluster", "seconds": 90})
        cloudhsm.caller.denied = {denied}
        with pytest.raises(ApiError, match=denied) as error:
            cloudhsm.create()
        assert error.value.code == "CloudHsmAccessDeniedException"
    assert cloudhsm.events("") == ["CreateCluster refused"] * 2
    cloudhsm.caller.denied = set()
    cloudhsm.clock.advance(90)
    assert cloudhsm.call("DescribeClusters")["Clusters"] == []


def test_every_late_request_is_checked_before_it_takes_effect(cloudhsm: CloudHsm) -> None:
    empty, active = cloudhsm.uninitialized(), cloudhsm.active(ZONES[1])
    requests: dict[str, tuple[str, dict[str, Any]]] = {
        "CreateHsm": (
            "ec2:CreateNetworkInterface",
            {"ClusterId": active, "AvailabilityZone": ZONES[0]},
        ),
        "DeleteHsm": (
            "ec2:DeleteNetworkInterface",
            {"ClusterId": active, "HsmId": cloudhsm.hsms(active)[0]["HsmId"]},
        ),
        "ModifyCluster": (
            "ec2:DescribeSubnets",
            {"ClusterId": active, "BackupRetentionPolicy": {"Type": "DAYS", "Value": "7"}},
        ),
        "DeleteCluster": ("ec2:DeleteSecurityGroup", {"ClusterId": empty}),
        "CreateCustomKeyStore": (
            "cloudhsm:DescribeClusters",
            {
                "CustomKeyStoreName": "keys",
                "CloudHsmClusterId": active,
                "TrustAnchorCertificate": cloudhsm.ca.pem,
                "KeyStorePassword": "Kmsuser1",
            },
        ),
    }
    assert {"CreateCluster", *requests} == permissions.CHECKED
    before = cloudhsm.provider.inventory()
    for denied, code in ((True, "AccessDenied"), (False, "ConnectionLost")):
        for action, (permission, params) in requests.items():
            cloudhsm.faults.inject({"late": action, "seconds": 1})
            cloudhsm.caller.denied = {permission} if denied else set()
            with pytest.raises(ApiError) as error:
                cloudhsm.call(action, **params)
            assert code in error.value.code
    assert cloudhsm.provider.inventory() == before


def test_a_pause_follows_the_effect(cloudhsm: CloudHsm) -> None:
    seen: list[int] = []
    cloudhsm.faults.on_pause = lambda: seen.append(len(cloudhsm.network.groups))
    cloudhsm.faults.inject({"operation": "CreateCluster", "pause": True})
    cloudhsm.create()
    cloudhsm.create()
    assert seen == [1]


def test_operations_that_are_not_offered_are_refused_by_name(cloudhsm: CloudHsm) -> None:
    for action in CLOUDHSM_ACTIONS:
        if action.endswith(("Policy", "Attributes", "ToRegion")):
            with pytest.raises(ApiError, match=f"does not offer cloudhsm:{action}"):
                cloudhsm.call(action)
    with pytest.raises(ApiError, match="no operation Imagine"):
        cloudhsm.call("Imagine")
    assert (len(CLOUDHSM_ACTIONS), len(KEY_STORE_ACTIONS)) == (18, 6)


def test_the_inventory_has_all_resources_and_no_passwords(cloudhsm: CloudHsm) -> None:
    cluster_id = cloudhsm.active(ZONES[1])
    cloudhsm.add_user(cluster_id, "kmsuser", "Kmsuser123")
    key_store_id = cloudhsm.call(
        "CreateCustomKeyStore",
        CustomKeyStoreName="store",
        CloudHsmClusterId=cluster_id,
        TrustAnchorCertificate=cloudhsm.ca.pem,
        KeyStorePassword="Kmsuser123",
    )["CustomKeyStoreId"]
    cloudhsm.call("ConnectCustomKeyStore", CustomKeyStoreId=key_store_id)
    cloudhsm.clock.advance(cloudhsm.timings.connect)
    cloudhsm.provider.create_key(key_store_id, "key-1")
    shown = cloudhsm.provider.inventory()
    (cluster,) = shown["cloudhsm"]["clusters"]
    assert cluster["ClusterId"] == cluster_id
    assert len(cluster["Hsms"]) == 2
    assert [user["username"] for user in cluster["Users"]] == ["admin", "app_user", "kmsuser"]
    assert len(shown["cloudhsm"]["backups"]) == 2
    assert shown["kms"]["key_stores"][0]["ConnectionState"] == "CONNECTED"
    assert shown["kms"]["keys"] == [
        {"KeyId": "key-1", "CustomKeyStoreId": key_store_id, "KeyState": "Enabled"}
    ]
    assert PASSWORD not in str(shown)


def test_faults_event_log_and_settings_are_optional(cloudhsm: CloudHsm) -> None:
    alone = CloudHsmProvider(
        cloudhsm.clock,
        cloudhsm.network,
        cloudhsm.caller,
        cloudhsm.log_groups,
        region="us-east-1",
        account="123456789012",
    )
    assert alone.call("DescribeClusters", {}) == {"Clusters": []}
    assert alone.event_log.events() == []
