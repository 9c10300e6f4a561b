"""Clients, and what their errors mean to workflows."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ParamValidationError,
    ReadTimeoutError,
)

from hsm_lifecycle import aws, dispatch
from hsm_lifecycle.custom_resource import failure_reason
from hsm_lifecycle.errors import RefusedError, TransientError
from tests.support import step_source
from tests.templates.template import TEMPLATES

TRANSIENT = [
    "AccessDenied",
    "AccessDeniedException",
    "CloudHsmAccessDeniedException",
    "CloudHsmInternalFailureException",
    "CloudHsmServiceException",
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "InternalServiceError",
    "KMSInternalException",
    "RequestLimitExceeded",
    "ServiceUnavailable",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "UnauthorizedOperation",
]
REFUSED = [
    "CloudHsmInvalidRequestException",
    "CloudHsmResourceLimitExceededException",
    "CloudHsmResourceNotFoundException",
    "CloudHsmTagException",
    "CustomKeyStoreHasCMKsException",
    "InvalidGroup.NotFound",
    "InvalidInstanceId",
    "ResourceNotFoundException",
    "ValidationException",
]


@pytest.fixture(autouse=True)
def _fresh_clients() -> Iterator[None]:
    aws.client.cache_clear()
    yield
    aws.client.cache_clear()


def error(code: str, status: int = 400, message: str = "Said AWS.") -> ClientError:
    result: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(result, "CreateHsm")


# ---- errors


def test_throttling_and_internal_errors_are_transient_and_others_are_not() -> None:
    expected = dict.fromkeys(TRANSIENT, TransientError) | dict.fromkeys(REFUSED, RefusedError)
    assert {code: type(aws.to_workflow_error(error(code))) for code in expected} == expected


def test_the_message_names_the_operation_and_the_code() -> None:
    for code in (TRANSIENT[0], REFUSED[0]):
        assert str(aws.to_workflow_error(error(code))) == f"CreateHsm: {code}: Said AWS."


def test_http_5xx_and_429_are_transient_with_any_code() -> None:
    transient = [
        status
        for status in (400, 403, 404, 409, 429, 500, 502, 503, 504)
        if isinstance(aws.to_workflow_error(error("Unheard-of", status)), TransientError)
    ]
    assert transient == [429, 500, 502, 503, 504]


@pytest.mark.parametrize(
    "error",
    [
        ConnectTimeoutError(endpoint_url="https://cloudhsmv2.us-east-1.amazonaws.com"),
        EndpointConnectionError(endpoint_url="https://cloudhsmv2.us-east-1.amazonaws.com"),
        ReadTimeoutError(endpoint_url="https://cloudhsmv2.us-east-1.amazonaws.com"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_connection_errors_are_transient_and_name_the_endpoint(error: Exception) -> None:
    workflow_error = aws.to_workflow_error(error)
    assert type(workflow_error) is TransientError
    assert str(workflow_error).startswith(f"{type(error).__name__}: ")
    assert "cloudhsmv2.us-east-1" in str(workflow_error)


def test_an_unknown_request_parameter_means_an_old_boto3() -> None:
    error = ParamValidationError(report='Unknown parameter in input: "NetworkType"')
    workflow_error = aws.to_workflow_error(error)
    assert type(workflow_error) is RefusedError
    assert "boto3" in str(workflow_error)
    assert "NetworkType" in str(workflow_error)


@pytest.mark.parametrize("error", [KeyError("x"), RefusedError("no"), ValueError("y")])
def test_other_errors_are_unchanged(error: Exception) -> None:
    assert aws.to_workflow_error(error) is error


def test_an_error_without_message_is_accepted() -> None:
    result: Any = {"Error": {"Code": "Odd"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    assert str(aws.to_workflow_error(ClientError(result, "CreateHsm"))) == "CreateHsm: Odd: "


# ---- denials that pCloudHsmIamScope may explain


DENIED = "User: arn:aws:sts::123456789012:assumed-role/r is not authorized to perform: "


@pytest.mark.parametrize(
    ("scope", "operation", "code", "message", "named"),
    [
        ("TAG", "CreateHsm", "AccessDeniedException", f"{DENIED}cloudhsm:CreateHsm on", True),
        ("TAG", "TagResource", "CloudHsmAccessDeniedException", "", True),
        ("TAG", "CreateCluster", "CloudHsmAccessDeniedException", f"{DENIED}cloudhsm:TagR", True),
        # A dependent action is not scoped by tag, and neither are these two.
        ("TAG", "CreateHsm", "CloudHsmAccessDeniedException", f"{DENIED}ec2:DescribeVpcs", False),
        ("TAG", "DeleteHsm", "AccessDeniedException", f"{DENIED}cloudhsm:DeleteHsm on", False),
        ("TAG", "DeleteCluster", "AccessDeniedException", f"{DENIED}cloudhsm:Delete", False),
        ("TAG", "CreateHsm", "CloudHsmInvalidRequestException", "", False),
        ("ANY", "CreateHsm", "AccessDeniedException", f"{DENIED}cloudhsm:CreateHsm on", False),
        (None, "TagResource", "AccessDeniedException", "", False),
    ],
)
def test_a_denied_scoped_operation_names_the_parameter(
    monkeypatch: pytest.MonkeyPatch,
    scope: str | None,
    operation: str,
    code: str,
    message: str,
    named: bool,
) -> None:
    monkeypatch.delenv("CLOUDHSM_IAM_SCOPE", raising=False)
    if scope:
        monkeypatch.setenv("CLOUDHSM_IAM_SCOPE", scope)
    result: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": 400},
    }
    text = str(aws.to_workflow_error(ClientError(result, operation)))
    assert text.startswith(f"{operation}: {code}: {message}")
    assert text.endswith("set pCloudHsmIamScope=ANY (docs/operations.md).") == named


def test_the_stack_event_names_the_parameter_and_the_cluster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CLOUDHSM_IAM_SCOPE", "TAG")
    denied = (
        f"{DENIED}cloudhsm:CreateHsm on resource: arn:aws:cloudhsm:us-east-1:123456789012:cluster/"
        "cluster-22222222222222ab because no identity-based policy allows the action"
    )
    cause = aws.to_workflow_error(error("CloudHsmAccessDeniedException", message=denied))
    event = {"ClusterId": "cluster-22222222222222ab"}
    message = dispatch.failure_message("CreateFirstHsm", cause, event)
    reason = failure_reason.of({"Error": "TransientError", "Cause": message})
    assert reason.startswith(
        "TransientError: CreateFirstHsm: CreateHsm: CloudHsmAccessDeniedException: "
    )
    assert reason.endswith(
        "set pCloudHsmIamScope=ANY (docs/operations.md). [cluster-22222222222222ab]"
    )


# ---- clients


def test_requests_are_sent_once_by_default() -> None:
    # The CloudHSM API has no idempotency token: a retry could create a second HSM (F1.6).
    assert aws.client("cloudhsmv2").meta.config.retries["total_max_attempts"] == 1
    assert aws.client("stepfunctions", attempts=5).meta.config.retries["total_max_attempts"] == 5


def test_clients_are_cached() -> None:
    assert aws.client("cloudhsmv2") is aws.client("cloudhsmv2")


def test_requests_time_out_before_the_function() -> None:
    config = aws.client("cloudhsmv2").meta.config
    limits = [
        function["Timeout"]
        for template in TEMPLATES
        for function in template.of_type("AWS::Lambda::Function").values()
    ]
    assert config.connect_timeout + config.read_timeout < min(limits)


def test_only_aws_py_makes_clients() -> None:
    made = [
        name
        for name, tree in step_source.MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ("boto3." in (called := ast.unparse(node.func)) or "create_client" in called)
    ]
    assert made == ["aws"]


def test_only_response_py_imports_crhelper() -> None:
    importing = {
        name
        for name, tree in step_source.MODULES.items()
        for node in ast.walk(tree)
        if "crhelper" in ast.unparse(node)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert importing == {"custom_resource.response"}
