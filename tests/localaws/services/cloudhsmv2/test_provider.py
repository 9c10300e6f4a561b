from __future__ import annotations

import pytest

from localaws.core.api_error import ApiError
from localaws.services.cloudhsmv2 import CLOUDHSM_ACTIONS, KEY_STORE_ACTIONS, Region
from tests.localaws.services.region import PASSWORD, ZONES, Life


def moments(life: Life, subject: str) -> list[tuple[float, str]]:
    return [
        (entry["at"], entry["event"])
        for entry in life.event_log.events()
        if entry["subject"] == subject
    ]


def test_a_life_is_in_the_timeline_at_its_virtual_times(life: Life) -> None:
    cluster_id = life.active()
    hsm_id = life.hsms(cluster_id)[0]["HsmId"]
    assert moments(life, cluster_id) == [
        (0, "CreateCluster"),
        (0, "CREATE_IN_PROGRESS"),
        (193, "UNINITIALIZED"),
        (660, "InitializeCluster"),
        (660, "INITIALIZE_IN_PROGRESS"),
        (911, "INITIALIZED"),
        (911, "activate"),
        (952, "ACTIVE"),
    ]
    assert moments(life, hsm_id) == [
        (193, "CreateHsm"),
        (193, "CREATE_IN_PROGRESS"),
        (660, "ACTIVE"),
    ]


def test_what_is_noticed_late_is_noted_when_it_was_due(life: Life) -> None:
    cluster_id = life.create()
    life.clock.advance(10_000)
    life.call("DescribeClusters")
    assert moments(life, cluster_id)[-1] == (193, "UNINITIALIZED")


def test_one_timing_moves_what_comes_after_it(life: Life) -> None:
    life.timings.create_cluster += 1
    cluster_id = life.active()
    assert moments(life, cluster_id)[-1] == (953, "ACTIVE")


def test_refused_changes_are_noted_and_refused_looks_are_not(life: Life) -> None:
    cluster_id = life.create()
    with pytest.raises(ApiError):
        life.call("CreateHsm", ClusterId=cluster_id, AvailabilityZone=ZONES[0])
    with pytest.raises(ApiError):
        life.call("DescribeClusters", MaxResults=0)
    assert life.event_log.events()[-1] == {
        "at": 0,
        "service": "cloudhsm",
        "subject": cluster_id,
        "event": "CreateHsm refused",
        "code": "CloudHsmInvalidRequestException",
    }


def test_a_planted_refusal_comes_before_the_effect(life: Life) -> None:
    life.faults.plant(
        {"operation": "CreateCluster", "code": "CloudHsmServiceException", "status": 500}
    )
    with pytest.raises(ApiError) as refusal:
        life.create()
    assert (refusal.value.code, refusal.value.status) == ("CloudHsmServiceException", 500)
    assert life.call("DescribeClusters")["Clusters"] == []
    assert life.events("") == ["CreateCluster refused"]
    life.create()


def test_a_lost_answer_comes_after_the_effect(life: Life) -> None:
    life.faults.plant({"operation": "CreateCluster", "code": "ConnectionLost", "when": "after"})
    with pytest.raises(ApiError) as refusal:
        life.create()
    assert refusal.value.code == "ConnectionLost"
    assert len(life.call("DescribeClusters")["Clusters"]) == 1
    assert life.events("") == ["CreateCluster answer lost"]


def test_the_effect_of_a_call_whose_answer_is_lost_may_come_late(life: Life) -> None:
    life.faults.plant({"late": "CreateCluster", "seconds": 90})
    with pytest.raises(ApiError) as refusal:
        life.create()
    assert refusal.value.code == "ConnectionLost"
    assert life.events("") == ["CreateCluster answer lost"]
    life.clock.advance(89)
    assert life.call("DescribeClusters")["Clusters"] == []
    life.clock.advance(1)
    assert len(life.call("DescribeClusters")["Clusters"]) == 1


def test_a_pause_comes_after_the_effect(life: Life) -> None:
    seen: list[int] = []
    life.faults.on_pause = lambda: seen.append(len(life.network.groups))
    life.faults.plant({"operation": "CreateCluster", "pause": True})
    life.create()
    life.create()
    assert seen == [1]


def test_operations_that_are_not_modelled_say_so(life: Life) -> None:
    for action in CLOUDHSM_ACTIONS:
        if action.endswith(("Policy", "Attributes", "ToRegion")):
            with pytest.raises(ApiError, match=f"{action} is not modelled"):
                life.call(action)
    with pytest.raises(ApiError, match="no operation Imagine"):
        life.call("Imagine")
    assert (len(CLOUDHSM_ACTIONS), len(KEY_STORE_ACTIONS)) == (18, 6)


def test_the_inventory_shows_what_exists(life: Life) -> None:
    cluster_id = life.active(ZONES[1])
    life.add_user(cluster_id, "kmsuser", "Kmsuser123")
    store_id = life.call(
        "CreateCustomKeyStore",
        CustomKeyStoreName="store",
        CloudHsmClusterId=cluster_id,
        TrustAnchorCertificate=life.ca.pem,
        KeyStorePassword="Kmsuser123",
    )["CustomKeyStoreId"]
    life.call("ConnectCustomKeyStore", CustomKeyStoreId=store_id)
    life.clock.advance(life.timings.connect)
    life.region.create_key(store_id, "key-1")
    shown = life.region.inventory()
    (cluster,) = shown["cloudhsm"]["clusters"]
    assert cluster["ClusterId"] == cluster_id
    assert len(cluster["Hsms"]) == 2
    assert [user["username"] for user in cluster["Users"]] == ["admin", "app_user", "kmsuser"]
    assert len(shown["cloudhsm"]["backups"]) == 2
    assert shown["kms"]["key_stores"][0]["ConnectionState"] == "CONNECTED"
    assert shown["kms"]["keys"] == [
        {"KeyId": "key-1", "CustomKeyStoreId": store_id, "KeyState": "Enabled"}
    ]
    assert PASSWORD not in str(shown)


def test_a_model_can_stand_alone(life: Life) -> None:
    alone = Region(
        life.clock,
        life.network,
        life.caller,
        life.log_groups,
        region="us-east-1",
        account="123456789012",
    )
    assert alone.call("DescribeClusters", {}) == {"Clusters": []}
    assert alone.event_log.events() == []
