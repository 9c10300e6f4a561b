"""A worker runs the step named in the event, and its errors name step and resource."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from cryptography.x509 import DuplicateExtension, ObjectIdentifier

from hsm_lifecycle import dispatch
from hsm_lifecycle.errors import ClusterInUseError, NotOwnedError, RefusedError, TransientError
from tests.support.account import OTHER_STACK_ID, STACK_ID

CLUSTER = "cluster-2example3id"


def describe_things(event: dispatch.Event) -> dict[str, Any]:
    error = event.get("Problem")
    if error:
        raise error
    return {"Of": event["ClusterId"]}


def count(event: dispatch.Event) -> dict[str, Any]:
    return {"Number": 1}


def whose(event: dispatch.Event) -> dict[str, Any]:
    return {"StackId": event["StackId"]}


HANDLE = dispatch.worker(whose, describe_things, count)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACK_ID", STACK_ID)


def asked(error: Exception | None = None, **more: Any) -> dict[str, Any]:
    return {"Step": "DescribeThings", "ClusterId": CLUSTER, "Problem": error, **more}


def failure(event: dict[str, Any]) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011  (any class, which the tests check)
        HANDLE(event, None)
    return caught.value


def refusal(code: str, message: str, status: int = 400) -> ClientError:
    result: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(result, "DeleteCluster")


def test_a_worker_runs_the_step_named_in_the_event() -> None:
    assert HANDLE(asked(), None) == {"Of": CLUSTER}
    assert HANDLE({"Step": "Count"}, None) == {"Number": 1}


def test_steps_have_the_names_of_their_states() -> None:
    assert dispatch.name_of(describe_things) == "DescribeThings"
    assert list(HANDLE.steps) == ["Whose", "DescribeThings", "Count"]  # type: ignore[attr-defined]  # set by worker()


def test_an_unknown_step_is_named_in_the_error() -> None:
    assert "DeleteThings" in str(failure({"Step": "DeleteThings"}))


def test_errors_of_the_package_retain_their_class() -> None:
    error = failure(asked(ClusterInUseError("KMS key store cks-1 uses the cluster.")))
    assert type(error) is ClusterInUseError
    assert str(error) == (f"DescribeThings: KMS key store cks-1 uses the cluster. [{CLUSTER}]")


def test_a_refusal_quotes_the_operation_code_and_message() -> None:
    error = failure(asked(refusal("CloudHsmInvalidRequestException", "It has HSMs.")))
    assert type(error) is RefusedError
    assert str(error) == (
        f"DescribeThings: DeleteCluster: CloudHsmInvalidRequestException: It has HSMs. [{CLUSTER}]"
    )


@pytest.mark.parametrize(
    "error",
    [refusal("ThrottlingException", "Slow down."), ConnectionClosedError(endpoint_url="https://x")],
)
def test_throttling_and_lost_connections_are_transient(error: Exception) -> None:
    assert type(failure(asked(error))) is TransientError


def test_the_id_is_appended_once() -> None:
    error = failure(asked(ClusterInUseError(f"It is in use. [{CLUSTER}]")))
    assert str(error) == f"DescribeThings: It is in use. [{CLUSTER}]"
    # A forged one, which is no regular expression.
    forged = failure(asked(ClusterInUseError("It is in use."), ClusterId="((["))
    assert str(forged) == "DescribeThings: It is in use. [(([]"


def test_the_key_stores_id_is_preferred_to_the_clusters() -> None:
    event = asked(RefusedError("No."), KeyStoreId="cks-1234567890abcdef0")
    assert str(failure(event)) == "DescribeThings: No. [cks-1234567890abcdef0]"


@pytest.mark.parametrize("known", [CLUSTER, "cks-1234567890abcdef0"])
def test_the_id_that_cloudformation_knows_is_appended(known: str) -> None:
    event = {"Step": "DescribeThings", "Problem": RefusedError("No."), "PhysicalResourceId": known}
    assert str(failure(event)) == f"DescribeThings: No. [{known}]"


def test_no_other_physical_id_is_appended() -> None:
    event = {"Step": "DescribeThings", "Problem": RefusedError("No."), "PhysicalResourceId": "hsm"}
    assert str(failure(event)) == "DescribeThings: No."


def test_no_id_is_appended_without_one() -> None:
    event = {"Step": "DescribeThings", "ClusterId": "", "Problem": RefusedError("No.")}
    assert str(failure(event)) == "DescribeThings: No."


@pytest.mark.parametrize(
    "error",
    [
        KeyError("HsmType"),
        json.JSONDecodeError("Expecting value", "", 0),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        DuplicateExtension("Duplicate extension", ObjectIdentifier("2.5.29.19")),
    ],
    ids=lambda error: type(error).__name__,
)
def test_unexpected_errors_name_step_error_and_id(error: Exception) -> None:
    raised = failure(asked(error))
    name = type(error).__name__
    assert name in (type(raised).__name__, *str(raised).replace(":", "").split())
    assert str(raised).startswith("DescribeThings: ")
    assert str(error) in str(raised)
    assert str(raised).endswith(f" [{CLUSTER}]")


def test_the_original_error_is_the_cause() -> None:
    error = refusal("CloudHsmInvalidRequestException", "It has HSMs.")
    assert failure(asked(error)).__cause__ is error


def test_a_step_logs_one_line_without_the_event(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG):
        HANDLE(asked(Password="secret-of-the-event"), None)
    (line,) = caplog.records
    assert line.getMessage() == "DescribeThings done"
    assert line.levelno == logging.INFO
    assert vars(line)["step"] == "DescribeThings"
    assert vars(line)["cluster"] == CLUSTER
    assert "secret-of-the-event" not in str(vars(line))


def test_a_step_sees_the_stack_of_its_function() -> None:
    assert HANDLE({"Step": "Whose"}, None) == {"StackId": STACK_ID}
    assert HANDLE({"Step": "Whose", "StackId": STACK_ID}, None) == {"StackId": STACK_ID}


@pytest.mark.parametrize("stack_id", [OTHER_STACK_ID, "", None])
def test_an_event_of_another_stack_is_refused(stack_id: str | None) -> None:
    error = failure({"Step": "Whose", "StackId": stack_id})
    assert type(error) is NotOwnedError
    assert str(error) == f"Whose: The request is of another stack: {stack_id}."
