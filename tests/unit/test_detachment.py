"""When a request's time is over, a usable cluster is left to a detached execution of align-hsms."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from hsm_lifecycle import currency, detachment, polling
from hsm_lifecycle.errors import OutOfTimeError
from hsm_lifecycle.steps import cluster as cluster_steps
from hsm_lifecycle.steps import hsms
from localaws.services.cloudhsmv2.settings import Assumptions
from tests.support.account import ZONES, Account

BEGUN, IN_TIME = "2026-11-23T12:00:00.000Z", "2026-11-23T12:52:00.000Z"
TOO_LATE, NEXT_NOON = "2026-11-23T12:52:01.000Z", "2026-11-24T12:00:00.000Z"
A_DAY_LATER = "2026-11-24T12:00:01.000Z"
DAY = 86400
PARENT = "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"
LIFECYCLE = "arn:aws:states:us-east-1:123456789012:execution:cloudhsm-1-update-cluster:update-7-f00"
REQUEST = {
    "RequestType": "Update",
    "LogicalResourceId": "rCloudHsmCluster",
    "ResourceProperties": {"HsmType": "hsm2m.medium"},
}
DETACHABLE = {"LifecycleInput": REQUEST, PARENT: LIFECYCLE}
DETACHED = {**DETACHABLE, "Detached": True}
WARNING = "align-hsms continues as update-7-f00-detached."
NOTHING_DONE: dict[str, Any] = {"Created": [], "Replaced": [], "Deleted": []}


@pytest.fixture(autouse=True)
def _current(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether an execution is late is another test's subject: test_currency.py."""
    monkeypatch.setattr(currency, "require_current_execution", lambda given: None)


def described(account: Account, cluster_id: str, at: str, **given: Any) -> dict[str, Any]:
    """What describe_hsms returns at this time; one HSM is wanted in each of three zones."""
    usual = {"HsmsPerSubnet": "1", "Hsms": NOTHING_DONE, "Input": DETACHABLE}
    event = {**usual, **given, "ClusterId": cluster_id, "StartTime": BEGUN, "EnteredTime": at}
    return account.run(hsms.describe_hsms, **event)


def test_a_usable_cluster_is_left_to_a_detached_execution_after_52_minutes(
    account: Account,
) -> None:
    cluster_id = account.restored(ZONES[0])
    assert described(account, cluster_id, IN_TIME)["Next"] == "CREATE"
    found = described(account, cluster_id, TOO_LATE)
    assert (found["Next"], found["DetachedName"]) == ("DETACH", "update-7-f00-detached")
    assert found["CheckedAt"] == ""  # so that it looks whether it has started late
    assert found["Message"] == f"1 of 3 HSMs ACTIVE; {WARNING}"


def test_a_deletion_and_a_cluster_without_active_hsms_are_not(account: Account) -> None:
    for cluster_id, given in (
        (account.restored(ZONES[0]), {PARENT: LIFECYCLE}),
        (account.restored(), DETACHABLE),
    ):
        with pytest.raises(OutOfTimeError, match="after 52 minutes"):
            described(account, cluster_id, TOO_LATE, Input=given)


def test_an_aligned_cluster_needs_no_detached_execution(account: Account) -> None:
    cluster_id = account.restored(*ZONES)
    assert described(account, cluster_id, TOO_LATE)["Next"] == "ALIGNED"


def test_hsms_that_aws_still_deletes_are_left_too(account: Account) -> None:
    cluster_id = account.restored(ZONES[0])
    (hsm,) = account.listed(cluster_id)
    account.hsm.delete_hsm(ClusterId=cluster_id, HsmId=hsm["HsmId"])
    found = described(account, cluster_id, TOO_LATE, HsmsPerSubnet="0")
    assert found["Next"] == "DETACH"
    assert f"is still DELETE_IN_PROGRESS; {WARNING}" in found["Message"]


