"""The next action on the HSMs of a cluster, which `drawn_cluster` draws."""

from __future__ import annotations

import datetime
from dataclasses import replace

import pytest

from hsm_lifecycle import hsm_plan
from hsm_lifecycle.hsm_plan import Memory, Plan
from tests.support.drawn_cluster import drawn_cluster

NOW = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)


def moment(seconds_ago: int) -> str:
    return f"{NOW - datetime.timedelta(seconds=seconds_ago):%Y-%m-%dT%H:%M:%S}.000Z"


def remembered(
    drawn: str,
    created: list[tuple[str, int]] | None = None,
    replaced: list[tuple[str, str]] | None = None,
    deleted: list[str] | None = None,
) -> Memory:
    """The memory of HSMs created some seconds ago, replaced by others, and deleted."""
    state = {
        "Created": [
            {"Zone": f"zone-{eni[0]}", "EniId": f"eni-{eni}", "At": moment(seconds)}
            for eni, seconds in created or []
        ],
        "Replaced": [
            {"Zone": f"zone-{eni[0]}", "EniId": f"eni-{eni}", "By": by and f"eni-{by}"}
            for eni, by in replaced or []
        ],
        "Deleted": [{"Zone": f"zone-{eni[0]}", "EniId": f"eni-{eni}"} for eni in deleted or []],
    }
    return Memory.of(state, drawn_cluster(drawn), moment(0))


NOTHING = remembered("a: b:")
# A lost call of CreateHsm may take effect in the next second.
UNSETTLED = replace(NOTHING, is_settled=False)


def planned(drawn: str, wanted: int, memory: Memory = NOTHING, state: str = "ACTIVE") -> str:
    """The next action and what it is about, such as "CREATE zone-a"."""
    plan = hsm_plan.next_action(drawn_cluster(drawn, state), wanted, memory)
    return " ".join(filter(None, (plan.next, plan.zone, plan.hsm)))


def test_all_missing_hsms_are_created_at_once() -> None:
    plan = hsm_plan.next_action(drawn_cluster("a:A b: c:C"), 2, NOTHING)
    assert plan == Plan("CREATE", zones=("zone-a", "zone-b", "zone-b", "zone-c"))


@pytest.mark.parametrize(
    ("drawn", "wanted", "action"),
    [
        # Aligned, or an HSM is missing.
        ("a:A b:A", 1, "ALIGNED"),
        ("a:AA b:AA", 2, "ALIGNED"),
        ("a: b:", 1, "CREATE zone-a"),
        ("a:A b:", 1, "CREATE zone-b"),
        ("a:A b:A", 2, "CREATE zone-a"),
        ("a:AA b:A", 2, "CREATE zone-b"),
        ("b: a:A", 1, "CREATE zone-b"),
        # A missing HSM is created while others are in progress.
        ("a:C b:", 1, "CREATE zone-b"),
        ("a:A b:C", 2, "CREATE zone-a"),
        ("a:AG b:", 1, "CREATE zone-b"),
        # HSMs being created count, HSMs being deleted do not.
        ("a:A b:C", 1, "WAIT"),
        ("a:C b:C", 1, "WAIT"),
        ("a:A b:G", 1, "CREATE zone-b"),
        ("a:AG b:A", 1, "WAIT"),
        ("a:AX b:A", 1, "ALIGNED"),
        ("a:AX b:X", 1, "CREATE zone-b"),
        # Surplus HSMs are deleted one at a time, once none is being created.
        ("a:AA b:A", 1, "DELETE eni-a2"),
        ("a:AAA b:A", 1, "DELETE eni-a3"),
        ("a:AA b:AA", 1, "DELETE eni-a2"),
        ("a:AAG b:A", 1, "DELETE eni-a2"),
        ("a:AA b:C", 1, "WAIT"),
        ("a:AA b:", 1, "CREATE zone-b"),
        ("a:AC b:A", 1, "WAIT"),
        ("a:CC b:A", 1, "WAIT"),
        # DEGRADED HSMs are deleted first.
        ("a:D b:A", 1, "DELETE eni-a1"),
        ("a:D b:", 1, "DELETE eni-a1"),
        ("a:AD b:A", 1, "DELETE eni-a2"),
        ("a:DA b:A", 1, "DELETE eni-a1"),
        ("a:AAD b:A", 1, "DELETE eni-a3"),
        ("a:D b:C", 1, "DELETE eni-a1"),
        ("a:D b:D", 1, "DELETE eni-a1"),
        # No HSMs wanted.
        ("a: b:", 0, "ALIGNED"),
        ("a:X b:X", 0, "ALIGNED"),
        ("a:A b:A", 0, "DELETE eni-a1"),
        ("a:G b:A", 0, "DELETE eni-b1"),
        ("a:G b:G", 0, "WAIT"),
        ("a:C b:", 0, "WAIT"),
        ("a:C b:A", 0, "WAIT"),
        ("a:A b:D", 0, "DELETE eni-b1"),
        ("a:C b:D", 0, "DELETE eni-b1"),
        # One zone.
        ("a:A", 1, "ALIGNED"),
        ("a:", 1, "CREATE zone-a"),
    ],
)
def test_the_next_action_follows_from_the_hsms(drawn: str, wanted: int, action: str) -> None:
    assert planned(drawn, wanted) == action


