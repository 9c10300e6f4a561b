from __future__ import annotations

import pytest

from rehearsal.runner import rehearse
from rehearsal.scenarios import SCENARIOS, STANDARD
from rehearsal.timings import QUICK

# Scenarios about timeouts run with AWS's own timings, or with one of them.
REAL_TIMINGS = {
    "create-times-out": QUICK.keys(),
    "slow-account": QUICK.keys(),
    "no-time-for-another-zone": QUICK.keys(),
    "update-times-out": QUICK.keys(),
    "cloudformation-times-out": QUICK.keys(),
    "hsms-outlast-create": QUICK.keys(),
    "hsms-outlast-update": {"create_hsm"},
    "detached-superseded": QUICK.keys(),
    "detached-hsm-degraded": QUICK.keys(),
    "key-store-while-detached": QUICK.keys(),
    "hsm-type-outlasts-update": {"change_hsm_type"},
    "hsm-type-rolled-back-later": {"change_hsm_type"},
}


# test_determinism.py runs the standard scenario, twice.
@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != STANDARD])
def test_the_scenario_passes(name: str) -> None:
    real = REAL_TIMINGS.get(name, set())
    timings = {operation: seconds for operation, seconds in QUICK.items() if operation not in real}
    result = rehearse(name, timings=timings)
    assert result.passed, "\n".join(result.failures)
