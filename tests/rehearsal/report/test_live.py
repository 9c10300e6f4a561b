from __future__ import annotations

import io
import threading
from typing import Any

import pytest
from rich.console import Console, ConsoleDimensions, RenderableType

from rehearsal.drivers.step import Step
from rehearsal.report.live import Display, Snapshot, render, summary


def event(at: float, service: str, subject: str, name: str, **details: Any) -> dict[str, Any]:
    return {"at": at, "service": service, "subject": subject, "event": name, **details}


EVENTS = [
    event(0, "cloudformation", "hsm", "CREATE_IN_PROGRESS", stack="hsm"),
    event(0, "cloudformation", "rClusterRole", "CREATE_IN_PROGRESS", stack="hsm"),
    event(0, "cloudformation", "rClusterRole", "CREATE_COMPLETE", stack="hsm"),
    event(38, "cloudformation", "rCloudHsmCluster", "CREATE_IN_PROGRESS", stack="hsm"),
    event(38, "states", "hsm-1-handle-request", "ExecutionStarted", execution="x"),
    event(
        38, "states", "hsm-1-handle-request", "StateEntered", execution="x", state="RunLifecycle"
    ),
    event(38, "states", "hsm-1-create-cluster", "ExecutionStarted", execution="x"),
    event(40, "states", "hsm-1-create-cluster", "StateEntered", execution="x", state="WaitForHsms"),
    event(40, "cloudhsm", "cluster-a", "UNINITIALIZED"),
    event(40, "cloudhsm", "hsm-b", "CreateHsm", cluster="cluster-a", zone="us-east-1a"),
    event(40, "cloudhsm", "hsm-b", "CREATE_IN_PROGRESS", cluster="cluster-a", zone="us-east-1a"),
]


SIZE = ConsoleDimensions(120, 40)


def text(shown: RenderableType, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(shown)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def finished(name: str, start: float, end: float, failure: str | None = None) -> Step:
    step = Step(name, start)
    step.finish(end, failure)
    return step


def line_with(shown: str, word: str) -> str:
    return next(line for line in shown.splitlines() if word in line)


def test_render_shows_which_step_of_how_many_and_how_long_it_takes() -> None:
    steps = [finished("Create", 0, 60), Step("Grow", 60)]
    shown = text(render(Snapshot(100, EVENTS), steps, SIZE, [9, 20, 11]))
    assert shown.startswith("▶ step 2 of 3: Grow")
    assert "1:40 virtual time, this step 0:40 in 0 s, about" in shown
    assert " left" in line_with(shown, "virtual time")


def test_render_without_an_earlier_run_has_no_estimate() -> None:
    shown = text(render(Snapshot(100, EVENTS), [Step("Create", 0)], SIZE))
    assert shown.startswith("▶ step 1: Create")
    assert " left" not in shown


def test_render_counts_complete_resources_and_lists_the_others() -> None:
    shown = text(render(Snapshot(100, EVENTS), [], SIZE))
    assert "1 of 2 complete" in shown
    assert "CREATE_IN_PROGRESS  1:02" in line_with(shown, "rCloudHsmCluster")
    assert "rClusterRole" not in shown.split("latest events")[0]


def test_render_indents_executions_below_their_parent() -> None:
    shown = text(render(Snapshot(100, EVENTS), [], SIZE))
    assert "RunLifecycle" in line_with(shown, "hsm-1-handle-request")
    assert "WaitForHsms  1:00" in line_with(shown, "  hsm-1-create-cluster")


def test_render_shows_the_cluster_and_its_hsms() -> None:
    shown = text(render(Snapshot(100, EVENTS), [], SIZE))
    assert "UNINITIALIZED" in line_with(shown, "cluster cluster-a")
    assert "CREATE_IN_PROGRESS" in line_with(shown, "HSM hsm-b us-east-1a")


def test_render_ends_with_the_latest_events_and_a_legend() -> None:
    latest = text(render(Snapshot(100, EVENTS), [], SIZE)).split("latest")[1]
    assert "CreateHsm" in line_with(latest, "hsm-b")
    assert "hsm-1-handle-request" in line_with(latest, "RunLifecycle")
    assert latest.splitlines()[-1].startswith("changing  pending  healthy ")


def test_a_polling_loop_is_one_of_the_latest_events() -> None:
    def entered(at: float, state: str) -> dict[str, Any]:
        name = "hsm-1-create-cluster"
        return event(at, "states", name, "StateEntered", execution="x", state=state)

    looks = [
        each
        for at in (55, 70, 85)
        for each in (
            entered(at, "DescribeHsms"),
            event(at, "lambda", "hsm-1-cluster", "Invoked", step="DescribeHsms"),
            entered(at, "WaitForHsms"),
        )
    ]
    latest = text(render(Snapshot(100, [*EVENTS, *looks]), [], SIZE)).split("latest")[1]
    assert " ".join(line_with(latest, "WaitForHsms").split()) == (
        "1:25 states hsm-1-create-cluster WaitForHsms, 4 looks"
    )
    assert latest.count("WaitForHsms") == 1
    assert "lambda" not in latest


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (40, 24)])
def test_render_leaves_room_for_the_steps_and_commands_above_it(width: int, height: int) -> None:
    name = "A step with a long name, such as those of scenarios that say what is expected of it"
    size = ConsoleDimensions(width, height)
    shown = text(render(Snapshot(100, EVENTS * 5), [Step(name, 0)], size), width)
    lines = shown.splitlines()
    assert len(lines) <= height - 4
    assert max(len(line) for line in lines) <= width


