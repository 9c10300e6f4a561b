from __future__ import annotations

import io
import threading
from typing import Any

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


def test_render_shows_each_step_with_its_duration() -> None:
    shown = text(render(Snapshot(100, EVENTS), [finished("Create", 0, 60), Step("Grow", 60)], SIZE))
    assert "1:00" in line_with(shown, "✓ Create")
    assert "0:40" in line_with(shown, "▶ Grow")


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


def test_render_ends_with_the_latest_events() -> None:
    latest = text(render(Snapshot(100, EVENTS), [], SIZE)).split("latest")[1]
    assert "CreateHsm" in line_with(latest, "hsm-b")
    assert "StateEntered RunLifecycle" in latest


def test_render_fits_a_small_terminal() -> None:
    shown = text(
        render(Snapshot(100, EVENTS * 5), [Step("Create", 0)], ConsoleDimensions(80, 24)), width=80
    )
    assert len(shown.splitlines()) <= 24


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

    with Display(console, "standard: a cluster", snapshot) as display:
        display.start_step(Step("Create", 0))
        refreshed.acquire()
        refreshed.acquire()
    assert isinstance(console.file, io.StringIO)
    lines = [" ".join(line.split()) for line in console.file.getvalue().splitlines()]
    assert lines == [
        "standard: a cluster",
        "0:00 Create",
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
    with Display(console, "standard: a cluster", snapshot):
        pass
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == "standard: a cluster\n"


def test_on_a_terminal_the_display_is_redrawn() -> None:
    console = Console(file=io.StringIO(), width=120, height=40, force_terminal=True)
    with Display(console, "standard: a cluster", lambda: Snapshot(100, EVENTS)) as display:
        display.start_step(Step("Create", 0))
    assert isinstance(console.file, io.StringIO)
    assert "hsm-b us-east-1a" in console.file.getvalue()
