"""The cells that may fail, each with the reason; docs/fault-matrix.md lists them."""

from __future__ import annotations

import re

from rehearsal.fault_matrix.cell import Cell

REASONS: dict[str, str] = {
    r"/response(/GetSecretValue|/PutResponse)/(denied|invalid)$": (
        "Without a response, CloudFormation waits for an hour, and its rollback for another one;"
        " docs/troubleshooting.md says how to go on."
    ),
    r"/(aws secretsmanager get-secret-value|curl|dnf install|dnf remove)/fails-once$": (
        "These commands retry what fails for a moment (curl by its option --retry), so that their"
        " failure is none of a single request to AWS."
    ),
    r"^[^/]+/[A-Z]\w+/(aws|cloudhsm-cli|curl|dnf) ?[^/]*/killed$": (
        "No call of AWS kills a script, only a reboot or crash of the client. Scripts are not"
        " repeated, because one may have used up a login of the admin, who has five."
    ),
}


def reason_for(cell: Cell) -> str | None:
    """Why this cell may fail; None if it has to pass."""
    return next((why for pattern, why in REASONS.items() if re.search(pattern, cell.id)), None)
