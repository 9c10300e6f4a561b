from __future__ import annotations

from typing import Any

import pytest

from localaws.core.api_error import ApiError
from localaws.core.faults import Faults


def test_a_call_fails_as_often_as_planted_and_after_as_many_as_are_let_pass() -> None:
    faults = Faults()
    faults.inject({"operation": "CreateHsm", "code": "Broken", "times": 2, "skip": 1})
    outcomes = []
    for _ in range(5):
        try:
            with faults.during("CreateHsm"):
                outcomes.append("done")
        except ApiError as refusal:
            outcomes.append(refusal.code)
    assert outcomes == ["done", "Broken", "Broken", "done", "done"]
    with faults.during("DescribeClusters"):
        pass


def test_a_call_fails_before_its_effect_or_after_it() -> None:
    faults, effects = Faults(), list[str]()
    faults.inject(
        [
            {"operation": "CreateHsm", "code": "First", "message": "no", "status": 503},
            {"operation": "CreateHsm", "code": "ConnectionLost", "when": "after"},
        ]
    )
    with pytest.raises(ApiError, match="First: no") as refusal, faults.during("CreateHsm"):
        effects.append("first")
    assert refusal.value.status == 503
    with pytest.raises(ApiError, match="ConnectionLost"), faults.during("CreateHsm"):
        effects.append("second")
    assert effects == ["second"]


def test_a_call_that_is_refused_on_its_merits_keeps_its_own_error() -> None:
    faults = Faults()
    faults.inject({"operation": "CreateHsm", "code": "ConnectionLost", "when": "after"})
    with pytest.raises(ApiError, match="Merits"), faults.during("CreateHsm"):
        raise ApiError("Merits", "no")
    assert faults.unused() == []


def test_the_clock_is_paused_after_the_effect() -> None:
    happened: list[str] = []
    faults = Faults(on_pause=lambda: happened.append("pause"))
    faults.inject({"operation": "CreateHsm", "pause": True})
    for _ in range(2):
        with faults.during("CreateHsm"):
            happened.append("effect")
    assert happened == ["effect", "pause", "effect"]


def test_hsms_changes_and_connections_fail_once_unless_told_otherwise() -> None:
    faults = Faults()
    faults.inject(
        [
            {"hsm": "DEGRADED", "skip": 1},
            {"modify": "ROLLBACK"},
            {"connect": "USER_NOT_FOUND", "times": 2},
        ]
    )
    assert [faults.hsm_state() for _ in range(3)] == ["ACTIVE", "DEGRADED", "ACTIVE"]
    assert [faults.rolls_back() for _ in range(2)] == [True, False]
    codes = [faults.connect_code() for _ in range(3)]
    assert codes == ["USER_NOT_FOUND", "USER_NOT_FOUND", None]


def test_a_script_fails_by_a_part_of_its_documents_name() -> None:
    faults = Faults()
    faults.inject({"script": "activate", "exit": 7, "stderr": "no"})
    assert faults.script_failure("install-cli") is None
    assert faults.script_failure("1-activate-cluster") == (7, "no")
    assert faults.script_failure("1-activate-cluster") is None


def test_downloads_are_spoiled_once() -> None:
    faults = Faults()
    faults.inject({"download": "corrupt"})
    assert [faults.download() for _ in range(2)] == ["corrupt", None]


def test_an_agent_stays_as_it_is_told() -> None:
    faults = Faults()
    assert faults.agent("i-1") == "online"
    faults.inject({"agent": "never"})
    faults.inject({"agent": "offline", "instance": "i-1"})
    assert [faults.agent("i-1"), faults.agent("i-2")] == ["offline", "never"]
    faults.inject({"agent": "online", "instance": "i-1"})
    assert faults.agent("i-1") == "online"


def test_a_request_is_delivered_twice() -> None:
    faults = Faults()
    faults.inject({"deliver": "twice", "request": "Create", "after": "Delete"})
    assert faults.second_delivery("Update") is None
    delivery = faults.second_delivery("Create")
    assert delivery is not None
    assert delivery["after"] == "Delete"
    assert faults.second_delivery("Create") is None


def test_a_worker_dies_at_its_step_before_or_after_it() -> None:
    faults = Faults()
    faults.inject({"lambda": "cluster", "step": "CreateHsm", "die": "after"})
    assert not faults.death("cloudhsm-1-cluster", "CreateHsm", "before")
    assert not faults.death("cloudhsm-1-cluster", "CreateCluster", "after")
    assert not faults.death("cloudhsm-1-client", "CreateHsm", "after")
    assert faults.death("cloudhsm-1-cluster", "CreateHsm", "after")
    assert not faults.death("cloudhsm-1-cluster", "CreateHsm", "after")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({}, "no kind of fault"),
        ({"hms": "DEGRADED"}, "no kind of fault"),
        ({"hsm": "GONE"}, "hsm must be one of"),
        ({"hsm": "DEGRADED", "exit": 1}, "knows no exit"),
        ({"operation": "CreateHsm"}, "Give a code, or pause"),
        ({"operation": "CreateHsm", "code": "X", "when": "later"}, "when must be one of"),
        ({"connect": "X", "times": 0}, "times must be"),
        ({"connect": "X", "skip": -1}, "times must be"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_and_none_is_planted(
    fault: dict[str, Any], words: str
) -> None:
    faults = Faults()
    with pytest.raises(ValueError, match=words):
        faults.inject([{"connect": "X"}, fault])
    assert faults.unused() == []


def test_what_still_waits_can_be_seen() -> None:
    faults = Faults()
    faults.inject({"connect": "X", "times": 2})
    faults.connect_code()
    assert faults.unused() == [{"connect": "X", "times": 1, "skip": 0}]


def test_the_effect_of_a_call_comes_late_only_for_that_call() -> None:
    faults = Faults()
    faults.inject({"late": "CreateCluster", "seconds": 90})
    assert faults.lateness("CreateHsm") is None
    assert faults.lateness("CreateCluster") == 90
    assert faults.lateness("CreateCluster") is None
    with pytest.raises(ValueError, match="Give seconds"):
        faults.inject({"late": "CreateCluster"})
