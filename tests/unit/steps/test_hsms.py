from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hsm_lifecycle import aws
from hsm_lifecycle.errors import (
    ClusterNotFoundError,
    HsmBusyError,
    NotOwnedError,
    RefusedError,
    TransientError,
)
from hsm_lifecycle.steps import hsms
from localaws.services.cloudhsmv2.settings import Assumptions, Quotas
from tests.support.account import (
    OTHER_STACK_ID,
    STACK_ID,
    TIMINGS,
    ZONES,
    Account,
    Json,
)
from tests.support.drawn_cluster import CLUSTER_ID, drawn_cluster
from tests.support.step_events import NO_CAPACITY, UNKNOWN, moment

# ---- describe_hsms


def key_store(state: str, cluster_id: str | None = CLUSTER_ID) -> Json:
    return {
        "CustomKeyStoreId": "cks-1234567890abcdef0",
        "CloudHsmClusterId": cluster_id,
        "ConnectionState": state,
    }


class DrawnClient:
    """A boto3 client that describes a drawn cluster and key stores."""

    def __init__(self, drawn: str, stores: list[Json]) -> None:
        self._pages = {
            "describe_clusters": {"Clusters": [drawn_cluster(drawn)]},
            "describe_custom_key_stores": {"CustomKeyStores": stores},
        }

    def get_paginator(self, operation: str) -> DrawnClient:
        self._page = self._pages[operation]
        return self

    def paginate(self, **_request: Any) -> list[Json]:
        return [self._page]


@pytest.fixture(name="describe")
def _describe(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Json]:
    """describe_hsms on a drawn cluster."""

    def describe(drawn: str, wanted: int, stores: list[Json] | None = None) -> Json:
        client = DrawnClient(drawn, stores or [])
        monkeypatch.setattr(aws, "client", lambda service: client)
        return hsms.describe_hsms(
            {
                "ClusterId": CLUSTER_ID,
                "HsmsPerSubnet": str(wanted),
                "EnteredTime": moment(),
                "Hsms": {"Created": [], "Replaced": [], "Deleted": []},
            }
        )

    return describe


def test_describe_hsms_returns_addresses_of_active_hsms_only(
    describe: Callable[..., Json],
) -> None:
    assert describe("a:AC b:DA", 2)["IpAddresses"] == "10.0.97.1 10.0.98.2"
    assert describe("a: b:", 0)["IpAddresses"] == ""


@pytest.mark.parametrize(
    ("drawn", "wanted", "store", "action"),
    [
        ("a:A b:A", 0, key_store("CONNECTED"), "UNHEALTHY"),
        ("a:AA", 1, key_store("CONNECTED"), "UNHEALTHY"),
        ("a:A b:A", 0, key_store("CONNECTING"), "UNHEALTHY"),
        ("a:AA", 1, key_store("FAILED"), "UNHEALTHY"),
        ("a:A b:A", 0, key_store("DISCONNECTING"), "UNHEALTHY"),
        ("a:AA", 1, key_store("DISCONNECTED"), "DELETE eni-a2"),
        ("a:AA b:A", 1, key_store("CONNECTED"), "DELETE eni-a2"),
        ("a:A b:A", 0, key_store("DISCONNECTED"), "DELETE eni-a1"),
        ("a:A b:A", 0, key_store("CONNECTED", UNKNOWN), "DELETE eni-a1"),
        ("a:A b:A", 0, key_store("CONNECTED", None), "DELETE eni-a1"),
        # DEGRADED HSMs are useless to the key store.
        ("a:D b:A", 1, key_store("CONNECTED"), "DELETE eni-a1"),
        # HSMs are still created.
        ("a:A b:", 1, key_store("CONNECTED"), "CREATE zone-b"),
    ],
)
def test_describe_hsms_retains_two_zones_for_a_key_store_that_is_not_disconnected(
    describe: Callable[..., Json], drawn: str, wanted: int, store: Json, action: str
) -> None:
    result = describe(drawn, wanted, [store])
    assert " ".join(filter(None, (result["Next"], result["Zone"], result["EniId"]))) == action
    if action == "UNHEALTHY":
        assert result["Message"] == (
            f"KMS key store cks-1234567890abcdef0 is {store['ConnectionState']} and needs HSMs in"
            " two Availability Zones, so no HSM was deleted. Disconnect it first."
        )


