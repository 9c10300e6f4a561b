"""The reason in a stack event, out of the nested causes of Step Functions."""

from __future__ import annotations

import json

import pytest

from hsm_lifecycle.custom_resource import failure_reason
from hsm_lifecycle.custom_resource.history import Task
from tests.support.custom_resource import CLUSTER, description, failed

FUNCTION_FAILURE = json.dumps(
    {"errorMessage": "Subnets a and b are in one zone.", "errorType": "ParameterError"}
)


def nested(levels: int, error: str, cause: str) -> dict[str, str]:
    """A failure inside this many nested executions."""
    for _ in range(levels):
        error, cause = "States.TaskFailed", description(Error=error, Cause=cause)
    return failed(error, cause)


@pytest.mark.parametrize("levels", [0, 1, 2, 3])
def test_a_functions_message_is_found_at_any_depth(levels: int) -> None:
    failure = nested(levels, "ParameterError", FUNCTION_FAILURE)
    assert failure_reason.of(failure) == "ParameterError: Subnets a and b are in one zone."


@pytest.mark.parametrize("levels", [0, 1, 2, 3])
def test_a_fail_states_cause_is_found_at_any_depth(levels: int) -> None:
    failure = nested(levels, "HsmDegraded", f"hsm-abc is DEGRADED. [{CLUSTER}]")
    assert failure_reason.of(failure) == f"HsmDegraded: hsm-abc is DEGRADED. [{CLUSTER}]"
    assert failure_reason.created_id(failure_reason.of(failure)) == CLUSTER


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (
            {"Status": "TIMED_OUT", "Error": "States.Timeout"},
            "The workflow hsm-1-create-cluster did not end within its time limit."
            " Set pReconcile to a new value to retry.",
        ),
        (
            {"Status": "ABORTED"},
            "The workflow hsm-1-create-cluster was stopped by an operator."
            " Set pReconcile to a new value to retry.",
        ),
        (
            {"Error": "States.Runtime"},
            "The workflow hsm-1-create-cluster failed: States.Runtime."
            " Set pReconcile to a new value to retry.",
        ),
    ],
)
def test_an_execution_without_a_cause_gets_a_reason(end: dict[str, str], reason: str) -> None:
    assert failure_reason.of(failed("States.TaskFailed", description(**end))) == reason


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ({"Status": "TIMED_OUT"}, "did not end within its time limit."),
        (
            {"Error": "Runtime.ExitError", "Cause": '{"errorMessage": "signal: killed"}'},
            "failed: Runtime.ExitError (signal: killed).",
        ),
    ],
)
def test_a_lost_command_is_named_with_its_instance_and_cluster(
    end: dict[str, str], reason: str
) -> None:
    request = {
        "ClusterId": CLUSTER,
        "Client": {"InstanceId": "i-1"},
        "DocumentName": "hsm-rActivateClusterDocument-1X2Y",
    }
    for given in (request, json.dumps(request)):
        failure = failed("States.TaskFailed", description(**end, Input=given))
        assert failure_reason.of(failure) == (
            f"The workflow hsm-1-create-cluster (ActivateCluster on i-1) {reason}"
            f" Set pReconcile to a new value to retry. [{CLUSTER}]"
        )
        assert failure_reason.created_id(failure_reason.of(failure)) == CLUSTER


ARN = "arn:aws:{}:us-east-1:123456789012:{}"
DENIED = (
    "User: arn:aws:sts::123456789012:assumed-role/hsm-1-Role-A1/x is not authorized to perform: {}"
    " on resource: {} because no identity-based policy allows it"
    " (Service: AWSLambda; Error Code: AccessDeniedException; Proxy: null)"
)


