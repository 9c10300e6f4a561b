from __future__ import annotations

from rich.console import Console

from display.colours import CATEGORIES, RUNNING, WAITING
from display.panes import legend, services
from display.traces import Kind, Trace


def test_a_workflow_that_polls_shows_how_long_it_has_waited() -> None:
    trace = Trace(Kind.EXECUTION, "align-hsms/x", "align-hsms")
    for at in (0, 15, 30):
        for state in ("DescribeHsms", "WaitForHsms"):
            trace.enter(state, at)
    trace.enter("DescribeHsms", 45)
    console = Console(width=80)
    with console.capture() as captured:
        console.print(services([trace], 45))
    assert captured.get().split() == ["align-hsms", "WaitForHsms", "0:45"]


def test_the_legend_has_every_colour_in_a_line_of_a_small_terminal() -> None:
    shown = legend()
    assert shown.cell_len <= 80
    colours = {str(span.style) for span in shown.spans}
    assert {each.colour for each in CATEGORIES if each not in (RUNNING, WAITING)} < colours
