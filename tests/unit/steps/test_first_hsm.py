from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hsm_lifecycle.errors import (
    ClusterNotFoundError,
    HsmNotCreatedError,
    NotOwnedError,
    TransientError,
)
from hsm_lifecycle.steps import first_hsm
from localaws.services.cloudhsmv2.settings import Assumptions, Quotas
from tests.support.account import (
    OTHER_STACK_ID,
    STACK_ID,
    TIMINGS,
    ZONES,
    Account,
    Json,
)
from tests.support.step_events import NO_CAPACITY, UNKNOWN, moment

# ---- create_first_hsm


UNTRIED: Json = {"Tried": [], "Message": "", "NotListedSince": ""}


def create(
    account: Account,
    cluster_id: str,
    first: Json | None = None,
    after: float = 0,
    retries: int = 0,
    **overrides: Any,
) -> Json:
    return account.run(
        first_hsm.create_first_hsm,
        ClusterId=cluster_id,
        StackId=STACK_ID,
        ResourceProperties=account.properties(**overrides),
        FirstHsm=first or UNTRIED,
        StartTime=moment(),
        EnteredTime=moment(after),
        RetryCount=retries,
    )


def test_create_first_hsm_uses_the_first_subnet(account: Account) -> None:
    cluster_id = account.uninitialized()
    assert create(account, cluster_id) == {
        "State": "CREATE_IN_PROGRESS",
        "Tried": [ZONES[0]],
        "Message": "",
        "NotListedSince": "",
        "SettledAt": "",
        "WaitsFor": "HSM CREATE_IN_PROGRESS",
        "WaitsSince": moment(),
    }
    (hsm,) = account.listed(cluster_id)
    assert (hsm["AvailabilityZone"], hsm["SubnetId"]) == (ZONES[0], account.subnets[0])


def test_create_first_hsm_follows_the_order_of_the_parameter(
    account: Account,
) -> None:
    cluster_id = account.uninitialized()
    first, second, third = account.subnets
    result = create(account, cluster_id, Subnets=[third, first, second])
    assert result["Tried"] == [ZONES[2]]


def test_create_first_hsm_tries_unlisted_subnets_last(account: Account) -> None:
    cluster_id = account.uninitialized()
    account.faults.inject({**NO_CAPACITY, "times": 2})
    result = create(account, cluster_id, Subnets=["subnet-01234567", account.subnets[2]])
    assert result["Tried"] == [ZONES[2], ZONES[0], ZONES[1]]


def test_create_first_hsm_skips_a_zone_without_capacity(account: Account) -> None:
    cluster_id = account.uninitialized()
    account.faults.inject(NO_CAPACITY)
    result = create(account, cluster_id)
    assert result["Tried"] == [ZONES[0], ZONES[1]]
    assert result["Message"] == (
        "CloudHsmInvalidRequestException in us-east-1a: There is no capacity."
    )
    assert [hsm["AvailabilityZone"] for hsm in account.listed(cluster_id)] == [ZONES[1]]


def test_create_first_hsm_skips_tried_zones(account: Account) -> None:
    cluster_id = account.uninitialized()
    before = {"Tried": [ZONES[0], ZONES[1]], "Message": "DEGRADED", "NotListedSince": ""}
    result = create(account, cluster_id, before, after=1200)
    assert result["Tried"] == list(ZONES)


def test_create_first_hsm_fails_when_no_zone_has_capacity(account: Account) -> None:
    cluster_id = account.uninitialized()
    account.faults.inject({**NO_CAPACITY, "times": 3})
    with pytest.raises(HsmNotCreatedError) as failure:
        create(account, cluster_id)
    assert str(failure.value) == (
        "CreateFirstHsm: No working HSM in us-east-1a, us-east-1b, us-east-1c."
        " CloudHsmInvalidRequestException in us-east-1c: There is no capacity."
        f" [{cluster_id}]"
    )
    assert account.listed(cluster_id) == []


