"""Run scenarios, each in a local AWS of its own, and report their outcome."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from display.traces import duration
from localaws.client import ROOT, Json, LocalAws, ended
from rehearsal.checks import invariants, secret_scan
from rehearsal.drivers.commands import OperatedAws
from rehearsal.drivers.stack import ExpectationError, StackDriver
from rehearsal.drivers.step import Step, ignore_step
from rehearsal.report import permissions, progress
from rehearsal.report.failure import failure_report
from rehearsal.report.live import Display, Snapshot, summary
from rehearsal.report.spans import traces
from rehearsal.report.svg import Phase, draw
from rehearsal.scenarios import ARGUMENTS, SCENARIOS, STANDARD, description

# Columns when the output is not a terminal.
LOG_WIDTH = 140
DIAGRAMS = ROOT / "build"
HARSHER = "harsher"
STOPPED_BY_CTRL_C = 130
STOPPED = "Stopped before the end, so nothing was checked."
# The question that these parameters answer, unless a scenario answers it itself.
IAM = "cloudhsm-resource-level-iam"
# What an operator has to set where AWS is as harsh as it may be.
PARAMETERS_FOR_HARSHER = {"pCloudHsmIamScope": "ANY"}


@dataclass(frozen=True)
class Result:
    """A scenario's steps, why it failed (empty if it passed), its diagram, and real seconds."""

    name: str
    steps: Sequence[Step]
    failures: Sequence[str]
    diagram: Path
    wall: float

    @property
    def passed(self) -> bool:
        """Whether all expectations and invariants held."""
        return not self.failures


def rehearse(
    name: str,
    *,
    timings: Json | None = None,
    assume: Sequence[str] = (),
    console: Console | None = None,
) -> Result:
    """Run one scenario in a new local AWS, displayed on the console if there is one.

    The readings of a scenario about an open question take precedence over those in `assume`.
    """
    began = time.monotonic()
    failures: list[str] = []
    if console:
        console.print(Text(_title(name), style="bold"))
    readings = [argument for each in assume for argument in ("--assume", each)]
    with OperatedAws(*readings, *ARGUMENTS.get(name, ()), timings=timings) as aws:
        with _displayed(console, name, aws) as display:
            driver = StackDriver(aws, display.start_step if display else ignore_step)
            if HARSHER in assume and not any(IAM in each for each in ARGUMENTS.get(name, ())):
                driver.stack.parameters |= PARAMETERS_FOR_HARSHER
            try:
                SCENARIOS[name](driver)
                failures = [
                    *invariants.violations(aws.admin.event_log()),
                    *secret_scan.violations(aws),
                    *_remaining_stacks(aws),
                ]
                permissions.record(name, aws)
                if not failures:
                    progress.record(name, driver.steps)
            except ExpectationError as failure:
                failures = [str(failure), *failure_report(driver)]
            except KeyboardInterrupt:
                failures = [STOPPED]
            except Exception:
                failures = _unexpected(driver)
        wall = time.monotonic() - began
        diagram = _write_diagram(name, driver.steps, _seen(aws, display), wall)
    return Result(name, driver.steps, failures, diagram, wall)


def _unexpected(driver: StackDriver) -> list[str]:
    """The error that is being handled, unless a signal has ended the local AWS."""
    if ended.is_set():
        return [STOPPED]
    error = traceback.format_exc().rstrip()
    return [error, *failure_report(driver), driver.aws.server_log()]


def _remaining_stacks(aws: LocalAws) -> list[str]:
    """A line for each stack that the scenario failed to delete."""
    stacks = aws.admin.inventory()["cloudformation"]["stacks"]
    return [f"stack {stack['name']} was not deleted: {stack['status']}" for stack in stacks]


def _title(name: str) -> str:
    return f"{name}: {description(name)}"


@contextmanager
def _displayed(console: Console | None, name: str, aws: OperatedAws) -> Iterator[Display | None]:
    """Display the run on the console, if there is one."""
    if console is None:
        yield None
    else:
        expected = progress.recorded(name)
        with Display(console, lambda: _snapshot(aws), expected) as display:
            aws.on_command = display.show_command
            yield display


def _snapshot(aws: LocalAws) -> Snapshot:
    return Snapshot(float(aws.admin.clock()["elapsed"]), aws.admin.event_log())


def _seen(aws: LocalAws, display: Display | None) -> Snapshot:
    """All that happened, or what was displayed of it if the local AWS was stopped."""
    if ended.is_set():
        return display.latest if display else Snapshot(0, [])
    return _snapshot(aws)


