"""Measure operations in a local AWS: how much longer they take than AWS itself needs."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

from rich.console import Console

from localaws.client import ROOT, Json, LocalAws
from rehearsal.benchmarks import document, picture, sizes
from rehearsal.benchmarks.document import Results
from rehearsal.benchmarks.goals import CHARGED, Spread, drawn
from rehearsal.benchmarks.growth import MODES, Growth, growths
from rehearsal.benchmarks.operations import OPERATIONS, Bench, Measurement
from rehearsal.benchmarks.tables import summary_table, waterfall_table

# Columns when the output is not a terminal.
LOG_WIDTH = 140


def measure(
    chosen: Sequence[str], timings: Json | None = None
) -> tuple[list[Measurement], dict[str, float]]:
    """Measure operations in a new local AWS that charges everything; also all its timings."""
    with LocalAws(timings={**CHARGED, **(timings or {})}) as aws:
        return list(Bench(aws).run(chosen)), aws.admin.timings()


def spreads(chosen: Sequence[str], timings: Json, draws: int) -> list[Spread]:
    """The ratios of operations in several runs with random durations, one per core at a time."""
    # Processes of their own, so that a run depends on no other.
    spawning = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), spawning, max_tasks_per_child=1) as workers:
        each = [workers.submit(_ratios, chosen, drawn(timings, seed)) for seed in range(draws)]
        runs = [run.result() for run in each]
    return [Spread(name, [run[name] for run in runs]) for name in runs[0]]


def _ratios(chosen: Sequence[str], timings: Json) -> dict[str, float]:
    return {each.name: each.waterfall.ratio for each in measure(chosen, timings)[0]}


def _growths(timings: Json) -> list[Growth]:
    return [growth for mode in MODES for growth in growths(timings, mode)]


def _draw(measurements: Sequence[Measurement]) -> None:
    for each in measurements:
        path = ROOT / "build" / f"bench-{each.name}.svg"
        path.parent.mkdir(exist_ok=True)
        path.write_text(picture.draw(OPERATIONS[each.name].description, each.waterfall))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m rehearsal bench", description=__doc__)
    parser.add_argument(
        "--only",
        action="append",
        choices=OPERATIONS,
        metavar="OPERATION",
        help=f"measure this operation, repeatedly for several: {', '.join(OPERATIONS)}",
    )
    parser.add_argument(
        "--timings", type=json.loads, metavar="JSON", help="virtual seconds for each AWS operation"
    )
    parser.add_argument(
        "--draws", type=int, default=0, metavar="N", help="repeat with N draws of random durations"
    )
    parser.add_argument("--growth", action="store_true", help="also measure growth by many HSMs")
    parser.add_argument("--sizes", action="store_true", help="also measure sizes and real time")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    return parser


def main(arguments: Sequence[str]) -> int:
    """The command line of `python -m rehearsal bench`; returns 0 if all goals are met."""
    given = _parser().parse_args(arguments)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else LOG_WIDTH)
    chosen = given.only or list(OPERATIONS)
    measurements, timings = measure(chosen, given.timings)
    results = Results(measurements)
    for each in measurements:
        console.print(waterfall_table(each), "")
    console.print(summary_table(measurements))
    _draw(measurements)
    if given.draws:
        results.spreads = spreads(chosen, timings, given.draws)
        for spread in results.spreads:
            console.print(f"{spread.name}: median {spread.median:.3f}, worst {spread.worst:.3f}")
    if given.growth:
        results.growths = _growths(timings)
        for growth in results.growths:
            console.print(
                f"0 to {growth.hsms_per_subnet}, {growth.mode}: {growth.waterfall.ratio:.3f}"
            )
    if given.sizes:
        results.zip_kilobytes, results.imports = sizes.zip_kilobytes(), sizes.import_milliseconds()
        results.rehearsal = sizes.rehearsal()
    if given.write:
        document.write(results)
    missed = results.missed()
    for line in missed:
        console.print(f"missed: {line}", style="red")
    return 1 if missed else 0