def test_create_first_hsm_is_retried_if_aws_gives_no_reason_in_a_zone(account: Account) -> None:
    # It may be about the zone, so the others are tried first.
    cluster_id = account.uninitialized()
    unexplained = {"operation": "CreateHsm", "code": "CloudHsmServiceException"}
    account.faults.inject([unexplained, {**NO_CAPACITY, "times": 2}])
    with pytest.raises(TransientError, match="No working HSM in us-east-1a, us-east-1b, us-eas"):
        create(account, cluster_id)
    account.faults.inject(unexplained)
    assert create(account, cluster_id)["Tried"] == [ZONES[0], ZONES[1]]


def test_create_first_hsm_fails_when_all_zones_were_tried(account: Account) -> None:
    cluster_id = account.uninitialized()
    before = {
        "Tried": list(ZONES),
        "Message": "hsm-1 in us-east-1c is DEGRADED: x",
        "NotListedSince": "",
    }
    with pytest.raises(HsmNotCreatedError, match="is DEGRADED: x"):
        create(account, cluster_id, before)
    assert account.changes == []


def test_create_first_hsm_needs_time_for_a_second_zone(
    account: Account,
) -> None:
    cluster_id = account.uninitialized()
    before = {"Tried": [ZONES[0]], "Message": "DEGRADED", "NotListedSince": ""}
    with pytest.raises(HsmNotCreatedError, match="us-east-1a, and no time is left for other zones"):
        create(account, cluster_id, before, after=1201)
    assert account.changes == []


def test_create_first_hsm_tries_the_first_zone_at_any_time(account: Account) -> None:
    cluster_id = account.uninitialized()
    assert create(account, cluster_id, after=1201)["Tried"] == [ZONES[0]]
    assert account.states(cluster_id) == ["CREATE_IN_PROGRESS"]


def test_create_first_hsm_is_idempotent(account: Account) -> None:
    cluster_id = account.uninitialized()
    result = create(account, cluster_id)
    assert create(account, cluster_id, result) == result
    account.wait(TIMINGS.create_hsm)
    assert create(account, cluster_id, result)["Tried"] == [ZONES[0]]
    assert account.changes == []
    assert account.states(cluster_id) == ["ACTIVE"]


def test_create_first_hsm_survives_a_lost_response(account: Account) -> None:
    cluster_id = account.uninitialized()
    account.faults.inject({"operation": "CreateHsm", "code": "ConnectionLost", "when": "after"})
    with pytest.raises(TransientError):
        create(account, cluster_id)
    assert create(account, cluster_id)["State"] == "CREATE_IN_PROGRESS"
    assert account.states(cluster_id) == ["CREATE_IN_PROGRESS"]


def test_create_first_hsm_waits_for_a_deletion(account: Account) -> None:
    cluster_id = account.with_csr()
    account.hsm.delete_hsm(ClusterId=cluster_id, HsmId=account.listed(cluster_id)[0]["HsmId"])
    create(account, cluster_id)
    assert account.changes == []


@pytest.mark.parametrize(
    "code", ["ThrottlingException", "CloudHsmInternalFailureException", "ConnectionLost"]
)
def test_create_first_hsm_retries_the_same_zone_on_transient_errors(
    account: Account, code: str
) -> None:
    cluster_id = account.uninitialized()
    account.faults.inject({"operation": "CreateHsm", "code": code})
    with pytest.raises(TransientError):
        create(account, cluster_id)
    assert create(account, cluster_id)["Tried"] == [ZONES[0]]


def test_create_first_hsm_quotes_a_quota_error(make_account: Callable[..., Account]) -> None:
    account = make_account(
        quotas=Quotas(hsms=0),
        assumptions=Assumptions(quota_code="CloudHsmResourceLimitExceededException"),
    )
    cluster_id = account.uninitialized()
    with pytest.raises(HsmNotCreatedError, match="the limit of 0 HSMs"):
        create(account, cluster_id)


def test_create_first_hsm_refuses_another_stacks_cluster(account: Account) -> None:
    cluster_id = account.uninitialized(OTHER_STACK_ID)
    with pytest.raises(NotOwnedError):
        create(account, cluster_id)
    assert account.changes == []