def test_describe_hsms_fails_if_the_cluster_disappears(account: Account) -> None:
    with pytest.raises(ClusterNotFoundError, match=rf"deleted outside this stack .*\[{UNKNOWN}\]$"):
        account.run(
            hsms.describe_hsms,
            ClusterId=UNKNOWN,
            HsmsPerSubnet="1",
            EnteredTime=moment(),
            Hsms={"Created": [], "Replaced": [], "Deleted": []},
        )


# ---- create_hsm


def state_of(**more: Any) -> Json:
    lists: Json = {"Created": [], "Replaced": [], "Deleted": []}
    return {**lists, "Zone": "", "EniId": "", "SettledAt": "", **more}


def created(account: Account, cluster_id: str, zone: str, wanted: int = 1, **more: Any) -> Json:
    return account.run(
        hsms.create_hsm,
        ClusterId=cluster_id,
        StackId=STACK_ID,
        HsmsPerSubnet=str(wanted),
        Hsms=state_of(Zone=zone, **more),
        EnteredTime=moment(),
    )


def test_create_hsm_creates_and_records_a_missing_hsm(account: Account) -> None:
    cluster_id = account.restored(ZONES[0])
    before = {"Zone": ZONES[2], "EniId": "eni-1", "At": moment(-5)}
    result = created(account, cluster_id, ZONES[1], Created=[before])
    hsm = account.listed(cluster_id)[-1]
    assert hsm["AvailabilityZone"] == ZONES[1]
    noted = {"Zone": ZONES[1], "HsmId": hsm["HsmId"], "EniId": "", "At": moment()}
    begun = {"WaitsFor": "HSM CREATE_IN_PROGRESS", "WaitsSince": moment()}
    assert result == state_of(Zone=ZONES[1], Created=[before, noted], **begun)


def test_create_hsm_creates_all_that_are_missing(account: Account) -> None:
    cluster_id = account.restored(ZONES[0])
    zones = [ZONES[0], ZONES[1], ZONES[1]]
    result = created(account, cluster_id, ZONES[0], wanted=2, Zones=zones)
    assert [entry["Zone"] for entry in result["Created"]] == zones
    assert [hsm["AvailabilityZone"] for hsm in account.listed(cluster_id)] == [ZONES[0], *zones]
    again = created(account, cluster_id, ZONES[0], wanted=2, Zones=zones)
    assert (again["Created"], account.changes) == ([], [])


def test_create_hsm_replaces_one_hsm_by_each(account: Account) -> None:
    cluster_id = account.restored(ZONES[0])
    replaced = [{"Zone": ZONES[1], "EniId": f"eni-{number}", "By": ""} for number in (1, 2)]
    zones = [ZONES[1], ZONES[1]]
    result = created(account, cluster_id, ZONES[1], wanted=2, Zones=zones, Replaced=replaced)
    ids = [entry["HsmId"] for entry in result["Created"]]
    assert [entry["By"] for entry in result["Replaced"]] == ids


@pytest.mark.parametrize(
    "code", ["CloudHsmInvalidRequestException", "CloudHsmResourceLimitExceededException"]
)
def test_create_hsm_notes_what_it_created_before_a_refusal(account: Account, code: str) -> None:
    cluster_id = account.restored(ZONES[0])
    account.faults.inject({"operation": "CreateHsm", "code": code, "skip": 1, "times": 2})
    zones = [ZONES[1], ZONES[2]]
    result = created(account, cluster_id, ZONES[1], Zones=zones)
    assert [entry["Zone"] for entry in result["Created"]] == [ZONES[1]]
    # The next call meets the refusal and reports it.
    with pytest.raises((HsmBusyError, RefusedError), match=code):
        created(account, cluster_id, ZONES[2], Zones=zones, Created=result["Created"])


