from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from rehearsal.benchmarks import document
from rehearsal.benchmarks.document import Results
from rehearsal.benchmarks.goals import Spread
from rehearsal.benchmarks.growth import Growth
from rehearsal.benchmarks.operations import Measurement
from rehearsal.benchmarks.sizes import Rehearsal
from rehearsal.benchmarks.waterfall import Segment, Waterfall

SHOWN = Waterfall(
    [
        Segment("create HSMs", 0, 100, is_lost=False),
        Segment("polling: WaitForHsms (align-hsms)", 100, 104, is_lost=True),
        Segment("CloudFormation processes the response", 104, 104.5, is_lost=True),
    ]
)
RESULTS = Results(
    [Measurement("grow", SHOWN, [], Counter({"Invoke": 3}), {})],
    [Spread("grow", [1.01, 1.03, 1.06])],
    [Growth(6, "one at a time", SHOWN, "UPDATE_COMPLETE", 2, 18)],
    4890,
    {"request": 180.0, "cluster": 300.0},
    Rehearsal(19, 390),
)


def test_the_document_has_every_result_and_each_goal_that_is_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document, "PATH", tmp_path / "benchmarks.md")
    document.write(RESULTS)
    lines = (tmp_path / "benchmarks.md").read_text().splitlines()
    expected = [
        "- grow: median 1.030, goal 1.02",
        "- grow: worst 1.060, goal 1.05",
        "- cold import of cluster: 300 ms, goal 250",
        "| Grow to 2 HSMs per subnet | 1:44 | 1:40 | 1.045 | 0 | 0 | 3 | 0.0000 |",
        "| grow | 1.010 | 1.030 | 1.060 |",
        "| 0 to 6 | one at a time | 1:44 | 1.045 | UPDATE_COMPLETE | 2 of 18 | 18 |",
        "| polling: WaitForHsms (align-hsms) | 4.0 |",
        "| others | 0.5 |",
        "| zip | 4890 KB |",
        "| `make rehearse` | 19 s |",
    ]
    assert [line for line in expected if line not in lines] == []
    assert any(line.startswith("Measured on ") and " at commit " in line for line in lines)
