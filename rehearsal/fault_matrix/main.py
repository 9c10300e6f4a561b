"""The command line of `python -m rehearsal faults`."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from localaws.client import LocalAws, ended
from rehearsal.drivers.deployment import package
from rehearsal.drivers.key_store import KEY_STORE_TEMPLATE
from rehearsal.drivers.stack import CLUSTER_TEMPLATE
from rehearsal.fault_matrix import recording, report
from rehearsal.fault_matrix.cell import Cell, cells_of, selected
from rehearsal.fault_matrix.plan import Chain, chains_of
from rehearsal.fault_matrix.record import record
from rehearsal.fault_matrix.requests import SETTINGS
from rehearsal.fault_matrix.results import HOLE, Result, Results
from rehearsal.fault_matrix.worker import Worker

# Outside a terminal, a line is printed after so many cells.
LINE_AFTER = 100


def main(arguments: Sequence[str]) -> int:
    """Try the cells that are selected; returns 0 if there is no hole."""
    given = _parser().parse_args(arguments)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    if given.record:
        recording.save(record(lambda name: console.print(f"recording {name}")))
    recorded = recording.load()
    cells = cells_of(recorded.calls)
    chosen = selected(cells, given.only, given.sample, given.seed)
    if given.list:
        for cell in chosen:
            print(cell.id)
        return 0
    _prepare()
    results = Results(restart=given.restart)
    pending = [cell for cell in chosen if given.again or cell.id not in results.by_cell]
    run(pending, recorded, results, console, workers=given.workers)
    return _conclude(console, cells, chosen, results)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m rehearsal faults", description=__doc__)
    parser.add_argument("--only", default="", metavar="REGEX", help="cells whose id matches")
    parser.add_argument("--sample", type=int, metavar="N", help="so many of them, by --seed")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="another sample")
    parser.add_argument("--list", action="store_true", help="print the cells' ids only")
    parser.add_argument("--record", action="store_true", help="record the requests' calls first")
    parser.add_argument("--again", action="store_true", help="try cells that have a result, too")
    parser.add_argument("--restart", action="store_true", help="forget all earlier results")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count(), metavar="N", help="local AWSs at a time"
    )
    return parser


def run(
    cells: Sequence[Cell],
    recorded: recording.Recording,
    results: Results,
    console: Console,
    *,
    workers: int | None,
) -> None:
    """Try these cells, as many chains at a time as there are workers."""
    queue = _Queue(chains_of(cells, _requests()))
    with _Display(console, len(cells)) as display:

        def report_result(result: Result) -> None:
            if ended.is_set():
                sys.exit()
            results.add(result)
            display.show(result)

        def work() -> None:
            worker = Worker(recorded, report_result)
            try:
                while chain := queue.next(worker.setting):
                    worker.try_chain(chain)
            finally:
                worker.close()

        threads = [threading.Thread(target=work, daemon=True) for _ in range(workers or 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _prepare() -> None:
    """Build and package the templates: what fails here would fail each cell."""
    with LocalAws() as aws:
        for template in (CLUSTER_TEMPLATE, KEY_STORE_TEMPLATE):
            package(aws, template)


def _requests() -> Mapping[str, Sequence[str]]:
    """The names of each setting's requests that are tried."""
    return {name: kind.tried for name, kind in SETTINGS.items()}


class _Queue:
    """The chains that are left."""

    def __init__(self, chains: Sequence[Chain]) -> None:
        self._left = list(chains)
        self._lock = threading.Lock()

    def next(self, setting: str) -> Chain | None:
        """The next chain, of the same setting if possible."""
        with self._lock:
            if not self._left:
                return None
            same = (n for n, chain in enumerate(self._left) if chain.setting == setting)
            return self._left.pop(next(same, 0))


class _Display:
    """Cells done, holes, and the minutes left: live on a terminal, else a line now and then."""

    def __init__(self, console: Console, total: int) -> None:
        self._console, self._total = console, total
        self._done = self._holes = 0
        self._lock = threading.Lock()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("cells", total=total)

    def __enter__(self) -> _Display:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, result: Result) -> None:
        """Count a result, and print a hole at once."""
        with self._lock:
            self._done += 1
            self._holes += result.outcome == HOLE
            self._progress.update(
                self._task, completed=self._done, description=f"cells, {self._holes} holes"
            )
            if result.outcome == HOLE:
                self._console.print(f"HOLE {result.cell}: {result.detail}", markup=False)
            if not self._console.is_terminal and self._done % LINE_AFTER == 0:
                self._console.print(f"{self._done} of {self._total} cells, {self._holes} holes")


def _conclude(
    console: Console, cells: Sequence[Cell], chosen: Sequence[Cell], results: Results
) -> int:
    """Print holes and counts, and write the page if every cell was tried."""
    by_cell = results.by_cell
    holes = [cell for cell in chosen if by_cell[cell.id].outcome == HOLE]
    for cell in holes:
        console.print(report.hole_line(cell, by_cell[cell.id]), markup=False, soft_wrap=True)
    found = report.counts(by_cell[cell.id] for cell in chosen)
    console.print(", ".join(f"{number} {outcome}" for outcome, number in sorted(found.items())))
    if len(chosen) == len(cells):
        report.PAGE.write_text(report.page(cells, by_cell))
    return 1 if holes else 0
