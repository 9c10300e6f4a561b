"""Measure operations in a local AWS: how much longer they take than AWS itself needs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from rich.console import Console

from localaws.client import Json, LocalAws
from rehearsal.benchmarks.operations import OPERATIONS, Bench, Measurement
from rehearsal.benchmarks.tables import summary_table, waterfall_table

# Columns when the output is not a terminal.
LOG_WIDTH = 140


def measure(chosen: Sequence[str], timings: Json | None = None) -> list[Measurement]:
    """Measure operations in a new local AWS."""
    with LocalAws(timings=timings) as aws:
        return list(Bench(aws).run(chosen))


def main(arguments: Sequence[str]) -> int:
    """The command line of `python -m rehearsal bench`."""
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
    given = parser.parse_args(arguments)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else LOG_WIDTH)
    measured = measure(given.only or list(OPERATIONS), given.timings)
    for each in measured:
        console.print(waterfall_table(each), "")
    console.print(summary_table(measured))
    return 0