def test_a_detached_execution_looks_once_a_minute_and_gives_up_after_a_day(
    account: Account,
) -> None:
    cluster_id = account.restored(ZONES[0])
    assert described(account, cluster_id, NEXT_NOON, Input=DETACHED)["Next"] == "CREATE"
    with pytest.raises(OutOfTimeError, match="after 1440 minutes"):
        described(account, cluster_id, A_DAY_LATER, Input=DETACHED)
    event = {"StartTime": BEGUN, "EnteredTime": BEGUN}
    attended, detached = (
        polling.look({**event, "Input": given}, "HSM CREATE_IN_PROGRESS")["Wait"]
        for given in (DETACHABLE, DETACHED)
    )
    assert (attended, detached) == (15, 60)


def test_a_day_of_looks_fits_into_the_history_of_an_execution() -> None:
    start, seconds, looks = datetime.fromisoformat(BEGUN), 0, 0
    while seconds < DAY:
        now = (start + timedelta(seconds=seconds)).isoformat()
        event = {"StartTime": BEGUN, "EnteredTime": now, "Input": DETACHED}
        seconds += polling.look(event, "HSM CREATE_IN_PROGRESS")["Wait"]
        looks += 1
    # Each has 16 events at most: DescribeHsms, CreateHsm that AWS refuses, two choices, a wait.
    assert looks * 16 < 25_000


def test_a_change_of_the_hsm_type_is_left_to_it_as_well(
    make_account: Callable[..., Account],
) -> None:
    account = make_account(assumptions=Assumptions(year=2024))
    backup = account.hsms.provider().share_backup("Password1", hsm_type="hsm1.medium")
    cluster_id = account.uninitialized(
        HsmType="hsm1.medium", SourceBackupId=backup["BackupArn"], Mode="FIPS"
    )
    account.add_hsm(cluster_id)
    account.hsm.modify_cluster(ClusterId=cluster_id, HsmType="hsm2m.medium")
    found = described(account, cluster_id, TOO_LATE)
    assert (found["Next"], found["HsmType"]) == ("DETACH", "hsm2m.medium")
    assert found["Message"] == f"The cluster is MODIFY_IN_PROGRESS to hsm2m.medium; {WARNING}"
    # The update gets that far.
    event = {"ClusterId": cluster_id, "StartTime": BEGUN, "MayDetach": True}
    for at, is_over in ((IN_TIME, False), (TOO_LATE, True)):
        cluster = account.run(cluster_steps.describe_cluster, EnteredTime=at, **event)
        assert cluster["OutOfTime"] == is_over


@pytest.mark.parametrize(
    ("state", "actual", "wanted", "is_failed"),
    [
        ("MODIFY_IN_PROGRESS", "hsm1.medium", "hsm2m.medium", False),
        ("ACTIVE", "hsm2m.medium", "hsm2m.medium", False),
        ("ACTIVE", "hsm1.medium", "hsm2m.medium", True),
        ("ROLLBACK_IN_PROGRESS", "hsm1.medium", "hsm2m.medium", True),
        # hsm1.medium is restored by such a rollback.
        ("ROLLBACK_IN_PROGRESS", "hsm2m.medium", "hsm1.medium", False),
        ("ACTIVE", "hsm2m.medium", "hsm1.medium", True),
        # The execution is not about the type.
        ("ACTIVE", "hsm1.medium", "", False),
        ("ROLLBACK_IN_PROGRESS", "hsm1.medium", "", False),
    ],
)
def test_a_detached_execution_fails_if_aws_did_not_change_the_hsm_type(
    state: str, actual: str, wanted: str, is_failed: bool
) -> None:
    plan = detachment.failed_change({"State": state, "HsmType": actual}, wanted)
    assert (plan is not None) == is_failed
    if plan:
        assert plan.next == "UNHEALTHY"
        assert f"did not change the HSM type to {wanted} (pHsmType)" in plan.message
