"""A waterfall as a picture: AWS's own time, and every loss, each on a row of its own."""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape  # nosec B406 # escapes, parses nothing

from display.colours import FAILED, HEALTHY
from display.traces import duration
from rehearsal.benchmarks.waterfall import Segment, Waterfall
from rehearsal.report.svg import MARGIN, ROW, TITLE, WIDTH, text

BAR, LABELS = 14, 380


def draw(title: str, shown: Waterfall) -> str:
    """The SVG of an operation's waterfall."""
    rows = list(_rows(shown))
    height = TITLE + ROW * (len(rows) + 1)
    subtitle = (
        f"{duration(shown.elapsed)}, of which AWS's own {duration(shown.own)}: ratio "
        f"{shown.ratio:.3f}; lost {shown.elapsed - shown.own:.0f} s"
    )
    body = [
        line for number, row in enumerate(rows) for line in _row(row, TITLE + ROW * number, shown)
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}"'
            f' viewBox="0 0 {WIDTH} {height}" font-size="11"'
            ' font-family="Helvetica, Arial, DejaVu Sans, sans-serif">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
            text(MARGIN, 28, title, 'font-size="18" font-weight="bold" fill="#22303c"'),
            text(MARGIN, 48, subtitle, 'font-size="12" fill="#5b6b7a"'),
            *body,
            "</svg>",
            "",
        ]
    )


def _rows(shown: Waterfall) -> Iterator[list[Segment]]:
    """One row for each activity of AWS and for each name of a loss, by first appearance."""
    losses: dict[str, list[Segment]] = {}
    for segment in shown.segments:
        if not segment.is_lost:
            yield [segment]
        elif segment.name in losses:
            losses[segment.name].append(segment)
        else:
            losses[segment.name] = row = [segment]
            yield row


def _row(row: list[Segment], top: float, shown: Waterfall) -> Iterator[str]:
    start, first = shown.segments[0].start, row[0]
    colour = FAILED.colour if first.is_lost else HEALTHY.colour
    seconds = sum(segment.seconds for segment in row)
    times = f", {len(row)} times" if len(row) > 1 else ""
    label = f"{first.name}: {seconds:.1f} s{times}"
    yield text(LABELS - 10, top + BAR - 3, label, f'text-anchor="end" fill="{colour}"')
    scale = (WIDTH - LABELS - MARGIN) / max(shown.elapsed, 1)
    for segment in row:
        left = LABELS + (segment.start - start) * scale
        tooltip = f"{segment.name}: {segment.seconds:.1f} s from {duration(segment.start - start)}"
        yield (
            f'<rect x="{left:.1f}" y="{top:.0f}" height="{BAR}" fill="{colour}"'
            f' width="{max(segment.seconds * scale, 1.0):.1f}">'
            f"<title>{escape(tooltip)}</title></rect>"
        )
