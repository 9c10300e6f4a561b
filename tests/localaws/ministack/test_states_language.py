from __future__ import annotations

import json
from typing import Any

import pytest

from localaws.client import LocalAws
from tests.localaws.ministack.support import Json, Try, machine, refusal, role


@pytest.fixture(name="machines")
def _machines(aws: LocalAws, stack: Try) -> Any:
    """Runs states, the first of them first: status, error or output, and cause."""

    def run(states: Json, given: Any = None) -> tuple[str, Any, str]:
        resources = {"MachineRole": role("states"), "Machine": machine(states)}
        assert stack.create(resources) == "CREATE_COMPLETE", stack.events()
        execution = stack.run("Machine", given)
        result = execution.get("error") or json.loads(execution.get("output", "null"))
        return execution["status"], result, execution.get("cause", "")

    return run


def passing(**more: Any) -> Json:
    return {"Pass": {"Type": "Pass", "End": True, **more}}


def test_a_path_that_leads_nowhere_fails(machines: Any) -> None:
    status, error, cause = machines(passing(Parameters={"x.$": "$.nope.deep"}), {"other": 1})
    assert (status, error) == ("FAILED", "States.Runtime")
    assert "could not be found in the input '{\"other\": 1}'" in cause


@pytest.mark.parametrize("field", ["InputPath", "OutputPath"])
def test_an_input_or_output_path_that_leads_nowhere_fails(machines: Any, field: str) -> None:
    assert machines(passing(**{field: "$.nope"}), {})[:2] == ("FAILED", "States.Runtime")


def test_an_index_that_is_not_there_fails(machines: Any) -> None:
    states = passing(Parameters={"x.$": "$.list[3]"})
    assert machines(states, {"list": [1]})[:2] == ("FAILED", "States.Runtime")


def test_a_path_to_null_gives_null(machines: Any) -> None:
    states = passing(Parameters={"x.$": "$.there"})
    assert machines(states, {"there": None})[:2] == ("SUCCEEDED", {"x": None})


def test_a_path_through_a_list_gives_its_element(machines: Any) -> None:
    states = passing(Parameters={"x.$": "$.Clusters[0].Hsms[1].State"})
    given = {"Clusters": [{"Hsms": [{"State": "ACTIVE"}, {"State": "DEGRADED"}]}]}
    assert machines(states, given)[:2] == ("SUCCEEDED", {"x": "DEGRADED"})


def test_a_wildcard_gives_a_list(machines: Any) -> None:
    states = passing(Parameters={"x.$": "$.Hsms[*].State"})
    given = {"Hsms": [{"State": "ACTIVE"}, {"State": "DEGRADED"}]}
    assert machines(states, given)[1] == {"x": ["ACTIVE", "DEGRADED"]}


def test_a_path_that_is_not_rehearsed_fails(machines: Any) -> None:
    status, _, cause = machines(passing(Parameters={"x.$": "$.Hsms[?(@.a==1)]"}), {"Hsms": []})
    assert status == "FAILED"
    assert "does not support" in cause


def choosing(rule: Json) -> Json:
    return {
        "Choose": {"Type": "Choice", "Choices": [{**rule, "Next": "Yes"}], "Default": "No"},
        "Yes": {"Type": "Pass", "Result": "yes", "End": True},
        "No": {"Type": "Pass", "Result": "no", "End": True},
    }


def test_a_choice_on_a_variable_that_is_not_there_fails(machines: Any) -> None:
    states = choosing({"Variable": "$.nope", "StringEquals": "x"})
    assert machines(states, {})[:2] == ("FAILED", "States.Runtime")


@pytest.mark.parametrize(
    ("given", "answer"), [({}, "no"), ({"there": None}, "yes"), ({"there": 1}, "yes")]
)
def test_a_choice_may_ask_whether_a_variable_is_there(
    machines: Any, given: Json, answer: str
) -> None:
    assert machines(choosing({"Variable": "$.there", "IsPresent": True}), given)[1] == answer


