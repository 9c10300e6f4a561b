"""Draw a run as an SVG timeline: every resource's states over virtual time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape  # nosec B406 # escapes, parses nothing

from display.colours import CATEGORIES, FAILED, RUNNING, category
from display.traces import Kind, Span, Trace, duration, fold_polls

WIDTH, GUTTER, MARGIN = 1480, 236, 24
ROW, BAR, SECTION = 22, 16, 32
TITLE, PHASES, LEGEND = 66, 40, 84
# Width of a character in pixels; generous, since the viewer's font is unknown.
CHARACTER = 6.9
# Grid intervals in virtual seconds: the first that gives at most twenty lines is used.
GRID = (60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
# An idle period longer than IDLE virtual seconds is drawn as if it lasted FOLDED.
IDLE, FOLDED = 7200, 300
# A stack resource that is created faster than this (virtual seconds) has no row.
BRIEF = 5


SECTIONS = (
    ("CloudFormation", (Kind.STACK, Kind.RESOURCE)),
    ("Workflows", (Kind.EXECUTION,)),
    ("CloudHSM", (Kind.CLUSTER, Kind.HSM)),
    ("KMS key store", (Kind.KEY_STORE,)),
    ("Client", (Kind.INSTANCE, Kind.COMMAND)),
)


@dataclass(frozen=True)
class Phase:
    """One step of the scenario: its virtual start and end, and whether it passed."""

    name: str
    start: float
    end: float
    passed: bool


def draw(
    title: str, subtitle: str, traces: Iterable[Trace], phases: Sequence[Phase], until: float
) -> str:
    """The SVG of a run that took `until` virtual seconds."""
    traces = list(traces)
    boundaries = {phase.start for phase in phases} | {phase.end for phase in phases}
    for trace in traces:
        for span in trace.spans:
            boundaries |= {span.start, until if span.end is None else span.end}
    drawing = _Drawing(max(until, 1.0), boundaries)
    for name, kinds in SECTIONS:
        drawing.section(name, [trace for trace in traces if trace.kind in kinds])
    return drawing.svg(title, subtitle, phases)


class _Drawing:
    """Sections are laid out top down; their background once the height is known."""

    def __init__(self, until: float, boundaries: Iterable[float]) -> None:
        self.until = until
        known = sorted({0.0, *boundaries, until})
        self._folds = [
            (start, end) for start, end in itertools.pairwise(known) if end - start > IDLE
        ]
        self.y = float(TITLE + PHASES)
        self.body: list[str] = []

    def x(self, at: float) -> float:
        share = self._drawn(min(at, self.until)) / self._drawn(self.until)
        return GUTTER + share * (WIDTH - GUTTER - MARGIN)

    def _drawn(self, at: float) -> float:
        """A virtual second, less the idle time folded before it."""
        folded = 0.0
        for start, end in self._folds:
            share = min(max(at - start, 0.0) / (end - start), 1.0)
            folded += share * (end - start - FOLDED)
        return at - folded

    def section(self, name: str, traces: Iterable[Trace]) -> None:
        rows = _rows(trace for trace in traces if self._is_visible(trace))
        if not rows:
            return
        self.y += SECTION
        style = 'font-size="12" font-weight="bold" fill="#22303c"'
        self.body.append(text(MARGIN, self.y - 9, name, style))
        for label, row in rows:
            style = 'text-anchor="end" fill="#37474f"'
            self.body.append(text(GUTTER - 10, self.y + BAR - 4, _truncate(label, 34), style))
            for trace in row:
                self._draw(trace)
            self.y += ROW

    def _is_visible(self, trace: Trace) -> bool:
        if trace.kind is not Kind.RESOURCE:
            return bool(trace.spans)
        return any(
            (self.until if span.end is None else span.end) - span.start >= BRIEF
            for span in trace.spans
            if span.state.endswith("IN_PROGRESS")
        )

    def _draw(self, trace: Trace) -> None:
        for span in _visible_spans(trace):
            self._bar(trace, span)
        if trace.kind is Kind.EXECUTION:
            self._frame(trace)

    def _bar(self, trace: Trace, span: Span) -> None:
        end = self.until if span.end is None else span.end
        # A span without duration stays visible, also at the right margin.
        left = min(self.x(span.start), WIDTH - MARGIN - 1.0)
        width = max(self.x(end) - left, 1.0)
        # A command has only one state; its outcome says more.
        state = (trace.kind is Kind.COMMAND and trace.outcome) or span.state
        shown = category(trace.kind, state)
        # A stack between operations is drawn as a thin line.
        idle = trace.kind in (Kind.STACK, Kind.RESOURCE) and state.endswith("COMPLETE")
        top, height = (self.y + BAR / 2 - 2, 4) if idle else (self.y, BAR)
        tooltip = (
            f"{trace.label}: {state}\n"
            f"{duration(end - span.start)}, from {duration(span.start)} to {duration(end)}"
        )
        self.body.append(
            f'<rect x="{left:.1f}" y="{top:.0f}" width="{width:.1f}" height="{height}"'
            f' fill="{shown.colour}"><title>{escape(tooltip)}</title></rect>'
        )
        label = "" if idle else _fit(state, int((width - 8) / CHARACTER))
        style = f'font-size="10" fill="{shown.text_colour}" pointer-events="none"'
        self.body.append(text(left + 4, self.y + BAR - 4.5, label, style))

    def _frame(self, trace: Trace) -> None:
        """A border that shows an execution's outcome."""
        end = self.until if trace.end is None else trace.end
        passed = trace.outcome in (None, "SUCCEEDED")
        colour, thickness = (RUNNING.colour, 1) if passed else (FAILED.colour, 2)
        self.body.append(
            f'<rect x="{self.x(trace.start):.1f}" y="{self.y:.0f}" height="{BAR}" fill="none"'
            f' width="{max(self.x(end) - self.x(trace.start), 1.5):.1f}"'
            f' stroke="{colour}" stroke-width="{thickness}"'
            ' pointer-events="none"/>'
        )

    def svg(self, title: str, subtitle: str, phases: Sequence[Phase]) -> str:
        height = f"{self.y + LEGEND:.0f}"
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}"'
                f' viewBox="0 0 {WIDTH} {height}" font-size="11"'
                ' font-family="Helvetica, Arial, DejaVu Sans, sans-serif">',
                f"<title>{escape(title)}</title>",
                f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
                text(MARGIN, 32, title, 'font-size="19" font-weight="bold" fill="#22303c"'),
                text(MARGIN, 52, subtitle, 'font-size="12" fill="#5b6b7a"'),
                *self._chapters(phases),
                *self._grid(),
                *self.body,
                *self._legend(),
                "</svg>",
                "",
            ]
        )

    def _chapters(self, phases: Sequence[Phase]) -> Iterable[str]:
        top, bottom = TITLE, self.y + 8
        for number, phase in enumerate(phases):
            left, right = self.x(phase.start), self.x(phase.end)
            tint = "#f1f5f8" if number % 2 == 0 else "#fafbfc"
            yield (
                f'<rect x="{left:.1f}" y="{top}" width="{right - left:.1f}"'
                f' height="{bottom - top:.0f}" fill="{tint if phase.passed else "#fbeaea"}"/>'
            )
            room = int((right - left - 10) / CHARACTER)
            mark = "" if phase.passed else "✗ "
            style = f'font-weight="bold" fill="{"#22303c" if phase.passed else FAILED.colour}"'
            yield text(left + 6, top + 16, _truncate(mark + phase.name, room), style)
            length = duration(phase.end - phase.start)
            yield text(left + 6, top + 31, _truncate(length, room), 'fill="#5b6b7a"')

    def _grid(self) -> Iterable[str]:
        interval = next((gap for gap in GRID if self._drawn(self.until) / gap <= 20), GRID[-1])
        top, bottom = TITLE + PHASES, self.y + 8
        for number in range(math.floor(self.until / interval) + 1):
            if any(start < number * interval < end for start, end in self._folds):
                continue
            x = self.x(number * interval)
            yield (
                f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom:.0f}"'
                ' stroke="#d5dde4" stroke-width="1"/>'
            )
            yield text(
                x, bottom + 13, duration(number * interval), 'text-anchor="middle" fill="#5b6b7a"'
            )

    def _legend(self) -> Iterable[str]:
        half = len(CATEGORIES) // 2
        for number, each in enumerate(CATEGORIES):
            x = GUTTER + number % half * (WIDTH - GUTTER - MARGIN) / half
            y = self.y + LEGEND - 44 + number // half * 20
            yield f'<rect x="{x:.0f}" y="{y:.0f}" width="12" height="12" fill="{each.colour}"/>'
            yield text(x + 18, y + 10, each.label, 'font-size="10.5" fill="#37474f"')


