"""Polling stops after 52 minutes with a message that says what AWS was still doing."""

from __future__ import annotations

import re

import pytest

from hsm_lifecycle.errors import OutOfTimeError
from hsm_lifecycle.steps import cluster as cluster_steps
from hsm_lifecycle.steps import first_hsm, hsms
from tests.support.account import ZONES, Account

BEGUN = "2026-11-23T12:00:00.000Z"
IN_TIME, TOO_LATE = "2026-11-23T12:52:00.000Z", "2026-11-23T12:52:01.000Z"
OLD = {"StartTime": BEGUN, "EnteredTime": TOO_LATE}
YOUNG = {"StartTime": BEGUN, "EnteredTime": IN_TIME}
FIRST = {"Tried": [ZONES[0]], "Message": "", "NotListedSince": ""}
KNOWN: dict[str, list[object]] = {"Created": [], "Replaced": [], "Deleted": []}


def test_describe_cluster_stops_polling_after_52_minutes(account: Account) -> None:
    made = account.hsm.create_cluster(
        HsmType="hsm2m.medium", Mode="FIPS", SubnetIds=account.subnets[:2]
    )
    cluster_id = made["Cluster"]["ClusterId"]
    assert account.run(cluster_steps.describe_cluster, ClusterId=cluster_id, **YOUNG)
    with pytest.raises(
        OutOfTimeError,
        match=rf"^DescribeCluster: The cluster is still CREATE_IN_PROGRESS \(Cluster creation .*\)"
        rf" after 52 minutes\. .* \[{cluster_id}\]$",
    ):
        account.run(cluster_steps.describe_cluster, ClusterId=cluster_id, **OLD)


def test_describe_cluster_names_a_cluster_that_is_not_activated_in_time(account: Account) -> None:
    uninitialized = account.uninitialized()
    assert account.run(cluster_steps.describe_cluster, ClusterId=uninitialized, **YOUNG)
    with pytest.raises(OutOfTimeError, match=r"The cluster is still UNINITIALIZED \(AWS gives no"):
        account.run(cluster_steps.describe_cluster, ClusterId=uninitialized, **OLD)


def test_describe_cluster_returns_final_states_at_any_time(
    account: Account,
) -> None:
    active = account.restored(ZONES[0])
    for cluster_id, state in ((active, "ACTIVE"), ("cluster-2222222222a", "DELETED")):
        described = account.run(cluster_steps.describe_cluster, ClusterId=cluster_id, **OLD)
        assert described["State"] == state


def test_describe_first_hsm_stops_polling_after_52_minutes(account: Account) -> None:
    cluster_id = account.uninitialized()
    event = {"ClusterId": cluster_id, "FirstHsm": FIRST}
    account.hsm.create_hsm(ClusterId=cluster_id, AvailabilityZone=ZONES[0])
    assert (
        account.run(first_hsm.describe_first_hsm, **event, **YOUNG)["State"] == "CREATE_IN_PROGRESS"
    )
    with pytest.raises(OutOfTimeError, match=r"^DescribeFirstHsm: The first HSM is still CREATE"):
        account.run(first_hsm.describe_first_hsm, **event, **OLD)


def test_describe_first_hsm_returns_an_active_hsm_at_any_time(account: Account) -> None:
    event = {"ClusterId": account.with_csr(), "FirstHsm": FIRST}
    assert account.run(first_hsm.describe_first_hsm, **event, **OLD)["State"] == "ACTIVE"


@pytest.mark.parametrize("noted", ["Deleted", "Replaced"])
def test_describe_hsms_names_an_hsm_that_is_not_deleted(account: Account, noted: str) -> None:
    cluster_id = account.restored(*ZONES, ZONES[0])
    kept = account.listed(cluster_id)[-1]
    entry = {"Zone": ZONES[0], "EniId": kept["EniId"], "By": ""}
    known = {**KNOWN, noted: [entry]}
    event = {"ClusterId": cluster_id, "HsmsPerSubnet": "1", "Hsms": known}
    assert account.run(hsms.describe_hsms, **event, **YOUNG)
    with pytest.raises(
        OutOfTimeError,
        match=rf"^DescribeHsms: {kept['HsmId']} in {ZONES[0]} was to be deleted and is still ACTIVE"
        rf" after 52 minutes\. .* \[{cluster_id}\]$",
    ):
        account.run(hsms.describe_hsms, **event, **OLD)


def test_describe_hsms_names_an_hsm_whose_deletion_does_not_end(account: Account) -> None:
    cluster_id = account.restored(*ZONES, ZONES[0])
    going = account.listed(cluster_id)[-1]
    account.hsm.delete_hsm(ClusterId=cluster_id, EniId=going["EniId"])
    known = {**KNOWN, "Deleted": [{"Zone": ZONES[0], "EniId": going["EniId"]}]}
    event = {"ClusterId": cluster_id, "HsmsPerSubnet": "1", "Hsms": known}
    assert account.run(hsms.describe_hsms, **event, **YOUNG)["Next"] == "WAIT"
    with pytest.raises(
        OutOfTimeError, match=rf"^DescribeHsms: {going['HsmId']} in .* is still DELETE_IN_PROGRESS"
    ):
        account.run(hsms.describe_hsms, **event, **OLD)


def test_describe_hsms_stops_polling_after_52_minutes(account: Account) -> None:
    cluster_id = account.restored(ZONES[0])
    event = {"ClusterId": cluster_id, "HsmsPerSubnet": "1", "Hsms": KNOWN}
    with pytest.raises(OutOfTimeError, match="The cluster is ACTIVE and still has 1 HSMs after 52"):
        account.run(hsms.describe_hsms, **event, **OLD)
    made = account.hsm.create_hsm(ClusterId=cluster_id, AvailabilityZone=ZONES[1])["Hsm"]
    message = f"{made['HsmId']} in {ZONES[1]} is still CREATE_IN_PROGRESS after 52 minutes"
    with pytest.raises(OutOfTimeError, match=re.escape(message)):
        account.run(hsms.describe_hsms, **event, **OLD)


def test_describe_hsms_returns_aligned_at_any_time(account: Account) -> None:
    event = {"ClusterId": account.restored(*ZONES), "HsmsPerSubnet": "1", "Hsms": KNOWN}
    assert account.run(hsms.describe_hsms, **event, **OLD)["Next"] == "ALIGNED"
