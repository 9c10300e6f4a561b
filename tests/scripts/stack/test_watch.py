from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console, ConsoleDimensions

from display.traces import Kind, Trace
from scripts.stack import estimate, report, request, watch
from scripts.stack.observer import Look
from scripts.stack.request import CLUSTER, KEY_STORE
from scripts.stack.workflows import Cause
from tests.scripts.stack.recorded import FAILED_UPDATE, event, stack_event

SIZES = [(80, 24), (120, 40), (60, 12)]
CAUSE = Cause(
    "hsm-1-update-cluster",
    "CheckUpdate",
    "ParameterError",
    "pSubnets: " + "the subnets differ. " * 20 + "Create a new stack.",
    "arn:aws:states:us-east-1:123456789012:execution:hsm-1-update-cluster:update-" + "0" * 60,
)


def trace(kind: Kind, label: str, state: str, since: float = 60) -> Trace:
    made = Trace(kind, label, label)
    made.enter(state, since)
    return made


def creation(resources: int = 40, hsms: int = 18) -> Look:
    """A creation with many resources and HSMs in progress."""
    events = [stack_event(0, "CREATE_IN_PROGRESS")] + [
        event(number, f"rResource{number}", "AWS::IAM::Role", "CREATE_IN_PROGRESS")
        for number in range(resources)
    ]
    events.append(event(30, "rCloudHsmCluster", CLUSTER, "CREATE_IN_PROGRESS"))
    found = request.latest("CREATE_IN_PROGRESS", events[::-1])
    assert found is not None
    traces = [
        *found.traces(),
        trace(Kind.EXECUTION, "cloudhsm-1-create-cluster", "AlignHsms"),
        trace(Kind.EXECUTION, "cloudhsm-1-align-hsms", "WaitForHsms"),
        trace(Kind.CLUSTER, "cluster-abcdefghijk", "ACTIVE"),
        *(
            trace(Kind.HSM, f"hsm-{number:011} us-east-1{'abc'[number % 3]}", "CREATE_IN_PROGRESS")
            for number in range(hsms)
        ),
        trace(Kind.KEY_STORE, "my-keys cks-0123456789abcdef0", "CONNECTED"),
    ]
    return Look({"StackName": "hsm"}, found, 900, traces, 540)


def failed(cause: Cause | None) -> Look:
    found = request.latest("UPDATE_ROLLBACK_COMPLETE", FAILED_UPDATE[::-1])
    assert found is not None
    return Look({"StackName": "hsm"}, found, 100, found.traces(), None, cause)


def shown(look: Look, width: int = 80, height: int = 24) -> str:
    console = Console(file=io.StringIO(), width=width, height=height)
    console.print(watch.render(look, ConsoleDimensions(width, height)))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def reported(look: Look, width: int = 80, terminal: bool = False) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None)
    report.show(console, look)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_everything_fits_the_terminal(width: int, height: int) -> None:
    lines = shown(creation(), width, height).splitlines()
    assert len(lines) < height
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize(("width", "height"), SIZES[:2])
def test_the_terminal_shows_request_workflow_hsms_and_key_store(width: int, height: int) -> None:
    text = shown(creation(resources=3, hsms=2), width, height)
    assert "stack hsm  CREATE_IN_PROGRESS  15:00 elapsed, about 9 min left" in text
    assert "rCloudHsmCluster" in text
    assert "WaitForHsms" in text
    assert "HSM hsm-00000000001 us-east-1b" in text
    assert "CONNECTED" in text


def test_what_does_not_fit_is_counted() -> None:
    text = shown(creation())
    assert "more" in text
    assert "cluster-abcdefghijk" in text


def test_a_denied_read_is_shown() -> None:
    look = replace(creation(), unread=["Not shown: DescribeClusters was denied."])
    assert "DescribeClusters was denied" in shown(look)


def test_in_a_pipe_reason_and_addresses_are_whole_lines() -> None:
    lines = reported(failed(CAUSE)).splitlines()
    assert f"    {CAUSE.message}" in lines
    assert f"  execution  {CAUSE.arn}" in lines
    assert f"  console    {CAUSE.console}" in lines
    assert "[cluster-a]" not in "".join(lines)


def test_on_a_terminal_the_reason_is_wrapped_at_words() -> None:
    text = reported(failed(CAUSE), terminal=True)
    assert " ".join(text.split()).find(" ".join(CAUSE.message.split())) > 0
    assert f"execution  {CAUSE.arn}\n" in text


def test_without_an_execution_cloudformation_s_reason_is_shown_and_explained() -> None:
    text = reported(failed(None))
    assert "    CheckUpdate: pSubnets: ... [cluster-a]\n" in text
    assert "No failed execution is left to read" in text


def test_outputs_follow_a_success() -> None:
    events = [stack_event(9, "CREATE_COMPLETE"), stack_event(0, "CREATE_IN_PROGRESS")]
    found = request.latest("CREATE_COMPLETE", events)
    assert found is not None
    stack = {
        "StackName": "hsm",
        "Outputs": [
            {"OutputKey": "oWarnings", "OutputValue": "none"},
            {"OutputKey": "oClusterId", "OutputValue": "cluster-a"},
        ],
    }
    lines = reported(Look(stack, found, 9, [], None)).splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["oClusterId", "cluster-a"],
        ["oWarnings", "none"],
    ]


@pytest.mark.parametrize(
    ("noun", "kind", "elapsed", "running", "expected"),
    [
        (CLUSTER, "CREATE", 60, [], "about 29 min left"),
        (
            CLUSTER,
            "CREATE",
            900,
            [("a-create-cluster", 800.0), ("a-align-hsms", 60.0)],
            "about 9 min left",
        ),
        (CLUSTER, "DELETE", 2000, [], "longer than usual; the limit is an hour"),
        (KEY_STORE, "CREATE", 600, [("a-connect-key-store", 60.0)], "about 15 min left"),
        ("", "CREATE", 60, [], ""),
    ],
)
def test_the_estimate_follows_the_workflow(
    noun: str, kind: str, elapsed: float, running: list[tuple[str, float]], expected: str
) -> None:
    assert estimate.sentence(estimate.left(noun, kind, elapsed, running)) == expected
