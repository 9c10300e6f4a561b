from __future__ import annotations

from typing import Any

import pytest

from localaws.core.api_error import ApiError
from localaws.core.faults import Faults


def test_an_operation_fault_skips_calls_and_then_fails_as_many_as_given() -> None:
    faults = Faults()
    faults.inject({"operation": "CreateHsm", "code": "Broken", "times": 2, "skip": 1})
    outcomes = []
    for _ in range(5):
        try:
            with faults.during("CreateHsm"):
                outcomes.append("done")
        except ApiError as error:
            outcomes.append(error.code)
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
    with pytest.raises(ApiError, match="First: no") as error, faults.during("CreateHsm"):
        effects.append("first")
    assert error.value.status == 503
    with pytest.raises(ApiError, match="ConnectionLost"), faults.during("CreateHsm"):
        effects.append("second")
    assert effects == ["second"]


def test_a_call_that_fails_on_its_own_keeps_its_error_and_uses_up_the_fault() -> None:
    faults = Faults()
    faults.inject({"operation": "CreateHsm", "code": "ConnectionLost", "when": "after"})
    with pytest.raises(ApiError, match="OwnError"), faults.during("CreateHsm"):
        raise ApiError("OwnError", "no")
    assert faults.unused() == []


def test_a_pause_follows_the_effect() -> None:
    happened: list[str] = []
    faults = Faults(on_pause=lambda: happened.append("pause"))
    faults.inject({"operation": "CreateHsm", "pause": True})
    for _ in range(2):
        with faults.during("CreateHsm"):
            happened.append("effect")
    assert happened == ["effect", "pause", "effect"]


def test_a_task_fault_matches_a_task_of_a_state_machine() -> None:
    faults = Faults()
    faults.inject({"task": "AlignHsms", "machine": "update", "code": "Broken"})
    faults.inject({"task": "*", "code": "Lost", "when": "after", "skip": 1})
    calls = [("x-create-cluster", "AlignHsms"), ("x-update-cluster", "AlignHsms"), ("x", "Other")]
    taken = [faults.task_failure(*call) for call in calls]
    assert [fault and fault["code"] for fault in taken] == [None, "Broken", "Lost"]
    assert faults.unused() == []


def test_hsms_type_changes_and_connections_fail_once_by_default() -> None:
    faults = Faults()
    faults.inject(
        [
            {"hsm": "DEGRADED", "skip": 1},
            {"hsm_identity": "forged"},
            {"modify": "ROLLBACK"},
            {"connect": "USER_NOT_FOUND", "times": 2},
        ]
    )
    assert [faults.hsm_state() for _ in range(3)] == ["ACTIVE", "DEGRADED", "ACTIVE"]
    assert [faults.rolls_back() for _ in range(2)] == [True, False]
    assert [faults.hsm_identity() for _ in range(2)] == ["forged", ""]
    codes = [faults.connect_code() for _ in range(3)]
    assert codes == ["USER_NOT_FOUND", "USER_NOT_FOUND", None]


def test_a_script_fault_matches_part_of_the_document_name() -> None:
    faults = Faults()
    faults.inject({"script": "activate", "exit": 7, "stderr": "no"})
    assert faults.script_failure("install-cli") is None
    assert faults.script_failure("1-activate-cluster") == (7, "no")
    assert faults.script_failure("1-activate-cluster") is None


def test_a_download_fault_applies_once() -> None:
    faults = Faults()
    faults.inject({"download": "corrupt"})
    assert [faults.download() for _ in range(2)] == ["corrupt", None]


def test_a_fault_of_the_cli_matches_the_beginning_of_the_command() -> None:
    faults = Faults()
    faults.inject({"cli": "user", "exit": 0, "error_code": 1, "times": 2})
    assert faults.cli_failure("cluster activate") is None
    assert [bool(faults.cli_failure("user list")) for _ in range(3)] == [True, True, False]


def test_cloud_init_and_starts_fail_once_by_default() -> None:
    faults = Faults()
    faults.inject([{"cloud_init": 2}, {"start": "stopped"}, {"start": "stopped", "reason": "X"}])
    assert [faults.cloud_init() for _ in range(2)] == [2, 0]
    assert [faults.start_failure() for _ in range(3)] == ["Client.InternalError", "X", None]


def test_an_agent_fault_lasts_until_it_is_replaced() -> None:
    faults = Faults()
    assert faults.agent("i-1") == "online"
    faults.inject({"agent": "never"})
    faults.inject({"agent": "offline", "instance": "i-1"})
    assert [faults.agent("i-1"), faults.agent("i-2")] == ["offline", "never"]
    faults.inject({"agent": "online", "instance": "i-1"})
    assert faults.agent("i-1") == "online"


def test_a_delivery_fault_matches_the_request_type() -> None:
    faults = Faults()
    faults.inject({"deliver": "twice", "request": "Create", "after": "Delete"})
    assert faults.delivery("Update") is None
    delivery = faults.delivery("Create")
    assert delivery is not None
    assert delivery["after"] == "Delete"
    assert faults.delivery("Create") is None


def test_a_function_dies_at_its_step_and_moment() -> None:
    faults = Faults()
    faults.inject({"lambda": "cluster", "step": "CreateHsm", "die": "after"})
    assert not faults.death("cloudhsm-1-cluster", "CreateHsm", "before")
    assert not faults.death("cloudhsm-1-cluster", "CreateCluster", "after")
    assert not faults.death("cloudhsm-1-client", "CreateHsm", "after")
    assert faults.death("cloudhsm-1-cluster", "CreateHsm", "after")
    assert not faults.death("cloudhsm-1-cluster", "CreateHsm", "after")


INVALID_FAULTS: dict[str, list[dict[str, Any]]] = {
    "unknown kind of fault": [{}, {"hms": "DEGRADED"}],
    "hsm must be one of": [{"hsm": "GONE"}],
    "cloud_init must be one of": [{"cloud_init": 3}],
    "start must be one of": [{"start": "running"}],
    "cannot have exit": [{"hsm": "DEGRADED", "exit": 1}],
    "give code, pause or kill": [{"operation": "CreateHsm"}],
    "when must be one of": [{"operation": "CreateHsm", "code": "X", "when": "later"}],
    "times must be": [{"connect": "X", "times": 0}, {"connect": "X", "skip": -1}],
    "AlignHsms: give code": [{"task": "AlignHsms"}],
    "give seconds": [{"late": "CreateCluster"}],
}


def test_an_invalid_fault_is_rejected_with_all_others_of_the_request() -> None:
    faults = Faults()
    for message, invalid in INVALID_FAULTS.items():
        for fault in invalid:
            with pytest.raises(ValueError, match=message):
                faults.inject([{"connect": "X"}, fault])
    assert faults.unused() == []


def test_unused_lists_the_faults_left() -> None:
    faults = Faults()
    faults.inject({"connect": "X", "times": 2})
    faults.connect_code()
    assert faults.unused() == [{"connect": "X", "times": 1, "skip": 0}]


def test_clear_forgets_the_faults_left() -> None:
    faults = Faults()
    faults.inject({"connect": "X", "times": 2})
    faults.clear()
    assert faults.unused() == []
    assert faults.connect_code() is None


def test_a_late_fault_matches_its_operation() -> None:
    faults = Faults()
    faults.inject({"late": "CreateCluster", "seconds": 90})
    assert faults.lateness("CreateHsm") is None
    assert faults.lateness("CreateCluster") == 90
    assert faults.lateness("CreateCluster") is None