def test_create_first_hsm_refuses_a_missing_cluster(account: Account) -> None:
    with pytest.raises(ClusterNotFoundError, match=rf"\[{UNKNOWN}\]$"):
        create(account, UNKNOWN)


# ---- describe_first_hsm


def describe(account: Account, cluster_id: str, first: Json, after: float = 0) -> Json:
    event = {"ClusterId": cluster_id, "FirstHsm": first, "EnteredTime": moment(after)}
    return account.run(first_hsm.describe_first_hsm, **event)


def test_describe_first_hsm_follows_the_creation(account: Account) -> None:
    cluster_id = account.uninitialized()
    first = describe(account, cluster_id, create(account, cluster_id))
    assert first == {
        "State": "CREATE_IN_PROGRESS",
        "Tried": [ZONES[0]],
        "Message": "",
        "NotListedSince": "",
        "SettledAt": "",
        "WaitsFor": "HSM CREATE_IN_PROGRESS",
        "WaitsSince": moment(),
        "CheckedAt": moment(),
        "Wait": 15,
    }
    account.wait(TIMINGS.create_hsm)
    first = describe(account, cluster_id, first)
    assert (first["State"], first["Tried"]) == ("ACTIVE", [ZONES[0]])


def test_describe_first_hsm_waits_until_lost_calls_have_taken_effect(account: Account) -> None:
    cluster_id = account.uninitialized()
    first = create(account, cluster_id, retries=1)
    # An attempt and the pause before it take two minutes at most, an effect five.
    assert first["SettledAt"] == "2026-01-31T12:07:00+00:00"
    account.wait(TIMINGS.create_hsm)
    states = [describe(account, cluster_id, first, after)["State"] for after in (0, 419, 420)]
    assert states == ["CREATE_IN_PROGRESS", "CREATE_IN_PROGRESS", "ACTIVE"]


def test_describe_first_hsm_names_a_degraded_hsm_and_its_zone(account: Account) -> None:
    cluster_id = account.uninitialized()
    account.faults.inject({"hsm": "DEGRADED"})
    first = create(account, cluster_id)
    account.wait(TIMINGS.create_hsm)
    hsm_id = account.listed(cluster_id)[0]["HsmId"]
    described = describe(account, cluster_id, first)
    assert described["State"] == "DEGRADED"
    assert described["Message"] == (f"{hsm_id} in us-east-1a is DEGRADED: HSM is not responding.")


def test_describe_first_hsm_waits_for_a_new_hsm_to_be_listed(account: Account) -> None:
    cluster_id = account.uninitialized()
    first, states = {**UNTRIED, "Tried": [ZONES[0]], "Message": "expected"}, []
    for seconds in (1, 6, 60, 61, 66):
        first = describe(account, cluster_id, first, seconds)
        states.append(first["State"])
    assert states == [*["CREATE_IN_PROGRESS"] * 3, "NOT_FOUND", "NOT_FOUND"]
    assert (first["Tried"], first["Message"]) == ([ZONES[0]], "expected")


def test_describe_first_hsm_forgets_when_an_hsm_was_not_listed(account: Account) -> None:
    cluster_id = account.with_csr()
    before = {**UNTRIED, "NotListedSince": moment(-30)}
    assert describe(account, cluster_id, before)["NotListedSince"] == ""


def test_describe_first_hsm_follows_the_deletion(account: Account) -> None:
    cluster_id = account.with_csr()
    account.hsm.delete_hsm(ClusterId=cluster_id, HsmId=account.listed(cluster_id)[0]["HsmId"])
    assert describe(account, cluster_id, UNTRIED)["State"] == "DELETE_IN_PROGRESS"
    account.wait(TIMINGS.delete_hsm)
    assert account.states(cluster_id) == ["DELETED"]
    before = {**UNTRIED, "NotListedSince": moment(-60)}
    assert describe(account, cluster_id, before)["State"] == "NOT_FOUND"


def test_describe_first_hsm_fails_if_the_cluster_disappears(account: Account) -> None:
    with pytest.raises(ClusterNotFoundError, match="deleted outside this stack"):
        describe(account, UNKNOWN, UNTRIED)


