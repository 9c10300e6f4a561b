from __future__ import annotations

import datetime
import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hsm_lifecycle import aws, ownership
from hsm_lifecycle.errors import (
    ClusterNotFoundError,
    HsmBusyError,
    HsmNotCreatedError,
    NotOwnedError,
    RefusedError,
    TransientError,
)
from hsm_lifecycle.steps import first_hsm, hsms
from localaws.core.api_error import ApiError
from localaws.services.cloudhsmv2.provider import CloudHsmProvider
from localaws.services.cloudhsmv2.settings import Assumptions, Quotas
from tests.localaws.services.cloudhsm import CloudHsm
from tests.support.account import (
    OTHER_STACK_ID,
    STACK_ID,
    TIMINGS,
    ZONES,
    Account,
    Json,
    raise_as_boto3,
)

UNKNOWN = "cluster-aaaaaaaaaaa"
EMPTY_CAPACITY = {
    "operation": "CreateHsm",
    "code": "CloudHsmInvalidRequestException",
    "message": "There is no capacity.",
}


def moment(seconds: float = 0) -> str:
    """A time as state machines write it, so many seconds after the beginning."""
    begin = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)
    at = begin + datetime.timedelta(seconds=seconds)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"


# ---- create_first_hsm

BEGIN: Json = {"Tried": [], "Message": "", "NotListed": 0}


def first_created(
    account: Account,
    cluster_id: str,
    first: Json | None = None,
    after: float = 0,
    **overrides: Any,
) -> Json:
    return account.run(
        first_hsm.create_first_hsm,
        ClusterId=cluster_id,
        StackId=STACK_ID,
        ResourceProperties=account.properties(**overrides),
        FirstHsm=first or BEGIN,
        StartTime=moment(),
        EnteredTime=moment(after),
    )


def test_the_first_hsm_is_created_in_the_first_subnet(account: Account) -> None:
    cluster_id = account.uninitialized()
    assert first_created(account, cluster_id) == {
        "State": "CREATE_IN_PROGRESS",
        "Tried": [ZONES[0]],
        "Message": "",
        "NotListed": 0,
    }
    (hsm,) = account.listed(cluster_id)
    assert (hsm["AvailabilityZone"], hsm["SubnetId"]) == (ZONES[0], account.subnets[0])


def test_the_subnets_are_tried_in_the_order_in_which_the_operator_lists_them(
    account: Account,
) -> None:
    cluster_id = account.uninitialized()
    first, second, third = account.subnets
    answer = first_created(account, cluster_id, Subnets=[third, first, second])
    assert answer["Tried"] == [ZONES[2]]


def test_subnets_that_the_operator_no_longer_lists_come_last(account: Account) -> None:
    cluster_id = account.uninitialized()
    account.faults.inject({**EMPTY_CAPACITY, "times": 2})
    answer = first_created(account, cluster_id, Subnets=["subnet-0", account.subnets[2]])
    assert answer["Tried"] == [ZONES[2], ZONES[0], ZONES[1]]


def test_a_zone_without_capacity_is_passed_over(account: Account) -> None:
    cluster_id = account.uninitialized()
    account.faults.inject(EMPTY_CAPACITY)
    answer = first_created(account, cluster_id)
    assert answer["Tried"] == [ZONES[0], ZONES[1]]
    assert answer["Message"] == (
        "CloudHsmInvalidRequestException in us-east-1a: There is no capacity."
    )
    assert [hsm["AvailabilityZone"] for hsm in account.listed(cluster_id)] == [ZONES[1]]


def test_a_zone_that_was_tried_is_not_tried_again(account: Account) -> None:
    cluster_id = account.uninitialized()
    before = {"Tried": [ZONES[0], ZONES[1]], "Message": "DEGRADED", "NotListed": 4}
    answer = first_created(account, cluster_id, before, after=1200)
    assert answer["Tried"] == list(ZONES)


def test_when_no_zone_has_capacity_the_words_of_aws_are_told(account: Account) -> None:
    cluster_id = account.uninitialized()
    account.faults.inject({**EMPTY_CAPACITY, "times": 3})
    with pytest.raises(HsmNotCreatedError) as failure:
        first_created(account, cluster_id)
    assert str(failure.value) == (
        "CreateFirstHsm: No working HSM in us-east-1a, us-east-1b, us-east-1c."
        " CloudHsmInvalidRequestException in us-east-1c: There is no capacity."
        f" [{cluster_id}]"
    )
    assert account.listed(cluster_id) == []


def test_when_all_zones_were_tried_nothing_more_is_asked_for(account: Account) -> None:
    cluster_id = account.uninitialized()
    before = {"Tried": list(ZONES), "Message": "hsm-1 in us-east-1c is DEGRADED: x", "NotListed": 4}
    with pytest.raises(HsmNotCreatedError, match="is DEGRADED: x"):
        first_created(account, cluster_id, before)
    assert account.changes == []


def test_a_second_zone_is_not_tried_without_the_time_that_the_rest_takes(
    account: Account,
) -> None:
    cluster_id = account.uninitialized()
    before = {"Tried": [ZONES[0]], "Message": "DEGRADED", "NotListed": 4}
    with pytest.raises(HsmNotCreatedError, match="us-east-1a, and no time is left for other zones"):
        first_created(account, cluster_id, before, after=1201)
    assert account.changes == []


def test_the_first_zone_is_tried_however_late_it_is(account: Account) -> None:
    cluster_id = account.uninitialized()
    assert first_created(account, cluster_id, after=1201)["Tried"] == [ZONES[0]]
    assert account.states(cluster_id) == ["CREATE_IN_PROGRESS"]


def test_the_first_hsm_is_created_once_however_often_it_is_asked_for(account: Account) -> None:
    cluster_id = account.uninitialized()
    answer = first_created(account, cluster_id)
    assert first_created(account, cluster_id, answer) == answer
    account.wait(TIMINGS.create_hsm)
    assert first_created(account, cluster_id, answer)["Tried"] == [ZONES[0]]
    assert account.changes == []
    assert account.states(cluster_id) == ["ACTIVE"]


