"""How far a scenario is: step n of m, and how long it still takes, from an earlier run."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from localaws.client import ROOT
from rehearsal.drivers.step import Step

# The real seconds of each step: of the latest run here, else those of the repository.
LATEST = ROOT / "build" / "steps"
RECORDED = ROOT / "rehearsal" / "steps"
_MINUTE = 60


def recorded(name: str) -> list[float]:
    """The real seconds of each of a scenario's steps; empty if it has not been run."""
    for directory in (LATEST, RECORDED):
        path = directory / f"{name}.json"
        if path.exists():
            seconds: list[float] = json.loads(path.read_text())
            return seconds
    return []


def record(name: str, steps: Sequence[Step]) -> None:
    """Write the seconds of a run that has passed, for the next one."""
    LATEST.mkdir(parents=True, exist_ok=True)
    (LATEST / f"{name}.json").write_text(json.dumps([round(step.wall, 1) for step in steps]) + "\n")


def position(number: int, expected: Sequence[float]) -> str:
    """Which step of how many; without their number if no earlier run had as many."""
    return f"step {number}" + (f" of {len(expected)}" if number <= len(expected) else "")


def left(steps: Sequence[Step], expected: Sequence[float]) -> float | None:
    """Real seconds left, at the speed of this run so far; None if unknown."""
    if not steps or len(steps) > len(expected):
        return None
    done, running = len(steps) - 1, time.monotonic() - steps[-1].began
    if done:
        speed = sum(step.wall for step in steps[:done]) / (sum(expected[:done]) or 1)
    else:
        # The first step says nothing yet, unless it takes longer.
        speed = max(1.0, running / (expected[0] or 1))
    return max(0.0, expected[done] * speed - running) + speed * sum(expected[done + 1 :])


def sentence(seconds: float | None) -> str:
    """The estimate in words; empty if there is none."""
    if seconds is None:
        return ""
    if seconds > 1.5 * _MINUTE:
        return f"about {round(seconds / _MINUTE)} min left"
    return f"about {max(5, 5 * round(seconds / 5))} s left"
