from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError

from scripts.stack.account import Account
from scripts.stack.workflows import Cause, Workflows
from tests.scripts.stack.recorded import START, Executions, at

REQUEST = "update-0123-4567"
LONG = "pClientPkgUrl: the package was not installed. " + "dnf says no. " * 40


class Stub(Account):
    """An account whose Step Functions has these executions."""

    def __init__(self, executions: Executions) -> None:
        super().__init__()
        self._executions = executions

    def client(self, service: str) -> Any:
        assert service == "stepfunctions"
        return self._executions


def cause(executions: Executions, **options: Any) -> Cause | None:
    return Workflows(Stub(executions), executions.machines()).cause(at(100), **options)


def raised(error: str, message: str) -> str:
    return json.dumps({"errorType": error, "errorMessage": message, "trace": ["line"]})


def test_the_cause_is_the_innermost_and_in_full() -> None:
    executions = Executions()
    inner = executions.add(
        "run-on-client", "0a1b", "SendCommand", error="CommandFailed", cause=LONG
    )
    child = {"ExecutionArn": inner, "Error": "CommandFailed", "Cause": LONG[:100]}
    executions.add(
        "update-cluster", REQUEST, "Install", error="States.TaskFailed", cause=json.dumps(child)
    )
    found = cause(executions)
    assert found is not None
    assert found.message == LONG
    assert (found.machine, found.state) == ("hsm-1-run-on-client", "SendCommand")
    assert found.console == (
        "https://us-east-1.console.aws.amazon.com/states/home?region=us-east-1"
        f"#/v2/executions/details/{inner}"
    )


def test_a_cause_that_aws_cut_still_leads_to_the_child() -> None:
    executions = Executions()
    inner = executions.add("align-hsms", "0a1b", "DescribeHsms", error="X", cause=LONG)
    cut = json.dumps({"ExecutionArn": inner, "Cause": LONG}, separators=(",", ":"))[:-40]
    executions.add("update-cluster", REQUEST, "AlignHsms", error="States.TaskFailed", cause=cut)
    found = cause(executions)
    assert found is not None
    assert found.arn == inner


def test_a_child_that_ended_without_a_cause_is_found_by_its_parent() -> None:
    executions = Executions()
    parent = executions.add("update-cluster", REQUEST, "AlignHsms", error="States.TaskFailed")
    given = json.dumps({"AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": parent})
    executions.add("align-hsms", "0a1b", "WaitForHsms", status="TIMED_OUT", input=given)
    found = cause(executions)
    assert found is not None
    assert (found.machine, found.message) == ("hsm-1-align-hsms", "It did not end in time.")


def test_the_exception_of_a_function_is_unwrapped_and_its_task_named() -> None:
    executions = Executions()
    text = raised("ParameterError", "pSubnets: no.")
    executions.add("update-cluster", REQUEST, "CheckUpdate", "UpdateFailed", error="E", cause=text)
    found = cause(executions)
    assert found is not None
    assert (found.state, found.error, found.message) == (
        "CheckUpdate",
        "ParameterError",
        "pSubnets: no.",
    )


def test_a_failure_that_a_workflow_handled_is_no_reason() -> None:
    executions = Executions()
    executions.add("run-on-client", "0a1b", "SendCommand", error="E", cause="handled")
    executions.add("update-cluster", REQUEST, status="SUCCEEDED")
    assert cause(executions) is None


def test_a_rollback_s_failure_does_not_hide_the_request_s() -> None:
    executions = Executions()
    executions.add("update-cluster", "update-later", error="E", cause="later", stopDate=at(300))
    executions.add("update-cluster", REQUEST, "CheckUpdate", error="E", cause="first")
    found = cause(executions)
    assert found is not None
    assert found.message == "first"


def test_only_a_detached_execution_fails_after_a_request_that_succeeded() -> None:
    executions = Executions()
    name = f"{REQUEST}-detached"
    executions.add("align-hsms", name, "DescribeHsms", error="E", cause="an HSM is DEGRADED")
    assert cause(executions) is None
    found = cause(executions, detached=True)
    assert found is not None
    assert found.message == "an HSM is DEGRADED"


def test_a_machine_that_was_deleted_with_its_stack_has_no_cause() -> None:
    class Deleted(Executions):
        def list_executions(self, **request: Any) -> Any:
            error = {"Error": {"Code": "StateMachineDoesNotExist", "Message": "gone"}}
            raise ClientError(error, "ListExecutions")

    executions = Deleted()
    executions.add("create-cluster", "create-0123", error="E", cause="gone")
    assert cause(executions) is None


def test_an_earlier_request_s_failure_is_left_out() -> None:
    executions = Executions()
    executions.add("update-cluster", REQUEST, error="E", cause="old", startDate=START)
    assert cause(executions) is None


def test_a_polling_workflow_is_in_the_state_for_which_it_waits() -> None:
    executions = Executions()
    polls = ["WaitForHsms", "DescribeHsms", "IsHsmReady"] * 3
    executions.add("handle-request", REQUEST, "RunLifecycle", status="RUNNING")
    executions.add("align-hsms", "0a1b", "CreateHsms", *polls, status="RUNNING", startDate=at(130))
    executions.add("update-cluster", REQUEST, "AlignHsms", status="RUNNING")
    running = Workflows(Stub(executions), executions.machines()).running(at(100))
    assert [(trace.label, trace.state) for trace in running] == [
        ("hsm-1-handle-request", "RunLifecycle"),
        ("hsm-1-update-cluster", "AlignHsms"),
        ("hsm-1-align-hsms", "WaitForHsms"),
    ]
    assert running[2].spans[-1].start == 31


def test_the_console_s_address_is_that_of_the_partition() -> None:
    arn = "arn:aws-us-gov:states:us-gov-west-1:123456789012:execution:m:e"
    assert Cause("m", "s", "", "", arn).console == (
        "https://console.amazonaws-us-gov.com/states/home?region=us-gov-west-1"
        f"#/v2/executions/details/{arn}"
    )