def test_a_first_hsm_whose_answer_was_lost_is_found_again(account: Account) -> None:
    cluster_id = account.uninitialized()
    account.faults.inject({"operation": "CreateHsm", "code": "ConnectionLost", "when": "after"})
    with pytest.raises(TransientError):
        first_created(account, cluster_id)
    assert first_created(account, cluster_id)["State"] == "CREATE_IN_PROGRESS"
    assert account.states(cluster_id) == ["CREATE_IN_PROGRESS"]


def test_while_the_first_hsm_goes_no_other_is_created(account: Account) -> None:
    cluster_id = account.with_csr()
    account.hsm.delete_hsm(ClusterId=cluster_id, HsmId=account.listed(cluster_id)[0]["HsmId"])
    first_created(account, cluster_id)
    assert account.changes == []


@pytest.mark.parametrize(
    "code", ["ThrottlingException", "CloudHsmInternalFailureException", "ConnectionLost"]
)
def test_what_may_pass_does_not_use_up_a_zone(account: Account, code: str) -> None:
    cluster_id = account.uninitialized()
    account.faults.inject({"operation": "CreateHsm", "code": code})
    with pytest.raises(TransientError):
        first_created(account, cluster_id)
    assert first_created(account, cluster_id)["Tried"] == [ZONES[0]]


def test_a_quota_is_told_in_the_words_of_aws(make_account: Callable[..., Account]) -> None:
    account = make_account(
        quotas=Quotas(hsms=0),
        assumptions=Assumptions(quota_code="CloudHsmResourceLimitExceededException"),
    )
    cluster_id = account.uninitialized()
    with pytest.raises(HsmNotCreatedError, match="the limit of 0 HSMs"):
        first_created(account, cluster_id)


def test_a_foreign_cluster_gets_no_first_hsm(account: Account) -> None:
    cluster_id = account.uninitialized(OTHER_STACK_ID)
    with pytest.raises(NotOwnedError):
        first_created(account, cluster_id)
    assert account.changes == []


def test_a_cluster_that_is_gone_gets_no_first_hsm(account: Account) -> None:
    with pytest.raises(ClusterNotFoundError, match=rf"\[{UNKNOWN}\]$"):
        first_created(account, UNKNOWN)


# ---- describe_first_hsm


def first_described(account: Account, cluster_id: str, first: Json) -> Json:
    return account.run(first_hsm.describe_first_hsm, ClusterId=cluster_id, FirstHsm=first)


def test_the_first_hsm_is_described_from_its_creation_on(account: Account) -> None:
    cluster_id = account.uninitialized()
    first = first_described(account, cluster_id, first_created(account, cluster_id))
    assert first == {
        "State": "CREATE_IN_PROGRESS",
        "Tried": [ZONES[0]],
        "Message": "",
        "NotListed": 0,
    }
    account.wait(TIMINGS.create_hsm)
    first = first_described(account, cluster_id, first)
    assert (first["State"], first["Tried"]) == ("ACTIVE", [ZONES[0]])


def test_a_first_hsm_that_comes_up_degraded_is_named_with_its_zone(account: Account) -> None:
    cluster_id = account.uninitialized()
    account.faults.inject({"hsm": "DEGRADED"})
    first = first_created(account, cluster_id)
    account.wait(TIMINGS.create_hsm)
    hsm_id = account.listed(cluster_id)[0]["HsmId"]
    described = first_described(account, cluster_id, first)
    assert described["State"] == "DEGRADED"
    assert described["Message"] == (f"{hsm_id} in us-east-1a is DEGRADED: HSM is not responding.")


def test_an_hsm_that_is_not_listed_yet_is_believed_in_for_a_while(account: Account) -> None:
    cluster_id = account.uninitialized()
    first, states = {**BEGIN, "Tried": [ZONES[0]], "Message": "words"}, []
    for _ in range(5):
        first = first_described(account, cluster_id, first)
        states.append(first["State"])
    assert states == [*["CREATE_IN_PROGRESS"] * 3, "NOT_FOUND", "NOT_FOUND"]
    assert (first["Tried"], first["Message"]) == ([ZONES[0]], "words")


def test_to_be_seen_once_begins_the_patience_anew(account: Account) -> None:
    cluster_id = account.with_csr()
    assert first_described(account, cluster_id, {**BEGIN, "NotListed": 3})["NotListed"] == 0


def test_an_hsm_that_is_going_is_described_as_such_until_it_is_gone(account: Account) -> None:
    cluster_id = account.with_csr()
    account.hsm.delete_hsm(ClusterId=cluster_id, HsmId=account.listed(cluster_id)[0]["HsmId"])
    assert first_described(account, cluster_id, BEGIN)["State"] == "DELETE_IN_PROGRESS"
    account.wait(TIMINGS.delete_hsm)
    assert account.states(cluster_id) == ["DELETED"]
    assert first_described(account, cluster_id, {**BEGIN, "NotListed": 3})["State"] == "NOT_FOUND"


def test_a_cluster_that_vanishes_under_its_first_hsm_is_an_error(account: Account) -> None:
    with pytest.raises(ClusterNotFoundError, match="deleted outside this stack"):
        first_described(account, UNKNOWN, BEGIN)


# ---- delete_first_hsm


def first_deleted(account: Account, cluster_id: str) -> Json:
    first = {"State": "DEGRADED", "Tried": [ZONES[0]], "Message": "words", "NotListed": 2}
    return account.run(
        first_hsm.delete_first_hsm, ClusterId=cluster_id, StackId=STACK_ID, FirstHsm=first
    )


def degraded_first(account: Account, **overrides: Any) -> str:
    """A cluster whose first HSM came up DEGRADED."""
    account.faults.inject({"hsm": "DEGRADED"})
    return account.with_csr(**overrides)