def test_create_hsm_looks_again_after_a_creation_of_several_was_lost(account: Account) -> None:
    cluster_id = account.restored(ZONES[0])
    lost = {"operation": "CreateHsm", "code": "ConnectionLost", "when": "after", "skip": 1}
    account.faults.inject(lost)
    zones = [ZONES[0], ZONES[1], ZONES[1], ZONES[2], ZONES[2]]
    with pytest.raises(TransientError, match=rf"\[{cluster_id}\]$"):
        created(account, cluster_id, ZONES[0], wanted=2, Zones=zones)
    created(account, cluster_id, ZONES[0], wanted=2, Zones=zones)
    assert len(account.listed(cluster_id)) == 6


def test_create_hsm_is_idempotent(account: Account) -> None:
    cluster_id = account.restored(ZONES[0])
    created(account, cluster_id, ZONES[1])
    assert created(account, cluster_id, ZONES[1]) == state_of(Zone=ZONES[1])
    assert account.changes == []
    created(account, cluster_id, ZONES[1], wanted=2)
    assert len(account.listed(cluster_id)) == 3


def test_create_hsm_survives_a_lost_response(account: Account) -> None:
    cluster_id = account.restored(ZONES[0])
    account.faults.inject({"operation": "CreateHsm", "code": "ConnectionLost", "when": "after"})
    with pytest.raises(TransientError, match=rf"\[{cluster_id}\]$"):
        created(account, cluster_id, ZONES[1])
    created(account, cluster_id, ZONES[1])
    assert len(account.listed(cluster_id)) == 2


def test_a_retry_of_create_hsm_notes_until_when_lost_calls_may_take_effect(
    account: Account,
) -> None:
    cluster_id = account.restored(ZONES[0])
    for wanted, retries in ((1, 0), (2, 1), (3, 2)):
        result = account.run(
            hsms.create_hsm,
            ClusterId=cluster_id,
            StackId=STACK_ID,
            HsmsPerSubnet=str(wanted),
            Hsms=state_of(Zone=ZONES[1]),
            EnteredTime="2026-01-31T12:00:00.000Z",
            RetryCount=retries,
        )
        # Each try and the pause before it take a minute at most, an effect five.
        assert (
            result["SettledAt"]
            == {
                0: "",
                1: "2026-01-31T12:07:00+00:00",
                2: "2026-01-31T12:09:00+00:00",
            }[retries]
        )


def test_create_hsm_does_not_count_degraded_or_deleted_hsms(account: Account) -> None:
    cluster_id = account.restored(ZONES[0], ZONES[1])
    first, second = account.listed(cluster_id)
    account.hsms.provider().degrade_hsm(first["HsmId"])
    account.hsm.delete_hsm(ClusterId=cluster_id, HsmId=second["HsmId"])
    created(account, cluster_id, ZONES[0])
    created(account, cluster_id, ZONES[1])
    assert len(account.listed(cluster_id)) == 4


def test_create_hsm_is_busy_while_another_hsm_is_in_progress(
    make_account: Callable[..., Account],
) -> None:
    account = make_account(assumptions=Assumptions(concurrent_create=False))
    cluster_id = account.restored(ZONES[0])
    created(account, cluster_id, ZONES[1])
    hsm_id = account.listed(cluster_id)[-1]["HsmId"]
    with pytest.raises(HsmBusyError, match=f"{hsm_id} is CREATE_IN_PROGRESS: Another HSM"):
        created(account, cluster_id, ZONES[2])
    account.wait(TIMINGS.create_hsm)
    created(account, cluster_id, ZONES[2])
    assert account.states(cluster_id) == ["ACTIVE", "ACTIVE", "CREATE_IN_PROGRESS"]


