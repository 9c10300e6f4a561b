"""Run scenarios, each in a local AWS of its own, and say how they went."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from localaws.client import ROOT, Json, LocalAws
from rehearsal.checks import invariants
from rehearsal.drivers.stack import NotAsExpectedError, StackDriver, announce_to_nobody
from rehearsal.report.failure import explain
from rehearsal.report.live import Display, Look, Step, summary
from rehearsal.report.spans import duration, tracks
from rehearsal.report.svg import Chapter, draw
from rehearsal.scenarios import ARGUMENTS, SCENARIOS, STANDARD, story

LOG_WIDTH = 140
PICTURES = ROOT / "build"


@dataclass(frozen=True)
class Result:
    """How a scenario went: its steps, why it failed if it did, its picture, and real seconds."""

    name: str
    steps: Sequence[Step]
    explanation: Sequence[str]
    picture: Path
    wall: float

    @property
    def passed(self) -> bool:
        """Whether everything was as expected."""
        return not self.explanation


def rehearse(name: str, *, timings: Json | None = None, console: Console | None = None) -> Result:
    """Run one scenario in a fresh local AWS, shown on the console if there is one."""
    began = time.monotonic()
    explanation: list[str] = []
    with LocalAws(*ARGUMENTS.get(name, ()), timings=timings) as aws:
        with _shown(console, name, aws) as announce:
            driver = StackDriver(aws, announce)
            try:
                SCENARIOS[name](driver)
                explanation = [*invariants.broken(aws.admin.event_log()), *_left(aws)]
            except NotAsExpectedError as failure:
                explanation = [str(failure), *explain(driver)]
            except Exception:
                explanation = [traceback.format_exc().rstrip(), *explain(driver), aws.server_log()]
        wall = time.monotonic() - began
        path = _draw(name, driver, wall)
    return Result(name, driver.steps, explanation, path, wall)


def _left(aws: LocalAws) -> list[str]:
    """The stacks that a scenario did not delete, which it has to, a sentence each."""
    stacks = aws.admin.inventory()["cloudformation"]["stacks"]
    return [f"stack {stack['name']} is left in {stack['status']}" for stack in stacks]


def _title(name: str) -> str:
    return f"{name}: {story(name)}"


@contextmanager
def _shown(console: Console | None, name: str, aws: LocalAws) -> Iterator[Callable[[Step], None]]:
    """Show on the console, if there is one, what happens inside; whom to announce steps to."""

    def look() -> Look:
        return Look(float(aws.admin.clock()["elapsed"]), aws.admin.event_log())

    if console is None:
        yield announce_to_nobody
    else:
        with Display(console, _title(name), look) as display:
            yield display.began


def _draw(name: str, driver: StackDriver, wall: float) -> Path:
    elapsed = float(driver.admin.clock()["elapsed"])
    failed = [step.name for step in driver.steps if step.failure]
    verdict = f"not as expected: {failed[0]}" if failed else "everything as expected"
    path = PICTURES / f"rehearsal-{name}.svg"
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        draw(
            _title(name),
            f"{elapsed / 60:.0f} minutes of AWS in {wall:.0f} seconds; {verdict}",
            tracks(driver.admin.event_log()),
            [
                Chapter(step.name, step.start, step.start + step.virtual, not step.failure)
                for step in driver.steps
            ],
            elapsed,
        )
    )
    return path


def rehearse_all(console: Console, timings: Json | None) -> bool:
    """Run every scenario, as many at a time as there are cores; one line for each."""
    passed = True
    with ThreadPoolExecutor(os.cpu_count()) as workers:
        for result in workers.map(lambda name: rehearse(name, timings=timings), SCENARIOS):
            passed = passed and result.passed
            virtual = duration(sum(step.virtual for step in result.steps))
            outcome = "as expected" if result.passed else f"NOT AS EXPECTED {result.picture.name}"
            console.print(f"{result.name:<32} {virtual:>9} {result.wall:6.1f} s  {outcome}")
            _explain(console, result)
    return passed


def rehearse_one(console: Console, name: str, timings: Json | None, *, show: bool) -> bool:
    """Run one scenario and end with the table of its steps."""
    result = rehearse(name, timings=timings, console=console if show else None)
    console.print(summary(result.steps))
    _explain(console, result)
    console.print(f"picture: {result.picture.relative_to(ROOT)}")
    return result.passed


def _explain(console: Console, result: Result) -> None:
    for line in result.explanation:
        console.print(f"  {line}", style="red", markup=False, highlight=False)


def main(arguments: Sequence[str]) -> int:
    """The command line of `python -m rehearsal run`; 0 only if everything was as expected."""
    parser = argparse.ArgumentParser("python -m rehearsal run", description=__doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--scenario", choices=SCENARIOS, default=STANDARD, metavar="NAME")
    what.add_argument("--all", action="store_true", help="run every scenario")
    what.add_argument("--list", action="store_true", help="print the scenarios' names and stories")
    parser.add_argument("--timings", type=json.loads, metavar="JSON", help="virtual seconds")
    parser.add_argument("--no-display", action="store_true", help="print the outcome alone")
    given = parser.parse_args(arguments)
    # A log has no width of its own; rich would take the narrowest.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else LOG_WIDTH)
    if given.list:
        for name in SCENARIOS:
            print(f"{name:<32} {story(name)}")
        return 0
    if given.all:
        return 0 if rehearse_all(console, given.timings) else 1
    shown = not given.no_display
    return 0 if rehearse_one(console, given.scenario, given.timings, show=shown) else 1
