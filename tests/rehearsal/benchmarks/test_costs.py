from __future__ import annotations

import pytest

from rehearsal.benchmarks.costs import PRICES, dollars, gigabyte_seconds


def invoked(at: float, name: str, event: str) -> dict[str, object]:
    return {"at": at, "service": "lambda", "subject": name, "event": event}


def test_functions_are_billed_for_their_duration_by_their_memory() -> None:
    events = [
        invoked(0, "one", "Invoked"),
        invoked(1, "two", "Invoked"),
        invoked(4, "one", "Succeeded"),
        invoked(7, "two", "Failed"),
    ]
    assert gigabyte_seconds(events, {"one": 256, "two": 512}) == 4 / 4 + 6 / 2


def test_an_operation_costs_the_sum_of_all_units() -> None:
    calls = {"GetSecretValue": 2, "DescribeClusters": 100}
    expected = (
        1000 * PRICES["transition"].dollars
        + 10 * PRICES["invocation"].dollars
        + 5 * PRICES["gigabyte-second"].dollars
        + 2 * PRICES["secret call"].dollars
    )
    assert dollars(1000, 10, 5, calls) == pytest.approx(expected)
    assert expected == pytest.approx(0.025, rel=0.01)
