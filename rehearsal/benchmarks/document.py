"""The document of the benchmarks, docs/benchmarks.md."""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess  # nosec B404 # runs git
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from display.traces import duration
from localaws.client import ROOT
from rehearsal.benchmarks import goals
from rehearsal.benchmarks.costs import PRICES
from rehearsal.benchmarks.goals import Spread
from rehearsal.benchmarks.growth import SUBNETS, Growth
from rehearsal.benchmarks.operations import OPERATIONS, Measurement
from rehearsal.benchmarks.sizes import Rehearsal

PATH = ROOT / "docs" / "benchmarks.md"
# Losses below this many seconds are summed up.
SMALL = 1.0
INTRODUCTION = """# Benchmarks

How much longer our operations take than AWS itself needs, measured in the local AWS by
`make bench`, which writes this page. Nothing here was measured on AWS: durations are those of
[aws-behaviour.md](aws-behaviour.md) (F1.32, F1.33, F6.62, F6.90), and every resource, invocation,
transition and command is charged.

**AWS's own time** is the critical path of what an operation cannot avoid: one role, one function
and one state machine of the stack, then the cluster, its first HSM, initialization, one command
that activates, activation, and the other HSMs at once; or the connection, the disconnection, the
deletion of HSMs and cluster. The ratio is the operation's time divided by that."""


@dataclass
class Results:
    """Everything that was measured; what is empty was not."""

    measurements: Sequence[Measurement]
    spreads: Sequence[Spread] = ()
    growths: Sequence[Growth] = ()
    zip_kilobytes: float = 0
    imports: Mapping[str, float] = field(default_factory=dict)
    rehearsal: Rehearsal | None = None

    def missed(self) -> list[str]:
        """A line for each goal that is not met."""
        spreads = self.spreads or [
            Spread(each.name, [each.waterfall.ratio]) for each in self.measurements
        ]
        seconds, megabytes = (
            (self.rehearsal.seconds, self.rehearsal.memory) if self.rehearsal else (0, 0)
        )
        return [
            *goals.missed(spreads, {each.name: each.dollars for each in self.measurements}),
            *goals.missed_sizes(self.imports, seconds, megabytes),
        ]


def write(results: Results) -> None:
    """Write the document."""
    sections = [
        INTRODUCTION,
        _when(),
        *_goals(results),
        *_operations(results.measurements),
        *_draws(results.spreads),
        *_growths(results.growths),
        *_losses(results.measurements),
        *_prices(),
        *_sizes(results),
    ]
    PATH.write_text("\n\n".join(sections) + "\n")


def _when() -> str:
    git = shutil.which("git") or "/usr/bin/git"
    commit = subprocess.run(  # nosec B603 # without a shell
        [git, "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=False,
    ).stdout.strip()
    return f"Measured on {dt.date.today():%Y-%m-%d} at commit {commit or 'unknown'}."


def _goals(results: Results) -> Iterator[str]:
    medians = ", ".join(f"{name} {limit:.2f}" for name, limit in goals.MEDIANS.items())
    yield (
        "## Goals\n\n"
        f"Medians of the ratio over random durations (±{goals.SPREAD:.0%}): {medians}. No draw "
        f"above {goals.WORST:.2f}. Every operation below {goals.DOLLARS:.2f} USD. "
        f"Cold import of `request` below {goals.REQUEST_MILLISECONDS} ms of CPU, of other handlers "
        f"below {goals.WORKER_MILLISECONDS}. `make rehearse` below {goals.REHEARSE_SECONDS} s and "
        f"{goals.REHEARSE_MEGABYTES} MB on two idle cores."
    )
    missed = results.missed()
    yield (
        "\n".join(["Missed:", "", *(f"- {line}" for line in missed)]) if missed else "All are met."
    )


def _operations(measurements: Sequence[Measurement]) -> Iterator[str]:
    rows = [
        (
            OPERATIONS[each.name].description,
            duration(each.waterfall.elapsed),
            duration(each.waterfall.own),
            f"{each.waterfall.ratio:.3f}",
            str(each.transitions),
            str(each.invocations),
            str(sum(each.calls.values())),
            f"{each.dollars:.4f}",
        )
        for each in measurements
    ]
    heads = "Operation|Time|AWS's own|Ratio|Transitions|Invocations|API calls|USD"
    yield "## Operations with default durations"
    yield _table(heads, rows)


def _draws(spreads: Sequence[Spread]) -> Iterator[str]:
    if not spreads:
        return
    rows = [
        (each.name, f"{min(each.ratios):.3f}", f"{each.median:.3f}", f"{each.worst:.3f}")
        for each in spreads
    ]
    yield f"## {len(spreads[0].ratios)} draws of random durations"
    yield _table("Operation|Best|Median|Worst", rows)


def _growths(growths: Sequence[Growth]) -> Iterator[str]:
    if not growths:
        return
    rows = [
        (
            f"0 to {each.hsms_per_subnet}",
            each.mode,
            duration(each.waterfall.elapsed),
            f"{each.waterfall.ratio:.3f}",
            each.status,
            f"{each.active} of {SUBNETS * each.hsms_per_subnet}",
            str(each.later),
        )
        for each in growths
    ]
    yield "## Growth in three subnets"
    yield _table("HSMs per subnet|AWS makes them|Time|Ratio|Status|ACTIVE|Later", rows)


def _losses(measurements: Sequence[Measurement]) -> Iterator[str]:
    yield "## Lost seconds"
    yield (
        "What an operation waits for while AWS does nothing that it needs. "
        "`python -m rehearsal bench` shows each loss at its place, and draws it as "
        "`build/bench-<operation>.svg`."
    )
    for each in measurements:
        lost = each.waterfall.losses()
        rows = [
            (name, f"{seconds:.1f}") for name, seconds in lost.most_common() if seconds >= SMALL
        ]
        rest = sum(seconds for seconds in lost.values() if seconds < SMALL)
        if rest:
            rows.append(("others", f"{rest:.1f}"))
        yield f"### {OPERATIONS[each.name].description}"
        yield _table("Lost|Seconds", rows) if rows else "None."


def _prices() -> Iterator[str]:
    rows = [
        (each.unit, f"{each.dollars:.10f}".rstrip("0"), each.source) for each in PRICES.values()
    ]
    yield "## Prices"
    yield "Of us-east-1 without free tiers, read in November 2026. The cluster is not included."
    yield _table("Unit|USD|Source", rows)


def _sizes(results: Results) -> Iterator[str]:
    if not results.imports:
        return
    rows = [("zip", f"{results.zip_kilobytes:.0f} KB")]
    rows += [
        (f"cold import of `{name}`", f"{milliseconds:.0f} ms of CPU")
        for name, milliseconds in results.imports.items()
    ]
    if results.rehearsal:
        rows.append(("`make rehearse`", f"{results.rehearsal.seconds:.0f} s"))
        rows.append(
            ("`make rehearse`, all processes at the peak", f"{results.rehearsal.memory:.0f} MB")
        )
    yield "## Sizes and real time"
    yield _table("What|Measured", rows)


def _table(heads: str, rows: Iterable[Sequence[str]]) -> str:
    names = heads.split("|")
    return "\n".join(
        [
            f"| {' | '.join(names)} |",
            f"|{' --- |' * len(names)}",
            *(f"| {' | '.join(row)} |" for row in rows),
        ]
    )