def test_a_first_hsm_that_is_degraded_is_deleted(account: Account) -> None:
    cluster_id = degraded_first(account)
    assert first_deleted(account, cluster_id) == {
        "State": "DEGRADED",
        "Tried": [ZONES[0]],
        "Message": "words",
        "NotListed": 0,
    }
    assert account.states(cluster_id) == ["DELETE_IN_PROGRESS"]


def test_a_first_hsm_is_deleted_once(account: Account) -> None:
    cluster_id = degraded_first(account)
    account.faults.inject({"operation": "DeleteHsm", "code": "ConnectionLost", "when": "after"})
    with pytest.raises(TransientError):
        first_deleted(account, cluster_id)
    first_deleted(account, cluster_id)
    assert account.changes == []
    account.wait(TIMINGS.delete_hsm)
    first_deleted(account, cluster_id)
    assert account.changes == []


def test_a_first_hsm_that_recovered_is_kept(account: Account) -> None:
    cluster_id = account.with_csr()
    first_deleted(account, cluster_id)
    assert account.states(cluster_id) == ["ACTIVE"]


def test_a_first_hsm_of_a_foreign_cluster_is_not_deleted(account: Account) -> None:
    cluster_id = degraded_first(account, stack_id=OTHER_STACK_ID)
    with pytest.raises(NotOwnedError):
        first_deleted(account, cluster_id)
    assert account.states(cluster_id) == ["DEGRADED"]


def test_the_refusal_to_delete_a_first_hsm_is_told(account: Account) -> None:
    cluster_id = degraded_first(account)
    account.faults.inject({"operation": "DeleteHsm", "code": "CloudHsmServiceException"})
    with pytest.raises(RefusedError, match=rf"DeleteHsm: CloudHsmService.*\[{cluster_id}\]$"):
        first_deleted(account, cluster_id)


def first_hsm_of(account: Account, cluster_id: str) -> Json:
    """What create-first-hsm does, up to its end."""
    start = account.clock.now()
    first, step = dict(BEGIN), "CREATE"
    while step != "ACTIVE":
        if step in ("CREATE", "NOT_FOUND"):
            first = first_created(account, cluster_id, first, account.clock.now() - start)
        elif step == "DEGRADED":
            first = first_deleted_of(account, cluster_id, first)
        if step != "CREATE":
            account.wait(15)
        first = first_described(account, cluster_id, first)
        step = first["State"]
    return first


def first_deleted_of(account: Account, cluster_id: str, first: Json) -> Json:
    return account.run(
        first_hsm.delete_first_hsm, ClusterId=cluster_id, StackId=STACK_ID, FirstHsm=first
    )


def test_after_one_that_is_degraded_the_next_zone_gives_the_first_hsm(account: Account) -> None:
    cluster_id = account.uninitialized()
    account.faults.inject({"hsm": "DEGRADED"})
    assert first_hsm_of(account, cluster_id)["Tried"] == [ZONES[0], ZONES[1]]
    assert account.csr(cluster_id)


def test_degraded_again_and_again_the_creation_ends_with_the_reason(account: Account) -> None:
    cluster_id = account.uninitialized()
    account.faults.inject({"hsm": "DEGRADED", "times": 3})
    with pytest.raises(
        HsmNotCreatedError,
        match=r"No working HSM in us-east-1a, us-east-1b, and no time .* hsm-\w+ in us-east-1b is DEGRADED",
    ):
        first_hsm_of(account, cluster_id)


# ---- describe_hsms: one decision at a time

STATES = {
    "A": "ACTIVE",
    "C": "CREATE_IN_PROGRESS",
    "D": "DEGRADED",
    "G": "DELETE_IN_PROGRESS",
    "X": "DELETED",
}
CLUSTER = "cluster-bbbbbbbbbbb"


class Listing:
    """AWS that shows a cluster, and key stores, as a test draws them.

    A small letter is an HSM without an interface.
    """

    def __init__(self, drawn: str, state: str, stores: list[Json]) -> None:
        listed, mapping = [], {}
        for zone, letters in (part.split(":") for part in drawn.split()):
            mapping[f"zone-{zone}"] = f"subnet-{zone}"
            for number, letter in enumerate(letters, 1):
                hsm = {
                    "HsmId": f"hsm-{zone}{number}",
                    "EniId": f"eni-{zone}{number}",
                    "EniIp": f"10.0.{ord(zone)}.{number}",
                    "AvailabilityZone": f"zone-{zone}",
                    "State": STATES[letter.upper()],
                }
                listed.append(hsm)
                if letter.islower():
                    del hsm["EniId"], hsm["EniIp"]
        cluster = {"ClusterId": CLUSTER, "State": state, "SubnetMapping": mapping}
        self._pages = {
            "describe_clusters": {"Clusters": [{**cluster, "Hsms": listed}]},
            "describe_custom_key_stores": {"CustomKeyStores": stores},
        }

    def get_paginator(self, operation: str) -> Listing:
        self._page = self._pages[operation]
        return self

    def paginate(self, **_request: Any) -> list[Json]:
        return [self._page]


@pytest.fixture(name="decide")
def _decide(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Json]:
    """What describe_hsms says of a cluster that is drawn as "zone:states zone:states"."""

    def decide(
        drawn: str,
        wanted: int,
        *,
        created: list[tuple[str, int]] | None = None,
        replaced: list[tuple[str, str]] | None = None,
        deleted: list[str] | None = None,
        state: str = "ACTIVE",
        stores: list[Json] | None = None,
    ) -> Json:
        listing = Listing(drawn, state, stores or [])
        monkeypatch.setattr(aws, "client", lambda service: listing)
        return hsms.describe_hsms(
            {
                "ClusterId": CLUSTER,
                "HsmsPerSubnet": str(wanted),
                "EnteredTime": moment(1000),
                "Hsms": {
                    "Created": [
                        {"Zone": f"zone-{eni[0]}", "EniId": f"eni-{eni}", "At": moment(1000 - ago)}
                        for eni, ago in created or []
                    ],
                    "Replaced": [
                        {
                            "Zone": f"zone-{eni[0]}",
                            "EniId": f"eni-{eni}",
                            "By": by and f"eni-{by}",
                        }
                        for eni, by in replaced or []
                    ],
                    "Deleted": [
                        {"Zone": f"zone-{eni[0]}", "EniId": f"eni-{eni}"} for eni in deleted or []
                    ],
                },
            }
        )

    return decide