def test_create_hsm_is_busy_while_a_new_hsm_is_not_listed(
    make_account: Callable[..., Account],
) -> None:
    account = make_account(assumptions=Assumptions(concurrent_create=False))
    cluster_id = account.restored(ZONES[0])
    with account.lagging():
        noted = created(account, cluster_id, ZONES[1])["Created"]
        with pytest.raises(HsmBusyError):
            created(account, cluster_id, ZONES[2], Created=noted)


def test_create_hsm_creates_two_at_once_if_aws_allows(make_account: Callable[..., Account]) -> None:
    account = make_account(assumptions=Assumptions(concurrent_create=True))
    cluster_id = account.restored(ZONES[0])
    created(account, cluster_id, ZONES[1])
    created(account, cluster_id, ZONES[2])
    assert account.states(cluster_id) == ["ACTIVE", "CREATE_IN_PROGRESS", "CREATE_IN_PROGRESS"]


def test_create_hsm_fails_if_refused_with_nothing_in_progress(account: Account) -> None:
    cluster_id = account.restored(ZONES[0])
    account.faults.inject(NO_CAPACITY)
    with pytest.raises(RefusedError) as error:
        created(account, cluster_id, ZONES[1])
    assert str(error.value) == (
        f"CreateHsm: CloudHsmInvalidRequestException: There is no capacity. [{cluster_id}]"
    )


def test_create_hsm_fails_on_other_errors_with_an_hsm_in_progress(
    make_account: Callable[..., Account],
) -> None:
    account = make_account(
        quotas=Quotas(hsms=2),
        assumptions=Assumptions(quota_code="CloudHsmResourceLimitExceededException"),
    )
    cluster_id = account.restored(ZONES[0])
    created(account, cluster_id, ZONES[1])
    with pytest.raises(RefusedError, match="the limit of 2 HSMs in us-east-1"):
        created(account, cluster_id, ZONES[2])


@pytest.mark.parametrize("code", ["ThrottlingException", "CloudHsmAccessDeniedException"])
def test_create_hsm_is_retried_on_transient_errors(account: Account, code: str) -> None:
    cluster_id = account.restored(ZONES[0])
    account.faults.inject({"operation": "CreateHsm", "code": code})
    with pytest.raises(TransientError):
        created(account, cluster_id, ZONES[1])


def test_create_hsm_refuses_another_stacks_cluster(account: Account) -> None:
    cluster_id = account.restored(stack_id=OTHER_STACK_ID)
    with pytest.raises(NotOwnedError):
        created(account, cluster_id, ZONES[0])
    assert account.changes == []


def test_create_hsm_refuses_a_missing_cluster(account: Account) -> None:
    with pytest.raises(ClusterNotFoundError):
        created(account, UNKNOWN, ZONES[0])


# ---- delete_hsm


def deleted(account: Account, cluster_id: str, eni_id: str) -> Json:
    return account.run(
        hsms.delete_hsm,
        ClusterId=cluster_id,
        StackId=STACK_ID,
        HsmsPerSubnet="1",
        Hsms=state_of(EniId=eni_id),
        EnteredTime=moment(),
    )


def test_delete_hsm_deletes_the_hsm_with_the_interface(account: Account) -> None:
    cluster_id = account.restored(ZONES[0], ZONES[1])
    eni_id = account.listed(cluster_id)[1]["EniId"]
    assert deleted(account, cluster_id, eni_id)["EniId"] == eni_id
    assert account.states(cluster_id) == ["ACTIVE", "DELETE_IN_PROGRESS"]


def test_delete_hsm_finds_an_hsm_that_aws_replaced(account: Account) -> None:
    cluster_id = account.restored(ZONES[0], ZONES[1])
    hsm = account.listed(cluster_id)[0]
    new_id = account.hsms.provider().replace_hsm(hsm["HsmId"])
    deleted(account, cluster_id, hsm["EniId"])
    states = {one["HsmId"]: one["State"] for one in account.listed(cluster_id)}
    assert states[new_id] == "DELETE_IN_PROGRESS"