def test_summary_shows_both_durations_and_the_outcome() -> None:
    shown = text(summary([finished("Create", 0, 1500), finished("Grow", 1500, 1600, "HSMs: two")]))
    assert "25:00" in line_with(shown, "Create")
    assert "passed" in line_with(shown, "Create")
    assert "HSMs: two" in line_with(shown, "Grow")


def test_summary_shows_a_step_that_was_stopped() -> None:
    assert "stopped" in line_with(text(summary([Step("Create", 0)])), "Create")


def plain() -> Console:
    return Console(file=io.StringIO(), width=120, force_terminal=False)


def test_without_a_terminal_each_transition_is_printed_once() -> None:
    console = plain()
    refreshed = threading.Semaphore(0)

    def snapshot() -> Snapshot:
        refreshed.release()
        return Snapshot(100, EVENTS)

    with Display(console, snapshot, [9, 4]) as display:
        display.start_step(Step("Create", 0))
        display.show_command("make deploy STACK=hsm")
        refreshed.acquire()
        refreshed.acquire()
    assert isinstance(console.file, io.StringIO)
    lines = [" ".join(line.split()) for line in console.file.getvalue().splitlines()]
    assert lines == [
        "0:00 step 1 of 2: Create",
        "$ make deploy STACK=hsm",
        "0:00 stack hsm CREATE_IN_PROGRESS",
        "0:38 execution hsm-1-handle-request started",
        "0:40 execution hsm-1-create-cluster started",
        "0:40 cluster cluster-a UNINITIALIZED",
        "0:40 HSM hsm-b us-east-1a CREATE_IN_PROGRESS",
    ]


def test_the_display_survives_a_stopped_local_aws() -> None:
    def snapshot() -> Snapshot:
        raise ConnectionRefusedError

    console = plain()
    with Display(console, snapshot):
        pass
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == ""


def test_on_a_terminal_the_display_is_redrawn() -> None:
    console = Console(file=io.StringIO(), width=120, height=40, force_terminal=True)
    with Display(console, lambda: Snapshot(100, EVENTS)) as display:
        display.start_step(Step("Create", 0))
        command = "make deploy STACK=hsm PARAMS='" + "pSubnets=subnet-00000001 " * 5 + "'"
        display.show_command(command)
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "hsm-b us-east-1a" in shown
    # In one piece, to be copied, and above the live part.
    assert f"{command}\n" in shown