def said(answer: Json) -> str:
    """The decision and what it is about, in a word or two."""
    return " ".join(filter(None, [answer["Next"], answer["Zone"], answer["EniId"]]))


@pytest.mark.parametrize(
    ("drawn", "wanted", "decision"),
    [
        # The goal, and what is missing.
        ("a:A b:A", 1, "ALIGNED"),
        ("a:AA b:AA", 2, "ALIGNED"),
        ("a: b:", 1, "CREATE zone-a"),
        ("a:A b:", 1, "CREATE zone-b"),
        ("a:A b:A", 2, "CREATE zone-a"),
        ("a:AA b:A", 2, "CREATE zone-b"),
        ("b: a:A", 1, "CREATE zone-b"),
        # What is missing is created at once, though others are on their way.
        ("a:C b:", 1, "CREATE zone-b"),
        ("a:A b:C", 2, "CREATE zone-a"),
        ("a:AG b:", 1, "CREATE zone-b"),
        # What arrives counts; what goes does not.
        ("a:A b:C", 1, "WAIT"),
        ("a:C b:C", 1, "WAIT"),
        ("a:A b:G", 1, "CREATE zone-b"),
        ("a:AG b:A", 1, "WAIT"),
        ("a:AX b:A", 1, "ALIGNED"),
        ("a:AX b:X", 1, "CREATE zone-b"),
        # What is too much goes once all that arrive are there, and one at a time.
        ("a:AA b:A", 1, "DELETE eni-a2"),
        ("a:AAA b:A", 1, "DELETE eni-a3"),
        ("a:AA b:AA", 1, "DELETE eni-a2"),
        ("a:AAG b:A", 1, "DELETE eni-a2"),
        ("a:AA b:C", 1, "WAIT"),
        ("a:AA b:", 1, "CREATE zone-b"),
        ("a:AC b:A", 1, "WAIT"),
        ("a:CC b:A", 1, "WAIT"),
        # DEGRADED first.
        ("a:D b:A", 1, "DELETE eni-a1"),
        ("a:D b:", 1, "DELETE eni-a1"),
        ("a:AD b:A", 1, "DELETE eni-a2"),
        ("a:DA b:A", 1, "DELETE eni-a1"),
        ("a:AAD b:A", 1, "DELETE eni-a3"),
        ("a:D b:C", 1, "DELETE eni-a1"),
        ("a:D b:D", 1, "DELETE eni-a1"),
        # No HSMs at all.
        ("a: b:", 0, "ALIGNED"),
        ("a:X b:X", 0, "ALIGNED"),
        ("a:A b:A", 0, "DELETE eni-a1"),
        ("a:G b:A", 0, "DELETE eni-b1"),
        ("a:G b:G", 0, "WAIT"),
        ("a:C b:", 0, "WAIT"),
        ("a:C b:A", 0, "WAIT"),
        ("a:A b:D", 0, "DELETE eni-b1"),
        ("a:C b:D", 0, "DELETE eni-b1"),
        # One zone only.
        ("a:A", 1, "ALIGNED"),
        ("a:", 1, "CREATE zone-a"),
    ],
)
def test_the_next_thing_to_do_follows_from_what_is_there(
    decide: Callable[..., Json], drawn: str, wanted: int, decision: str
) -> None:
    assert said(decide(drawn, wanted)) == decision


@pytest.mark.parametrize(
    "state", ["UPDATE_IN_PROGRESS", "MODIFY_IN_PROGRESS", "ROLLBACK_IN_PROGRESS"]
)
@pytest.mark.parametrize("drawn", ["a:A b:", "a:D b:A", "a:AA b:A", "a:A b:A"])
def test_while_aws_is_at_work_on_the_cluster_nothing_is_done(
    decide: Callable[..., Json], drawn: str, state: str
) -> None:
    assert said(decide(drawn, 1, state=state)) == "WAIT"


@pytest.mark.parametrize("state", ["UNINITIALIZED", "INITIALIZED", "DEGRADED"])
def test_a_cluster_in_any_steady_state_can_be_emptied(
    decide: Callable[..., Json], state: str
) -> None:
    assert said(decide("a:A b:", 0, state=state)) == "DELETE eni-a1"


def test_a_degraded_cluster_is_mended(decide: Callable[..., Json]) -> None:
    assert said(decide("a:D b:D", 1, state="DEGRADED")) == "DELETE eni-a1"
    assert said(decide("a:X b:A", 1, state="DEGRADED")) == "CREATE zone-a"


@pytest.mark.parametrize(
    ("drawn", "wanted", "created", "decision"),
    [
        # Not listed yet, but believed in for two minutes.
        ("a: b:A", 1, [("a9", 0)], "WAIT"),
        ("a: b:A", 1, [("a9", 119)], "WAIT"),
        ("a: b:A", 1, [("a9", 120)], "CREATE zone-a"),
        ("a: b:", 1, [("a9", 5)], "CREATE zone-b"),
        ("a: b:", 1, [("a9", 5), ("b9", 0)], "WAIT"),
        ("a:A b:AA", 2, [("a9", 5)], "WAIT"),
        ("a: b:AA", 2, [("a9", 5)], "CREATE zone-a"),
        # Listed, so it counts as what it is.
        ("a:C b:A", 1, [("a1", 5)], "WAIT"),
        ("a:A b:A", 1, [("a1", 5)], "ALIGNED"),
        ("a:D b:A", 1, [("a1", 5)], "DELETE eni-a1"),
        # What is too much waits for it like for any other that arrives.
        ("a:AA b:", 1, [("b9", 5)], "WAIT"),
        # Not there after all.
        ("a:A b:A", 1, [("b9", 600)], "ALIGNED"),
    ],
)
def test_an_hsm_just_created_is_believed_in_before_it_is_listed(
    decide: Callable[..., Json],
    drawn: str,
    wanted: int,
    created: list[tuple[str, int]],
    decision: str,
) -> None:
    assert said(decide(drawn, wanted, created=created)) == decision


