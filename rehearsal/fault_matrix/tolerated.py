"""The cells that may fail, each with the reason; docs/fault-matrix.md lists them."""

from __future__ import annotations

import re

from rehearsal.fault_matrix.cell import Cell

REASONS: dict[str, str] = {
    r"/response(/GetSecretValue|/PutResponse)/(denied|invalid)$": (
        "Without a response, CloudFormation waits for an hour, and its rollback for another one;"
        " docs/operations.md says how to go on."
    ),
    r"/curl/fails-once$": "The script lets curl try each download four times.",
}


def reason_for(cell: Cell) -> str | None:
    """Why this cell may fail; None if it has to pass."""
    return next((why for pattern, why in REASONS.items() if re.search(pattern, cell.id)), None)
