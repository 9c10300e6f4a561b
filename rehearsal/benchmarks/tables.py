"""Measurements as tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from display.traces import duration
from rehearsal.benchmarks.operations import OPERATIONS, Measurement

AWS_STYLE, LOST_STYLE = "green", "red"


def waterfall_table(measured: Measurement) -> Table:
    """Every segment of an operation: AWS's own time, and what is lost."""
    shown = measured.waterfall
    description = OPERATIONS[measured.name].description
    table = Table(
        box=None,
        padding=(0, 2),
        header_style="dim",
        title=f"{description}: {shown.elapsed:.0f} s, AWS's own {shown.own:.0f} s, "
        f"ratio {shown.ratio:.3f}",
        title_justify="left",
    )
    table.add_column("at", justify="right")
    table.add_column("AWS", justify="right", style=AWS_STYLE)
    table.add_column("lost", justify="right", style=LOST_STYLE)
    table.add_column("what")
    start = shown.segments[0].start if shown.segments else 0
    for segment in shown.segments:
        seconds = f"{segment.seconds:.1f}"
        table.add_row(
            duration(segment.start - start),
            "" if segment.is_lost else seconds,
            seconds if segment.is_lost else "",
            Text(segment.name, style="" if segment.is_lost else AWS_STYLE),
        )
    for name, lost in shown.losses().most_common():
        table.add_row("", "", f"{lost:.1f}", Text(f"in all: {name}", style="dim"))
    return table


def summary_table(measurements: Sequence[Measurement]) -> Table:
    """A line for each operation."""
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for name in (
        "operation",
        "time",
        "AWS's own",
        "ratio",
        "transitions",
        "invocations",
        "calls",
        "USD",
    ):
        table.add_column(name, justify="left" if name == "operation" else "right")
    for each in measurements:
        table.add_row(
            each.name,
            f"{each.waterfall.elapsed:.0f} s",
            f"{each.waterfall.own:.0f} s",
            f"{each.waterfall.ratio:.3f}",
            str(each.transitions),
            str(each.invocations),
            str(sum(each.calls.values())),
            f"{each.dollars:.4f}",
        )
    return table