def test_nothing_is_done_while_the_cluster_is_in_progress() -> None:
    actions = {
        planned(drawn, 1, state=state)
        for drawn in ("a:A b:", "a:D b:A", "a:AA b:A", "a:A b:A")
        for state in ("UPDATE_IN_PROGRESS", "MODIFY_IN_PROGRESS", "ROLLBACK_IN_PROGRESS")
    }
    assert actions == {"WAIT"}


def test_hsms_are_deleted_and_replaced_in_other_states_of_the_cluster() -> None:
    for state in ("UNINITIALIZED", "INITIALIZED", "DEGRADED"):
        assert planned("a:A b:", 0, state=state) == "DELETE eni-a1"
    assert planned("a:D b:D", 1, state="DEGRADED") == "DELETE eni-a1"
    assert planned("a:X b:A", 1, state="DEGRADED") == "CREATE zone-a"


@pytest.mark.parametrize(
    ("drawn", "wanted", "created", "action"),
    [
        # Not listed yet: counts for two minutes.
        ("a: b:A", 1, [("a9", 0)], "WAIT"),
        ("a: b:A", 1, [("a9", 119)], "WAIT"),
        ("a: b:A", 1, [("a9", 120)], "CREATE zone-a"),
        ("a: b:", 1, [("a9", 5)], "CREATE zone-b"),
        ("a: b:", 1, [("a9", 5), ("b9", 0)], "WAIT"),
        ("a:A b:AA", 2, [("a9", 5)], "WAIT"),
        ("a: b:AA", 2, [("a9", 5)], "CREATE zone-a"),
        # Listed: its state counts.
        ("a:C b:A", 1, [("a1", 5)], "WAIT"),
        ("a:A b:A", 1, [("a1", 5)], "ALIGNED"),
        ("a:D b:A", 1, [("a1", 5)], "DELETE eni-a1"),
        # Deletions of surplus HSMs wait for it.
        ("a:AA b:", 1, [("b9", 5)], "WAIT"),
        # Never listed.
        ("a:A b:A", 1, [("b9", 600)], "ALIGNED"),
    ],
)
def test_a_new_hsm_counts_before_it_is_listed(
    drawn: str, wanted: int, created: list[tuple[str, int]], action: str
) -> None:
    assert planned(drawn, wanted, remembered(drawn, created=created)) == action


def test_a_new_hsm_is_recognized_by_either_id() -> None:
    entry = {"Zone": "a", "EniId": "", "HsmId": "hsm-1", "At": moment(1)}
    of_version_1_0_0 = {"Zone": "a", "EniId": "eni-1", "At": moment(1)}
    listed: list[hsm_plan.Hsm] = [{"HsmId": "hsm-1", "EniId": "eni-1"}]
    without_interface: list[hsm_plan.Hsm] = [{"HsmId": "hsm-2"}]
    for noted in (entry, of_version_1_0_0):
        assert hsm_plan.not_listed(listed, [noted], moment(0)) == []
        assert hsm_plan.not_listed(without_interface, [noted], moment(0)) == [noted]


def test_a_new_hsm_is_forgotten_if_it_is_not_listed_in_time() -> None:
    memory = remembered("a:C b:", created=[("a2", 5), ("b9", 500)])
    assert [entry["EniId"] for entry in memory.not_listed] == ["eni-a2"]


