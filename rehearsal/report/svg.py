"""Draw a run as one SVG: who was in which state over virtual time, request by request."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from rehearsal.report.spans import Kind, Span, Track, duration

WIDTH, GUTTER, MARGIN = 1480, 236, 24
ROW, BAR, SECTION = 22, 16, 32
TITLE, CHAPTERS, LEGEND = 66, 40, 84
# Width of a character; generous, because nobody knows which font a reader has.
CHARACTER = 6.9
# Virtual seconds between two lines of the grid: the first of these that gives at most twenty.
GRID = (60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
# A time in which nothing happens, longer than IDLE virtual seconds, is drawn as if it were FOLDED.
IDLE, FOLDED = 7200, 300
# A resource of a stack that is made sooner than this (virtual seconds) has no row of its own.
BRIEF = 5


@dataclass(frozen=True)
class Meaning:
    """What a colour stands for, in the legend's words, and the ink that reads well on it."""

    colour: str
    words: str
    ink: str = "#ffffff"


ARRIVING = Meaning("#eec25e", "being made or changed", "#3d2c00")
READY = Meaning("#4a86b8", "on the way (UNINITIALIZED, INITIALIZED)")
GOOD = Meaning("#2f8f5b", "as wanted (ACTIVE, COMPLETE, CONNECTED)")
LEAVING = Meaning("#a296b8", "being removed")
BACK = Meaning("#e08445", "being rolled back")
BAD = Meaning("#c8413f", "failed, DEGRADED, stopped")
WORKING = Meaning("#5d7c99", "workflow: its step or its child at work")
WAITING = Meaning("#cfdae4", "workflow: waiting", "#34434f")
MEANINGS = (ARRIVING, READY, GOOD, LEAVING, BACK, BAD, WORKING, WAITING)

BAD_WORDS = ("FAILED", "DEGRADED", "ABORTED", "TIMED_OUT", "Failed", "TimedOut", "Cancelled")

SECTIONS = (
    ("CloudFormation", (Kind.STACK, Kind.RESOURCE)),
    ("Workflows", (Kind.EXECUTION,)),
    ("CloudHSM", (Kind.CLUSTER, Kind.HSM)),
    ("KMS key store", (Kind.KEY_STORE,)),
    ("Client", (Kind.INSTANCE, Kind.COMMAND)),
)


@dataclass(frozen=True)
class Chapter:
    """One step of the scenario: its virtual seconds, and whether all that it expected held."""

    name: str
    start: float
    end: float
    passed: bool


def meaning(kind: Kind, state: str) -> Meaning:
    """What this state of such a thing means to a person who looks at the picture."""
    if any(word in state for word in BAD_WORDS):
        return BAD
    if "ROLLBACK" in state and not state.endswith("COMPLETE"):
        return BACK
    if state.startswith(("DELETE", "DISCONNECT", "shutting", "stop", "terminated")):
        return LEAVING
    if kind is Kind.EXECUTION and state != "SUCCEEDED":
        return WAITING if state.startswith("WaitFor") else WORKING
    if state in ("UNINITIALIZED", "INITIALIZED"):
        return READY
    if state.endswith(("COMPLETE", "ACTIVE", "CONNECTED", "running", "Success", "SUCCEEDED")):
        return GOOD
    return ARRIVING


def draw(
    title: str, subtitle: str, tracks: Iterable[Track], chapters: Sequence[Chapter], until: float
) -> str:
    """The SVG of a run that took `until` virtual seconds."""
    tracks = list(tracks)
    moments = {chapter.start for chapter in chapters} | {chapter.end for chapter in chapters}
    for track in tracks:
        for span in track.spans:
            moments |= {span.start, until if span.end is None else span.end}
    drawing = _Drawing(max(until, 1.0), moments)
    for name, kinds in SECTIONS:
        drawing.section(name, [track for track in tracks if track.kind in kinds])
    return drawing.svg(title, subtitle, chapters)


