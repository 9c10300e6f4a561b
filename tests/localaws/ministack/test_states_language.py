from __future__ import annotations

import json
from typing import Any

import pytest

from tests.localaws.ministack.support import Json, SampleStack, machine, role


@pytest.fixture(name="run")
def _run(stack: SampleStack) -> Any:
    """Runs a state machine of the states; returns status, error or output, and cause."""

    def run_states(states: Json, given: Any = None) -> tuple[str, Any, str]:
        resources = {"MachineRole": role("states"), "Machine": machine(states)}
        assert stack.create(resources) == "CREATE_COMPLETE", stack.events()
        execution = stack.run("Machine", given)
        result = execution.get("error") or json.loads(execution.get("output", "null"))
        return execution["status"], result, execution.get("cause", "")

    return run_states


def passing(**more: Any) -> Json:
    return {"Pass": {"Type": "Pass", "End": True, **more}}


def test_a_path_without_a_match_fails(run: Any) -> None:
    status, error, cause = run(passing(Parameters={"x.$": "$.nope.deep"}), {"other": 1})
    assert (status, error) == ("FAILED", "States.Runtime")
    assert "could not be found in the input '{\"other\": 1}'" in cause


@pytest.mark.parametrize("field", ["InputPath", "OutputPath"])
def test_an_input_or_output_path_without_a_match_fails(run: Any, field: str) -> None:
    assert run(passing(**{field: "$.nope"}), {})[:2] == ("FAILED", "States.Runtime")


def test_an_index_out_of_range_fails(run: Any) -> None:
    states = passing(Parameters={"x.$": "$.list[3]"})
    assert run(states, {"list": [1]})[:2] == ("FAILED", "States.Runtime")


def test_a_path_to_null_yields_null(run: Any) -> None:
    states = passing(Parameters={"x.$": "$.there"})
    assert run(states, {"there": None})[:2] == ("SUCCEEDED", {"x": None})


def test_a_path_with_indexes_yields_the_element(run: Any) -> None:
    states = passing(Parameters={"x.$": "$.Clusters[0].Hsms[1].State"})
    given = {"Clusters": [{"Hsms": [{"State": "ACTIVE"}, {"State": "DEGRADED"}]}]}
    assert run(states, given)[:2] == ("SUCCEEDED", {"x": "DEGRADED"})


def test_a_wildcard_yields_a_list(run: Any) -> None:
    states = passing(Parameters={"x.$": "$.Hsms[*].State"})
    given = {"Hsms": [{"State": "ACTIVE"}, {"State": "DEGRADED"}]}
    assert run(states, given)[1] == {"x": ["ACTIVE", "DEGRADED"]}


def test_an_unsupported_path_fails(run: Any) -> None:
    status, _, cause = run(passing(Parameters={"x.$": "$.Hsms[?(@.a==1)]"}), {"Hsms": []})
    assert status == "FAILED"
    assert "does not support" in cause


def choosing(rule: Json) -> Json:
    return {
        "Choose": {"Type": "Choice", "Choices": [{**rule, "Next": "Yes"}], "Default": "No"},
        "Yes": {"Type": "Pass", "Result": "yes", "End": True},
        "No": {"Type": "Pass", "Result": "no", "End": True},
    }


def test_a_choice_on_a_missing_variable_fails(run: Any) -> None:
    states = choosing({"Variable": "$.nope", "StringEquals": "x"})
    assert run(states, {})[:2] == ("FAILED", "States.Runtime")


@pytest.mark.parametrize(
    ("data", "branch"), [({}, "no"), ({"there": None}, "yes"), ({"there": 1}, "yes")]
)
def test_is_present_tells_whether_a_variable_exists(run: Any, data: Json, branch: str) -> None:
    assert run(choosing({"Variable": "$.there", "IsPresent": True}), data)[1] == branch


def test_a_comparison_guarded_by_is_present_does_not_fail(run: Any) -> None:
    present = {"Variable": "$.x", "IsPresent": True}
    rule = {"And": [present, {"Variable": "$.x", "StringEquals": "a"}]}
    assert run(choosing(rule), {})[1] == "no"


def test_an_unsupported_operator_fails(run: Any) -> None:
    states = choosing({"Variable": "$.a", "StringLessThanPath": "$.b"})
    status, _, cause = run(states, {"a": "1", "b": "2"})
    assert status == "FAILED"
    assert "does not support" in cause


def test_result_path_requires_an_object(run: Any) -> None:
    states = passing(Result=1, ResultPath="$.x")
    assert run(states, [])[:2] == ("FAILED", "States.ResultPathMatchFailure")


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("States.Format('{} of {} is {}', $.n, $.all, $.true)", "1 of [] is true"),
        ("States.Format('it\\'s {}', $.null)", "it's null"),
        ("States.Array($.n, 'a', States.Format('{}', $.n))", [1, "a", "1"]),
        ("States.JsonToString($.object)", '{"a":[1,2]}'),
        ("States.StringToJson('[1]')", [1]),
        ("States.ArrayLength($.object.a)", 2),
        ("States.MathAdd($.n, -3)", -2),
    ],
)
def test_intrinsic_functions(run: Any, expression: str, value: Any) -> None:
    given = {"n": 1, "true": True, "null": None, "object": {"a": [1, 2]}, "all": "[]"}
    assert run(passing(Parameters={"x.$": expression}), given)[1] == {"x": value}


def test_format_rejects_objects(run: Any) -> None:
    states = passing(Parameters={"x.$": "States.Format('{}', $.o)"})
    assert run(states, {"o": {}})[:2] == ("FAILED", "States.IntrinsicFailure")


def test_an_intrinsic_function_on_a_path_without_a_match_fails(run: Any) -> None:
    states = passing(Parameters={"x.$": "States.Format('{}', $.nope)"})
    assert run(states, {})[:2] == ("FAILED", "States.Runtime")


def test_a_fail_state_can_compute_its_error_and_cause(run: Any) -> None:
    fail = {
        "Type": "Fail",
        "ErrorPath": "$.Error",
        "CausePath": "States.Format('cluster {} is {}', $.Id, $.State)",
    }
    given = {"Error": "ClusterUnhealthy", "Id": "cluster-a", "State": "DEGRADED"}
    assert run({"Fail": fail}, given) == (
        "FAILED",
        "ClusterUnhealthy",
        "cluster cluster-a is DEGRADED",
    )


def test_states_all_does_not_catch_runtime_errors(run: Any) -> None:
    branch = {"StartAt": "Pass", "States": passing(Parameters={"x.$": "$.nope"})}
    states = {
        "Both": {
            "Type": "Parallel",
            "Branches": [branch],
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}],
            "Next": "Caught",
        },
        "Caught": {"Type": "Pass", "End": True},
    }
    assert run(states, {})[:2] == ("FAILED", "States.Runtime")


@pytest.mark.parametrize(("error", "caught"), [("Own", True), ("States.Timeout", False)])
def test_task_failed_catches_everything_but_timeouts(run: Any, error: str, caught: bool) -> None:
    branch = {"StartAt": "Fail", "States": {"Fail": {"Type": "Fail", "Error": error}}}
    states = {
        "Both": {
            "Type": "Parallel",
            "Branches": [branch],
            "Catch": [{"ErrorEquals": ["States.TaskFailed"], "Next": "Caught"}],
            "Next": "Caught",
        },
        "Caught": {"Type": "Pass", "End": True},
    }
    assert (run(states, {})[0] == "SUCCEEDED") == caught
