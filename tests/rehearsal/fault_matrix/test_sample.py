"""A sample of the fault matrix; `make faults` tries all of it."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from rehearsal.fault_matrix import recording
from rehearsal.fault_matrix.cell import cells_of, selected
from rehearsal.fault_matrix.main import run
from rehearsal.fault_matrix.results import HOLE, Results

# Requests that take little processor time, and need few others to be prepared.
CHEAP = "^(grow|shrink|change-settings|delete-cluster)/(?!response)"
SAMPLE, SEED = 60, 13


def test_a_sample_of_the_matrix_has_no_hole(tmp_path: Path) -> None:
    recorded = recording.load()
    cells = selected(cells_of(recorded.calls), CHEAP, SAMPLE, SEED)
    results = Results(tmp_path / "results.jsonl", tree="of this test")
    run(cells, recorded, results, Console(quiet=True), workers=1)
    assert len(results.by_cell) == SAMPLE
    assert [result for result in results.by_cell.values() if result.outcome == HOLE] == []