class _Drawing:
    """Sections come from the top down; what lies behind them once their height is known."""

    def __init__(self, until: float, moments: Iterable[float]) -> None:
        self.until = until
        known = sorted({0.0, *moments, until})
        self._folds = [
            (start, end) for start, end in itertools.pairwise(known) if end - start > IDLE
        ]
        self.y = float(TITLE + CHAPTERS)
        self.body: list[str] = []

    def x(self, at: float) -> float:
        share = self._drawn(min(at, self.until)) / self._drawn(self.until)
        return GUTTER + share * (WIDTH - GUTTER - MARGIN)

    def _drawn(self, at: float) -> float:
        """A moment, without what was folded before."""
        gone = 0.0
        for start, end in self._folds:
            share = min(max(at - start, 0.0) / (end - start), 1.0)
            gone += share * (end - start - FOLDED)
        return at - gone

    def section(self, name: str, tracks: Iterable[Track]) -> None:
        rows = _rows(track for track in tracks if self._is_worth_a_bar(track))
        if not rows:
            return
        self.y += SECTION
        style = 'font-size="12" font-weight="bold" fill="#22303c"'
        self.body.append(_text(MARGIN, self.y - 9, name, style))
        for label, row in rows:
            style = 'text-anchor="end" fill="#37474f"'
            self.body.append(_text(GUTTER - 10, self.y + BAR - 4, _short(label, 34), style))
            for track in row:
                self._draw(track)
            self.y += ROW

    def _is_worth_a_bar(self, track: Track) -> bool:
        if track.kind is not Kind.RESOURCE:
            return bool(track.spans)
        return any(
            (self.until if span.end is None else span.end) - span.start >= BRIEF
            for span in track.spans
            if span.state.endswith("IN_PROGRESS")
        )

    def _draw(self, track: Track) -> None:
        for span in _worth_a_bar(track):
            self._bar(track, span)
        if track.kind is Kind.EXECUTION:
            self._frame(track)

    def _bar(self, track: Track, span: Span) -> None:
        end = self.until if span.end is None else span.end
        # What lasted for no time can still be seen, also at the very end.
        left = min(self.x(span.start), WIDTH - MARGIN - 1.0)
        width = max(self.x(end) - left, 1.0)
        # A command has only one state; what it came to says more.
        state = (track.kind is Kind.COMMAND and track.outcome) or span.state
        shade = meaning(track.kind, state)
        # A stack at rest is no news.
        rests = track.kind in (Kind.STACK, Kind.RESOURCE) and state.endswith("COMPLETE")
        top, height = (self.y + BAR / 2 - 2, 4) if rests else (self.y, BAR)
        words = (
            f"{track.label}: {state}\n"
            f"{duration(end - span.start)}, from {duration(span.start)} to {duration(end)}"
        )
        self.body.append(
            f'<rect x="{left:.1f}" y="{top:.0f}" width="{width:.1f}" height="{height}"'
            f' fill="{shade.colour}"><title>{escape(words)}</title></rect>'
        )
        told = "" if rests else _fitting(state, int((width - 8) / CHARACTER))
        style = f'font-size="10" fill="{shade.ink}" pointer-events="none"'
        self.body.append(_text(left + 4, self.y + BAR - 4.5, told, style))

    def _frame(self, track: Track) -> None:
        """How an execution ended, around its states."""
        end = self.until if track.end is None else track.end
        passed = track.outcome in (None, "SUCCEEDED")
        line = f'stroke="{(WORKING if passed else BAD).colour}" stroke-width="{1 if passed else 2}"'
        self.body.append(
            f'<rect x="{self.x(track.start):.1f}" y="{self.y:.0f}" height="{BAR}" fill="none"'
            f' width="{max(self.x(end) - self.x(track.start), 1.5):.1f}" {line}'
            ' pointer-events="none"/>'
        )

    def svg(self, title: str, subtitle: str, chapters: Sequence[Chapter]) -> str:
        height = f"{self.y + LEGEND:.0f}"
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}"'
                f' viewBox="0 0 {WIDTH} {height}" font-size="11"'
                ' font-family="Helvetica, Arial, DejaVu Sans, sans-serif">',
                f"<title>{escape(title)}</title>",
                f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
                _text(MARGIN, 32, title, 'font-size="19" font-weight="bold" fill="#22303c"'),
                _text(MARGIN, 52, subtitle, 'font-size="12" fill="#5b6b7a"'),
                *self._chapters(chapters),
                *self._grid(),
                *self.body,
                *self._legend(),
                "</svg>",
                "",
            ]
        )

    def _chapters(self, chapters: Sequence[Chapter]) -> Iterable[str]:
        top, bottom = TITLE, self.y + 8
        for number, chapter in enumerate(chapters):
            left, right = self.x(chapter.start), self.x(chapter.end)
            tint = "#f1f5f8" if number % 2 == 0 else "#fafbfc"
            yield (
                f'<rect x="{left:.1f}" y="{top}" width="{right - left:.1f}"'
                f' height="{bottom - top:.0f}" fill="{tint if chapter.passed else "#fbeaea"}"/>'
            )
            room = int((right - left - 10) / CHARACTER)
            mark = "" if chapter.passed else "✗ "
            style = f'font-weight="bold" fill="{"#22303c" if chapter.passed else BAD.colour}"'
            yield _text(left + 6, top + 16, _short(mark + chapter.name, room), style)
            lasted = duration(chapter.end - chapter.start)
            yield _text(left + 6, top + 31, _short(lasted, room), 'fill="#5b6b7a"')

    def _grid(self) -> Iterable[str]:
        apart = next((gap for gap in GRID if self._drawn(self.until) / gap <= 20), GRID[-1])
        top, bottom = TITLE + CHAPTERS, self.y + 8
        for number in range(math.floor(self.until / apart) + 1):
            if any(start < number * apart < end for start, end in self._folds):
                continue
            x = self.x(number * apart)
            yield (
                f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom:.0f}"'
                ' stroke="#d5dde4" stroke-width="1"/>'
            )
            yield _text(
                x, bottom + 13, duration(number * apart), 'text-anchor="middle" fill="#5b6b7a"'
            )

    def _legend(self) -> Iterable[str]:
        half = len(MEANINGS) // 2
        for number, shade in enumerate(MEANINGS):
            x = GUTTER + number % half * (WIDTH - GUTTER - MARGIN) / half
            y = self.y + LEGEND - 44 + number // half * 20
            yield f'<rect x="{x:.0f}" y="{y:.0f}" width="12" height="12" fill="{shade.colour}"/>'
            yield _text(x + 18, y + 10, shade.words, 'font-size="10.5" fill="#37474f"')


