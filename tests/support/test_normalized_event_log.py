from __future__ import annotations

from tests.support.normalized_event_log import normalize, without_random_ids

NAMES = {
    "cluster-2abcdefghij": "cluster-*",
    "hsm-zyxwvutsrq7": "hsm-*",
    "backup-abcdefghijk": "backup-*",
    "i-0123456789abcdef0": "i-*",
    "cks-0123456789abcdef0": "cks-*",
    "hsm-rFunction-1ABCDEFGHIJ2K": "hsm-rFunction-*",
    "01234567-89ab-cdef-0123-456789abcdef": "*",
    "01234567-89ab-cdef-0123-456789012345": "*",
    "cloudhsm-1-create-cluster": "cloudhsm-1-create-cluster",
    "hsm": "hsm",
}


def test_random_ids_are_replaced() -> None:
    assert {name: without_random_ids(name) for name in NAMES} == NAMES


def test_runs_that_differ_in_ids_and_in_order_within_a_second_are_equal() -> None:
    one = {"at": 5.0, "service": "cloudhsm", "subject": "hsm-aaaaaaaaaaa", "event": "ACTIVE"}
    two = {"at": 5.0, "service": "cloudhsm", "subject": "hsm-bbbbbbbbbbb", "event": "DELETED"}
    assert normalize([one, two]) == normalize(
        [{**two, "subject": "hsm-ccccccccccc"}, {**one, "subject": "hsm-ddddddddddd"}]
    )


def test_an_event_a_second_later_is_different() -> None:
    event = {"at": 5.0, "service": "states", "subject": "align", "event": "StateEntered"}
    assert normalize([event]) != normalize([{**event, "at": 6.0}])


def test_states_and_steps_are_compared() -> None:
    event = {"at": 5.0, "service": "states", "subject": "align", "event": "StateEntered"}
    assert normalize([{**event, "state": "CreateHsm"}]) == [
        (5.0, "states", "align", "StateEntered CreateHsm")
    ]