def test_a_choice_guarded_by_presence_does_not_fail(machines: Any) -> None:
    present = {"Variable": "$.x", "IsPresent": True}
    rule = {"And": [present, {"Variable": "$.x", "StringEquals": "a"}]}
    assert machines(choosing(rule), {})[1] == "no"


def test_an_operator_that_is_not_rehearsed_fails(machines: Any) -> None:
    states = choosing({"Variable": "$.a", "StringLessThanPath": "$.b"})
    status, _, cause = machines(states, {"a": "1", "b": "2"})
    assert status == "FAILED"
    assert "does not support" in cause


def test_a_result_needs_an_object_to_go_into(machines: Any) -> None:
    states = passing(Result=1, ResultPath="$.x")
    assert machines(states, [])[:2] == ("FAILED", "States.ResultPathMatchFailure")


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
def test_intrinsic_functions_give_what_they_give_on_aws(
    machines: Any, expression: str, value: Any
) -> None:
    given = {"n": 1, "true": True, "null": None, "object": {"a": [1, 2]}, "all": "[]"}
    assert machines(passing(Parameters={"x.$": expression}), given)[1] == {"x": value}


def test_format_takes_no_objects(machines: Any) -> None:
    states = passing(Parameters={"x.$": "States.Format('{}', $.o)"})
    assert machines(states, {"o": {}})[:2] == ("FAILED", "States.IntrinsicFailure")


def test_an_intrinsic_function_of_a_path_that_leads_nowhere_fails(machines: Any) -> None:
    states = passing(Parameters={"x.$": "States.Format('{}', $.nope)"})
    assert machines(states, {})[:2] == ("FAILED", "States.Runtime")


def test_a_fail_state_may_compose_its_error_and_cause(machines: Any) -> None:
    fail = {
        "Type": "Fail",
        "ErrorPath": "$.Error",
        "CausePath": "States.Format('cluster {} is {}', $.Id, $.State)",
    }
    given = {"Error": "ClusterUnhealthy", "Id": "cluster-a", "State": "DEGRADED"}
    assert machines({"Fail": fail}, given) == (
        "FAILED",
        "ClusterUnhealthy",
        "cluster cluster-a is DEGRADED",
    )


def test_runtime_errors_are_not_caught_by_states_all(machines: Any) -> None:
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
    assert machines(states, {})[:2] == ("FAILED", "States.Runtime")


@pytest.mark.parametrize(("error", "caught"), [("Own", True), ("States.Timeout", False)])
def test_task_failed_catches_everything_but_time_outs(
    machines: Any, error: str, caught: bool
) -> None:
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
    assert (machines(states, {})[0] == "SUCCEEDED") == caught


@pytest.mark.parametrize(
    ("states", "words"),
    [
        ({"A": {"Type": "Pass", "Next": "Nowhere"}}, "Missing 'Next' target: Nowhere"),
        ({"A": {"Type": "Pass"}}, "Exactly one of Next and End"),
        ({"A": {"Type": "Pass", "End": True}, "B": {"Type": "Succeed"}}, '"B" is not reachable'),
        ({"A": {"Type": "Task", "Resource": "x", "End": True}}, "not a valid resource ARN"),
        ({"A": {"Type": "Task", "Resource": "arn:${X}", "End": True}}, "not substituted"),
        (
            {
                "A": {
                    "Type": "Task",
                    "Resource": "arn:aws:lambda:us-east-1:123456789012:function:x",
                    "Retry": [{"ErrorEquals": ["A", "States.ALL"]}],
                    "End": True,
                }
            },
            "must appear alone",
        ),
    ],
)
def test_a_definition_that_makes_no_sense_is_refused(
    aws: LocalAws, states: Json, words: str
) -> None:
    code, message = refusal(
        aws.client("stepfunctions").create_state_machine,
        name="nonsense",
        definition=json.dumps({"StartAt": "A", "States": states}),
        roleArn="arn:aws:iam::123456789012:role/none",
    )
    assert code == "InvalidDefinition"
    assert words in message
