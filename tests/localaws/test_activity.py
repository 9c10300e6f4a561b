from __future__ import annotations

from typing import Any

import pytest

from localaws import activity


def event(service: str, subject: str, name: str, **details: Any) -> dict[str, Any]:
    return {"at": 727.0, "service": service, "subject": subject, "event": name, **details}


EXECUTION = ("states", "hsm-1-align-hsms")


@pytest.mark.parametrize(
    ("happened", "line"),
    [
        (
            event("cloudformation", "hsm", "CREATE_COMPLETE", stack="hsm"),
            "stack hsm CREATE_COMPLETE",
        ),
        (event(*EXECUTION, "ExecutionStarted"), "execution hsm-1-align-hsms started"),
        (event(*EXECUTION, "ExecutionFailed"), "execution hsm-1-align-hsms failed"),
        (
            event("cloudhsm", "hsm-b", "ACTIVE", zone="us-east-1a"),
            "HSM hsm-b us-east-1a ACTIVE",
        ),
        (event("cloudhsm", "cluster-a", "INITIALIZED"), "cluster cluster-a INITIALIZED"),
        (event("kms", "cks-c", "CONNECTED"), "key store cks-c CONNECTED"),
    ],
)
def test_a_request_an_execution_and_a_state_have_a_line(
    happened: dict[str, Any], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    activity.show(happened)
    assert capsys.readouterr() == ("", f"   12:07  {line}\n")


@pytest.mark.parametrize(
    "happened",
    [
        event("cloudformation", "rRole", "CREATE_COMPLETE", stack="hsm"),
        event(*EXECUTION, "StateEntered", state="WaitForHsms"),
        event("lambda", "hsm-1-cluster", "Invoked", step="DescribeHsms"),
        event("cloudhsm", "hsm-b", "CreateHsm"),
        event("cloudhsm", "backup-d", "READY"),
        event("kms", "key-e", "Encrypt"),
    ],
)
def test_polls_calls_and_resources_have_none(happened: dict[str, Any]) -> None:
    assert activity.line(happened) is None
