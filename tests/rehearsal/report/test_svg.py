from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable

import pytest

from display.colours import (
    CHANGING,
    DELETING,
    FAILED,
    HEALTHY,
    PENDING,
    ROLLING_BACK,
    RUNNING,
    WAITING,
    category,
)
from display.traces import Kind, Trace
from rehearsal.report.svg import Phase, draw

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
    """Each bar's tooltip and attributes."""
    root = ElementTree.fromstring(svg)
    return [
        (title.text or "", rect.attrib)
        for rect in root.iter(f"{SVG}rect")
        if (title := rect.find(f"{SVG}title")) is not None
    ]


def diagram(*traces: Trace, phases: Iterable[Phase] = (), until: float = 1000) -> str:
    return draw("standard: a cluster", "12 minutes", traces, list(phases), until)


EXPECTED = {
    (Kind.STACK, "CREATE_IN_PROGRESS"): CHANGING,
    (Kind.STACK, "UPDATE_COMPLETE"): HEALTHY,
    (Kind.STACK, "UPDATE_ROLLBACK_IN_PROGRESS"): ROLLING_BACK,
    (Kind.STACK, "UPDATE_ROLLBACK_FAILED"): FAILED,
    (Kind.STACK, "DELETE_IN_PROGRESS"): DELETING,
    (Kind.RESOURCE, "CREATE_FAILED"): FAILED,
    (Kind.CLUSTER, "UNINITIALIZED"): PENDING,
    (Kind.CLUSTER, "INITIALIZE_IN_PROGRESS"): CHANGING,
    (Kind.CLUSTER, "ACTIVE"): HEALTHY,
    (Kind.HSM, "DEGRADED"): FAILED,
    (Kind.KEY_STORE, "CONNECTED"): HEALTHY,
    (Kind.KEY_STORE, "DISCONNECTED"): DELETING,
    (Kind.INSTANCE, "running"): HEALTHY,
    (Kind.INSTANCE, "shutting-down"): DELETING,
    (Kind.COMMAND, "Success"): HEALTHY,
    (Kind.COMMAND, "DeliveryTimedOut"): FAILED,
    (Kind.EXECUTION, "WaitForHsms"): WAITING,
    (Kind.EXECUTION, "CreateHsm"): RUNNING,
}


def test_every_state_has_the_category_of_its_meaning() -> None:
    assert {key: category(*key) for key in EXPECTED} == EXPECTED


def test_a_bars_width_and_tooltip_give_the_duration() -> None:
    svg = diagram(trace(Kind.CLUSTER, "cluster-a", ("CREATE_IN_PROGRESS", 0), ("ACTIVE", 250)))
    (first, creating), (second, active) = bars(svg)
    assert first == "cluster-a: CREATE_IN_PROGRESS\n4:10, from 0:00 to 4:10"
    assert second == "cluster-a: ACTIVE\n12:30, from 4:10 to 16:40"
    assert float(active["width"]) == pytest.approx(3 * float(creating["width"]), abs=0.2)


def test_a_span_without_duration_is_visible() -> None:
    svg = diagram(trace(Kind.KEY_STORE, "cks-1", ("DISCONNECTED", 5), ("CONNECTING", 5)))
    assert all(float(bar["width"]) >= 1 for _, bar in bars(svg))


def test_a_polling_loop_is_one_bar() -> None:
    polling = [
        (state, float(at))
        for at in range(0, 60, 15)
        for state in ("DescribeHsms", "AreHsmsAligned", "WaitForHsms")
    ]
    svg = diagram(trace(Kind.EXECUTION, "align-hsms", *polling, ends=("SUCCEEDED", 60)))
    assert [shown.split("\n")[0] for shown, _ in bars(svg)] == [
        "align-hsms: DescribeHsms",
        "align-hsms: AreHsmsAligned",
        "align-hsms: WaitForHsms",
    ]
    assert bars(svg)[-1][0].endswith("1:00, from 0:00 to 1:00")


def test_other_work_separates_polling_loops() -> None:
    svg = diagram(
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
def test_a_failed_execution_has_a_red_border(outcome: str, is_red: bool) -> None:
    svg = diagram(trace(Kind.EXECUTION, "align-hsms", ("CreateHsm", 0), ends=(outcome, 60)))
    assert (f'stroke="{FAILED.colour}"' in svg) is is_red


def test_a_command_is_coloured_by_its_outcome() -> None:
    svg = diagram(trace(Kind.COMMAND, "activate", ("InProgress", 0), ends=("Failed", 41)))
    [(shown, bar)] = bars(svg)
    assert (shown.split("\n")[0], bar["fill"]) == ("activate: Failed", FAILED.colour)


def test_traces_with_the_same_label_share_a_row_unless_they_overlap() -> None:
    svg = diagram(
        trace(Kind.EXECUTION, "align-hsms", ("CreateHsm", 0), ends=("SUCCEEDED", 60)),
        trace(Kind.EXECUTION, "align-hsms", ("CreateHsm", 60), ends=("SUCCEEDED", 90)),
        trace(Kind.EXECUTION, "align-hsms", ("CreateHsm", 70), ends=("SUCCEEDED", 90)),
    )
    assert texts(svg).count("align-hsms") == 2


def test_resources_created_immediately_have_no_row() -> None:
    svg = diagram(
        trace(Kind.RESOURCE, "rClusterRole", ("CREATE_IN_PROGRESS", 0), ("CREATE_COMPLETE", 0)),
        trace(Kind.RESOURCE, "rClientInstance", ("CREATE_IN_PROGRESS", 0), ("CREATE_COMPLETE", 38)),
    )
    assert "rClientInstance" in texts(svg)
    assert "rClusterRole" not in texts(svg)


def test_each_step_has_a_column_and_a_failed_step_is_marked() -> None:
    svg = diagram(
        trace(Kind.STACK, "hsm", ("CREATE_IN_PROGRESS", 0)),
        phases=[Phase("Create", 0, 600, True), Phase("Grow", 600, 1000, False)],
    )
    assert {"Create", "10:00", "✗ Grow", "6:40"} <= set(texts(svg))


def test_the_time_axis_is_labelled() -> None:
    assert {"0:00", "5:00", "15:00"} <= set(texts(diagram(until=1000 * 6)))


def test_a_long_idle_period_is_folded() -> None:
    week = 7 * 86400
    store = trace(
        Kind.KEY_STORE, "keys", ("CONNECTED", 0), ("DISCONNECTING", 600), ends=("GONE", 1200)
    )
    late = trace(Kind.CLUSTER, "late", ("ACTIVE", week), ends=("GONE", week + 600))
    drawn = diagram(store, late, until=week + 600)
    widths = [float(attributes["width"]) for _, attributes in bars(drawn)]
    assert widths == pytest.approx([widths[0]] * 3, abs=0.2)
    assert widths[0] > 300
    times = texts(drawn)
    assert "20:00" in times
    assert "168:10:00" in times
    assert "24:00:00" not in times


def test_the_legend_explains_every_colour() -> None:
    assert {
        shade.label for shade in (CHANGING, PENDING, HEALTHY, DELETING, ROLLING_BACK, FAILED)
    } <= set(texts(diagram()))


def test_labels_are_escaped() -> None:
    assert "<b> & co" in texts(diagram(trace(Kind.COMMAND, "<b> & co", ("InProgress", 0))))


def test_the_diagram_refers_to_no_other_file() -> None:
    svg = diagram(trace(Kind.CLUSTER, "cluster-a", ("ACTIVE", 0)))
    assert "href" not in svg
    assert svg.count("http") == 1