def test_delete_hsm_deletes_an_hsm_that_aws_replaces_meanwhile(account: Account) -> None:
    cluster_id = account.restored(ZONES[0], ZONES[1])
    hsm = account.listed(cluster_id)[0]
    with account.lagging():  # the step still sees the old ID, which DeleteHsm would refuse
        new_id = account.hsms.provider().replace_hsm(hsm["HsmId"])
        deleted(account, cluster_id, hsm["EniId"])
    states = {one["HsmId"]: one["State"] for one in account.listed(cluster_id)}
    assert states[new_id] == "DELETE_IN_PROGRESS"


def test_delete_hsm_is_idempotent(account: Account) -> None:
    cluster_id = account.restored(ZONES[0], ZONES[1])
    eni_id = account.listed(cluster_id)[0]["EniId"]
    account.faults.inject({"operation": "DeleteHsm", "code": "ConnectionLost", "when": "after"})
    with pytest.raises(TransientError):
        deleted(account, cluster_id, eni_id)
    for seconds in (0, TIMINGS.delete_hsm, TIMINGS.deleted_hsm_visible):
        account.wait(seconds)
        deleted(account, cluster_id, eni_id)
        assert account.changes == []
    assert account.states(cluster_id) == ["ACTIVE"]


def test_delete_hsm_is_remembered_before_it_is_listed(
    account: Account,
) -> None:
    cluster_id = account.restored(ZONES[0], *ZONES)
    event = {"ClusterId": cluster_id, "StackId": STACK_ID, "HsmsPerSubnet": "1"}
    with account.lagging():
        found = account.run(hsms.describe_hsms, **event, Hsms=state_of(), EnteredTime=moment())
        assert found["Next"] == "DELETE"
        left = account.run(hsms.delete_hsm, **event, Hsms=found, EnteredTime=moment(1))
        # Otherwise the same HSM would be deleted again, which AWS refuses, or another one.
        after = account.run(hsms.describe_hsms, **event, Hsms=left, EnteredTime=moment(2))
    assert after["Next"] == "WAIT"
    assert sorted(account.states(cluster_id)) == [*["ACTIVE"] * 3, "DELETE_IN_PROGRESS"]


def test_delete_hsm_is_busy_while_another_hsm_is_in_progress(
    account: Account,
) -> None:
    cluster_id = account.restored(ZONES[0])
    eni_id = account.listed(cluster_id)[0]["EniId"]
    created(account, cluster_id, ZONES[1])
    account.faults.inject({"operation": "DeleteHsm", "code": "CloudHsmInvalidRequestException"})
    with pytest.raises(HsmBusyError, match="CREATE_IN_PROGRESS"):
        deleted(account, cluster_id, eni_id)


def test_delete_hsm_fails_if_refused_with_nothing_in_progress(account: Account) -> None:
    cluster_id = account.restored(ZONES[0], ZONES[1])
    account.faults.inject({"operation": "DeleteHsm", "code": "CloudHsmInvalidRequestException"})
    with pytest.raises(RefusedError, match=rf"DeleteHsm: CloudHsmInvalid.* \[{cluster_id}\]$"):
        deleted(account, cluster_id, account.listed(cluster_id)[0]["EniId"])


def test_delete_hsm_is_retried_when_throttled(account: Account) -> None:
    cluster_id = account.restored(ZONES[0])
    account.faults.inject({"operation": "DeleteHsm", "code": "ThrottlingException"})
    with pytest.raises(TransientError):
        deleted(account, cluster_id, account.listed(cluster_id)[0]["EniId"])


def test_delete_hsm_refuses_another_stacks_cluster(account: Account) -> None:
    cluster_id = account.restored(ZONES[0], stack_id=OTHER_STACK_ID)
    with pytest.raises(NotOwnedError):
        deleted(account, cluster_id, account.listed(cluster_id)[0]["EniId"])
    assert account.states(cluster_id) == ["ACTIVE"]
