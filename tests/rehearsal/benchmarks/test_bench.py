from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from rehearsal.__main__ import main
from rehearsal.benchmarks import bench
from rehearsal.benchmarks.operations import Measurement, with_needs
from rehearsal.benchmarks.waterfall import Segment, Waterfall


@pytest.mark.parametrize(("lost", "code"), [(5.0, 0), (50.0, 1)])
def test_bench_prints_each_segment_and_fails_if_a_goal_is_missed(
    lost: float, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = Waterfall(
        [
            Segment("create HSMs", 0, 467, is_lost=False),
            Segment("polling: WaitForHsms (align-hsms)", 467, 467 + lost, is_lost=True),
        ]
    )

    def measure(chosen: Any, timings: Any) -> Any:
        assert (chosen, timings) == (["grow"], {"create_hsm": 467})
        return [Measurement("grow", shown, [], Counter(), {})], {}

    monkeypatch.setattr(bench, "measure", measure)
    assert main(["bench", "--only", "grow", "--timings", '{"create_hsm": 467}']) == code
    printed = capsys.readouterr().out
    assert "467.0" in printed
    assert "polling: WaitForHsms (align-hsms)" in printed
    assert ("missed: grow: median" in printed) == bool(code)


def test_what_an_operation_needs_runs_before_it() -> None:
    assert with_needs(["back"]) == ["create", "shrink", "back"]
    assert with_needs(["delete", "key-store-create"]) == [
        "create",
        "key-store-create",
        "key-store-delete",
        "delete",
    ]
