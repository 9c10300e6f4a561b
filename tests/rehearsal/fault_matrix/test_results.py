"""What a run stores and writes."""

from __future__ import annotations

from pathlib import Path

from rehearsal.fault_matrix import recording, report
from rehearsal.fault_matrix.cell import cells_of
from rehearsal.fault_matrix.results import HOLE, PASSED, TOLERATED, Result, Results
from rehearsal.fault_matrix.snapshot import differences
from rehearsal.fault_matrix.tolerated import reason_for

CELLS = cells_of(recording.load().calls)


def test_results_are_resumed_as_long_as_the_sources_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    first = Results(path, tree="one")
    first.add(Result("a", PASSED))
    first.add(Result("b", HOLE, "It failed."))
    assert Results(path, tree="one").by_cell == first.by_cell
    assert Results(path, tree="two").by_cell == {}
    assert Results(path, tree="one", restart=True).by_cell == {}


def test_a_stored_recording_is_loaded_as_it_was(tmp_path: Path) -> None:
    stored = recording.load()
    recording.save(stored, tmp_path / "recording.json")
    assert recording.load(tmp_path / "recording.json") == stored
    assert (tmp_path / "recording.json").read_text() == recording.PATH.read_text()


def test_the_page_counts_each_cell_by_fault_service_and_request() -> None:
    outcome = {cell.id: TOLERATED if reason_for(cell) else PASSED for cell in CELLS}
    page = report.page(CELLS, {id_: Result(id_, each) for id_, each in outcome.items()})
    assert f"{len(CELLS):,} cells: " in page
    assert ", 0 holes." in page
    totals = [
        int(line.split("|")[-2].replace(",", ""))
        for line in page.partition("## By request")[2].partition("## Tolerated")[0].splitlines()
        if line.startswith("| ") and line.split("|")[2].strip().isdigit()
    ]
    assert sum(totals) == len(CELLS)


def test_a_hole_says_what_happened_and_how_to_repeat_it() -> None:
    cell = next(cell for cell in CELLS if cell.id == "grow/cluster.CreateHsm/CreateHsm/lost")
    line = report.hole_line(cell, Result(cell.id, HOLE, "UPDATE_ROLLBACK_COMPLETE: no"))
    assert line == (
        "grow, cluster.CreateHsm/CreateHsm: error 500 once, after the effect:"
        " UPDATE_ROLLBACK_COMPLETE: no\n"
        "    python -m rehearsal faults"
        r" --only '^grow/cluster\.CreateHsm/CreateHsm/lost$'"
    )


def test_differences_name_what_there_is_too_much_or_too_little_of() -> None:
    assert differences({"secret": 2, "rule": 1}, {"secret": 1, "role": 1, "rule": 1}) == [
        "role: 0 instead of 1",
        "secret: 2 instead of 1",
    ]