@pytest.mark.parametrize(
    ("error", "cause", "said"),
    [
        (
            "Lambda.AWSLambdaException",
            DENIED.format("lambda:InvokeFunction", ARN.format("lambda", "function:hsm-1-cluster")),
            "lambda:InvokeFunction on hsm-1-cluster was denied (AccessDeniedException)."
            " Allow it, also in SCPs.",
        ),
        (
            "StepFunctions.AccessDeniedException",
            "User is not authorized to perform: states:StartExecution",
            "states:StartExecution was denied (StepFunctions.AccessDeniedException)."
            " Allow it, also in SCPs.",
        ),
        (
            "Lambda.ResourceNotFoundException",
            f"Function not found: {ARN.format('lambda', 'function:hsm-1-cluster')}",
            "hsm-1-cluster does not exist (Lambda.ResourceNotFoundException). Recreate it.",
        ),
        (
            "StepFunctions.StateMachineDoesNotExistException",
            f"State Machine Does Not Exist: '{ARN.format('states', 'stateMachine:hsm-1-align')}'",
            "hsm-1-align does not exist (StepFunctions.StateMachineDoesNotExistException)."
            " Recreate it.",
        ),
    ],
)
def test_a_call_of_step_functions_is_named_with_step_resource_code_and_advice(
    error: str, cause: str, said: str
) -> None:
    failure = failed("States.TaskFailed", description(Error=error, Cause=cause))
    found = []

    def find(execution_arn: str, error: str) -> Task:
        found.append((execution_arn.split(":")[6], error))
        return Task("AlignHsms", {"Cluster": {"Id": CLUSTER}})

    assert failure_reason.of(failure, "Delete", find) == (
        f"AlignHsms of hsm-1-create-cluster: {said} Delete the stack again. [{CLUSTER}]"
    )
    assert found == [("hsm-1-create-cluster", error)]


def test_a_lifecycle_that_cannot_be_started_has_a_reason() -> None:
    cause = DENIED.format("states:StartExecution", ARN.format("states", "stateMachine:hsm-1-x"))
    failure = failed("StepFunctions.AWSStepFunctionsException", cause)
    assert failure_reason.of(failure, "Create") == (
        "RunLifecycle: states:StartExecution on hsm-1-x was denied (AccessDeniedException)."
        " Allow it, also in SCPs. Delete the stack and create it again."
    )


def test_a_failure_without_a_cause_is_named() -> None:
    assert failure_reason.of({"Error": "States.Timeout"}) == "States.Timeout"


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_a_functions_message_is_found_in_a_truncated_cause(levels: int) -> None:
    failure = nested(levels, "ParameterError", FUNCTION_FAILURE)
    said = failure["Cause"].index("one zone.") + len("one zone.")
    for end in (said, said + 5, len(failure["Cause"]) - 1):
        cut = {**failure, "Cause": failure["Cause"][:end]}
        assert "Subnets a and b are in one zone." in failure_reason.of(cut)


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_a_fail_states_cause_is_found_in_a_truncated_cause(levels: int) -> None:
    failure = nested(levels, "HsmDegraded", f"hsm-abc is DEGRADED. [{CLUSTER}]")
    said = failure["Cause"].index("DEGRADED.") + len("DEGRADED.")
    reason = failure_reason.of({**failure, "Cause": failure["Cause"][:said]})
    assert "hsm-abc is DEGRADED." in reason
    assert "ExecutionArn" not in reason


@pytest.mark.parametrize("error", ["CommandFailed", "RefusedError", "ValidationException"])
def test_what_aws_said_is_followed_by_advice(error: str) -> None:
    failure = nested(1, error, f"CreateHsm: CloudHsmServiceException: No [{CLUSTER}]")
    said = f"{error}: CreateHsm: CloudHsmServiceException: No."
    for request_type, advice in failure_reason.RETRY.items():
        reason = failure_reason.of(failure, request_type)
        assert reason == f"{said} {advice} [{CLUSTER}]"
        assert failure_reason.created_id(reason) == CLUSTER


def test_nothing_that_aws_said_is_cut_for_advice() -> None:
    said = f"CreateHsm: AccessDenied: {'x' * 160} [{CLUSTER}]"
    assert failure_reason.of(nested(1, "RefusedError", said)) == f"RefusedError: {said}"


def test_a_long_reason_is_cut_in_the_middle() -> None:
    message = "First it says what happened, and then " + "very " * 200 + f"much more. [{CLUSTER}]"
    reason = failure_reason.of(failed("CommandFailed", message))
    assert len(reason) <= 240
    assert reason.startswith("CommandFailed: First it says what happened")
    assert reason.endswith(f"much more. [{CLUSTER}]")
    assert " ... " in reason


def test_a_reason_is_one_line() -> None:
    failure = failed("CommandFailed", "It said:\n  no\n\tway")
    assert failure_reason.of(failure) == (
        "CommandFailed: It said: no way. Set pReconcile to a new value to retry."
    )


@pytest.mark.parametrize(
    "message",
    [
        "Nothing was made.",
        "[cluster-2example3id] stood at the beginning.",
        "an array [1]",
        "[Not-an-id]",
    ],
)
def test_created_id_needs_an_id_in_brackets_at_the_end(message: str) -> None:
    assert failure_reason.created_id(message) is None