# ---- delete_first_hsm


def delete(account: Account, cluster_id: str) -> Json:
    first = {"State": "DEGRADED", "Tried": [ZONES[0]], "Message": "expected", "NotListedSince": ""}
    return account.run(
        first_hsm.delete_first_hsm, ClusterId=cluster_id, StackId=STACK_ID, FirstHsm=first
    )


def degraded_first(account: Account, **overrides: Any) -> str:
    """A cluster whose first HSM is DEGRADED."""
    account.faults.inject({"hsm": "DEGRADED"})
    return account.with_csr(**overrides)


def test_delete_first_hsm_deletes_a_degraded_hsm(account: Account) -> None:
    cluster_id = degraded_first(account)
    assert delete(account, cluster_id) == {
        "State": "DEGRADED",
        "Tried": [ZONES[0]],
        "Message": "expected",
        "NotListedSince": "",
    }
    assert account.states(cluster_id) == ["DELETE_IN_PROGRESS"]


def test_delete_first_hsm_is_idempotent(account: Account) -> None:
    cluster_id = degraded_first(account)
    account.faults.inject({"operation": "DeleteHsm", "code": "ConnectionLost", "when": "after"})
    with pytest.raises(TransientError):
        delete(account, cluster_id)
    delete(account, cluster_id)
    assert account.changes == []
    account.wait(TIMINGS.delete_hsm)
    delete(account, cluster_id)
    assert account.changes == []


def test_delete_first_hsm_retains_a_recovered_hsm(account: Account) -> None:
    cluster_id = account.with_csr()
    delete(account, cluster_id)
    assert account.states(cluster_id) == ["ACTIVE"]


def test_delete_first_hsm_refuses_another_stacks_cluster(account: Account) -> None:
    cluster_id = degraded_first(account, stack_id=OTHER_STACK_ID)
    with pytest.raises(NotOwnedError):
        delete(account, cluster_id)
    assert account.states(cluster_id) == ["DEGRADED"]


def test_delete_first_hsm_quotes_the_refusal_of_aws(account: Account) -> None:
    cluster_id = degraded_first(account)
    account.faults.inject({"operation": "DeleteHsm", "code": "CloudHsmServiceException"})
    with pytest.raises(TransientError, match=rf"DeleteHsm: CloudHsmService.*\[{cluster_id}\]$"):
        delete(account, cluster_id)


# ---- The steps together, as create-first-hsm runs them


def run_create_first_hsm(account: Account, cluster_id: str) -> Json:
    """Run the loop of create-first-hsm until the HSM is ACTIVE."""
    start = account.clock.now()
    first, step = dict(UNTRIED), "CREATE"
    while step != "ACTIVE":
        if step in ("CREATE", "NOT_FOUND"):
            first = create(account, cluster_id, first, account.clock.now() - start)
        elif step == "DEGRADED":
            first = delete_in_loop(account, cluster_id, first)
        if step != "CREATE":
            account.wait(15)
        first = describe(account, cluster_id, first, account.clock.now() - start)
        step = first["State"]
    return first


def delete_in_loop(account: Account, cluster_id: str, first: Json) -> Json:
    return account.run(
        first_hsm.delete_first_hsm, ClusterId=cluster_id, StackId=STACK_ID, FirstHsm=first
    )


def test_a_degraded_first_hsm_is_replaced_in_the_next_zone(account: Account) -> None:
    cluster_id = account.uninitialized()
    account.faults.inject({"hsm": "DEGRADED"})
    assert run_create_first_hsm(account, cluster_id)["Tried"] == [ZONES[0], ZONES[1]]
    assert account.csr(cluster_id)


def test_the_creation_fails_with_the_reason_of_the_last_degraded_hsm(account: Account) -> None:
    cluster_id = account.uninitialized()
    account.faults.inject({"hsm": "DEGRADED", "times": 3})
    with pytest.raises(
        HsmNotCreatedError,
        match=r"No working HSM in us-east-1a, us-east-1b, and no time .* in us-east-1b is DEGRADED",
    ):
        run_create_first_hsm(account, cluster_id)
