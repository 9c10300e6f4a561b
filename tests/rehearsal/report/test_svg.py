from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable

import pytest

from rehearsal.report.spans import Kind, Trace
from rehearsal.report.svg import (
    CHANGING,
    DELETING,
    FAILED,
    HEALTHY,
    PENDING,
    ROLLING_BACK,
    RUNNING,
    WAITING,
    Category,
    Phase,
    category,
    draw,
)

SVG = "{http://www.w3.org/2000/svg}"


def trace(
    kind: Kind, label: str, *states: tuple[str, float], ends: tuple[str, float] | None = None
) -> Trace:
    made = Trace(kind, label, label)
    for state, at in states:
        made.enter(state, at)
    if ends:
        made.finish(*ends)
    return made


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def bars(svg: str) -> list[tuple[str, dict[str, str]]]:
    """What the pointer shows of each bar, and its attributes."""
    root = ElementTree.fromstring(svg)
    return [
        (title.text or "", rect.attrib)
        for rect in root.iter(f"{SVG}rect")
        if (title := rect.find(f"{SVG}title")) is not None
    ]


def picture(*traces: Trace, phases: Iterable[Phase] = (), until: float = 1000) -> str:
    return draw("standard: a driver", "in no time", traces, list(phases), until)


@pytest.mark.parametrize(
    ("kind", "state", "meant"),
    [
        (Kind.STACK, "CREATE_IN_PROGRESS", CHANGING),
        (Kind.STACK, "UPDATE_COMPLETE", HEALTHY),
        (Kind.STACK, "UPDATE_ROLLBACK_IN_PROGRESS", ROLLING_BACK),
        (Kind.STACK, "UPDATE_ROLLBACK_FAILED", FAILED),
        (Kind.STACK, "DELETE_IN_PROGRESS", DELETING),
        (Kind.RESOURCE, "CREATE_FAILED", FAILED),
        (Kind.CLUSTER, "UNINITIALIZED", PENDING),
        (Kind.CLUSTER, "INITIALIZE_IN_PROGRESS", CHANGING),
        (Kind.CLUSTER, "ACTIVE", HEALTHY),
        (Kind.HSM, "DEGRADED", FAILED),
        (Kind.KEY_STORE, "CONNECTED", HEALTHY),
        (Kind.KEY_STORE, "DISCONNECTED", DELETING),
        (Kind.INSTANCE, "running", HEALTHY),
        (Kind.INSTANCE, "shutting-down", DELETING),
        (Kind.COMMAND, "Success", HEALTHY),
        (Kind.COMMAND, "DeliveryTimedOut", FAILED),
        (Kind.EXECUTION, "WaitForHsms", WAITING),
        (Kind.EXECUTION, "CreateHsm", RUNNING),
    ],
)
def test_every_state_has_a_colour_that_means_something(
    kind: Kind, state: str, meant: Category
) -> None:
    assert category(kind, state) is meant


def test_a_bar_is_as_long_as_its_state_lasted_and_says_so() -> None:
    svg = picture(trace(Kind.CLUSTER, "cluster-a", ("CREATE_IN_PROGRESS", 0), ("ACTIVE", 250)))
    (first, creating), (second, active) = bars(svg)
    assert first == "cluster-a: CREATE_IN_PROGRESS\n4:10, from 0:00 to 4:10"
    assert second == "cluster-a: ACTIVE\n12:30, from 4:10 to 16:40"
    assert float(active["width"]) == pytest.approx(3 * float(creating["width"]), abs=0.2)


def test_what_lasts_for_no_time_can_still_be_seen() -> None:
    svg = picture(trace(Kind.KEY_STORE, "cks-1", ("DISCONNECTED", 5), ("CONNECTING", 5)))
    assert all(float(bar["width"]) >= 1 for _, bar in bars(svg))


def test_the_polls_of_a_wait_are_told_as_one() -> None:
    polling = [
        (state, float(at))
        for at in range(0, 60, 15)
        for state in ("DescribeHsms", "AreHsmsAligned", "WaitForHsms")
    ]
    svg = picture(trace(Kind.EXECUTION, "align-hsms", *polling, ends=("SUCCEEDED", 60)))
    assert [shown.split("\n")[0] for shown, _ in bars(svg)] == [
        "align-hsms: DescribeHsms",
        "align-hsms: AreHsmsAligned",
        "align-hsms: WaitForHsms",
    ]
    assert bars(svg)[-1][0].endswith("1:00, from 0:00 to 1:00")


