"""What AWS bills for an operation, beside the cluster itself.

Prices of us-east-1 without free tiers, read in November 2026.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rehearsal.events import Event

# API operations of Secrets Manager, as functions call them.
SECRETS = (
    "CreateSecret",
    "DeleteSecret",
    "DescribeSecret",
    "GetSecretValue",
    "ListSecrets",
    "PutSecretValue",
    "TagResource",
    "UpdateSecretVersionStage",
)


@dataclass(frozen=True)
class Price:
    """US dollars for one unit, and where that is published."""

    unit: str
    dollars: float
    source: str


PRICES = {
    "transition": Price(
        "a state transition of a Standard workflow",
        0.025 / 1000,
        "https://aws.amazon.com/step-functions/pricing/",
    ),
    "invocation": Price(
        "an invocation of a function", 0.20 / 1e6, "https://aws.amazon.com/lambda/pricing/"
    ),
    "gigabyte-second": Price(
        "a gigabyte-second of a function (x86)",
        0.0000166667,
        "https://aws.amazon.com/lambda/pricing/",
    ),
    "secret call": Price(
        "a call of Secrets Manager", 0.05 / 10000, "https://aws.amazon.com/secrets-manager/pricing/"
    ),
}


def gigabyte_seconds(events: Iterable[Event], memory: Mapping[str, float]) -> float:
    """What functions are billed for: their duration (virtual seconds) by their memory (MB)."""
    began: dict[tuple[str, str], list[float]] = {}
    billed = 0.0
    for event in events:
        if event["service"] != "lambda":
            continue
        name = event["subject"]
        running = began.setdefault((name, event.get("step", "")), [])
        if event["event"] == "Invoked":
            running.append(event["at"])
        elif running:
            billed += (event["at"] - running.pop(0)) * memory.get(name, 0) / 1024
    return billed


def dollars(
    transitions: int, invocations: int, gigabytes: float, calls: Mapping[str, int]
) -> float:
    """The cost of an operation."""
    return (
        transitions * PRICES["transition"].dollars
        + invocations * PRICES["invocation"].dollars
        + gigabytes * PRICES["gigabyte-second"].dollars
        + sum(calls.get(name, 0) for name in SECRETS) * PRICES["secret call"].dollars
    )