def test_what_took_too_long_to_be_listed_is_no_longer_waited_for(
    decide: Callable[..., Json],
) -> None:
    answer = decide("a:C b:", 2, created=[("a2", 5), ("b9", 500)])
    assert [entry["EniId"] for entry in answer["Created"]] == ["eni-a2"]


@pytest.mark.parametrize(
    ("drawn", "wanted", "replaced", "decision"),
    [
        # Deleted, though the list does not show it yet.
        ("a:D b:A", 1, [("a1", "")], "CREATE zone-a"),
        ("a:DC b:A", 1, [("a1", "a2")], "WAIT"),
        # The replacement is as bad: once is enough.
        ("a:XD b:A", 1, [("a1", "a2")], "UNHEALTHY"),
        ("a:GD b:A", 1, [("a1", "a2")], "UNHEALTHY"),
        # Each HSM for itself.
        ("a:XA b:D", 1, [("a1", "a2")], "DELETE eni-b1"),
        ("a:GD b:AA", 2, [("a1", "")], "DELETE eni-a2"),
        ("a:GGD b:AA", 2, [("a1", "a3"), ("a2", "")], "UNHEALTHY"),
        ("a:GGA b:AA", 2, [("a1", "a3"), ("a2", "")], "CREATE zone-a"),
        # None is wanted, so there is nothing to be healthy.
        ("a:XD b:", 0, [("a1", "a2")], "DELETE eni-a2"),
    ],
)
def test_a_degraded_hsm_is_replaced_once(
    decide: Callable[..., Json],
    drawn: str,
    wanted: int,
    replaced: list[tuple[str, str]],
    decision: str,
) -> None:
    assert said(decide(drawn, wanted, replaced=replaced)) == decision


@pytest.mark.parametrize(
    ("drawn", "decision"),
    [
        # The list does not show it yet.
        ("a:AA b:A", "WAIT"),
        ("a:AAA b:A", "DELETE eni-a3"),
        ("a:AA b:", "CREATE zone-b"),
        # It does.
        ("a:AG b:A", "WAIT"),
        ("a:AX b:A", "ALIGNED"),
        ("a:A b:A", "ALIGNED"),
    ],
)
def test_an_hsm_that_was_deleted_counts_no_more(
    decide: Callable[..., Json], drawn: str, decision: str
) -> None:
    assert said(decide(drawn, 1, deleted=["a2"])) == decision


def test_what_cannot_be_healed_is_named(decide: Callable[..., Json]) -> None:
    answer = decide("a:XD b:A", 1, replaced=[("a1", "a2")])
    assert answer["Message"] == (
        "hsm-a2 in zone-a is DEGRADED like the one before: AWS gives no reason"
    )


def test_an_hsm_that_never_got_an_interface_is_deleted_as_well(
    decide: Callable[..., Json],
) -> None:
    # An HSM has nothing but its id for certain: botocore's model of the shape Hsm.
    assert decide("a:d b:A", 1)["Next"] == "DELETE"
    assert decide("a:d b:A", 0)["Next"] == "DELETE"


def test_only_active_hsms_are_given_to_the_client(decide: Callable[..., Json]) -> None:
    assert decide("a:AC b:DA", 2)["IpAddresses"] == "10.0.97.1 10.0.98.2"
    assert decide("a: b:", 0)["IpAddresses"] == ""


def store(state: str, cluster_id: str = CLUSTER) -> Json:
    return {
        "CustomKeyStoreId": "cks-1234567890abcdef0",
        "CloudHsmClusterId": cluster_id,
        "ConnectionState": state,
    }


@pytest.mark.parametrize(
    ("drawn", "wanted", "stores", "decision"),
    [
        ("a:A b:A", 0, [store("CONNECTED")], "UNHEALTHY"),
        ("a:AA", 1, [store("CONNECTED")], "UNHEALTHY"),
        ("a:A b:A", 0, [store("CONNECTING")], "UNHEALTHY"),
        ("a:AA", 1, [store("FAILED")], "UNHEALTHY"),
        ("a:A b:A", 0, [store("DISCONNECTING")], "UNHEALTHY"),
        ("a:AA", 1, [store("DISCONNECTED")], "DELETE eni-a2"),
        ("a:AA b:A", 1, [store("CONNECTED")], "DELETE eni-a2"),
        ("a:A b:A", 0, [store("DISCONNECTED")], "DELETE eni-a1"),
        ("a:A b:A", 0, [store("CONNECTED", UNKNOWN)], "DELETE eni-a1"),
        ("a:A b:A", 0, [{**store("CONNECTED"), "CloudHsmClusterId": None}], "DELETE eni-a1"),
        # DEGRADED ones are of no use to the store.
        ("a:D b:A", 1, [store("CONNECTED")], "DELETE eni-a1"),
        # It does not keep anything from being created.
        ("a:A b:", 1, [store("CONNECTED")], "CREATE zone-b"),
    ],
)
def test_a_key_store_that_is_not_disconnected_keeps_its_hsms_in_two_zones(
    decide: Callable[..., Json], drawn: str, wanted: int, stores: list[Json], decision: str
) -> None:
    answer = decide(drawn, wanted, stores=stores)
    assert said(answer) == decision
    if decision == "UNHEALTHY":
        assert answer["Message"] == (
            f"KMS key store cks-1234567890abcdef0 is {stores[0]['ConnectionState']} and needs HSMs"
            " in two Availability Zones, so no HSM was deleted."
        )