def _rows(traces: Iterable[Trace]) -> list[tuple[str, list[Trace]]]:
    """One row per label, and another for each trace that overlaps one with the same label."""
    rows: list[tuple[str, list[Trace]]] = []
    for trace in sorted(traces, key=lambda trace: trace.start):
        for label, row in rows:
            end = row[-1].end
            if label == trace.label and end is not None and end <= trace.start:
                row.append(trace)
                break
        else:
            rows.append((trace.label, [trace]))
    return rows


def _visible_spans(trace: Trace) -> Iterable[Span]:
    match trace.kind:
        case Kind.EXECUTION:
            return fold_polls(trace.spans)
        case Kind.STACK | Kind.RESOURCE:
            # CloudFormation reports many states that last no time.
            return [span for span in trace.spans if span.end != span.start]
    return trace.spans


def _truncate(text: str, room: int) -> str:
    if len(text) <= room:
        return text
    return text[: room - 1] + "…" if room > 1 else ""


def _fit(state: str, room: int) -> str:
    """The state in so many characters; empty if too little of it would be legible."""
    if len(state) <= room:
        return state
    action = state.removesuffix("_IN_PROGRESS")
    return _truncate(action + "…", room) if room >= 7 else ""


def text(x: float, y: float, content: str, style: str) -> str:
    """A text element; none without content."""
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(content)}</text>' if content else ""