def test_work_between_two_waits_keeps_them_apart() -> None:
    svg = picture(
        trace(
            Kind.EXECUTION,
            "align-hsms",
            *(("WaitForHsms", 0), ("DescribeHsms", 15), ("DeleteHsm", 15), ("DescribeHsms", 15)),
            *(("WaitForHsms", 15),),
            ends=("SUCCEEDED", 30),
        )
    )
    assert [shown for shown, _ in bars(svg)].count(
        "align-hsms: WaitForHsms\n0:15, from 0:15 to 0:30"
    ) == 1


@pytest.mark.parametrize(("outcome", "is_red"), [("SUCCEEDED", False), ("ABORTED", True)])
def test_a_workflow_that_did_not_succeed_has_a_red_frame(outcome: str, is_red: bool) -> None:
    svg = picture(trace(Kind.EXECUTION, "align-hsms", ("CreateHsm", 0), ends=(outcome, 60)))
    assert (f'stroke="{FAILED.colour}"' in svg) is is_red


def test_a_command_is_coloured_by_what_it_came_to() -> None:
    svg = picture(trace(Kind.COMMAND, "activate", ("InProgress", 0), ends=("Failed", 41)))
    [(shown, bar)] = bars(svg)
    assert (shown.split("\n")[0], bar["fill"]) == ("activate: Failed", FAILED.colour)


def test_namesakes_share_a_row_unless_they_overlap() -> None:
    svg = picture(
        trace(Kind.EXECUTION, "align-hsms", ("CreateHsm", 0), ends=("SUCCEEDED", 60)),
        trace(Kind.EXECUTION, "align-hsms", ("CreateHsm", 60), ends=("SUCCEEDED", 90)),
        trace(Kind.EXECUTION, "align-hsms", ("CreateHsm", 70), ends=("SUCCEEDED", 90)),
    )
    assert texts(svg).count("align-hsms") == 2


def test_resources_that_are_made_at_once_have_no_row() -> None:
    svg = picture(
        trace(Kind.RESOURCE, "rClusterRole", ("CREATE_IN_PROGRESS", 0), ("CREATE_COMPLETE", 0)),
        trace(Kind.RESOURCE, "rClientInstance", ("CREATE_IN_PROGRESS", 0), ("CREATE_COMPLETE", 38)),
    )
    assert "rClientInstance" in texts(svg)
    assert "rClusterRole" not in texts(svg)


def test_each_step_has_its_column_and_a_failed_one_is_marked() -> None:
    svg = picture(
        trace(Kind.STACK, "hsm", ("CREATE_IN_PROGRESS", 0)),
        phases=[Phase("Create", 0, 600, True), Phase("Grow", 600, 1000, False)],
    )
    assert {"Create", "10:00", "✗ Grow", "6:40"} <= set(texts(svg))


def test_time_runs_along_the_bottom() -> None:
    assert {"0:00", "5:00", "15:00"} <= set(texts(picture(until=1000 * 6)))


def test_a_long_time_in_which_nothing_happens_is_folded() -> None:
    week = 7 * 86400
    store = trace(
        Kind.KEY_STORE, "keys", ("CONNECTED", 0), ("DISCONNECTING", 600), ends=("GONE", 1200)
    )
    late = trace(Kind.CLUSTER, "late", ("ACTIVE", week), ends=("GONE", week + 600))
    drawn = picture(store, late, until=week + 600)
    widths = [float(attributes["width"]) for _, attributes in bars(drawn)]
    assert widths == pytest.approx([widths[0]] * 3, abs=0.2)
    assert widths[0] > 300
    times = texts(drawn)
    assert "20:00" in times
    assert "168:10:00" in times
    assert "24:00:00" not in times


def test_every_colour_is_explained() -> None:
    assert {
        shade.label for shade in (CHANGING, PENDING, HEALTHY, DELETING, ROLLING_BACK, FAILED)
    } <= set(texts(picture()))


def test_words_of_any_kind_are_harmless() -> None:
    assert "<b> & co" in texts(picture(trace(Kind.COMMAND, "<b> & co", ("InProgress", 0))))


def test_the_picture_needs_nothing_beside_itself() -> None:
    svg = picture(trace(Kind.CLUSTER, "cluster-a", ("ACTIVE", 0)))
    assert "href" not in svg
    assert svg.count("http") == 1