def test_a_cluster_that_vanishes_is_no_reason_to_wait(account: Account) -> None:
    with pytest.raises(ClusterNotFoundError, match=rf"deleted outside this stack .*\[{UNKNOWN}\]$"):
        account.run(
            hsms.describe_hsms,
            ClusterId=UNKNOWN,
            HsmsPerSubnet="1",
            EnteredTime=moment(),
            Hsms={"Created": [], "Replaced": [], "Deleted": []},
        )


# ---- create_hsm


def known(**more: Any) -> Json:
    return {"Created": [], "Replaced": [], "Deleted": [], "Zone": "", "EniId": "", **more}


def created(account: Account, cluster_id: str, zone: str, wanted: int = 1, **more: Any) -> Json:
    return account.run(
        hsms.create_hsm,
        ClusterId=cluster_id,
        StackId=STACK_ID,
        HsmsPerSubnet=str(wanted),
        Hsms=known(Zone=zone, **more),
        EnteredTime=moment(),
    )


def test_an_hsm_is_created_and_noted_where_one_is_missing(account: Account) -> None:
    cluster_id = account.restored(ZONES[0])
    before = {"Zone": ZONES[2], "EniId": "eni-1", "At": moment(-5)}
    answer = created(account, cluster_id, ZONES[1], Created=[before])
    hsm = account.listed(cluster_id)[-1]
    assert hsm["AvailabilityZone"] == ZONES[1]
    noted = {"Zone": ZONES[1], "EniId": hsm["EniId"], "At": moment()}
    assert answer == known(Zone=ZONES[1], Created=[before, noted])


def test_an_hsm_is_created_once_however_often_it_is_asked_for(account: Account) -> None:
    cluster_id = account.restored(ZONES[0])
    created(account, cluster_id, ZONES[1])
    assert created(account, cluster_id, ZONES[1]) == known(Zone=ZONES[1])
    assert account.changes == []
    created(account, cluster_id, ZONES[1], wanted=2)
    assert len(account.listed(cluster_id)) == 3


def test_an_hsm_whose_answer_was_lost_is_found_again(account: Account) -> None:
    cluster_id = account.restored(ZONES[0])
    account.faults.inject({"operation": "CreateHsm", "code": "ConnectionLost", "when": "after"})
    with pytest.raises(TransientError, match=rf"\[{cluster_id}\]$"):
        created(account, cluster_id, ZONES[1])
    created(account, cluster_id, ZONES[1])
    assert len(account.listed(cluster_id)) == 2


def test_a_degraded_or_going_hsm_is_none_of_those_that_are_wanted(account: Account) -> None:
    cluster_id = account.restored(ZONES[0], ZONES[1])
    first, second = account.listed(cluster_id)
    account.hsms.provider().degrade_hsm(first["HsmId"])
    account.hsm.delete_hsm(ClusterId=cluster_id, HsmId=second["HsmId"])
    created(account, cluster_id, ZONES[0])
    created(account, cluster_id, ZONES[1])
    assert len(account.listed(cluster_id)) == 4


