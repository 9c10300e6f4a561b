"""What a run found: holes with the commands that repeat them, and docs/fault-matrix.md."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from localaws.client import ROOT
from rehearsal.fault_matrix import faults, tolerated
from rehearsal.fault_matrix.cell import Cell
from rehearsal.fault_matrix.results import HOLE, PASSED, TOLERATED, Result

PAGE = ROOT / "docs" / "fault-matrix.md"
SERVICES = {
    "client": "commands on the client",
    "cloudformation": "CloudFormation",
    "cloudhsm": "CloudHSM",
    "ec2": "EC2",
    "iam": "IAM",
    "kms": "KMS",
    "lambda": "Lambda",
    "s3": "S3 (the response)",
    "secretsmanager": "Secrets Manager",
    "ssm": "Systems Manager",
    "states": "Step Functions",
}
INTRODUCTION = """\
# The fault matrix

Written by `make faults`, which tries every cell: one of the requests below, one of the calls that
it makes, and one way in which this call may fail. Calls are those of each function's steps, those
that Step Functions makes for Tasks, and the commands of the scripts on the client that depend on
AWS or on the HSMs.

- After a fault that happens once, the request has to succeed. Several share a request; if it fails,
  each is tried alone.
- After a fault that stays, the request has to fail and be rolled back, or end in DELETE_FAILED; the
  reason names the step, AWS's code and what to do. Then the fault is removed, and the request has
  to succeed. A request may also succeed without a call that it does not depend on. To move a key
  store back, a rollback needs the same calls, so what is left is compared after that success.
- Every request ends in less virtual time than CloudFormation waits for, breaks none of the runner's
  invariants, and leaves exactly the resources of a request without faults, or of none.
"""


def hole_line(cell: Cell, result: Result) -> str:
    """A hole: request, call, fault, what happened, and the command that repeats it alone."""
    what = faults.DESCRIPTIONS[cell.kind]
    return (
        f"{cell.request}, {cell.call}: {what}: {result.detail}\n"
        f"    python -m rehearsal faults --only '{command_pattern(cell)}'"
    )


def command_pattern(cell: Cell) -> str:
    """The regular expression for --only that selects this cell alone."""
    return f"^{re.escape(cell.id)}$".replace("\\-", "-").replace("\\/", "/").replace("\\ ", " ")


def counts(results: Iterable[Result]) -> Counter[str]:
    """The number of results by outcome."""
    return Counter(result.outcome for result in results)


def page(cells: Sequence[Cell], results: Mapping[str, Result]) -> str:
    """The text of docs/fault-matrix.md."""
    found = counts(results[cell.id] for cell in cells)
    return "\n".join(
        [
            INTRODUCTION,
            f"{len(cells):,} cells: {found[PASSED]:,} passed, {found[TOLERATED]:,} tolerated,"
            f" {found[HOLE]:,} holes.",
            "",
            "## By fault and service",
            "",
            *_table(cells, [*SERVICES], lambda cell: cell.call.service, SERVICES),
            "",
            "## By request",
            "",
            *_requests(cells),
            "",
            "## Tolerated",
            "",
            *_tolerated(cells, results),
            "",
        ]
    )


def _table(
    cells: Sequence[Cell], columns: Sequence[str], column_of: object, titles: Mapping[str, str]
) -> Iterator[str]:
    number = Counter((cell.kind, cell.call.service) for cell in cells)
    used = [each for each in columns if any(service == each for _, service in number)]
    yield "| Fault | " + " | ".join(titles[each] for each in used) + " | All |"
    yield "| --- |" + " ---: |" * (len(used) + 1)
    for kind, description in faults.DESCRIPTIONS.items():
        row = [number[kind, each] for each in used]
        yield (
            f"| {description} | "
            + " | ".join(f"{each:,}" if each else "" for each in row)
            + (f" | {sum(row):,} |")
        )


def _requests(cells: Sequence[Cell]) -> Iterator[str]:
    yield "| Request | Calls | Cells |"
    yield "| --- | ---: | ---: |"
    for request in dict.fromkeys(cell.request for cell in cells):
        own = [cell for cell in cells if cell.request == request]
        yield f"| {request} | {len({cell.call for cell in own})} | {len(own)} |"


def _tolerated(cells: Sequence[Cell], results: Mapping[str, Result]) -> Iterator[str]:
    yield "| Cells | Number | Reason |"
    yield "| --- | ---: | --- |"
    for pattern, reason in tolerated.REASONS.items():
        number = sum(
            re.search(pattern, cell.id) is not None and results[cell.id].outcome == TOLERATED
            for cell in cells
        )
        yield f"| `{pattern}` | {number} | {reason} |"
