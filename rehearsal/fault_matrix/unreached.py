"""The calls of functions that no request of the matrix makes, each with the reason."""

from __future__ import annotations

# By operation.
REASONS = {
    "CancelCommand": "Only if an older request is superseded while its command runs.",
    "DeleteParameters": "Only for a cluster that was never ACTIVE; identity-required does it.",
    "GetExecutionHistory": "Only to describe a failure; without it, the reason names the workflow.",
    "ListSecretVersionIds": "Only in a restore from a backup of this account.",
    "StopExecution": "Only if an older request is superseded.",
}
