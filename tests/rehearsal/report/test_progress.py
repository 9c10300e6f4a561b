from __future__ import annotations

import time
from pathlib import Path

import pytest

from rehearsal.drivers.step import Step
from rehearsal.report import progress
from rehearsal.scenarios import SCENARIOS


def step(real: float, *, running: bool = False) -> Step:
    """A step that took so many real seconds, or has so far."""
    made = Step("Create", 0, began=time.monotonic() - real)
    if not running:
        made.finish(60)
    return made


@pytest.fixture(name="latest")
def _latest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(progress, "LATEST", tmp_path / "steps")
    return tmp_path / "steps"


@pytest.mark.usefixtures("latest")
def test_the_latest_run_here_counts_more_than_the_recorded_one() -> None:
    assert len(progress.recorded("standard")) > 5
    progress.record("standard", [step(4), step(2)])
    assert progress.recorded("standard") == [4.0, 2.0]
    assert progress.recorded("unheard-of") == []


def test_recorded_runs_are_those_of_scenarios() -> None:
    names = {path.stem for path in progress.RECORDED.iterdir()}
    assert names
    assert names - set(SCENARIOS) == set()


@pytest.mark.parametrize(
    ("number", "expected", "shown"),
    [(2, [4, 2], "step 2 of 2"), (3, [4, 2], "step 3"), (1, [], "step 1")],
)
def test_a_step_has_its_number_and_how_many_there_are(
    number: int, expected: list[float], shown: str
) -> None:
    assert progress.position(number, expected) == shown


def test_the_estimate_is_that_of_the_earlier_run_at_the_speed_of_this_one() -> None:
    expected = [10.0, 6.0, 4.0]
    assert progress.left([step(3, running=True)], expected) == pytest.approx(17, abs=0.1)
    # Twice as slow.
    assert progress.left([step(20, running=True)], expected) == pytest.approx(20, abs=0.1)
    slow = [step(20), step(2, running=True)]
    assert progress.left(slow, expected) == pytest.approx(18, abs=0.1)
    late = [step(10), step(60, running=True)]
    assert progress.left(late, expected) == pytest.approx(4, abs=0.1)


def test_without_an_earlier_run_of_as_many_steps_there_is_no_estimate() -> None:
    assert progress.left([], [1.0]) is None
    assert progress.left([step(1)], []) is None
    assert progress.left([step(1), step(1)], [1.0]) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, ""), (0.0, "about 5 s left"), (43.0, "about 45 s left"), (130.0, "about 2 min left")],
)
def test_the_estimate_is_rounded(seconds: float | None, words: str) -> None:
    assert progress.sentence(seconds) == words