def test_a_refusal_while_another_hsm_is_on_its_way_means_later(
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


def test_a_refusal_while_one_just_created_is_not_listed_yet_means_later(
    make_account: Callable[..., Account],
) -> None:
    account = make_account(assumptions=Assumptions(concurrent_create=False))
    cluster_id = account.restored(ZONES[0])
    with account.lagging():
        noted = created(account, cluster_id, ZONES[1])["Created"]
        with pytest.raises(HsmBusyError):
            created(account, cluster_id, ZONES[2], Created=noted)


def test_both_readings_of_two_hsms_at_once_work(make_account: Callable[..., Account]) -> None:
    account = make_account(assumptions=Assumptions(concurrent_create=True))
    cluster_id = account.restored(ZONES[0])
    created(account, cluster_id, ZONES[1])
    created(account, cluster_id, ZONES[2])
    assert account.states(cluster_id) == ["ACTIVE", "CREATE_IN_PROGRESS", "CREATE_IN_PROGRESS"]


def test_a_refusal_while_all_is_quiet_is_final(account: Account) -> None:
    cluster_id = account.restored(ZONES[0])
    account.faults.inject(EMPTY_CAPACITY)
    with pytest.raises(RefusedError) as refusal:
        created(account, cluster_id, ZONES[1])
    assert str(refusal.value) == (
        f"CreateHsm: CloudHsmInvalidRequestException: There is no capacity. [{cluster_id}]"
    )


def test_another_refusal_is_final_also_while_an_hsm_is_on_its_way(
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
def test_a_creation_that_may_succeed_later_is_transient(account: Account, code: str) -> None:
    cluster_id = account.restored(ZONES[0])
    account.faults.inject({"operation": "CreateHsm", "code": code})
    with pytest.raises(TransientError):
        created(account, cluster_id, ZONES[1])


def test_a_foreign_cluster_gets_no_hsm(account: Account) -> None:
    cluster_id = account.restored(stack_id=OTHER_STACK_ID)
    with pytest.raises(NotOwnedError):
        created(account, cluster_id, ZONES[0])
    assert account.changes == []


def test_a_cluster_that_is_gone_gets_no_hsm(account: Account) -> None:
    with pytest.raises(ClusterNotFoundError):
        created(account, UNKNOWN, ZONES[0])


# ---- delete_hsm


def deleted(account: Account, cluster_id: str, eni_id: str) -> Json:
    return account.run(
        hsms.delete_hsm,
        ClusterId=cluster_id,
        StackId=STACK_ID,
        HsmsPerSubnet="1",
        Hsms=known(EniId=eni_id),
        EnteredTime=moment(),
    )


def test_the_hsm_of_that_interface_is_deleted_and_no_other(account: Account) -> None:
    cluster_id = account.restored(ZONES[0], ZONES[1])
    eni_id = account.listed(cluster_id)[1]["EniId"]
    assert deleted(account, cluster_id, eni_id)["EniId"] == eni_id
    assert account.states(cluster_id) == ["ACTIVE", "DELETE_IN_PROGRESS"]


def test_an_hsm_that_aws_replaced_is_known_by_its_interface(account: Account) -> None:
    cluster_id = account.restored(ZONES[0], ZONES[1])
    hsm = account.listed(cluster_id)[0]
    new_id = account.hsms.provider().replace_hsm(hsm["HsmId"])
    deleted(account, cluster_id, hsm["EniId"])
    states = {one["HsmId"]: one["State"] for one in account.listed(cluster_id)}
    assert states[new_id] == "DELETE_IN_PROGRESS"


def test_an_hsm_that_is_going_or_gone_is_left_alone(account: Account) -> None:
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


def test_an_hsm_just_deleted_is_believed_gone_before_the_list_shows_it(
    account: Account,
) -> None:
    cluster_id = account.restored(ZONES[0], *ZONES)
    event = {"ClusterId": cluster_id, "StackId": STACK_ID, "HsmsPerSubnet": "1"}
    with account.lagging():
        found = account.run(hsms.describe_hsms, **event, Hsms=known(), EnteredTime=moment())
        assert found["Next"] == "DELETE"
        left = account.run(hsms.delete_hsm, **event, Hsms=found, EnteredTime=moment(1))
        # Or the same one is asked for again, which AWS refuses, or another one in its place.
        after = account.run(hsms.describe_hsms, **event, Hsms=left, EnteredTime=moment(2))
    assert after["Next"] == "WAIT"
    assert sorted(account.states(cluster_id)) == [*["ACTIVE"] * 3, "DELETE_IN_PROGRESS"]


def test_a_refused_deletion_while_another_hsm_is_on_its_way_means_later(
    account: Account,
) -> None:
    cluster_id = account.restored(ZONES[0])
    eni_id = account.listed(cluster_id)[0]["EniId"]
    created(account, cluster_id, ZONES[1])
    account.faults.inject({"operation": "DeleteHsm", "code": "CloudHsmInvalidRequestException"})
    with pytest.raises(HsmBusyError, match="CREATE_IN_PROGRESS"):
        deleted(account, cluster_id, eni_id)


def test_a_refused_deletion_while_all_is_quiet_is_final(account: Account) -> None:
    cluster_id = account.restored(ZONES[0], ZONES[1])
    account.faults.inject({"operation": "DeleteHsm", "code": "CloudHsmInvalidRequestException"})
    with pytest.raises(RefusedError, match=rf"DeleteHsm: CloudHsmInvalid.* \[{cluster_id}\]$"):
        deleted(account, cluster_id, account.listed(cluster_id)[0]["EniId"])


def test_a_deletion_that_may_succeed_later_is_transient(account: Account) -> None:
    cluster_id = account.restored(ZONES[0])
    account.faults.inject({"operation": "DeleteHsm", "code": "ThrottlingException"})
    with pytest.raises(TransientError):
        deleted(account, cluster_id, account.listed(cluster_id)[0]["EniId"])


def test_no_hsm_of_a_foreign_cluster_is_deleted(account: Account) -> None:
    cluster_id = account.restored(ZONES[0], stack_id=OTHER_STACK_ID)
    with pytest.raises(NotOwnedError):
        deleted(account, cluster_id, account.listed(cluster_id)[0]["EniId"])
    assert account.states(cluster_id) == ["ACTIVE"]


# ---- The steps together, as align-hsms runs them


class Direct:
    """boto3's clients as the model answers them, without HTTP: for many turns in little time."""

    def __init__(self, region: CloudHsmProvider, *, one_at_a_time: bool) -> None:
        self._region = region
        self._one_at_a_time = one_at_a_time

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        action = "".join(word.capitalize() for word in operation.split("_"))

        def call(**request: Any) -> Any:
            try:
                if action == "DeleteHsm" and self._one_at_a_time:
                    self._refuse_a_second()
                return self._region.call(action, request)
            except ApiError as refusal:
                raise_as_boto3(refusal, action)

        return call

    def get_paginator(self, operation: str) -> Pages:
        return Pages(getattr(self, operation))

    def _refuse_a_second(self) -> None:
        """The harsher reading of F1.31, which the model has for CreateHsm alone."""
        for cluster in self._region.call("DescribeClusters", {})["Clusters"]:
            if any(hsm["State"].endswith("_IN_PROGRESS") for hsm in cluster["Hsms"]):
                raise ApiError("CloudHsmInvalidRequestException", "Another HSM is in progress.")


class Pages:
    """All there is on one page."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def paginate(self, **request: Any) -> list[Any]:
        return [self._call(**request)]


class Alignment:
    """An ACTIVE cluster in two zones, and the loop of align-hsms."""

    def __init__(self, life: CloudHsm) -> None:
        self.life = life
        self.decisions: list[str] = []
        backup = life.provider.share_backup("Password1")
        self.id = life.create(
            SubnetIds=["subnet-0000000a", "subnet-0000000b"],
            SourceBackupId=backup["BackupArn"],
            TagList=[{"Key": ownership.STACK_TAG, "Value": STACK_ID}],
        )
        life.wait(life.timings.create_cluster)

    def draw(self, drawn: str) -> None:
        """Bring the cluster's HSMs into these states: as for `Listing`."""
        life, placed = self.life, []
        for zone, letters in (part.split(":") for part in drawn.split()):
            placed += [(ZONES["ab".index(zone)], letter) for letter in letters]
        made = [(life.add_hsm(self.id, zone), letter) for zone, letter in placed if letter != "C"]
        for zone, _ in filter(lambda place: place[1] == "C", placed):
            life.call("CreateHsm", ClusterId=self.id, AvailabilityZone=zone)
        for hsm, letter in made:
            if letter == "D":
                life.provider.degrade_hsm(hsm["HsmId"])
            elif letter == "G":
                life.call("DeleteHsm", ClusterId=self.id, HsmId=hsm["HsmId"])

    def align(self, wanted: int) -> Json:
        """The loop, to its end or for as long as its state machine may take."""
        life = self.life
        known: Json = {"Created": [], "Replaced": [], "Deleted": []}
        begin = life.clock.now()
        while (spent := life.clock.now() - begin) < 2800:
            event: Json = {
                "ClusterId": self.id,
                "StackId": STACK_ID,
                "HsmsPerSubnet": str(wanted),
                "Hsms": known,
                "EnteredTime": moment(spent),
            }
            known = hsms.describe_hsms(event)
            self.decisions.append(said(known))
            if known["Next"] in ("ALIGNED", "UNHEALTHY"):
                return known
            try:
                if known["Next"] == "CREATE":
                    known = hsms.create_hsm({**event, "Hsms": known})
                elif known["Next"] == "DELETE":
                    known = hsms.delete_hsm({**event, "Hsms": known})
                else:
                    life.wait(15)
            except HsmBusyError:
                life.wait(15)
        raise TimeoutError(f"still {life.states(self.id)} after {self.decisions[-3:]}")

    def counts(self) -> list[int]:
        """The ACTIVE HSMs of each zone; nothing else is there, or an error."""
        listed = [hsm for hsm in self.life.hsms(self.id) if hsm["State"] != "DELETED"]
        assert {hsm["State"] for hsm in listed} <= {"ACTIVE"}
        return [sum(hsm["AvailabilityZone"] == zone for hsm in listed) for zone in ZONES[:2]]


@pytest.fixture(name="make_alignment")
def _make_alignment(quick_keys: None, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Alignment]:
    def make(drawn: str = "a: b:", *, concurrent: bool = True) -> Alignment:
        life = CloudHsm(
            quotas=Quotas(hsms=28), assumptions=Assumptions(concurrent_create=concurrent)
        )
        direct = Direct(life.provider, one_at_a_time=not concurrent)
        monkeypatch.setattr(aws, "client", lambda service: direct)
        alignment = Alignment(life)
        alignment.draw(drawn)
        return alignment

    return make


def pictures() -> Iterator[str]:
    """Two zones with up to two HSMs each, in every mixture of states; mirror images once."""
    zone = ["", *"ACDG", *map("".join, itertools.combinations_with_replacement("ACDG", 2))]
    for first, second in itertools.combinations_with_replacement(zone, 2):
        yield f"a:{first} b:{second}"


@pytest.mark.parametrize("concurrent", [True, False])
@pytest.mark.parametrize("wanted", [0, 1, 2])
def test_from_whatever_is_there_the_hsms_come_to_be_as_many_as_are_wanted(
    make_alignment: Callable[..., Alignment], wanted: int, concurrent: bool
) -> None:
    lost = []
    for drawn in pictures():
        # One at a time could not come to two that arrive, nor replace more than two in time.
        if not concurrent and (drawn.count("C") > 1 or (wanted and drawn.count("D") > 2)):
            continue
        alignment = make_alignment(drawn, concurrent=concurrent)
        try:
            alignment.align(wanted)
            assert alignment.counts() == [wanted, wanted]
        except (TimeoutError, AssertionError) as problem:
            lost.append(f"{drawn}: {problem}")
    assert lost == []


def test_a_degraded_hsm_whose_deletion_had_to_wait_goes_after_all(
    make_alignment: Callable[..., Alignment],
) -> None:
    alignment = make_alignment("a:D b:D", concurrent=False)
    alignment.align(0)
    assert alignment.counts() == [0, 0]


@pytest.mark.parametrize("concurrent", [True, False])
def test_hsms_that_work_are_never_deleted_for_nothing(
    make_alignment: Callable[..., Alignment], concurrent: bool
) -> None:
    alignment = make_alignment("a:AA b:A", concurrent=concurrent)
    before = {hsm["EniId"] for hsm in alignment.life.hsms(alignment.id)}
    alignment.align(2)
    assert before < {hsm["EniId"] for hsm in alignment.life.hsms(alignment.id)}
    assert [word for word in alignment.decisions if word != "WAIT"] == [
        f"CREATE {ZONES[1]}",
        "ALIGNED",
    ]


def test_all_that_are_missing_arrive_together(make_alignment: Callable[..., Alignment]) -> None:
    alignment = make_alignment("a:A b:")
    begin = alignment.life.clock.now()
    alignment.align(2)
    assert alignment.life.clock.now() - begin < TIMINGS.create_hsm + 15


@pytest.mark.parametrize("concurrent", [True, False])
def test_one_that_comes_up_degraded_is_replaced(
    make_alignment: Callable[..., Alignment], concurrent: bool
) -> None:
    alignment = make_alignment("a:A b:", concurrent=concurrent)
    alignment.life.faults.inject({"hsm": "DEGRADED"})
    assert alignment.align(1)["Next"] == "ALIGNED"
    assert alignment.counts() == [1, 1]


def test_two_that_come_up_degraded_in_one_zone_are_replaced(
    make_alignment: Callable[..., Alignment],
) -> None:
    alignment = make_alignment("a:AA b:")
    alignment.life.faults.inject({"hsm": "DEGRADED", "times": 2})
    assert alignment.align(2)["Next"] == "ALIGNED"
    assert alignment.counts() == [2, 2]


@pytest.mark.parametrize("concurrent", [True, False])
def test_one_that_comes_up_degraded_twice_is_the_end(
    make_alignment: Callable[..., Alignment], concurrent: bool
) -> None:
    alignment = make_alignment("a:A b:", concurrent=concurrent)
    alignment.life.faults.inject({"hsm": "DEGRADED", "times": 2})
    answer = alignment.align(1)
    assert answer["Next"] == "UNHEALTHY"
    pattern = rf"hsm-\w+ in {ZONES[1]} is DEGRADED like the one before: HSM is not responding\."
    assert re.fullmatch(pattern, answer["Message"])