def _write_diagram(name: str, steps: Sequence[Step], seen: Snapshot, wall: float) -> Path:
    elapsed = seen.elapsed
    failed = [step.name for step in steps if step.failure]
    stopped = [step.name for step in steps if step.end is None]
    outcome = f"failed: {failed[0]}" if failed else "stopped" if stopped else "passed"
    path = DIAGRAMS / f"rehearsal-{name}.svg"
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        draw(
            _title(name),
            f"{elapsed / 60:.0f} minutes of virtual time in {wall:.0f} seconds; {outcome}",
            traces(seen.events),
            [
                Phase(
                    step.name,
                    step.start,
                    elapsed if step.end is None else step.end,
                    not step.failure,
                )
                for step in steps
            ],
            elapsed,
        )
    )
    return path


def rehearse_all(console: Console, timings: Json | None, assume: Sequence[str]) -> bool:
    """Run every scenario, one per core at a time, and print a line for each."""
    passed = True
    with ThreadPoolExecutor(os.cpu_count()) as workers:

        def run(name: str) -> Result:
            return rehearse(name, timings=timings, assume=assume)

        for result in workers.map(run, SCENARIOS):
            passed = passed and result.passed
            virtual = duration(sum(step.virtual for step in result.steps))
            outcome = "passed" if result.passed else f"FAILED {result.diagram.name}"
            console.print(f"{result.name:<32} {virtual:>9} {result.wall:6.1f} s  {outcome}")
            _print_failures(console, result)
    return passed


def rehearse_one(
    console: Console, name: str, timings: Json | None, assume: Sequence[str], *, show: bool
) -> bool:
    """Run one scenario and print a summary of its steps."""
    result = rehearse(name, timings=timings, assume=assume, console=console if show else None)
    console.print(summary(result.steps))
    _print_failures(console, result)
    console.print(
        f"diagram: {result.diagram.relative_to(ROOT)}; again: make rehearse SCENARIO={name}",
        soft_wrap=True,
    )
    console.print(_what_next(name))
    return result.passed


def _what_next(name: str) -> Table:
    """Commands and documents to go on with."""
    names = [*SCENARIOS]
    following = names[(names.index(name) + 1) % len(names)]
    table = Table(box=None, padding=(0, 2), header_style="dim")
    table.add_column("next", no_wrap=True)
    table.add_column("", style="dim")
    for what, why in (
        (f"make rehearse SCENARIO={following}", description(following)),
        ("make serve", "A local AWS to type such commands for."),
        ("make watch STACK=hsm", "Follow a request there, or on AWS."),
        ("make why STACK=hsm", "Print why it failed, in full."),
        ("docs/local-aws.md", "How to deploy into it."),
        ("docs/testing.md", f"All {len(names)} scenarios."),
    ):
        table.add_row(what, why)
    return table


def _print_failures(console: Console, result: Result) -> None:
    for line in result.failures:
        console.print(f"  {line}", style="red", markup=False, highlight=False)


def main(arguments: Sequence[str]) -> int:
    """The command line of `python -m rehearsal run`; returns 0 if every scenario passed."""
    parser = argparse.ArgumentParser("python -m rehearsal run", description=__doc__)
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument(
        "--scenario",
        choices=SCENARIOS,
        default=STANDARD,
        metavar="NAME",
        help=f"run this scenario (default: {STANDARD})",
    )
    choice.add_argument("--all", action="store_true", help="run every scenario")
    choice.add_argument("--list", action="store_true", help="list scenarios with a description")
    parser.add_argument(
        "--timings", type=json.loads, metavar="JSON", help="virtual seconds for each AWS operation"
    )
    parser.add_argument(
        "--assume",
        action="append",
        default=[],
        metavar="ID=READING",
        help='a reading of an open question about AWS; "harsher": the harsher of each',
    )
    parser.add_argument("--no-display", action="store_true", help="print only the outcome")
    given = parser.parse_args(arguments)
    # Outside a terminal, rich would default to 80 columns.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else LOG_WIDTH)
    if given.list:
        for name in SCENARIOS:
            print(f"{name:<32} {description(name)}")
        return 0
    if given.all:
        return 0 if rehearse_all(console, given.timings, given.assume) else 1
    shown = not given.no_display
    passed = rehearse_one(console, given.scenario, given.timings, given.assume, show=shown)
    return STOPPED_BY_CTRL_C if ended.is_set() else 0 if passed else 1