@pytest.mark.parametrize(
    ("drawn", "wanted", "replaced", "action"),
    [
        # Deleted, but still listed as DEGRADED.
        ("a:D b:A", 1, [("a1", "")], "CREATE zone-a"),
        ("a:DC b:A", 1, [("a1", "a2")], "WAIT"),
        # The replacement is DEGRADED too.
        ("a:XD b:A", 1, [("a1", "a2")], "UNHEALTHY"),
        ("a:GD b:A", 1, [("a1", "a2")], "UNHEALTHY"),
        # Each HSM is replaced once.
        ("a:XA b:D", 1, [("a1", "a2")], "DELETE eni-b1"),
        ("a:GD b:AA", 2, [("a1", "")], "DELETE eni-a2"),
        ("a:GGD b:AA", 2, [("a1", "a3"), ("a2", "")], "UNHEALTHY"),
        ("a:GGA b:AA", 2, [("a1", "a3"), ("a2", "")], "CREATE zone-a"),
        # No HSMs wanted, so none has to be healthy.
        ("a:XD b:", 0, [("a1", "a2")], "DELETE eni-a2"),
    ],
)
def test_a_degraded_hsm_is_replaced_once(
    drawn: str, wanted: int, replaced: list[tuple[str, str]], action: str
) -> None:
    assert planned(drawn, wanted, remembered(drawn, replaced=replaced)) == action


def test_a_degraded_replacement_is_named() -> None:
    memory = remembered("a:XD b:A", replaced=[("a1", "a2")])
    assert hsm_plan.next_action(drawn_cluster("a:XD b:A"), 1, memory) == Plan(
        "UNHEALTHY",
        message="hsm-a2 in zone-a is DEGRADED like the one before: AWS gives no reason",
    )


@pytest.mark.parametrize(
    ("drawn", "action"),
    [
        # Still listed as ACTIVE.
        ("a:AA b:A", "WAIT"),
        ("a:AAA b:A", "DELETE eni-a3"),
        ("a:AA b:", "CREATE zone-b"),
        # Listed as deleted.
        ("a:AG b:A", "WAIT"),
        ("a:AX b:A", "ALIGNED"),
        ("a:A b:A", "ALIGNED"),
    ],
)
def test_a_deleted_hsm_does_not_count_even_if_listed(drawn: str, action: str) -> None:
    assert planned(drawn, 1, remembered(drawn, deleted=["a2"])) == action


def test_an_hsm_without_interface_is_deleted_by_its_id() -> None:
    # botocore's shape Hsm requires HsmId only.
    assert planned("a:d b:A", 1) == "DELETE hsm-a1"
    assert planned("a:a b:A", 0) == "DELETE hsm-a1"


@pytest.mark.parametrize(
    ("drawn", "wanted", "leaves_two_zones"),
    [
        ("a:AA b:A", 1, True),
        ("a:A b:A", 0, False),
        ("a:AA", 1, False),
        # A DEGRADED HSM is useless to a key store, too.
        ("a:D b:A", 1, True),
    ],
)
def test_a_deletion_tells_whether_hsms_remain_in_two_zones(
    drawn: str, wanted: int, leaves_two_zones: bool
) -> None:
    plan = hsm_plan.next_action(drawn_cluster(drawn), wanted, NOTHING)
    assert (plan.next, plan.leaves_two_zones) == ("DELETE", leaves_two_zones)


@pytest.mark.parametrize(
    ("drawn", "replaced", "deleted", "status"),
    [
        ("a:AC b:A", [], [], "hsm-a2 in zone-a is still CREATE_IN_PROGRESS"),
        ("a:A b:G", [], [], "hsm-b1 in zone-b is still DELETE_IN_PROGRESS"),
        ("a:AA b:A", [], ["a2"], "hsm-a2 in zone-a was to be deleted and is still ACTIVE"),
        ("a:D b:A", [("a1", "")], [], "hsm-a1 in zone-a was to be deleted and is still DEGRADED"),
        ("a:A b:X", [], [], "The cluster is ACTIVE and still has 1 HSMs"),
    ],
)
def test_the_status_says_what_is_not_aligned(
    drawn: str, replaced: list[tuple[str, str]], deleted: list[str], status: str
) -> None:
    memory = remembered(drawn, replaced=replaced, deleted=deleted)
    assert hsm_plan.status(drawn_cluster(drawn), memory) == status


@pytest.mark.parametrize(
    ("drawn", "action"),
    [("a:A b:A", "WAIT"), ("a:A b:", "CREATE zone-b"), ("a:AA b:A", "DELETE eni-a2")],
)
def test_hsms_are_not_aligned_while_a_lost_call_may_take_effect(drawn: str, action: str) -> None:
    assert planned(drawn, 1, UNSETTLED) == action


@pytest.mark.parametrize(("seconds_ago", "settled"), [(-1, False), (0, True), (1, True)])
def test_a_lost_call_takes_effect_until_the_noted_time(seconds_ago: int, settled: bool) -> None:
    state = {"Created": [], "Replaced": [], "Deleted": [], "SettledAt": moment(seconds_ago)}
    assert Memory.of(state, drawn_cluster("a:A"), moment(0)).is_settled == settled