def _rows(tracks: Iterable[Track]) -> list[tuple[str, list[Track]]]:
    """One row for each label, and a further one only for what ran while its namesake did."""
    rows: list[tuple[str, list[Track]]] = []
    for track in sorted(tracks, key=lambda track: track.start):
        for label, row in rows:
            free_from = row[-1].end
            if label == track.label and free_from is not None and free_from <= track.start:
                row.append(track)
                break
        else:
            rows.append((track.label, [track]))
    return rows


def _worth_a_bar(track: Track) -> Iterable[Span]:
    match track.kind:
        case Kind.EXECUTION:
            return _told_once(track.spans)
        case Kind.STACK | Kind.RESOURCE:
            # CloudFormation tells of much that is over at once.
            return [span for span in track.spans if span.end != span.start]
    return track.spans


def _told_once(spans: Sequence[Span]) -> list[Span]:
    """A workflow's states with every poll (WaitForX, DescribeX, IsX, WaitForX ...) told as one."""
    told: list[Span] = []
    for span in spans:
        wait = next((old for old in reversed(told) if old.state.startswith("WaitFor")), None)
        if wait and span.state == wait.state and _only_polls(told[told.index(wait) + 1 :]):
            del told[told.index(wait) + 1 :]
            wait.end = span.end
        else:
            told.append(Span(span.state, span.start, span.end))
    return told


def _only_polls(spans: Sequence[Span]) -> bool:
    return len(spans) <= 2 and all((span.end or span.start) - span.start < 1 for span in spans)


def _short(words: str, room: int) -> str:
    if len(words) <= room:
        return words
    return words[: room - 1] + "…" if room > 1 else ""


def _fitting(state: str, room: int) -> str:
    """The state in so many characters; nothing if too little of it could be read."""
    if len(state) <= room:
        return state
    action = state.removesuffix("_IN_PROGRESS")
    return _short(action + "…", room) if room >= 7 else ""


def _text(x: float, y: float, words: str, style: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(words)}</text>' if words else ""
