"""A worker runs the step that it is asked for, and says what went wrong in a sentence."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from cryptography.x509 import DuplicateExtension, ObjectIdentifier

from hsm_lifecycle import dispatch
from hsm_lifecycle.errors import ClusterInUseError, RefusedError, TransientError

CLUSTER = "cluster-2example3id"


def describe_things(event: dispatch.Event) -> dict[str, Any]:
    problem = event.get("Problem")
    if problem:
        raise problem
    return {"Of": event["ClusterId"]}


def count(event: dispatch.Event) -> dict[str, Any]:
    return {"Number": 1}


HANDLE = dispatch.worker(describe_things, count)


def asked(problem: Exception | None = None, **more: Any) -> dict[str, Any]:
    return {"Step": "DescribeThings", "ClusterId": CLUSTER, "Problem": problem, **more}


def failure(event: dict[str, Any]) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011  (any, for that is the point)
        HANDLE(event, None)
    return caught.value


def refusal(code: str, message: str, status: int = 400) -> ClientError:
    answer: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(answer, "DeleteCluster")


def test_the_step_that_the_event_names_is_run() -> None:
    assert HANDLE(asked(), None) == {"Of": CLUSTER}
    assert HANDLE({"Step": "Count"}, None) == {"Number": 1}


def test_a_step_is_named_like_its_state() -> None:
    assert dispatch.name_of(describe_things) == "DescribeThings"
    assert list(HANDLE.steps) == ["DescribeThings", "Count"]  # type: ignore[attr-defined]  # as it is for the wiring test


def test_a_step_that_the_worker_does_not_offer_is_named() -> None:
    assert "DeleteThings" in str(failure({"Step": "DeleteThings"}))


def test_an_error_of_ours_keeps_its_class_by_which_machines_know_it() -> None:
    problem = failure(asked(ClusterInUseError("KMS key store cks-1 uses the cluster.")))
    assert type(problem) is ClusterInUseError
    assert str(problem) == (f"DescribeThings: KMS key store cks-1 uses the cluster. [{CLUSTER}]")


def test_a_refusal_of_aws_says_which_call_was_refused_and_why() -> None:
    problem = failure(asked(refusal("CloudHsmInvalidRequestException", "It has HSMs.")))
    assert type(problem) is RefusedError
    assert str(problem) == (
        f"DescribeThings: DeleteCluster: CloudHsmInvalidRequestException: It has HSMs. [{CLUSTER}]"
    )


@pytest.mark.parametrize(
    "problem",
    [refusal("ThrottlingException", "Slow down."), ConnectionClosedError(endpoint_url="https://x")],
)
def test_what_may_pass_is_transient(problem: Exception) -> None:
    assert type(failure(asked(problem))) is TransientError


def test_the_id_stands_once_at_the_end() -> None:
    problem = failure(asked(ClusterInUseError(f"It is in use. [{CLUSTER}]")))
    assert str(problem) == f"DescribeThings: It is in use. [{CLUSTER}]"


def test_the_key_store_is_named_rather_than_its_cluster() -> None:
    event = asked(RefusedError("No."), KeyStoreId="cks-1234567890abcdef0")
    assert str(failure(event)) == "DescribeThings: No. [cks-1234567890abcdef0]"


def test_without_an_id_there_is_none_at_the_end() -> None:
    event = {"Step": "DescribeThings", "ClusterId": "", "Problem": RefusedError("No.")}
    assert str(failure(event)) == "DescribeThings: No."


@pytest.mark.parametrize(
    "problem",
    [
        KeyError("HsmType"),
        json.JSONDecodeError("Expecting value", "", 0),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        DuplicateExtension("Duplicate extension", ObjectIdentifier("2.5.29.19")),
    ],
    ids=lambda problem: type(problem).__name__,
)
def test_an_error_that_nobody_foresaw_gets_its_sentence_too(problem: Exception) -> None:
    raised = failure(asked(problem))
    name = type(problem).__name__
    assert name in (type(raised).__name__, *str(raised).replace(":", "").split())
    assert str(raised).startswith("DescribeThings: ")
    assert str(problem) in str(raised)
    assert str(raised).endswith(f" [{CLUSTER}]")


def test_where_it_was_raised_is_not_lost() -> None:
    problem = refusal("CloudHsmInvalidRequestException", "It has HSMs.")
    assert failure(asked(problem)).__cause__ is problem


def test_a_step_taken_is_one_line_of_the_log_with_its_id_and_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG):
        HANDLE(asked(Password="planted-in-the-event"), None)
    (line,) = caplog.records
    assert line.getMessage() == "DescribeThings done"
    assert line.levelno == logging.INFO
    assert vars(line)["step"] == "DescribeThings"
    assert vars(line)["cluster"] == CLUSTER
    assert "planted-in-the-event" not in str(vars(line))
